//! The words of a page: what, how far, since when, until when, who, what next.

use plimsoll_model::{Dimension, Finding, Interval, Kind, Owner, Reason, Second, Time};

/// One or two sentences about `finding` at the tick `as_of`.
pub(crate) fn headline(finding: &Finding, as_of: Second) -> String {
    let mut text = match (finding.kind, finding.usable) {
        (Kind::RefusalAtLimit, Some(_)) => refusal(finding, as_of),
        (Kind::RefusalAtLimit, None) => narrow_refusal(finding, as_of),
        (Kind::GrowthToLimit, _) => growth(finding, as_of),
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
    format!(
        "{resource} refuses: {refused} requests since {since}. {}{}.",
        holding(finding, as_of),
        growing(finding),
    )
}

fn narrow_refusal(finding: &Finding, as_of: Second) -> String {
    let Finding { resource, refused, owner, level, unit, .. } = finding;
    let since = clock(finding.since.start(), as_of);
    let own = finding.owner_level.unwrap_or(0);
    format!(
        "{owner} was refused {refused} times since {since} at a limit of its own in {resource}; \
         it holds {own} of the {level} {unit} in use."
    )
}

fn growth(finding: &Finding, as_of: Second) -> String {
    let since = clock(finding.since.start(), as_of);
    let holding = holding(finding, as_of);
    let growing = growing(finding);
    let end = match (&finding.exhaustion, finding.usable) {
        (Some(interval), _) => format!("they run out {} (80 %)", span(interval, as_of)),
        (None, Some(_)) => "no time can be given yet".to_owned(),
        (None, None) => "no time can be given until a limit is seen".to_owned(),
    };
    format!("{holding}{growing} since {since}; {end}.")
}

/// `service.name issuer (release 2.14, rolled out 14:58:00) holds 148 of 197 usable connections
/// of orders-db (41 before)`.
fn holding(finding: &Finding, as_of: Second) -> String {
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
            format!("{owner}{release} holds {own} {total}{before}; {level} are in use")
        }
        (Owner::Nobody, _) => {
            format!("{level} {total} are in use; all holders grew in proportion")
        }
        _ => format!("{level} {total} are in use; no single holder explains it"),
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
    match (&finding.owner, &finding.release) {
        (_, _) if finding.kind == Kind::RefusalAtLimit && finding.usable.is_none() => {
            format!(
                "Find out why {} needs more than its own limit; other holders are not refused.",
                name(&finding.owner)
            )
        }
        (owner @ Owner::Holder { .. }, Some(release)) => {
            let version = release.version.as_deref().map(|version| format!(" {version}"));
            format!(
                "Roll back {} to the release before{}, or limit it.",
                release.service,
                version.unwrap_or_else(|| format!(" this one; until then limit {}", name(owner))),
            )
        }
        (owner @ Owner::Holder { dimension, .. }, None) => {
            let action = match dimension {
                Dimension::Tenant | Dimension::ClientAddress => "Throttle",
                _ => "Restart or limit",
            };
            format!("{action} {}; find out why it keeps what it opened.", name(owner))
        }
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
    let Finding { resource, owner, .. } = finding;
    let why = match reason {
        Reason::LevelReceded => "the level fell back",
        Reason::RefusalsEnded => "nothing is refused any more and units are free",
        Reason::ResourceRestarted => "it restarted and every session ended",
        _ => "growth has ended",
    };
    let headline = match owner {
        Owner::Holder { .. } => format!("{resource} is well again: {why}. It was {owner}."),
        _ => format!("{resource} is well again: {why}."),
    };
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

/// `15:21:00-15:29:10`, or `after 15:21:00` if it has no end.
fn span(interval: &Interval, as_of: Second) -> String {
    let from = clock(interval.from, as_of);
    match interval.to {
        Some(to) => format!("{from}-{}", clock(to, as_of)),
        None => format!("after {from}"),
    }
}

/// `15:21:00`, with the date if it is not the day of `as_of`. UTC.
fn clock(time: Time, as_of: Second) -> String {
    let text = time.second().to_string();
    let today = as_of.to_string();
    match (text.split_once('T'), today.split_once('T')) {
        (Some((day, clock)), Some((today, _))) if day == today => {
            clock.trim_end_matches('Z').to_owned()
        }
        (Some((day, clock)), _) => format!("{day} {}", clock.trim_end_matches('Z')),
        _ => text,
    }
}
