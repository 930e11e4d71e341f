//! The words of a page: what, how far, since when, until when, who, what next.

use plimsoll_model::detail::{Culprit, HeldOpen};
use plimsoll_model::{Detail, Dimension, Finding, Interval, Kind, Owner, Reason, Second, Time};

use crate::account::FLOW_S;
use crate::lives::sentence as lives;

/// One or two sentences about `finding` at the tick `as_of`.
pub(crate) fn headline(finding: &Finding, as_of: Second) -> String {
    if let Some(text) = lives::headline(finding, as_of) {
        return text;
    }
    let mut text = match (finding.kind, finding.usable) {
        (Kind::HeldOpen, _) if let Some(Detail::HeldOpen(detail)) = &finding.detail => {
            held_open(finding, detail, as_of)
        }
        (Kind::RefusalAtLimit, Some(_)) => refusal(finding, as_of),
        (Kind::RefusalAtLimit, None) => narrow_refusal(finding, as_of),
        (_, _) => growth(finding, as_of),
    };
    if !finding.doubts.is_empty() {
        text.push_str(" Doubts: ");
        text.push_str(&finding.doubts.join("; "));
        text.push('.');
    }
    text
}

fn refusal(finding: &Finding, as_of: Second) -> String {
    let Finding { resource, refused, .. } = finding;
    let since = clock(finding.since.start(), as_of);
    let (holding, rest) = holding(finding, as_of);
    let growing = growing(finding);
    let requests = if *refused == 1 { "request" } else { "requests" };
    format!("{resource} refuses: {refused} {requests} since {since}. {holding}{growing}; {rest}.")
}

fn narrow_refusal(finding: &Finding, as_of: Second) -> String {
    let Finding { resource, refused, owner, level, unit, .. } = finding;
    let since = clock(finding.since.start(), as_of);
    let own = finding.owner_level.unwrap_or(0);
    let times = if *refused == 1 { "time" } else { "times" };
    format!(
        "{owner} was refused {refused} {times} since {since} at a limit of its own in {resource}; \
         it holds {own} of the {level} {unit} in use."
    )
}

fn growth(finding: &Finding, as_of: Second) -> String {
    let since = clock(finding.since.start(), as_of);
    let (holding, rest) = holding(finding, as_of);
    let growing = growing(finding);
    let end = match (&finding.exhaustion, finding.usable) {
        (Some(interval), _) => format!("they run out {} (80 %)", span(interval, as_of)),
        (None, Some(_)) => "no time can be given yet".to_owned(),
        (None, None) => "no time can be given until a limit is seen".to_owned(),
    };
    let load = match load(finding) {
        Some(load) => {
            let more_often = load.arrivals_per_s / load.arrivals_per_s_before.max(0.1);
            let cost = match load.victims {
                0 => String::new(),
                _ => format!("; {}", cost(&finding.owner, load)),
            };
            format!(
                "; it is load: its calls come {more_often:.1} times as often as usual \
                 ({:.1}/s, usually {:.1}/s) and last {} on average (usually {}){cost}",
                load.arrivals_per_s,
                load.arrivals_per_s_before,
                length(load.hold_s),
                length(load.hold_s_before),
            )
        }
        None => String::new(),
    };
    format!("{holding}{growing} since {since}{load}; {rest}; {end}.")
}

/// What is said of calls that come more often, if that is why it grows.
fn load(finding: &Finding) -> Option<&HeldOpen> {
    match (finding.kind, &finding.detail) {
        (Kind::GrowthToLimit, Some(Detail::HeldOpen(load))) => Some(load),
        _ => None,
    }
}

/// `tenant acme holds 61 % of 400 slots of gateway (normally 7 %); its rate is unchanged (9.8/s,
/// usually 10.1), its calls hang …`.
fn held_open(finding: &Finding, detail: &HeldOpen, as_of: Second) -> String {
    let Finding { resource, unit, level, owner, .. } = finding;
    let further = &detail.further;
    let own = finding.owner_level.unwrap_or(0);
    let all = own + further.iter().map(|culprit| culprit.held).sum::<u64>();
    let all_before = finding.owner_level_before.unwrap_or(0)
        + further.iter().map(|culprit| culprit.held_before).sum::<u64>();
    let total = finding.usable.unwrap_or(*level).max(1);
    let percent = |held: u64| (held * 100 + total / 2) / total;
    let about = if detail.estimated { "about " } else { "" };
    let who = match owner {
        Owner::Holder { dimension, value } if !further.is_empty() => {
            let levels = std::iter::once(own).chain(further.iter().map(|other| other.held));
            format!(
                "{} hold {about}{} of {total} {unit} of {resource}, {} % together (normally {} %)",
                owners(*dimension, value, further),
                listed(levels.map(|held| held.to_string())),
                percent(all),
                percent(all_before),
            )
        }
        Owner::Holder { .. } => format!(
            "{owner} holds {about}{own} of {total} {unit} of {resource}, {} % (normally {} %)",
            percent(all),
            percent(all_before),
        ),
        Owner::Unknown if detail.estimated => format!(
            "{level} of {total} {unit} of {resource} are held: calls take longer that have no \
             line yet, so whose they are is not known"
        ),
        _ => format!(
            "{level} of {total} {unit} of {resource} {} held: calls of everybody take longer",
            are(*level)
        ),
    };
    let (now, before) = (detail.arrivals_per_s, detail.arrivals_per_s_before);
    // Calls come at random: two in three of such counts lie within one deviation.
    let deviation = (before.max(now) / FLOW_S as f64).sqrt();
    let rate = match now - before {
        // Of what only has ended nobody knows how often it begins.
        _ if detail.estimated => format!("rate is usually {before:.1}/s"),
        change if change > 3.0 * deviation => {
            format!("rate has risen from {before:.1} to {now:.1}/s")
        }
        change if change < -3.0 * deviation => {
            format!("rate has fallen from {before:.1} to {now:.1}/s")
        }
        _ => format!("rate is unchanged ({})", flow(now)),
    };
    let whose = match owner {
        Owner::Holder { .. } if !further.is_empty() => "their ",
        Owner::Holder { .. } => "its ",
        _ => "the ",
    };
    let hang = format!(
        "{} calls last longer than usual since {} ({} on average, usually {})",
        detail.unfinished,
        clock(finding.since.start(), as_of),
        length(detail.hold_s),
        length(detail.hold_s_before),
    );
    let free = match (finding.usable, &finding.exhaustion) {
        (Some(usable), Some(interval)) => {
            let seconds = |time: Time| time.micros_since(as_of.end()).max(0) as f64 / 1e6;
            let to = interval.to.map_or_else(String::new, |to| format!("-{}", length(seconds(to))));
            let free = usable.saturating_sub(*level);
            format!("; {free} {} free, gone in {}{to}", are(free), length(seconds(interval.from)))
        }
        (Some(usable), None) => {
            let free = usable.saturating_sub(*level);
            format!("; {free} {} free", are(free))
        }
        (None, _) => String::new(),
    };
    let victims = match detail.victims {
        0 => String::new(),
        _ => format!("; {}", cost(owner, detail)),
    };
    let refused = match finding.refused {
        0 => String::new(),
        1 => "; 1 request was refused".to_owned(),
        refused => format!("; {refused} requests were refused"),
    };
    format!("{who}; {whose}{rate}, {hang}{free}{victims}{refused}.")
}

/// `51 other tenants waited 340 s in all`.
fn cost(owner: &Owner, detail: &HeldOpen) -> String {
    let HeldOpen { victims, victims_waited_s, .. } = detail;
    let others = match (owner, victims) {
        (Owner::Holder { dimension: Dimension::Tenant, .. }, 1) => "other tenant",
        (Owner::Holder { dimension: Dimension::Tenant, .. }, _) => "other tenants",
        (Owner::Holder { .. }, 1) => "other",
        (Owner::Holder { .. }, _) => "others",
        (_, 1) => "holder",
        _ => "holders",
    };
    format!("{victims} {others} waited {} in all", length(*victims_waited_s))
}

/// `tenants acme and globex`, `user.name acme and globex`.
fn owners(dimension: Dimension, first: &str, further: &[Culprit]) -> String {
    let names = std::iter::once(first).chain(further.iter().map(|other| other.value.as_str()));
    let names = listed(names.map(str::to_owned));
    match dimension {
        Dimension::Tenant => format!("tenants {names}"),
        _ => format!("{dimension} {names}"),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// The verb of so many.
fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// `9.8/s`, `2.4/min`, `0/s`.
fn flow(per_s: f64) -> String {
    match per_s {
        rate if rate >= 0.1 => format!("{rate:.1}/s"),
        rate if rate >= 0.1 / 60.0 => format!("{:.1}/min", rate * 60.0),
        _ => "0/s".to_owned(),
    }
}

/// `250 ms`, `8.1 s`, `340 s`, `3 h`.
fn length(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 20.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{s:.0} s"),
        s => format!("{:.0} h", s / 3_600.0),
    }
}

/// `service.name issuer (release 2.14, rolled out 14:58:00) holds 148 of 197 usable connections
/// of orders-db (41 before)`, and what is to be said of the others.
fn holding(finding: &Finding, as_of: Second) -> (String, String) {
    let Finding { resource, unit, level, .. } = finding;
    let total = match finding.usable {
        Some(usable) => format!("of {usable} usable {unit} of {resource}"),
        None => format!("{unit} of {resource} (limit unknown)"),
    };
    let before = match finding.owner_level_before {
        Some(before) if Some(before) != finding.owner_level => format!(" ({before} before)"),
        _ => String::new(),
    };
    match (&finding.owner, finding.owner_level) {
        (owner @ Owner::Holder { .. }, Some(own)) => {
            let release = release(finding, as_of);
            let holding = format!("{owner}{release} holds {own} {total}{before}");
            (holding, format!("{level} {} in use", are(*level)))
        }
        (Owner::Nobody, _) if finding.kind == Kind::RefusalAtLimit => (
            format!("{level} {total} {} in use", are(*level)),
            "nobody holds most of them".to_owned(),
        ),
        (Owner::Nobody, _) => (
            format!("{level} {total} {} in use", are(*level)),
            "all holders grew in proportion".to_owned(),
        ),
        _ => (
            format!("{level} {total} {} in use", are(*level)),
            "the records do not say by whom".to_owned(),
        ),
    }
}

fn release(finding: &Finding, as_of: Second) -> String {
    let Some(release) = &finding.release else { return String::new() };
    let when = clock(release.deployed_at, as_of);
    match &release.version {
        Some(version) => format!(" (release {version}, rolled out {when})"),
        None => format!(" (rolled out {when})"),
    }
}

fn growing(finding: &Finding) -> String {
    match finding.growth_per_minute {
        Some(growth) if growth.abs() >= 0.05 => format!(", {growth:+.1}/min"),
        Some(growth) => format!(", {:+.1}/h", growth * 60.0),
        None => String::new(),
    }
}

/// What to do next.
pub(crate) fn advice(finding: &Finding) -> String {
    if let Some(text) = lives::advice(finding) {
        return text;
    }
    match (&finding.owner, &finding.release) {
        (_, _) if finding.kind == Kind::RefusalAtLimit && finding.usable.is_none() => {
            format!(
                "Find out why {} needs more than its own limit; other holders are not refused.",
                name(&finding.owner)
            )
        }
        (owner @ Owner::Holder { .. }, _) if load(finding).is_some() => {
            let name = name(owner);
            format!("Throttle {name}, or raise the limit; find out why it calls more often.")
        }
        (Owner::Holder { .. }, Some(release)) => {
            let version = release.version.as_deref().unwrap_or("this one");
            format!("Roll back {} to the release before {version}, or limit it.", release.service)
        }
        (Owner::Holder { value, .. }, None)
            if let Some(Detail::HeldOpen(HeldOpen { further, .. })) = &finding.detail
                && !further.is_empty() =>
        {
            let further = further.iter().map(|other| other.value.clone());
            let names = listed(std::iter::once(value.clone()).chain(further));
            format!("Throttle {names}; their calls hang: look at what they wait for.")
        }
        (owner @ Owner::Holder { .. }, None) if finding.kind == Kind::HeldOpen => {
            format!("Throttle {0}; its calls hang: look at what {0} waits for.", name(owner))
        }
        (Owner::Nobody, _) if finding.kind == Kind::HeldOpen => "Nobody is to blame: everybody's \
            calls take longer, so look for what they share, such as a slow dependency."
            .to_owned(),
        (owner @ Owner::Holder { dimension, .. }, None) => {
            let action = match dimension {
                Dimension::Tenant | Dimension::ClientAddress => "Throttle",
                _ => "Restart or limit",
            };
            format!("{action} {}; find out why it keeps what it opened.", name(owner))
        }
        (Owner::Nobody, _) if finding.kind == Kind::RefusalAtLimit => "Nobody holds most of them: \
            look at who holds what, and free units or raise the limit."
            .to_owned(),
        (Owner::Nobody, _) => "Nobody is to blame: look for a shared cause, such as a slow \
                               dependency or more load, and raise the limit if there is room."
            .to_owned(),
        (Owner::Unknown, _) => "The records do not say who: look at who holds what, and free \
                                units or raise the limit."
            .to_owned(),
    }
}

/// The headline and the advice of an incident that is over.
pub(crate) fn resolved(finding: &Finding, reason: Reason) -> (String, String) {
    if let Some(texts) = lives::resolved(finding, reason) {
        return texts;
    }
    let Finding { resource, owner, .. } = finding;
    let why = match reason {
        Reason::LevelReceded => "the level fell back",
        Reason::HoldTimesUsual => "calls take as long as usual again",
        Reason::RefusalsEnded => "nothing is refused any more and units are free",
        Reason::ResourceRestarted => "it restarted and every session ended",
        _ => "growth has ended",
    };
    let (mut who, mut paid) = (String::new(), String::new());
    if let Owner::Holder { dimension, value } = owner {
        who = match &finding.detail {
            Some(Detail::HeldOpen(HeldOpen { further, .. })) if !further.is_empty() => {
                format!(" It was {}.", owners(*dimension, value, further))
            }
            _ => format!(" It was {owner}."),
        };
    }
    if let Some(Detail::HeldOpen(detail)) = &finding.detail
        && detail.victims > 0
    {
        paid = format!(" {}.", cost(owner, detail));
    }
    let headline = format!("{resource} is well again: {why}.{who}{paid}");
    let advice = match owner {
        Owner::Holder { .. } => format!("Find out why {} grew before it returns.", name(owner)),
        _ => "Find the cause before it returns.".to_owned(),
    };
    (headline, advice)
}

fn name(owner: &Owner) -> &str {
    match owner {
        Owner::Holder { value, .. } => value,
        Owner::Nobody | Owner::Unknown => "the holder",
    }
}

/// `15:21:00-15:29:10`, or `after 15:21:00` if it has no end. Both ends have their dates if they
/// lie on different days.
pub(crate) fn span(interval: &Interval, as_of: Second) -> String {
    let Some(to) = interval.to else { return format!("after {}", clock(interval.from, as_of)) };
    let (from, to) = (interval.from.second().to_string(), to.second().to_string());
    let today = match (from.split_once('T'), to.split_once('T')) {
        (Some((first, _)), Some((last, _))) if first == last => as_of.to_string(),
        _ => String::new(),
    };
    format!("{}-{}", short(&from, &today), short(&to, &today))
}

/// `15:21:00`, with the date if it is not the day of `as_of`. UTC.
pub(crate) fn clock(time: Time, as_of: Second) -> String {
    short(&time.second().to_string(), &as_of.to_string())
}

/// A time as text without its date if that is the date of `today`.
fn short(time: &str, today: &str) -> String {
    let Some((day, clock)) = time.split_once('T') else { return time.to_owned() };
    let clock = clock.trim_end_matches('Z');
    match today.split_once('T') {
        Some((today, _)) if day == today => clock.to_owned(),
        _ => format!("{day} {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Release, Severity};

    use super::*;

    const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

    /// 2024-03-12T15:10:00Z.
    const NOW: i64 = 1_710_256_200;

    fn at(minutes: i64) -> Time {
        Time::from_seconds(NOW + minutes * 60)
    }

    fn growth() -> Finding {
        Finding {
            kind: Kind::GrowthToLimit,
            resource: "orders-db".to_owned(),
            unit: "connections".to_owned(),
            owner: Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() },
            severity: Severity::Page,
            since: at(-8).second(),
            level: 180,
            usable: Some(197),
            owner_level: Some(148),
            owner_level_before: Some(41),
            growth_per_minute: Some(1.1),
            exhaustion: Some(Interval { from: at(11), to: Some(at(19)) }),
            release: Some(Release {
                service: "issuer".to_owned(),
                version: Some("2.14".to_owned()),
                deployed_at: at(-12),
            }),
            refused: 0,
            doubts: Vec::new(),
            detail: None,
        }
    }

    #[track_caller]
    fn check(finding: Finding, headline_expected: &str, advice_expected: &str) {
        let now = at(0).second();
        assert_eq!(headline(&finding, now), headline_expected);
        assert_eq!(advice(&finding), advice_expected);
    }

    #[test]
    fn growth_with_everything_known() {
        check(
            growth(),
            "service.name issuer (release 2.14, rolled out 14:58:00) holds 148 of 197 usable \
             connections of orders-db (41 before), +1.1/min since 15:02:00; 180 are in use; they \
             run out 15:21:00-15:29:00 (80 %).",
            "Roll back issuer to the release before 2.14, or limit it.",
        );
    }

    #[test]
    fn growth_without_a_limit() {
        check(
            Finding { usable: None, exhaustion: None, release: None, ..growth() },
            "service.name issuer holds 148 connections of orders-db (limit unknown) (41 before), \
             +1.1/min since 15:02:00; 180 are in use; no time can be given until a limit is seen.",
            "Restart or limit issuer; find out why it keeps what it opened.",
        );
    }

    #[test]
    fn slow_growth_of_everybody_that_began_on_another_day() {
        check(
            Finding {
                owner: Owner::Nobody,
                since: at(-24 * 60).second(),
                growth_per_minute: Some(0.02),
                exhaustion: Some(Interval { from: at(24 * 60), to: None }),
                doubts: vec!["ledger 180, polled 210".to_owned()],
                detail: None,
                ..growth()
            },
            "180 of 197 usable connections of orders-db are in use, +1.2/h since 2024-03-11 \
             15:10:00; all holders grew in proportion; they run out after 2024-03-13 15:10:00 \
             (80 %). Doubts: ledger 180, polled 210.",
            "Nobody is to blame: look for a shared cause, such as a slow dependency or more load, \
             and raise the limit if there is room.",
        );
    }

    #[test]
    fn refusals() {
        let kind = Kind::RefusalAtLimit;
        check(
            Finding { kind, refused: 12, ..growth() },
            "orders-db refuses: 12 requests since 15:02:00. service.name issuer (release 2.14, \
             rolled out 14:58:00) holds 148 of 197 usable connections of orders-db (41 before), \
             +1.1/min; 180 are in use.",
            "Roll back issuer to the release before 2.14, or limit it.",
        );
        check(
            Finding { kind, refused: 12, usable: None, ..growth() },
            "service.name issuer was refused 12 times since 15:02:00 at a limit of its own in \
             orders-db; it holds 148 of the 180 connections in use.",
            "Find out why issuer needs more than its own limit; other holders are not refused.",
        );
    }

    #[test]
    fn calls_that_hang() {
        let detail = HeldOpen {
            arrivals_per_s: 9.8,
            arrivals_per_s_before: 10.1,
            hold_s: 24.9,
            hold_s_before: 0.25,
            unfinished: 242,
            victims: 0,
            victims_waited_s: 0.0,
            further: Vec::new(),
            estimated: false,
        };
        let hangs = Finding {
            kind: Kind::HeldOpen,
            resource: "gateway".to_owned(),
            unit: "slots".to_owned(),
            owner: Owner::Holder { dimension: Dimension::Tenant, value: "acme".to_owned() },
            since: Second(NOW - 25),
            level: 362,
            usable: Some(400),
            owner_level: Some(244),
            owner_level_before: Some(28),
            growth_per_minute: None,
            exhaustion: Some(Interval { from: at(0).plus(SECOND * 3), to: Some(at(1)) }),
            release: None,
            detail: Some(Detail::HeldOpen(detail.clone())),
            ..growth()
        };
        let advice = "Throttle acme; its calls hang: look at what acme waits for.";
        check(
            hangs.clone(),
            "tenant acme holds 244 of 400 slots of gateway, 61 % (normally 7 %); its rate is \
             unchanged (9.8/s), 242 calls last longer than usual since 15:09:35 (25 s on average, \
             usually 250 ms); 38 are free, gone in 2.0 s-59 s.",
            advice,
        );
        let costs = HeldOpen { victims: 214, victims_waited_s: 663.0, ..detail };
        check(
            Finding {
                level: 400,
                exhaustion: None,
                refused: 12,
                detail: Some(Detail::HeldOpen(costs)),
                ..hangs
            },
            "tenant acme holds 244 of 400 slots of gateway, 61 % (normally 7 %); its rate is \
             unchanged (9.8/s), 242 calls last longer than usual since 15:09:35 (25 s on average, \
             usually 250 ms); 0 are free; 214 other tenants waited 663 s in all; 12 requests were \
             refused.",
            advice,
        );
    }

    #[test]
    fn calls_of_several_that_hang() {
        let other = |value: &str, held| Culprit { value: value.to_owned(), held, held_before: 4 };
        let detail = HeldOpen {
            arrivals_per_s: 10.0,
            arrivals_per_s_before: 10.0,
            hold_s: 9.0,
            hold_s_before: 0.5,
            unfinished: 80,
            further: vec![other("globex", 30), other("initech", 20)],
            estimated: true,
            ..HeldOpen::default()
        };
        let hangs = Finding {
            kind: Kind::HeldOpen,
            resource: "gateway".to_owned(),
            unit: "slots".to_owned(),
            owner: Owner::Holder { dimension: Dimension::Tenant, value: "acme".to_owned() },
            since: Second(NOW - 25),
            level: 95,
            usable: Some(100),
            owner_level: Some(40),
            owner_level_before: Some(2),
            growth_per_minute: None,
            exhaustion: None,
            release: None,
            detail: Some(Detail::HeldOpen(detail)),
            ..growth()
        };
        check(
            hangs,
            "tenants acme, globex and initech hold about 40, 30 and 20 of 100 slots of gateway, \
             90 % together (normally 10 %); their rate is usually 10.0/s, 80 calls last longer \
             than usual since 15:09:35 (9.0 s on average, usually 500 ms); 5 are free.",
            "Throttle acme, globex and initech; their calls hang: look at what they wait for.",
        );
    }

    #[test]
    fn one_is_and_two_are() {
        let one = Finding { level: 1, owner: Owner::Unknown, ..growth() };
        assert!(
            headline(&one, at(0).second())
                .starts_with("1 of 197 usable connections of orders-db is in use")
        );
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
        assert_eq!([0.0, 0.04, 0.1, 9.84].map(flow), ["0/s", "2.4/min", "0.1/s", "9.8/s"]);
    }

    #[test]
    fn an_interval_over_midnight_has_both_dates() {
        // 15:10 and nine hours.
        let interval = Interval { from: at(11), to: Some(at(9 * 60)) };
        let said = "2024-03-12 15:21:00-2024-03-13 00:10:00";
        assert_eq!(span(&interval, at(0).second()), said);
        let tomorrow = Interval { from: at(24 * 60), to: Some(at(24 * 60 + 1)) };
        let said = "2024-03-13 15:10:00-2024-03-13 15:11:00";
        assert_eq!(span(&tomorrow, at(0).second()), said);
    }

    #[test]
    fn the_end() {
        let (headline, advice) = resolved(&growth(), Reason::ResourceRestarted);
        assert_eq!(
            headline,
            "orders-db is well again: it restarted and every session ended. It was service.name \
             issuer."
        );
        assert_eq!(advice, "Find out why issuer grew before it returns.");
    }
}
