//! What rows tell of instances.

use std::time::Duration;

use plimsoll_model::lives::{EndCause, LifeEvent, LifeRows};
use plimsoll_model::samples::{SampleRows, metric};
use plimsoll_model::{Dimension, Holder, OwnedHolder, Time};

use super::{INSTANCES_MAX, Instance, Ledger, MARKS_MAX, Service, push};

/// What a row says of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Word {
    Started(Time),
    Limit(usize, f64),
    Memory(u8, f64),
}

impl Ledger {
    /// Applies sample row `row` at the end of the tick.
    pub fn sample(&mut self, rows: &SampleRows, row: usize) {
        let (time, value) = (rows.time(row), rows.value(row));
        let word = match rows.metric(row) {
            metric::MEMORY => Word::Memory(0, value),
            metric::MEMORY_ANONYMOUS => Word::Memory(1, value),
            metric::MEMORY_AFTER_COLLECTION => Word::Memory(2, value),
            metric::LIMIT if rows.holder(row).is_empty() => {
                self.limit = Some(value);
                return;
            }
            metric::LIMIT => Word::Limit(0, value),
            metric::LIMIT_AFTER_COLLECTION => Word::Limit(1, value),
            metric::UPTIME => {
                let uptime = Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default();
                Word::Started(time.minus(uptime))
            }
            metric::STARTED => Word::Started(Time::from_micros((value * 1e6) as i64)),
            _ => return,
        };
        let key = rows.holder_key(row);
        let instance = match self.known.get(&key) {
            Some(instance) => Some(*instance),
            None => self.instance(&rows.holder(row), time),
        };
        let Some(instance) = instance else { return };
        if self.known.len() >= 4 * INSTANCES_MAX {
            self.known.clear();
        }
        self.known.insert(key, instance);
        let version = rows.holder(row).get(Dimension::ServiceVersion);
        if version.is_some()
            && version != self.instances[instance as usize].holder.get(Dimension::ServiceVersion)
        {
            self.change_release(instance, rows.holder(row).to_owned(), time);
        }
        self.words.push((time, instance, word));
    }

    /// Another release under the same name is another life.
    fn change_release(&mut self, instance: u32, holder: OwnedHolder, time: Time) {
        let place = instance as usize;
        let had_one = self.instances[place].holder.get(Dimension::ServiceVersion).is_some();
        if let Some(life) = &self.instances[place].life
            && had_one
        {
            if time < life.last {
                return;
            }
            let last = life.last;
            self.end(instance, last, EndCause::Unknown, false);
        }
        self.instances[place].holder = holder;
    }

    /// Applies life row `row`.
    pub fn life(&mut self, rows: &LifeRows, row: usize) {
        let (time, holder) = (rows.time(row), rows.holder(row));
        match rows.event(row) {
            LifeEvent::LimitChange => self.limit = rows.value(row).or(self.limit),
            event @ (LifeEvent::Deploy | LifeEvent::Scale) => {
                self.news.marked = true;
                let name = holder.get(Dimension::ServiceName);
                for service in &mut self.services {
                    if name.is_some() && service.name.is_some() && service.name.as_deref() != name {
                        continue;
                    }
                    if event == LifeEvent::Deploy {
                        let version = holder.get(Dimension::ServiceVersion).map(str::to_owned);
                        push(&mut service.deploys, (time, version), MARKS_MAX);
                    } else {
                        push(&mut service.scales, (time, rows.value(row)), MARKS_MAX);
                    }
                }
            }
            LifeEvent::Start | LifeEvent::Restart => {
                let Some(instance) = self.named(&holder, time) else { return };
                self.flush();
                let version = holder.get(Dimension::ServiceVersion);
                self.start(instance, time, true);
                if version.is_some() {
                    self.instances[instance as usize].holder = holder.to_owned();
                }
                if let Some(predecessor) = rows.predecessor(row) {
                    self.replace(instance, predecessor);
                }
            }
            LifeEvent::End => {
                let Some(instance) = self.named(&holder, time) else { return };
                self.flush();
                self.end(instance, time, rows.cause(row).unwrap_or_default(), true);
            }
        }
    }

    /// The instance that a life row names; rows that name none concern nobody here.
    fn named(&mut self, holder: &Holder<'_>, time: Time) -> Option<u32> {
        let is_named = holder.get(Dimension::ServiceInstanceId).is_some()
            || holder.get(Dimension::HostName).is_some();
        if is_named { self.instance(holder, time) } else { None }
    }

    /// The instance of a holder, which is made if there is room: known by its program and its id,
    /// or its host if it has none. A holder without a program is the only one with that id.
    fn instance(&mut self, holder: &Holder<'_>, time: Time) -> Option<u32> {
        let id = |holder: &Holder<'_>| {
            let own = holder.get(Dimension::ServiceInstanceId);
            own.or(holder.get(Dimension::HostName)).map(str::to_owned)
        };
        let service = holder.get(Dimension::ServiceName);
        let own = id(holder);
        let known = self.instances.iter().position(|known| {
            let name = known.holder.get(Dimension::ServiceName);
            id(&known.holder.borrow()) == own
                && (name == service || (own.is_some() && (name.is_none() || service.is_none())))
        });
        if let Some(place) = known {
            return u32::try_from(place).ok();
        }
        if self.instances.len() >= INSTANCES_MAX {
            self.beyond += 1;
            return None;
        }
        let instance = u32::try_from(self.instances.len()).ok()?;
        let place = self.service(service, time);
        push(&mut self.services[place as usize].newcomers, (time, instance), MARKS_MAX);
        self.instances.push(Instance {
            holder: holder.to_owned(),
            service: place,
            first_seen: time,
            life: None,
            end: None,
            limits: [None; 2],
            tells_start: false,
        });
        Some(instance)
    }

    fn service(&mut self, name: Option<&str>, time: Time) -> u32 {
        let known = self.services.iter().position(|service| service.name.as_deref() == name);
        let place = known.unwrap_or_else(|| {
            self.services.push(Service::new(name, time));
            self.services.len() - 1
        });
        u32::try_from(place).expect("there are no more programs than instances")
    }

    /// Applies what the samples of this tick say: what tells of a beginning goes before what was
    /// in use at the same moment.
    pub fn flush(&mut self) {
        let mut words = std::mem::take(&mut self.words);
        let rank = |word: &Word| u8::from(matches!(word, Word::Memory(..)));
        words.sort_by_key(|(time, _, word)| (*time, rank(word)));
        for (time, instance, word) in words.drain(..) {
            match word {
                Word::Limit(which, value) => {
                    self.instances[instance as usize].limits[which] = Some(value);
                }
                Word::Started(started) => self.tell_start(instance, started, time),
                Word::Memory(kind, value) => self.memory(instance, time, kind, value),
            }
        }
        self.words = words;
    }
}
