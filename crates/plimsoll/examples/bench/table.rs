//! The figures, as a table for a person.

use std::fmt::Write;

use crate::Stage;
use crate::stages::Outcome;
use crate::usage::mib;

/// The outcomes of every stage, by round.
#[derive(Default)]
pub struct Table {
    rows: Vec<(Stage, Vec<Outcome>)>,
}

impl Table {
    pub fn add(&mut self, stage: Stage, outcome: Outcome) {
        match self.rows.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => self.rows.push((stage, vec![outcome])),
        }
    }

    pub fn outcomes(&self, stage: Stage) -> &[Outcome] {
        let row = self.rows.iter().find(|(known, _)| *known == stage);
        row.map_or(&[], |(_, outcomes)| outcomes)
    }

    /// One line for each stage: lines per CPU-second in the median round with the least and the
    /// most, its relation to the yardstick, and the most memory of any round.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "stage                         lines per CPU-s       least        most  of yardstick  \
             CPU-s  wall-s  peak MiB\n",
        );
        for (stage, outcomes) in &self.rows {
            let rates = sorted(outcomes, |outcome| outcome.lines as f64 / outcome.cpu_s);
            let yardstick = match stage {
                Stage::Kafka => Stage::Poll,
                _ => Stage::Decode,
            };
            let against =
                sorted(self.outcomes(yardstick), |outcome| outcome.lines as f64 / outcome.cpu_s);
            let peak = outcomes.iter().map(|outcome| outcome.peak_bytes).max().unwrap_or(0);
            let _ = writeln!(
                text,
                "{:<30} {:>14.0} {:>11.0} {:>11.0} {:>11.0} % {:>7.2} {:>7.2} {:>8.0}",
                name(*stage),
                median(&rates),
                rates.first().copied().unwrap_or(f64::NAN),
                rates.last().copied().unwrap_or(f64::NAN),
                100.0 * median(&rates) / median(&against),
                median(&sorted(outcomes, |outcome| outcome.cpu_s)),
                median(&sorted(outcomes, |outcome| outcome.wall_s)),
                mib(peak),
            );
        }
        text
    }
}

/// What a stage is called in the table.
pub fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Generate => "generating the lines",
        Stage::Decode => "sonic-rs, six members",
        Stage::File => "file to incidents",
        Stage::FileWithoutGrowth => "the same, growth detector off",
        Stage::Produce => "producing to Kafka",
        Stage::Poll => "bare rdkafka poll loop",
        Stage::Kafka => "Kafka to incidents",
        Stage::SlowFile | Stage::SlowKafka => "slow implementation",
    }
}

fn sorted(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = outcomes.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The middle one of sorted values; the lower of two middle ones.
fn median(values: &[f64]) -> f64 {
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
