//! `expected.yaml`: what a recorded incident must lead to, and the comparison with what it did.
//!
//! Everything that is not expected is a failure: each opened incident must be one of the list, and
//! each entry of the list must be met by an incident of its own. So an empty list with
//! `pages_at_most: 0` is the expectation of quiet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use plimsoll_model::{
    Change, Dimension, IncidentId, Kind, Owner, Second, Severity, Time, Transition,
};
use serde::{Deserialize, Deserializer, de};

use crate::config::Problems;
use crate::config::problem::Reporter;
use crate::config::{drop_duplicates, read_text, read_tree, typed};

/// What a folder's replay must give.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The version of the format: 1.
    #[serde(deserialize_with = "version_1")]
    pub version: u64,
    /// The incidents, in any order.
    pub incidents: Vec<ExpectedIncident>,
    /// How many incidents may become pages; as many as the list expects if not set.
    #[serde(default)]
    pub pages_at_most: Option<usize>,
    /// How many incidents of any severity there may be; as many as the list has if not set. A
    /// larger number lets in incidents that the list does not name.
    #[serde(default)]
    pub incidents_at_most: Option<usize>,
}

/// One incident that must be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedIncident {
    /// What happens.
    pub kind: Kind,
    /// Who is to blame, at the incident's last word.
    pub owner: ExpectedOwner,
    /// The release that must be named.
    #[serde(default)]
    pub release: Option<String>,
    /// How loud it must become; a page if not set.
    #[serde(default = "page")]
    pub severity: Severity,
    /// When it must open.
    pub opened: Window,
    /// When it must first be a page; anything goes if not set.
    #[serde(default)]
    pub paged: Option<Window>,
    /// When it must end; `never` if it must stay open, anything goes if not set.
    #[serde(default)]
    pub resolved: Option<Resolved>,
}

fn page() -> Severity {
    Severity::Page
}

fn version_1<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        1 => Ok(1),
        other => {
            Err(de::Error::custom(format!("version `{other}` is not known; this build reads 1")))
        }
    }
}

/// `nobody`, `unknown`, or `{service.name: issuer}`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedOwner(pub Owner);

impl<'de> Deserialize<'de> for ExpectedOwner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExpectedOwner, D::Error> {
        struct OwnerVisitor;
        impl<'de> de::Visitor<'de> for OwnerVisitor {
            type Value = ExpectedOwner;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`nobody`, `unknown`, or one dimension and its value, such as {service.name: issuer}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedOwner, E> {
                match text {
                    "nobody" => Ok(ExpectedOwner(Owner::Nobody)),
                    "unknown" => Ok(ExpectedOwner(Owner::Unknown)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<ExpectedOwner, A::Error> {
                let entry = map.next_entry::<Dimension, String>()?;
                let Some((dimension, value)) = entry else {
                    return Err(de::Error::invalid_length(0, &self));
                };
                if map.next_key::<Dimension>()?.is_some() {
                    return Err(de::Error::custom("an owner is named by one dimension"));
                }
                Ok(ExpectedOwner(Owner::Holder { dimension, value }))
            }
        }
        deserializer.deserialize_any(OwnerVisitor)
    }
}

/// A span of event time; each end may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first moment that is right.
    #[serde(default, deserialize_with = "moment")]
    pub not_before: Option<Time>,
    /// The last moment that is right.
    #[serde(default, deserialize_with = "moment")]
    pub not_after: Option<Time>,
}

impl Window {
    fn contains(self, tick: Second) -> bool {
        self.not_before.is_none_or(|from| tick >= from.second())
            && self.not_after.is_none_or(|to| tick <= to.second())
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let moment: jiff::Timestamp = text.parse().map_err(|_| {
        de::Error::custom(format!("`{text}` is not a moment such as 2026-03-21T14:58:00Z"))
    })?;
    Ok(Some(Time::from_micros(moment.as_microsecond())))
}

/// When an incident ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved {
    /// It is still open at the end.
    Never,
    /// Within this span.
    Within(Window),
}

impl<'de> Deserialize<'de> for Resolved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Resolved, D::Error> {
        struct ResolvedVisitor;
        impl<'de> de::Visitor<'de> for ResolvedVisitor {
            type Value = Resolved;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`never`, or `not_before` and `not_after`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Resolved, E> {
                match text {
                    "never" => Ok(Resolved::Never),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Resolved, A::Error> {
                Window::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(Resolved::Within)
            }
        }
        deserializer.deserialize_any(ResolvedVisitor)
    }
}

impl Expected {
    /// Reads `expected.yaml` in `path`.
    pub fn load(path: &Path) -> Result<Expected, Problems> {
        Expected::from_text(path, &read_text(path)?)
    }

    /// Reads the expectation `text`, which is said to stand in `path`.
    pub fn from_text(path: &Path, text: &str) -> Result<Expected, Problems> {
        let mut errors = Reporter::new(path, text);
        let Some(mut tree) = read_tree(text, &mut errors) else {
            return Err(Problems(errors.finish()));
        };
        drop_duplicates(&mut tree, &mut errors);
        let expected = typed::read(&mut tree, &mut errors);
        expected.filter(|_| errors.is_empty()).ok_or_else(|| Problems(errors.finish()))
    }
}

/// One way in which a replay differs from what was expected, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of one incident.
struct Seen<'a> {
    opened: &'a Transition,
    last: &'a Transition,
    paged_at: Option<Second>,
    resolved_at: Option<Second>,
}

impl Seen<'_> {
    fn is_page(&self) -> bool {
        self.last.severity_peak == Severity::Page
    }
}

/// Compares what a replay gave with what was expected; empty if it is the same.
pub fn compare(expected: &Expected, transitions: &[Transition]) -> Vec<Failure> {
    let mut failures = Vec::new();
    let seen = incidents(transitions);
    let mut taken = vec![false; seen.len()];
    for wanted in &expected.incidents {
        // The one that misses the least; of equals the first.
        let best = (0..seen.len())
            .filter(|&at| !taken[at])
            .map(|at| (misses(wanted, &seen[at]), at))
            .min_by_key(|(misses, at)| (misses.len(), *at));
        match best {
            Some((misses, at)) if misses.is_empty() => taken[at] = true,
            Some((misses, at)) if misses.len() <= 2 && same_fault(wanted, &seen[at]) => {
                taken[at] = true;
                failures.push(Failure(format!("expected {wanted}, but {}", misses.join("; "))));
            }
            _ => failures.push(Failure(format!(
                "expected {wanted}; saw none; seen instead: {}",
                list(seen.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(seen, _)| seen)),
            ))),
        }
    }
    let most = expected.incidents_at_most.unwrap_or(expected.incidents.len());
    if seen.len() > most {
        let surplus = seen.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(seen, _)| seen);
        failures.push(Failure(format!(
            "expected at most {}, saw {}; not expected: {}",
            counted(most, "incident"),
            seen.len(),
            list(surplus),
        )));
    }
    let wanted_pages =
        expected.incidents.iter().filter(|one| one.severity == Severity::Page).count();
    let most = expected.pages_at_most.unwrap_or(wanted_pages);
    let pages: Vec<_> = seen.iter().filter(|seen| seen.is_page()).collect();
    if pages.len() > most {
        failures.push(Failure(format!(
            "expected at most {}, saw {}: {}",
            counted(most, "page"),
            pages.len(),
            list(pages.into_iter()),
        )));
    }
    failures
}

/// The incidents in the order of their opening.
fn incidents(transitions: &[Transition]) -> Vec<Seen<'_>> {
    let mut order: Vec<IncidentId> = Vec::new();
    let mut seen: BTreeMap<IncidentId, Seen<'_>> = BTreeMap::new();
    for transition in transitions {
        let ended = (transition.change == Change::Resolved).then_some(transition.as_of);
        let is_page = transition.severity_peak == Severity::Page && ended.is_none();
        let paged = is_page.then_some(transition.as_of);
        match seen.get_mut(&transition.incident) {
            Some(seen) => {
                seen.last = transition;
                seen.paged_at = seen.paged_at.or(paged);
                seen.resolved_at = ended;
            }
            None => {
                order.push(transition.incident);
                let new = Seen {
                    opened: transition,
                    last: transition,
                    paged_at: paged,
                    resolved_at: ended,
                };
                seen.insert(transition.incident, new);
            }
        }
    }
    order.iter().filter_map(|id| seen.remove(id)).collect()
}

/// Whether it is the expected trouble, though perhaps at another time or volume.
fn same_fault(wanted: &ExpectedIncident, seen: &Seen<'_>) -> bool {
    wanted.kind == seen.opened.finding.kind && wanted.owner.0 == seen.last.finding.owner
}

/// What of `wanted` does not hold for `seen`, in words.
fn misses(wanted: &ExpectedIncident, seen: &Seen<'_>) -> Vec<String> {
    let (opened, last) = (seen.opened, seen.last);
    let mut misses = Vec::new();
    if wanted.kind != opened.finding.kind {
        misses.push(format!("it is a {}", opened.finding.kind.name()));
    }
    if wanted.owner.0 != last.finding.owner {
        misses.push(format!("it names {}", last.finding.owner));
    }
    if let Some(release) = &wanted.release {
        let named = last.finding.release.as_ref().and_then(|release| release.version.as_deref());
        if named != Some(release) {
            misses.push(format!(
                "it names {}",
                named.map_or("no release".to_owned(), |named| format!("release {named}"))
            ));
        }
    }
    if wanted.severity != last.severity_peak {
        misses.push(format!("it is a {}", last.severity_peak.name()));
    }
    if !wanted.opened.contains(opened.as_of) {
        misses.push(format!("it opened at {}", opened.as_of));
    }
    match (wanted.paged, seen.paged_at) {
        (Some(window), Some(at)) if !window.contains(at) => {
            misses.push(format!("it first was a page at {at} and should be {window}"));
        }
        (Some(window), None) => {
            misses.push(format!("it never was a page and should be {window}"));
        }
        _ => {}
    }
    match (wanted.resolved, seen.resolved_at) {
        (Some(Resolved::Never), Some(at)) => {
            misses.push(format!("it was resolved at {at} and should stay open"));
        }
        (Some(Resolved::Within(window)), Some(at)) if !window.contains(at) => {
            misses.push(format!("it was resolved at {at} and should be {window}"));
        }
        (Some(Resolved::Within(window)), None) => {
            misses.push(format!("it was never resolved and should be {window}"));
        }
        _ => {}
    }
    misses
}

fn list<'a>(seen: impl Iterator<Item = &'a Seen<'a>>) -> String {
    let lines: Vec<String> = seen.map(Seen::to_string).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// `a growth_to_limit page naming service.name issuer between … and …`.
impl fmt::Display for ExpectedIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, severity) = (self.kind.name(), self.severity.name());
        write!(f, "a {kind} {severity} naming {}", self.owner.0)?;
        if let Some(release) = &self.release {
            write!(f, " and release {release}")?;
        }
        write!(f, " {}", self.opened)
    }
}

/// `between … and …`, `after …`, `before …`, `at any time`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.not_before.map(Time::second), self.not_after.map(Time::second)) {
            (Some(from), Some(to)) => write!(f, "between {from} and {to}"),
            (Some(from), None) => write!(f, "not before {from}"),
            (None, Some(to)) => write!(f, "not after {to}"),
            (None, None) => f.write_str("at any time"),
        }
    }
}

/// `a growth_to_limit page naming service.name issuer at …`.
impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.opened.finding.kind.name();
        let severity = self.last.severity_peak.name();
        write!(f, "a {kind} {severity} naming {} at {}", self.last.finding.owner, self.opened.as_of)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Finding, Reason, Release};

    use super::*;

    const WANTED: &str = "version: 1\nincidents:\n  - {kind: growth_to_limit, owner: {service.name: issuer}, release: '2.14', opened: {not_before: 2024-03-21T14:58:00Z, not_after: 2024-03-21T15:40:00Z}, resolved: {not_after: '2024-03-21T16:00:00Z'}}\n";
    const QUIET: &str = "version: 1\nincidents: []\npages_at_most: 0\n";

    /// 2024-03-21T14:58:00Z, with `date -u -d … +%s`.
    const DEPLOY: i64 = 1_711_033_080;

    fn expected(text: &str) -> Expected {
        Expected::from_text(Path::new("expected.yaml"), text)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Transition of incident `id`: `minute` after the deploy, of `service`.
    fn transition(id: u128, change: Change, minute: i64, service: &str) -> Transition {
        let at = Second(DEPLOY + 60 * minute);
        Transition {
            incident: IncidentId(id),
            sequence: 1,
            change,
            reason: Reason::ExhaustionForecast,
            as_of: at,
            pipeline: "p".into(),
            opened_at: at,
            severity_peak: Severity::Page,
            finding: Finding {
                kind: Kind::GrowthToLimit,
                resource: "db".into(),
                unit: "connections".into(),
                owner: Owner::Holder { dimension: Dimension::ServiceName, value: service.into() },
                severity: Severity::Page,
                since: at,
                level: 1,
                usable: Some(2),
                owner_level: None,
                owner_level_before: None,
                growth_per_minute: None,
                exhaustion: None,
                release: Some(Release {
                    service: service.into(),
                    version: Some("2.14".into()),
                    deployed_at: at.start(),
                }),
                refused: 0,
                doubts: Vec::new(),
                detail: None,
            },
            headline: String::new(),
            advice: String::new(),
            proof: String::new(),
        }
    }

    #[track_caller]
    fn check(wanted: &str, seen: &[(u128, Change, i64, &str)], failures: &[&str]) {
        let transitions: Vec<_> = seen
            .iter()
            .map(|&(id, change, minute, service)| transition(id, change, minute, service))
            .collect();
        let said: Vec<_> =
            compare(&expected(wanted), &transitions).iter().map(ToString::to_string).collect();
        assert_eq!(said, failures);
    }

    use Change::{Opened, Resolved as Ended};

    #[test]
    fn what_is_expected_passes() {
        check(WANTED, &[(1, Opened, 10, "issuer"), (1, Ended, 50, "issuer")], &[]);
        check(QUIET, &[], &[]);
    }

    #[test]
    fn silence_where_a_page_must_be() {
        check(
            WANTED,
            &[],
            &[
                "expected a growth_to_limit page naming service.name issuer and release 2.14 between 2024-03-21T14:58:00Z and 2024-03-21T15:40:00Z; saw none; seen instead: nothing",
            ],
        );
    }

    #[test]
    fn a_page_where_silence_must_be() {
        check(
            QUIET,
            &[(1, Opened, 10, "issuer")],
            &[
                "expected at most no incident, saw 1; not expected: a growth_to_limit page naming service.name issuer at 2024-03-21T15:08:00Z",
                "expected at most no page, saw 1: a growth_to_limit page naming service.name issuer at 2024-03-21T15:08:00Z",
            ],
        );
    }

    #[test]
    fn the_wrong_culprit_is_not_the_expected_page() {
        check(
            WANTED,
            &[(1, Opened, 10, "web"), (1, Ended, 50, "web")],
            &[
                "expected a growth_to_limit page naming service.name issuer and release 2.14 between 2024-03-21T14:58:00Z and 2024-03-21T15:40:00Z; saw none; seen instead: a growth_to_limit page naming service.name web at 2024-03-21T15:08:00Z",
            ],
        );
    }

    #[test]
    fn too_late_and_never_resolved_are_said_of_the_same_incident() {
        check(
            WANTED,
            &[(1, Opened, 43, "issuer")],
            &[
                "expected a growth_to_limit page naming service.name issuer and release 2.14 between 2024-03-21T14:58:00Z and 2024-03-21T15:40:00Z, but it opened at 2024-03-21T15:41:00Z; it was never resolved and should be not after 2024-03-21T16:00:00Z",
            ],
        );
    }

    #[test]
    fn a_page_that_comes_after_the_opening_has_a_time_of_its_own() {
        let opened = "opened: {";
        assert!(WANTED.contains(opened), "{WANTED}");
        let early = "paged: {not_after: 2024-03-21T15:15:00Z}, opened: {";
        let wanted = expected(&WANTED.replacen(opened, early, 1));
        let said = |pages: [Severity; 3]| {
            let changes = [(Opened, 10), (Change::Updated, 20), (Ended, 50)];
            let transitions: Vec<_> = (changes.into_iter().zip(pages))
                .map(|((change, minute), severity_peak)| Transition {
                    severity_peak,
                    ..transition(1, change, minute, "issuer")
                })
                .collect();
            compare(&wanted, &transitions).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        use Severity::{Page, Ticket};
        assert_eq!(said([Page, Page, Page]), Vec::<String>::new());
        let late = said([Ticket, Page, Page]).join("");
        let sentence = "it first was a page at 2024-03-21T15:18:00Z and should be not after 2024-03-21T15:15:00Z";
        assert!(late.ends_with(sentence), "{late}");
    }

    #[test]
    fn a_second_page_of_the_same_trouble_fails() {
        let seen = [(1, Opened, 10, "issuer"), (1, Ended, 20, "issuer"), (2, Opened, 30, "issuer")];
        let transitions: Vec<_> =
            seen.iter().map(|&(id, change, at, who)| transition(id, change, at, who)).collect();
        assert_eq!(compare(&expected(WANTED), &transitions).len(), 2);
        let lenient = format!("{WANTED}pages_at_most: 2\nincidents_at_most: 2\n");
        assert_eq!(compare(&expected(&lenient), &transitions), []);
    }

    #[test]
    fn a_wrong_expectation_says_where() {
        let refuse = |text: &str| {
            let error = Expected::from_text(Path::new("expected.yaml"), text).unwrap_err();
            error.0[0].what.clone()
        };
        assert_eq!(
            refuse("version: 2\nincidents: []"),
            "version `2` is not known; this build reads 1"
        );
        assert_eq!(refuse("version: 1\nincidents: []\npages: 1"), "unknown key `pages`");
        let owner = "version: 1\nincidents: [{kind: growth_to_limit, opened: {}, owner: somebody}]";
        assert!(refuse(owner).contains("it must be `nobody`, `unknown`"), "{}", refuse(owner));
        let time = "version: 1\nincidents: [{kind: refusal_at_limit, owner: unknown, opened: {not_before: 14:58}}]";
        assert_eq!(refuse(time), "`14:58` is not a moment such as 2026-03-21T14:58:00Z");
    }
}
