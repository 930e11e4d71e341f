//! Growth to the limit: pages before a resource runs out, and says who fills it.
//!
//! Evidence, then consequence, then owner: `docs/detectors.md`, "Growth to the limit".

use std::time::Duration;

use plimsoll_model::{Finding, Interval, Kind, Owner, Reason, Second, Severity, Time};
use serde::{Deserialize, Serialize};

use crate::detector::Verdict;
use crate::forecast::{self, Outlook};
use crate::levels::{BUCKET_S, Levels, SCALES};
use crate::trend::{self, Rise, Stretch};
use crate::view::ResourceView;

/// The thresholds of the detector; each has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrowthSettings {
    /// How long people need to act; scales every horizon. It is set once, for the pipeline.
    #[serde(skip)]
    pub response_time: Duration,
    /// The loudest severity that may be used.
    pub severity: Severity,
    /// A rise counts from this many standard deviations on.
    pub evidence: f64,
    /// A rise counts from this many units on.
    pub rise_min: f64,
    /// A ticket is due when the limit may be reached within this many response times.
    pub ticket_horizon: f64,
}

impl Default for GrowthSettings {
    fn default() -> GrowthSettings {
        GrowthSettings {
            response_time: Duration::from_secs(30 * 60),
            severity: Severity::Page,
            evidence: 4.0,
            rise_min: 6.0,
            ticket_horizon: 96.0,
        }
    }
}

/// The detector's state for one resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    settings: GrowthSettings,
    total: Option<Levels>,
    open: Option<Finding>,
}

/// How many buckets of each scale are kept.
const DEPTH: u16 = 20;

impl Growth {
    /// A detector that has seen nothing.
    pub fn new(settings: GrowthSettings) -> Growth {
        Growth { settings, total: None, open: None }
    }

    /// Judges by other settings from now on: those of a restored detector may have changed.
    pub fn configure(&mut self, settings: GrowthSettings) {
        self.settings = settings;
    }

    /// Judges one resource at the end of tick `second`. Ticks come in order; gaps are allowed and
    /// mean that nothing changed.
    pub fn step(&mut self, second: Second, view: &ResourceView<'_>) -> Verdict {
        let now_s = second.next().0;
        let total = self.total.get_or_insert_with(|| Levels::new(view.first_seen.0, DEPTH));
        total.set(now_s, view.held);
        if view.reset_at == Some(second) {
            return match self.open.take() {
                Some(_) => Verdict::Ended(Reason::ResourceRestarted),
                None => Verdict::Quiet,
            };
        }
        for scale in 0..SCALES {
            if now_s % BUCKET_S[scale] == 0
                && let Some(finding) = self.judge(scale, now_s, view)
            {
                self.open = Some(finding);
            }
        }
        match &self.open {
            Some(finding) if view.held < finding.owner_level_before.unwrap_or(0) => {
                self.open = None;
                Verdict::Ended(Reason::LevelReceded)
            }
            Some(finding) => Verdict::Found(finding.clone()),
            None => Verdict::Quiet,
        }
    }

    fn judge(&self, scale: usize, now_s: i64, view: &ResourceView<'_>) -> Option<Finding> {
        let total = self.total.as_ref()?;
        let width = BUCKET_S[scale];
        let newest = now_s / width;
        let first = (newest - i64::from(DEPTH)).max(view.first_seen.0 / width + 1);
        let mut sums = vec![0; (newest - first).max(0) as usize];
        total.add_to(scale, first, &mut sums);
        let stretch = |(place, &sum): (usize, &u64)| {
            let from_s = (first + place as i64) * width;
            Stretch { from_s, to_s: from_s + width, mean: sum as f64 / width as f64 }
        };
        let stretches: Vec<Stretch> = sums.iter().enumerate().map(stretch).collect();
        let rise = trend::fit(&stretches, stretches.len())?;
        let needed = self.settings.evidence
            * (rise.rate_var.sqrt() * rise.length_s()).max(rise.base.max(1.0).sqrt());
        if rise.height() < needed.max(self.settings.rise_min) {
            return None;
        }
        self.finding(now_s, &rise, view)
    }

    fn finding(&self, now_s: i64, rise: &Rise, view: &ResourceView<'_>) -> Option<Finding> {
        let usable = view.usable? as f64;
        let outlook = Outlook {
            remaining: usable - rise.level_at(now_s),
            above: view.held as f64 - rise.level_at(now_s),
            rate: rise.rate,
            rate_var: rise.rate_var,
            drift_var: rise.rate,
            level_var: rise.ramp_var,
            memory_s: 1.0,
        };
        let response_s = self.settings.response_time.as_secs_f64();
        let (from_s, to_s) =
            forecast::exhaustion_s(&outlook, response_s * self.settings.ticket_horizon);
        let from_s = from_s?;
        let at = |seconds: f64| Time::from_micros((now_s as f64 + seconds) as i64 * 1_000_000);
        let severity = if from_s <= response_s { Severity::Page } else { Severity::Ticket };
        Some(Finding {
            kind: Kind::GrowthToLimit,
            resource: view.name.to_owned(),
            unit: view.unit.to_owned(),
            owner: Owner::Unknown,
            severity: severity.min(self.settings.severity),
            since: Second(rise.onset_s),
            level: view.held,
            usable: view.usable,
            owner_level: None,
            owner_level_before: Some(rise.base as u64),
            growth_per_minute: Some(rise.rate * 60.0),
            exhaustion: Some(Interval { from: at(from_s), to: to_s.map(at) }),
            release: None,
            refused: 0,
            doubts: view.doubts.to_vec(),
        })
    }
}
