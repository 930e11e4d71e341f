//! The words of findings about memory and lives.

use plimsoll_model::detail::{AcrossLives, NotBack, WithinLife};
use plimsoll_model::{Detail, Finding, Interval, Kind, Owner, Reason, Second};

use crate::sentence::{clock, span};

const MEBIBYTE: f64 = 1_048_576.0;
const DAY_S: f64 = 86_400.0;

/// One or two sentences about `finding`, if it is about lives.
pub(crate) fn headline(finding: &Finding, as_of: Second) -> Option<String> {
    let who = who(&finding.owner);
    match (finding.kind, &finding.detail) {
        (Kind::GrowthAcrossLives, Some(Detail::AcrossLives(across))) => {
            Some(format!("{who} {}.", lives(across)))
        }
        (Kind::GrowthWithinLife, Some(Detail::WithinLife(within))) => {
            let mut text = one_life(finding, within, as_of);
            if let Some(across) = &within.across {
                text.push_str(&format!(" {who} {}.", lives(across)));
            }
            Some(text)
        }
        (Kind::NotBack, Some(Detail::NotBack(absence))) => {
            Some(format!("{who} {}", gone(finding, absence, as_of)))
        }
        _ => None,
    }
}

/// `grows 4.0 (3.4-4.6) MiB per hour of uptime in 11 of 11 lives since 7.6, hidden by restarts
/// every 2.4 days; it survives 29-33 days of uptime (80 %)`.
fn lives(across: &AcrossLives) -> String {
    let (low, high) = across.growth_per_hour_interval;
    let mib = |bytes: f64| number(bytes / MEBIBYTE);
    let mut text = format!(
        "grows {} ({}-{}) MiB per hour of uptime in {} of {} lives",
        mib(across.growth_per_hour),
        mib(low),
        mib(high),
        across.lives_growing,
        across.lives,
    );
    if let Some(release) = &across.since_release {
        text.push_str(&format!(" since {release}"));
    }
    if let Some(every_s) = across.restart_every_s {
        text.push_str(&format!(", hidden by restarts every {}", duration(every_s)));
    }
    if let Some((from, to)) = across.safe_uptime_s {
        text.push_str(&format!("; it survives {} of uptime (80 %)", durations(from, to)));
    }
    text
}

fn one_life(finding: &Finding, within: &WithinLife, as_of: Second) -> String {
    let who = &within.instance;
    let level = number(finding.level as f64 / MEBIBYTE);
    let of = finding
        .usable
        .map_or(String::new(), |limit| format!(" of {}", number(limit as f64 / MEBIBYTE)));
    let since = clock(within.since.start(), as_of);
    let rate = finding.growth_per_minute.unwrap_or(0.0) * 60.0 / MEBIBYTE;
    let end = finding.exhaustion.as_ref().map_or(String::new(), |interval: &Interval| {
        format!("; memory runs out {} (80 %)", span(interval, as_of))
    });
    format!("{who} uses {level}{of} MiB and grows {} MiB/h since {since}{end}.", number(rate))
}

fn gone(finding: &Finding, absence: &NotBack, as_of: Second) -> String {
    let at = clock(absence.last_seen, as_of);
    if absence.instances > 1 {
        return all_gone(absence, &at, as_of);
    }
    let what = match absence.cause.as_str() {
        "out_of_memory" => format!("died {at} out of memory"),
        "crash" => format!("crashed {at}"),
        "stopped" => format!("was stopped {at}"),
        "unknown" => format!("ended {at}"),
        _ => format!("has been silent since {at} while others report"),
    };
    let mut facts = Vec::new();
    if let (true, Some(limit)) = (finding.level > 0, finding.usable) {
        let (level, limit) = (finding.level as f64 / MEBIBYTE, limit as f64 / MEBIBYTE);
        facts.push(format!("{} of {} MiB", number(level), number(limit)));
    }
    if let Some(started) = absence.started_at {
        let uptime_s = absence.last_seen.second().since(started);
        facts.push(format!("{} of uptime", duration(uptime_s as f64)));
    }
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    format!("{what}{facts} and has not come back in {}.", missed(absence, as_of))
}

/// Of a program, none of whose instances is left.
fn all_gone(absence: &NotBack, at: &str, as_of: Second) -> String {
    let how = match absence.cause.as_str() {
        "out_of_memory" => "out of memory",
        _ => "by a crash",
    };
    let number = absence.instances;
    let gone = missed(absence, as_of);
    format!(
        "is gone: all {number} instances died, the last {at} {how}, and none has come back in {gone}."
    )
}

/// `60 s (usual: 14 s)`.
fn missed(absence: &NotBack, as_of: Second) -> String {
    let gone_s = as_of.next().start().micros_since(absence.last_seen) / 1_000_000;
    let usual = absence
        .usual_return_s
        .map_or(String::new(), |usual| format!(" (usual: {})", duration(usual)));
    format!("{}{usual}", duration(gone_s as f64))
}

/// What to do next, if the finding is about lives.
pub(crate) fn advice(finding: &Finding) -> Option<String> {
    let who = who(&finding.owner);
    let who_first = match &finding.detail {
        Some(Detail::WithinLife(within)) => within.instance.as_str(),
        _ => who,
    };
    let survives = match &finding.detail {
        Some(Detail::AcrossLives(AcrossLives { safe_uptime_s: Some((from, _)), .. })) => {
            format!(" Until then restart it at least every {}.", duration(*from))
        }
        _ => String::new(),
    };
    let before = finding.release.as_ref().and_then(|release| release.version.as_deref());
    let roll_back = before
        .map_or(String::new(), |version| format!(" or roll back to the release before {version}"));
    Some(match finding.kind {
        Kind::GrowthAcrossLives => {
            format!("Take a heap profile of the oldest instance of {who}{roll_back}.{survives}")
        }
        Kind::GrowthWithinLife => {
            format!("Restart {who_first} before that{roll_back}, and take a heap profile first.")
        }
        Kind::NotBack => format!("Start {who}, and find out why nothing else did."),
        _ => return None,
    })
}

/// Why it is over, if it is about lives.
pub(crate) fn resolved(finding: &Finding, reason: Reason) -> Option<(String, String)> {
    let who = who(&finding.owner);
    Some(match finding.kind {
        Kind::GrowthWithinLife if reason == Reason::LifeEnded => {
            let instance = match &finding.detail {
                Some(Detail::WithinLife(within)) => within.instance.as_str(),
                _ => who,
            };
            (
                format!("The life of {instance} that grew is over, and its memory with it."),
                "Find out what grew: the next life may grow as well.".to_owned(),
            )
        }
        Kind::GrowthWithinLife => (
            format!("{who} does not grow towards its limit any more."),
            "Find out what grew before it returns.".to_owned(),
        ),
        Kind::GrowthAcrossLives => {
            (format!("The newest lives of {who} do not grow."), "Nothing is left to do.".to_owned())
        }
        Kind::NotBack => (
            format!("{who} is back, or another has taken its place."),
            "Find out why it did not come back by itself.".to_owned(),
        ),
        _ => return None,
    })
}

fn who(owner: &Owner) -> &str {
    match owner {
        Owner::Holder { value, .. } => value,
        Owner::Nobody | Owner::Unknown => "An instance",
    }
}

/// Two digits or more: `4.0`, `0.42`, `148`.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..0.995 => format!("{value:.2}"),
        0.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn duration(seconds: f64) -> String {
    let (value, unit) = in_unit(seconds, seconds);
    format!("{value} {unit}")
}

/// `29-33 days`.
fn durations(from: f64, to: f64) -> String {
    let (low, unit) = in_unit(from, to);
    let (high, _) = in_unit(to, to);
    if low == high {
        return format!("{low} {unit}");
    }
    format!("{low}-{high} {unit}")
}

fn in_unit(seconds: f64, like: f64) -> (String, &'static str) {
    match like {
        ..120.0 => (format!("{seconds:.0}"), "s"),
        120.0..7_200.0 => (format!("{:.0}", seconds / 60.0), "min"),
        7_200.0..172_800.0 => (format!("{:.1}", seconds / 3_600.0), "h"),
        172_800.0..1_728_000.0 => (format!("{:.1}", seconds / DAY_S), "days"),
        _ => (format!("{:.0}", seconds / DAY_S), "days"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Dimension, Severity, Time};

    use super::*;

    /// 2024-03-12T15:10:00Z.
    const NOW: i64 = 1_710_256_200;

    fn finding(kind: Kind, owner: (Dimension, &str), detail: Detail) -> Finding {
        Finding {
            kind,
            resource: "web-memory".to_owned(),
            unit: "bytes".to_owned(),
            owner: Owner::Holder { dimension: owner.0, value: owner.1.to_owned() },
            severity: Severity::Page,
            since: Second(NOW - 3_600),
            level: 3_980 << 20,
            usable: Some(4_096 << 20),
            owner_level: None,
            owner_level_before: None,
            growth_per_minute: Some(4.0 * MEBIBYTE / 60.0),
            exhaustion: Some(Interval {
                from: Time::from_seconds(NOW + 660),
                to: Some(Time::from_seconds(NOW + 1_140)),
            }),
            release: None,
            refused: 0,
            doubts: Vec::new(),
            detail: Some(detail),
        }
    }

    fn across() -> AcrossLives {
        AcrossLives {
            growth_per_hour: 4.0 * MEBIBYTE,
            growth_per_hour_interval: (3.4 * MEBIBYTE, 4.6 * MEBIBYTE),
            lives_growing: 11,
            lives: 11,
            since_release: Some("7.6".to_owned()),
            safe_uptime_s: Some((29.0 * DAY_S, 33.0 * DAY_S)),
            restart_every_s: Some(2.4 * DAY_S),
        }
    }

    const LIVES: &str = "web grows 4.0 (3.4-4.6) MiB per hour of uptime in 11 of 11 lives since 7.6, \
                         hidden by restarts every 2.4 days; it survives 29-33 days of uptime (80 %).";

    #[test]
    fn growth_across_lives() {
        let web = (Dimension::ServiceName, "web");
        let finding = finding(Kind::GrowthAcrossLives, web, Detail::AcrossLives(across()));
        assert_eq!(headline(&finding, Second(NOW)).unwrap(), LIVES);
    }

    #[test]
    fn growth_within_a_life_that_others_explain() {
        let within = WithinLife {
            instance: "web-1".to_owned(),
            since: Second(NOW - 600),
            floors: "memory_floor_8s".to_owned(),
            across: Some(across()),
        };
        let web = (Dimension::ServiceName, "web");
        let finding = finding(Kind::GrowthWithinLife, web, Detail::WithinLife(within));
        let expected = "web-1 uses 3980 of 4096 MiB and grows 4.0 MiB/h since 15:00:00; memory runs \
                        out 15:21:00-15:29:00 (80 %). ";
        assert_eq!(headline(&finding, Second(NOW)).unwrap(), format!("{expected}{LIVES}"));
    }

    #[test]
    fn an_absence() {
        let absence = NotBack {
            last_seen: Time::from_seconds(NOW - 59),
            cause: "out_of_memory".to_owned(),
            usual_return_s: Some(14.0),
            started_at: Some(Second(NOW - 59 - 31 * 86_400)),
            forecast: None,
            instances: 1,
        };
        let web = (Dimension::ServiceInstanceId, "web-1");
        let finding = finding(Kind::NotBack, web, Detail::NotBack(absence));
        assert_eq!(
            headline(&finding, Second(NOW)).unwrap(),
            "web-1 died 15:09:01 out of memory (3980 of 4096 MiB, 31 days of uptime) and has not \
             come back in 60 s (usual: 14 s)."
        );
    }
}
