//! What a pipeline watches right now, as its judge last said it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use plimsoll_model::evidence::PANE_SECONDS;
use plimsoll_model::{IncidentId, OwnedHolder, Second, Time};

pub use crate::followed::{FOLLOWED_STEPS_MAX, Incident};
use crate::followed::{Followed, Step};

/// Resources in one picture; those beyond are left out and counted.
pub const RESOURCES_SHOWN_MAX: usize = 256;
/// Sources in one picture; those beyond are left out and counted.
pub const SOURCES_SHOWN_MAX: usize = 256;
/// Open incidents that are followed between their transitions; those beyond are left out.
pub const INCIDENTS_FOLLOWED_MAX: usize = 256;
/// The largest holders of a resource that are shown.
pub const HOLDERS_SHOWN_MAX: usize = 8;
/// How many panes of a resource's past are kept: one hour.
pub const PAST_PANES_MAX: usize = 360;

/// One resource, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// What its units are called: `connections`, `slots`, `bytes`.
    pub unit: String,
    /// Units held by everybody.
    pub held: u64,
    /// Units that can be held, if a limit is known.
    pub usable: Option<u64>,
    /// How many holders hold something.
    pub holders: u64,
    /// The largest of them, largest first; at most [`HOLDERS_SHOWN_MAX`] are kept.
    pub largest: Vec<(OwnedHolder, u64)>,
    /// How many reasons there are why the count may be off.
    pub doubts: u64,
}

/// One source, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// Records read since the start.
    pub records: u64,
    /// Those that became rows.
    pub used: u64,
    /// Those that could not be used.
    pub rejected: u64,
    /// Partitions that ticks wait for.
    pub alive: u64,
    /// Partitions that are silent at their end.
    pub idle: u64,
    /// Partitions with unread records that make no progress.
    pub set_aside: u64,
    /// The smallest watermark of the partitions that ticks wait for, or else the largest of all:
    /// how far in event time the source has come.
    pub watermark: Option<Time>,
}

/// Everything that a pipeline watches, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The newest judged tick.
    pub judged_through: Option<Second>,
    /// The wall clock when the picture was made; `None` for history, which has no lag.
    pub now: Option<Time>,
    /// The resources, by name.
    pub resources: Vec<Resource>,
    /// The sources, by name.
    pub sources: Vec<Source>,
    /// The open incidents; the newest are followed if there are more than
    /// [`INCIDENTS_FOLLOWED_MAX`].
    pub incidents: Vec<Incident>,
}

/// Shared between the judge, which writes, and the server, which reads. Clones are one handle.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    picture: Picture,
    published: Option<Instant>,
    left_off: usize,
    past: BTreeMap<String, VecDeque<(Second, u64)>>,
    followed: BTreeMap<IncidentId, Followed>,
}

/// What the server reads at once.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub picture: Picture,
    /// When the picture was published, if one ever was.
    pub published: Option<Instant>,
    /// Resources and sources beyond the limits.
    pub left_off: usize,
    /// What each resource held at the end of recent panes, by its place in the picture.
    pub past: Vec<Vec<(Second, u64)>>,
}

impl Watched {
    /// A watch that nobody has published to yet.
    pub fn new() -> Watched {
        Watched::default()
    }

    /// Replaces the picture; about once a second is often enough.
    ///
    /// What lies beyond the limits of this module is left out and counted.
    pub fn publish(&self, mut picture: Picture) {
        let beyond = picture.resources.len().saturating_sub(RESOURCES_SHOWN_MAX)
            + picture.sources.len().saturating_sub(SOURCES_SHOWN_MAX);
        picture.resources.truncate(RESOURCES_SHOWN_MAX);
        picture.sources.truncate(SOURCES_SHOWN_MAX);
        for resource in &mut picture.resources {
            resource.largest.truncate(HOLDERS_SHOWN_MAX);
        }
        let beyond_followed = picture.incidents.len().saturating_sub(INCIDENTS_FOLLOWED_MAX);
        picture.incidents.drain(..beyond_followed);
        let mut inner = self.lock();
        let Inner { past, followed, .. } = &mut *inner;
        followed.retain(|id, _| picture.incidents.iter().any(|incident| incident.id == *id));
        past.retain(|name, _| picture.resources.iter().any(|resource| resource.name == *name));
        if let Some(tick) = picture.judged_through {
            let pane = Second(tick.0 - tick.0.rem_euclid(PANE_SECONDS));
            for resource in &picture.resources {
                remember(past.entry(resource.name.clone()).or_default(), pane, resource.held);
            }
            for incident in &picture.incidents {
                followed.entry(incident.id).or_default().take(tick, incident);
            }
        }
        inner.picture = picture;
        inner.left_off = beyond;
        inner.published = Some(Instant::now());
    }

    pub(crate) fn view(&self) -> View {
        let inner = self.lock();
        let past = |resource: &Resource| {
            inner.past.get(&resource.name).into_iter().flatten().copied().collect()
        };
        View {
            past: inner.picture.resources.iter().map(past).collect(),
            picture: inner.picture.clone(),
            published: inner.published,
            left_off: inner.left_off,
        }
    }

    /// How an open incident went on, if it is followed.
    pub(crate) fn followed(&self, id: IncidentId) -> Option<Followed> {
        self.lock().followed.get(&id).cloned()
    }

    /// What an open incident holds now, if it is followed.
    pub(crate) fn newest(&self, id: IncidentId) -> Option<Step> {
        self.lock().followed.get(&id)?.steps.last().copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nobody panics while holding it; if it happened, the values are whole all the same.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest word about a pane counts; a pane older than the last one does not.
fn remember(past: &mut VecDeque<(Second, u64)>, pane: Second, held: u64) {
    match past.back_mut() {
        Some(last) if last.0 == pane => last.1 = held,
        Some(last) if last.0 > pane => {}
        _ => past.push_back((pane, held)),
    }
    while past.len() > PAST_PANES_MAX {
        past.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(second: i64, held: u64) -> Picture {
        let resource = Resource { name: "db".into(), held, ..Resource::default() };
        Picture {
            judged_through: Some(Second(second)),
            resources: vec![resource],
            ..Picture::default()
        }
    }

    #[test]
    fn the_past_has_one_level_per_pane_and_the_last_one_counts() {
        let watched = Watched::new();
        for (second, held) in [(100, 1), (109, 2), (110, 3), (125, 4)] {
            watched.publish(picture(second, held));
        }
        let expected = vec![(Second(100), 2), (Second(110), 3), (Second(120), 4)];
        assert_eq!(watched.view().past, [expected]);
    }

    #[test]
    fn the_past_is_bounded_and_forgets_resources_that_are_gone() {
        let watched = Watched::new();
        for pane in 0..PAST_PANES_MAX as i64 + 5 {
            watched.publish(picture(pane * PANE_SECONDS, 1));
        }
        let past = watched.view().past.remove(0);
        assert_eq!((past.len(), past[0].0), (PAST_PANES_MAX, Second(5 * PANE_SECONDS)));
        watched.publish(Picture::default());
        assert!(watched.lock().past.is_empty());
    }

    #[test]
    fn an_incident_is_followed_while_it_is_open() {
        let watched = Watched::new();
        let (id, level) = (IncidentId(7), Some(5));
        let incident = Incident { id, level, owner_level: None, lowest: false };
        watched.publish(Picture { incidents: vec![incident], ..picture(100, 1) });
        assert_eq!(watched.followed(id).unwrap().steps.len(), 1);
        watched.publish(picture(110, 1));
        assert_eq!(watched.followed(id), None);
    }

    #[test]
    fn what_is_shown_is_bounded_and_the_rest_counted() {
        let watched = Watched::new();
        let holders = vec![(OwnedHolder::default(), 1); HOLDERS_SHOWN_MAX + 1];
        let resource = Resource { largest: holders, ..Resource::default() };
        watched.publish(Picture {
            resources: vec![resource; RESOURCES_SHOWN_MAX + 2],
            sources: vec![Source::default(); SOURCES_SHOWN_MAX + 3],
            ..Picture::default()
        });
        let view = watched.view();
        assert_eq!(view.left_off, 5);
        assert_eq!(view.picture.resources.len(), RESOURCES_SHOWN_MAX);
        assert_eq!(view.picture.resources[0].largest.len(), HOLDERS_SHOWN_MAX);
    }
}
