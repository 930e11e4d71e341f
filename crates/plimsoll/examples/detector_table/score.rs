//! What was said, held against the truth.

use std::collections::BTreeMap;

use plimsoll_model::Severity;

use crate::families::{Case, Fault, Said, is_blame, is_nobody};

/// What became of one fault of one member.
#[derive(Clone, Debug, Default)]
pub struct FaultScore {
    /// When it was first said as loudly as it must be.
    pub said_at: Option<i64>,
    /// It was said after it was due.
    pub is_late: bool,
    /// From when it was said to when users were hurt, in seconds; negative if they were first.
    pub lead_s: Option<i64>,
    /// Whom the first word of it named, if that is somebody who has nothing to do with it.
    pub wrong_name: Option<String>,
    /// The first word named nobody, though somebody is to blame; then, when somebody was.
    pub unnamed_until: Option<Option<i64>>,
    /// Incidents about it that became pages.
    pub pages: usize,
}

/// What became of one member.
#[derive(Clone, Debug, Default)]
pub struct Score {
    pub faults: Vec<FaultScore>,
    /// Incidents that became pages and are about no fault.
    pub false_pages: Vec<Said>,
    /// Incidents that stayed tickets and are about no fault.
    pub false_tickets: Vec<Said>,
}

/// Incidents about a fault are those that name whoever has it, at whatever time it is right to. If
/// there is none, the first one that came after its beginning is meant for it and has a wrong name.
pub fn score(case: &Case) -> Score {
    let mut incidents: BTreeMap<u128, Vec<&Said>> = BTreeMap::new();
    for said in &case.said {
        incidents.entry(said.incident).or_default().push(said);
    }
    // In the order of their first words.
    let mut incidents: Vec<Vec<&Said>> = incidents.into_values().collect();
    incidents.sort_by_key(|said| said[0].at);
    let mut is_explained = vec![false; incidents.len()];
    let mut score = Score::default();
    for fault in &case.faults {
        let of_it: Vec<usize> =
            (0..incidents.len()).filter(|&at| is_about(fault, &incidents[at])).collect();
        of_it.iter().for_each(|&at| is_explained[at] = true);
        score.faults.push(fault_score(fault, of_it.iter().map(|&at| &incidents[at][..])));
    }
    for (fault, of_it) in case.faults.iter().zip(&mut score.faults) {
        let first = (0..incidents.len())
            .filter(|&at| !is_explained[at] && first_loud(fault, &incidents[at]).is_some())
            .min_by_key(|&at| first_loud(fault, &incidents[at]).map(|said| said.at));
        if let (None, Some(at)) = (of_it.said_at, first) {
            is_explained[at] = true;
            *of_it = fault_score(fault, std::iter::once(&incidents[at][..]));
        }
    }
    for (said, _) in incidents.iter().zip(&is_explained).filter(|(_, explained)| !**explained) {
        match said.iter().find(|said| said.severity == Severity::Page) {
            Some(page) if !case.only_blame_is_wrong || is_blame(page) => {
                score.false_pages.push((*page).clone());
            }
            Some(_) => {}
            None if !case.only_blame_is_wrong || is_blame(said[0]) => {
                score.false_tickets.push(said[0].clone());
            }
            None => {}
        }
    }
    score
}

/// The first word of an incident that is loud enough for the fault; none if it came too early.
fn first_loud<'a>(fault: &Fault, said: &[&'a Said]) -> Option<&'a Said> {
    let loud = said.iter().find(|said| said.severity >= fault.severity)?;
    (loud.at >= fault.begins).then_some(*loud)
}

/// Whether an incident is about the fault: it ever names whoever has it.
fn is_about(fault: &Fault, said: &[&Said]) -> bool {
    first_loud(fault, said).is_some() && said.iter().any(|said| fault.owners.contains(&said.owner))
}

fn fault_score<'a>(fault: &Fault, incidents: impl Iterator<Item = &'a [&'a Said]>) -> FaultScore {
    let incidents: Vec<&[&Said]> = incidents.collect();
    let first = incidents.iter().filter_map(|said| first_loud(fault, said)).min_by_key(|it| it.at);
    let is_page = |said: &&&[&Said]| said.iter().any(|said| said.severity == Severity::Page);
    let is_right = |said: &&Said| fault.owners.contains(&said.owner);
    let wrong = first.filter(|first| !is_right(first));
    let named_at = || incidents.iter().copied().flatten().filter(|it| is_right(it)).map(|it| it.at);
    FaultScore {
        said_at: first.map(|first| first.at),
        is_late: first.is_some_and(|first| first.at > fault.due),
        lead_s: first.zip(fault.harm).map(|(first, harm)| harm - first.at),
        wrong_name: wrong.filter(|first| !is_nobody(first)).map(|first| first.owner.clone()),
        unnamed_until: wrong.filter(|first| is_nobody(first)).map(|_| named_at().min()),
        pages: incidents.iter().filter(is_page).count(),
    }
}
