//! Families of generated runs whose truth is known: for the tests, and for the table in
//! `docs/detectors.md`.
//!
//! A member of a family is made from a seed alone. What is right to say of it, and until when,
//! follows from how it was made and never from what was said.

pub mod growth;
pub mod held_open;
pub mod memory;
pub mod refusal;
pub mod servers;

use plimsoll_model::{Change, Kind, Owner, Severity, Transition};

/// One family.
#[derive(Clone, Copy)]
pub struct Family {
    /// The section of the table.
    pub detector: &'static str,
    /// What happens, or what looks like it.
    pub name: &'static str,
    /// Makes the member of a seed and judges it.
    pub judge: fn(u64) -> Case,
}

/// One member of a family, judged.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// What is wrong, in the order of the table's rows; nothing in a look-alike.
    pub faults: Vec<Fault>,
    /// What was said, in the order of time.
    pub said: Vec<Said>,
    /// The resource runs out, or nearly, and it is nobody's fault: to say so is right, and only to
    /// name somebody whose calls hang is wrong.
    pub only_blame_is_wrong: bool,
}

/// Something that must be said.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is added to the family's name if a member has several faults.
    pub what: &'static str,
    /// Who may be named, as `service.name web`; any of them.
    pub owners: Vec<String>,
    /// How loud it must be said.
    pub severity: Severity,
    /// The first second in which it is right to say it.
    pub begins: i64,
    /// When users are hurt, if they are: lead time is counted from here backwards.
    pub harm: Option<i64>,
    /// The last second in which it is said in time.
    pub due: i64,
}

/// Something that was said: a transition, without those that end an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub at: i64,
    /// Equal for what is said of one incident.
    pub incident: u128,
    pub kind: Kind,
    pub severity: Severity,
    /// As `service.name web`, `nobody` or `unknown`.
    pub owner: String,
}

impl Fault {
    /// A page that must come after `begins` and before `harm`.
    pub fn page(owner: &str, begins: i64, harm: i64) -> Fault {
        let owners = owner.split('|').map(str::to_owned).collect();
        Fault { what: "", owners, severity: Severity::Page, begins, harm: Some(harm), due: harm }
    }
}

/// What transitions say, in seconds after `start`.
pub fn said(transitions: &[Transition], start: i64) -> Vec<Said> {
    let is_over = |told: &&Transition| told.change == Change::Resolved;
    let told = transitions.iter().filter(|told| !is_over(told));
    told.map(|told| Said {
        at: told.as_of.0 - start,
        incident: told.incident.0,
        kind: told.finding.kind,
        severity: told.severity_peak,
        owner: told.finding.owner.to_string(),
    })
    .collect()
}

/// Whether nobody is named.
pub fn is_nobody(said: &Said) -> bool {
    [Owner::Nobody, Owner::Unknown].iter().any(|nobody| nobody.to_string() == said.owner)
}

/// Whether somebody is named as whoever holds calls open.
pub fn is_blame(said: &Said) -> bool {
    said.kind == Kind::HeldOpen && !is_nobody(said)
}

const fn family(detector: &'static str, name: &'static str, judge: fn(u64) -> Case) -> Family {
    Family { detector, name, judge }
}

const GROWTH: &str = "Growth to the limit";
const REFUSAL: &str = "Refusal at the hard limit";
const STARTS: &str = "Held open, with start events";
const ENDS: &str = "Held open, with end-of-request lines only";
const WITHIN: &str = "Growth within a life";
const ACROSS: &str = "Growth across lives";
const NOT_BACK: &str = "Dead and not coming back";

/// Every family, in the order of the table. A new one is one line here.
pub const ALL: &[Family] = &[
    family(GROWTH, "a tenant leaks", |s| growth::leak(s, growth::tenant, "tenant acme")),
    family(GROWTH, "a user leaks", |s| growth::leak(s, growth::user, "user.name batch")),
    family(GROWTH, "a host leaks", |s| growth::leak(s, growth::host, "host.name h3")),
    family(GROWTH, "a release leaks on fresh instances", |s| {
        growth::leak(s, growth::release, "service.name issuer")
    }),
    family(GROWTH, "a fast leak", |s| growth::leak(s, growth::fast, "service.name report")),
    family(GROWTH, "two applications leak", |s| {
        growth::leak(s, growth::two, "service.name report|service.name issuer")
    }),
    family(GROWTH, "a leak on the second day", growth::second_day),
    family(GROWTH, "a leak of 0.1 a minute, 197 slots", |s| servers::slow_leak(s, 0.1)),
    family(GROWTH, "a leak of 0.25 a minute, 197 slots", |s| servers::slow_leak(s, 0.25)),
    family(GROWTH, "a leak of 1 a minute, 197 slots", |s| servers::slow_leak(s, 1.0)),
    family(GROWTH, "a leak of 4 a minute, 197 slots", |s| servers::slow_leak(s, 4.0)),
    family(GROWTH, "a cold server of 50 slots, most sessions pooled", |s| {
        servers::cold_leak(s, 0.7)
    }),
    family(GROWTH, "a cold server of 50 slots, no session pooled", |s| servers::cold_leak(s, 0.0)),
    family(GROWTH, "a crowd that recovers", |s| growth::quiet(s, growth::crowd)),
    family(GROWTH, "a wave of reconnections", |s| growth::quiet(s, growth::reconnections)),
    family(GROWTH, "half-open sessions double everybody", |s| growth::quiet(s, growth::half_open)),
    family(GROWTH, "everybody slower, to a new level", |s| growth::quiet(s, growth::slower)),
    family(GROWTH, "a scale-out that levels off", |s| growth::quiet(s, growth::scale_out)),
    family(GROWTH, "blue and green", |s| growth::quiet(s, growth::blue_green)),
    family(GROWTH, "warm-up of a new service", |s| growth::quiet(s, growth::new_service)),
    family(GROWTH, "a nightly batch, on its second night", growth::nightly_batch),
    family(GROWTH, "two days of an ordinary rhythm", servers::daily_rhythm),
    family(GROWTH, "twelve hours of churn on a small server", servers::chance),
    family(GROWTH, "ten minutes of a cold server, most sessions pooled", |s| {
        servers::cold_quiet(s, 0.7)
    }),
    family(GROWTH, "ten minutes of a cold server, no session pooled", |s| {
        servers::cold_quiet(s, 0.0)
    }),
    family(REFUSAL, "one application fills it within a second", refusal::filled),
    family(
        REFUSAL,
        "refusals that pause for less than a tenth of the response time",
        refusal::pauses,
    ),
    family(REFUSAL, "four applications fill it alike", refusal::filled_alike),
    family(REFUSAL, "refused for another reason", refusal::other_reasons),
    family(REFUSAL, "the limit of one role", refusal::one_role),
    family(REFUSAL, "rows of refusals an hour late", refusal::late_rows),
    family(STARTS, "the largest hangs", |s| held_open::hang(s, held_open::STARTS, 1, 1.0)),
    family(STARTS, "half of the largest's calls hang", |s| {
        held_open::hang(s, held_open::STARTS, 1, 0.5)
    }),
    family(STARTS, "the two largest hang", |s| held_open::hang(s, held_open::STARTS, 2, 1.0)),
    family(STARTS, "the largest hangs, calls of 50 to 300 ms", |s| {
        held_open::short_hang(s, held_open::STARTS)
    }),
    family(STARTS, "the largest becomes slower by and by", |s| {
        held_open::ramp(s, held_open::STARTS)
    }),
    family(STARTS, "everybody slower, nearly to the limit: said of nobody", |s| {
        held_open::nobody(s, held_open::STARTS)
    }),
    family(STARTS, "nothing happens", |s| held_open::nothing(s, held_open::STARTS)),
    family(STARTS, "a few slow calls of the smallest", |s| held_open::few(s, held_open::STARTS)),
    family(STARTS, "a crowd", |s| held_open::crowd(s, held_open::STARTS)),
    family(STARTS, "a burst of the largest", |s| held_open::burst(s, held_open::STARTS)),
    family(STARTS, "everybody slower", |s| held_open::slower(s, held_open::STARTS)),
    family(ENDS, "the largest hangs", |s| held_open::hang(s, held_open::ENDS, 1, 1.0)),
    family(ENDS, "half of the largest's calls hang", |s| {
        held_open::hang(s, held_open::ENDS, 1, 0.5)
    }),
    family(ENDS, "the two largest hang", |s| held_open::hang(s, held_open::ENDS, 2, 1.0)),
    family(ENDS, "the largest hangs, calls of 50 to 300 ms", |s| {
        held_open::short_hang(s, held_open::ENDS)
    }),
    family(ENDS, "the largest becomes slower by and by", |s| held_open::ramp(s, held_open::ENDS)),
    family(ENDS, "everybody slower, nearly to the limit: said of nobody", |s| {
        held_open::nobody(s, held_open::ENDS)
    }),
    family(ENDS, "nothing happens", |s| held_open::nothing(s, held_open::ENDS)),
    family(ENDS, "a few slow calls of the smallest", |s| held_open::few(s, held_open::ENDS)),
    family(ENDS, "a crowd", |s| held_open::crowd(s, held_open::ENDS)),
    family(ENDS, "a burst of the largest", |s| held_open::burst(s, held_open::ENDS)),
    family(ENDS, "everybody slower", |s| held_open::slower(s, held_open::ENDS)),
    family(WITHIN, "a leak in one life", |s| memory::one_life(s, 0.0, 3.0..9.0)),
    family(WITHIN, "a leak that begins after three days", |s| memory::one_life(s, 72.0, 3.0..9.0)),
    family(WITHIN, "a fast leak that begins after three days", |s| {
        memory::one_life(s, 72.0, 40.0..160.0)
    }),
    family(WITHIN, "a cache in one life", |s| memory::quiet(s, memory::one_cache)),
    family(WITHIN, "a collector's sawtooth, one life", |s| memory::sawtooth(s, false)),
    family(ACROSS, "a leak that deploys hide", memory::hidden_leak),
    family(ACROSS, "warm-up", |s| memory::quiet(s, memory::warm_up)),
    family(ACROSS, "a cache in many lives", |s| memory::quiet(s, memory::many_caches)),
    family(ACROSS, "a step at a release", |s| memory::quiet(s, memory::step)),
    family(ACROSS, "a collector's sawtooth, many lives", |s| memory::sawtooth(s, true)),
    family(ACROSS, "load that grows", |s| memory::quiet(s, memory::load)),
    family(ACROSS, "the day's rhythm", |s| memory::quiet(s, memory::rhythm)),
    family(NOT_BACK, "out of memory", memory::out_of_memory),
    family(NOT_BACK, "a crash", memory::crash),
    family(NOT_BACK, "silence", |s| memory::silence(s, 0.0)),
    family(NOT_BACK, "silence, one sample in fifty missing", |s| memory::silence(s, 0.02)),
    family(NOT_BACK, "stopped by somebody", memory::stopped),
    family(NOT_BACK, "everybody silent for two hours", memory::gap),
    family(NOT_BACK, "samples missing, one to twenty in a hundred", memory::missing),
];
