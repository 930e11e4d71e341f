//! The rows of one partition that wait for their tick.

use std::collections::VecDeque;

use plimsoll_model::{RejectReason, Row, Second, Time};

/// A record that is rejected when its tick closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub offset: i64,
    pub time: Time,
    pub reason: RejectReason,
    /// The segment it stands in, as in [`Row::batch`].
    pub segment: u32,
}

/// What is applied at one tick. `Row::batch` is the number of a segment here.
#[derive(Debug)]
pub(super) struct Bucket {
    pub tick: Second,
    pub rows: Vec<Row>,
    pub refused: Vec<Refused>,
}

/// Buckets by tick. Records come nearly in order, so a row's bucket is close to the end.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    buckets: VecDeque<Bucket>,
    rows: usize,
}

impl Buckets {
    /// How many rows wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The first tick that has anything.
    pub fn first(&self) -> Option<Second> {
        self.buckets.front().map(|bucket| bucket.tick)
    }

    pub fn push(&mut self, tick: Second, row: Row) {
        self.rows += 1;
        self.bucket(tick).rows.push(row);
    }

    pub fn refuse(&mut self, tick: Second, refused: Refused) {
        self.bucket(tick).refused.push(refused);
    }

    /// Takes the first bucket if its tick is at or before `tick`.
    pub fn pop_through(&mut self, tick: Second) -> Option<Bucket> {
        if self.first()? > tick {
            return None;
        }
        let bucket = self.buckets.pop_front()?;
        self.rows -= bucket.rows.len();
        Some(bucket)
    }

    fn bucket(&mut self, tick: Second) -> &mut Bucket {
        let mut place = self.buckets.len();
        while place > 0 && self.buckets[place - 1].tick > tick {
            place -= 1;
        }
        if place == 0 || self.buckets[place - 1].tick < tick {
            self.buckets.insert(place, Bucket { tick, rows: Vec::new(), refused: Vec::new() });
            place += 1;
        }
        &mut self.buckets[place - 1]
    }
}
