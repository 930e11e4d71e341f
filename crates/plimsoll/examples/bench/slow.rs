//! The plain way to the incidents: parse everything, work out where each row is applied, sort
//! everything, go through it second by second.

use std::io::{BufRead, BufReader};
use std::iter::repeat_n;
use std::sync::Arc;

use anyhow::Context;
use plimsoll_detect::Judge;
use plimsoll_ingest::{Parser, RawBatch};
use plimsoll_model::{Batch, PartitionId, Row, RowKind, Second, Tick, Time};

use crate::stages::{Outcome, Told};
use crate::usage::Meter;
use crate::workload::Workload;

const LINES_PER_BATCH: usize = 50_000;

/// The incidents of the workload's lines, dealt out to `partitions` partitions in turn.
pub fn incidents(workload: &Workload, partitions: u32) -> anyhow::Result<Outcome> {
    let meter = Meter::start();
    let config = workload.config()?;
    let source = config.sources.get("db").context("the pipeline has a source `db`")?;
    let batches = parse(workload, partitions, &mut Parser::new("db", source)?)?;
    let mut marks: Vec<Time> = repeat_n(Time::EARLIEST, partitions as usize).collect();
    let mut placed: Vec<(Second, Row)> = Vec::new();
    for (number, batch) in (0..).zip(&batches) {
        let mark = &mut marks[batch.partition.partition as usize];
        let mut sessions = (0..batch.sessions.len()).peekable();
        for &(offset, time) in &batch.times {
            let earliest = mark.minus(source.reorder).second();
            *mark = time.max(*mark);
            while let Some(index) = sessions.next_if(|&row| batch.sessions.offset(row) == offset) {
                let row = Row {
                    time,
                    partition: batch.partition,
                    offset,
                    batch: number,
                    kind: RowKind::Session,
                    index: u32::try_from(index)?,
                };
                placed.push((time.second().max(earliest), row));
            }
        }
    }
    placed.sort_by_key(|(applied, row)| (*applied, row.time, row.partition, row.offset, row.index));
    let first = placed.first().context("the workload has lines")?.0;
    let newest = marks.iter().max().context("there is a partition")?;
    let mut judge = Judge::new(config.settings());
    let mut told = Told::default();
    let mut waiting = placed.into_iter().peekable();
    for second in first.0..=newest.plus(source.reorder).second().0 {
        let mut tick = Tick { second: Second(second), batches: batches.clone(), rows: Vec::new() };
        while let Some((_, row)) = waiting.next_if(|(applied, _)| applied.0 <= second) {
            tick.rows.push(row);
        }
        for transition in judge.step(&tick).transitions {
            told.add(&transition)?;
        }
    }
    let lines = batches.iter().map(|batch| batch.records).sum();
    told.outcome(lines, &meter)
}

fn parse(
    workload: &Workload,
    partitions: u32,
    parser: &mut Parser,
) -> anyhow::Result<Vec<Arc<Batch>>> {
    let mut batches = Vec::new();
    let mut input = BufReader::with_capacity(1 << 20, std::fs::File::open(workload.lines())?);
    let start = |number| RawBatch::new(PartitionId::new(0, number));
    let mut raws: Vec<RawBatch> = (0..partitions).map(start).collect();
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let raw = &mut raws[(number % i64::from(partitions)) as usize];
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        raw.push(number / i64::from(partitions), text);
        if raw.len() == LINES_PER_BATCH {
            let next = start(raw.partition.partition);
            batches.push(Arc::new(parser.parse(&std::mem::replace(raw, next))));
        }
    }
    batches.extend(raws.iter().map(|raw| Arc::new(parser.parse(raw))));
    Ok(batches)
}
