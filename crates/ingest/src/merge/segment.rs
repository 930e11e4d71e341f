//! One batch of a partition on its way through the merge.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_model::{Batch, RowKind, Time};

use super::guard::Stamp;

/// The next record and the next row of each table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    times: usize,
    lives: usize,
    samples: usize,
    sessions: usize,
}

impl Cursor {
    /// The next record that has a time or a row; `None` at the end of the batch.
    pub fn peek(&self, batch: &Batch) -> Option<Stamp> {
        let timed = batch.times.get(self.times).copied();
        let life = (self.lives < batch.lives.len())
            .then(|| (batch.lives.offset(self.lives), batch.lives.time(self.lives)));
        let sample = (self.samples < batch.samples.len())
            .then(|| (batch.samples.offset(self.samples), batch.samples.time(self.samples)));
        let session = (self.sessions < batch.sessions.len())
            .then(|| (batch.sessions.offset(self.sessions), batch.sessions.time(self.sessions)));
        let mut next = timed;
        for row in [life, sample, session].into_iter().flatten() {
            if next.is_none_or(|(offset, _)| row.0 < offset) {
                next = Some(row);
            }
        }
        next.map(|(offset, time)| Stamp { offset, time })
    }

    /// Steps over the record at `offset`, and tells each of its rows.
    pub fn take(&mut self, batch: &Batch, offset: i64, mut row: impl FnMut(RowKind, usize, Time)) {
        while batch.times.get(self.times).is_some_and(|(at, _)| *at == offset) {
            self.times += 1;
        }
        while self.lives < batch.lives.len() && batch.lives.offset(self.lives) == offset {
            row(RowKind::Life, self.lives, batch.lives.time(self.lives));
            self.lives += 1;
        }
        while self.samples < batch.samples.len() && batch.samples.offset(self.samples) == offset {
            row(RowKind::Sample, self.samples, batch.samples.time(self.samples));
            self.samples += 1;
        }
        while self.sessions < batch.sessions.len() && batch.sessions.offset(self.sessions) == offset
        {
            row(RowKind::Session, self.sessions, batch.sessions.time(self.sessions));
            self.sessions += 1;
        }
    }
}

/// A batch of which something is not yet applied.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its records; given back as soon as nothing of it is needed.
    pub batch: Option<Arc<Batch>>,
    pub first_offset: i64,
    /// Rows and rejects that are not yet applied, and one more while it is read.
    pub open: usize,
}

/// The segments of a partition, by number.
#[derive(Debug, Default)]
pub(super) struct Segments {
    segments: VecDeque<Segment>,
    first: u32,
}

impl Segments {
    /// Begins to read a batch: [`Segments::close`] one when that is done. Its number.
    pub fn push(&mut self, batch: Arc<Batch>) -> u32 {
        let first_offset = batch.first_offset;
        self.segments.push_back(Segment { first_offset, batch: Some(batch), open: 1 });
        let place = u32::try_from(self.segments.len() - 1).expect("fewer than 2^32 batches wait");
        self.first.wrapping_add(place)
    }

    /// The first segment of which something is not yet applied.
    pub fn front(&self) -> Option<&Segment> {
        self.segments.front()
    }

    pub fn get(&mut self, number: u32) -> &mut Segment {
        &mut self.segments[number.wrapping_sub(self.first) as usize]
    }

    /// `count` rows or rejects of segment `number` were applied. It is let go when nothing of it is
    /// needed any more.
    pub fn close(&mut self, number: u32, count: usize) {
        let segment = self.get(number);
        debug_assert!(segment.open >= count, "no row is applied twice");
        segment.open -= count;
        if segment.open == 0 {
            segment.batch = None;
        }
        while self.segments.front().is_some_and(|segment| segment.open == 0) {
            self.segments.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}
