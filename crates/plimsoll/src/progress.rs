//! How far a replay is: one line on the terminal, replaced every second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is written.
const EVERY: Duration = Duration::from_secs(1);

/// The line on stderr. Where stderr is no terminal, nothing is ever written.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    started: Instant,
    said: Option<Instant>,
}

impl Progress {
    /// Nothing was read yet.
    pub fn start() -> Progress {
        let is_terminal = io::stderr().is_terminal();
        Progress { is_terminal, started: Instant::now(), said: None }
    }

    /// So many records were read; says so if it is time to.
    pub fn show(&mut self, records: u64) {
        let last = self.said.unwrap_or(self.started);
        if self.is_terminal && last.elapsed() >= EVERY {
            // A terminal that cannot be written to needs no progress.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(records, self.started.elapsed()));
            self.said = Some(Instant::now());
        }
    }

    /// Takes the line away, so that something else can be written.
    pub fn clear(&mut self) {
        if self.said.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(records: u64, took: Duration) -> String {
    let per_s = records as f64 / took.as_secs_f64().max(0.001);
    format!("{records} records read, {per_s:.0} a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_many_and_how_fast() {
        let said = line(90_000, Duration::from_secs(2));
        assert_eq!(said, "90000 records read, 45000 a second");
    }
}
