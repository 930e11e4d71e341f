//! HAProxy's HTTP log to session rows. `docs/formats.md` has the rules in words.

mod line;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_model::samples::{SampleRow, metric};
use plimsoll_model::sessions::{SessionEvent, SessionRow, refusal};
use plimsoll_model::{Dimension, Holder, RejectReason, Time};
use serde::{Deserialize, Serialize};

use crate::config::SourceConfig;
use crate::parser::{Fault, Meaning, Rows, plausible};
use crate::timestamp::TimestampReader;
use line::{Line, NoLine};

/// Which part of a line says what.
///
/// ```yaml
/// haproxy: {backend: app, holder: {tenant: request.0, client.address: client}, session: request.1}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HaproxyConfig {
    /// Only lines of this frontend are about the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<String>,
    /// Only lines of this backend are about the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Who holds: dimension to the part of the line that names it.
    pub holder: BTreeMap<Dimension, Part>,
    /// The part with an id that other sources know the request by. Without it, or where it is
    /// empty, each line is a request of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Part>,
    /// Whose slots the resource has.
    pub slots: Slots,
}

impl Default for HaproxyConfig {
    fn default() -> Self {
        HaproxyConfig {
            frontend: None,
            backend: None,
            holder: BTreeMap::from([(Dimension::ClientAddress, Part::Client)]),
            session: None,
            slots: Slots::Backend,
        }
    }
}

/// Whose slots a resource has. Each line counts how many are in use beside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slots {
    /// Those of the process (`global maxconn`): held from the first byte to the last.
    Process,
    /// Those of the frontend: held from the first byte to the last.
    Frontend,
    /// Those of the backend's servers together: held from the end of the queue. Each line counts
    /// those of its own server; the newest counts are added up, and the queue is in none of them.
    Backend,
    /// Those of the backend's only server: held from the end of the queue.
    Server,
}

/// A part of a line that can name a holder or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Part {
    /// The client's address, without its port.
    Client,
    /// The frontend.
    Frontend,
    /// The backend.
    Backend,
    /// The server, unless none was reached.
    Server,
    /// The captured request header at this position, counted from 0.
    Request(u8),
    /// The captured response header at this position, counted from 0.
    Response(u8),
}

/// The most headers that one side may capture.
pub const CAPTURES_MAX: u8 = 32;

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Part, String> {
        let position = |digits: &str| {
            let position = digits.parse::<u8>().ok().filter(|position| *position < CAPTURES_MAX);
            position
                .ok_or_else(|| format!("position of `{text}` must be 0 to {}", CAPTURES_MAX - 1))
        };
        match text.split_once('.') {
            None if text == "client" => Ok(Part::Client),
            None if text == "frontend" => Ok(Part::Frontend),
            None if text == "backend" => Ok(Part::Backend),
            None if text == "server" => Ok(Part::Server),
            Some(("request", digits)) => position(digits).map(Part::Request),
            Some(("response", digits)) => position(digits).map(Part::Response),
            _ => Err(format!(
                "unknown part `{text}`, expected one of `client`, `frontend`, `backend`, `server`, \
                 `request.0`, `response.0`"
            )),
        }
    }
}

impl From<Part> for String {
    fn from(part: Part) -> String {
        match part {
            Part::Client => "client".into(),
            Part::Frontend => "frontend".into(),
            Part::Backend => "backend".into(),
            Part::Server => "server".into(),
            Part::Request(position) => format!("request.{position}"),
            Part::Response(position) => format!("response.{position}"),
        }
    }
}

/// Decodes the log of one HAProxy.
pub(crate) struct HaproxyDecoder {
    resource: String,
    config: HaproxyConfig,
    timestamps: TimestampReader,
}

impl HaproxyDecoder {
    pub(crate) fn new(config: &SourceConfig) -> Result<HaproxyDecoder, String> {
        let resource = config.resource.clone().ok_or("needs `resource`")?;
        let timestamps = TimestampReader::new(&config.timezone)?;
        Ok(HaproxyDecoder {
            resource,
            config: config.haproxy.clone().unwrap_or_default(),
            timestamps,
        })
    }

    pub(crate) fn decode(
        &mut self,
        text: &str,
        offset: i64,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let line = match Line::read(text, &mut self.timestamps) {
            Ok(line) => line,
            Err(NoLine::Irrelevant) => return Ok(Meaning::Irrelevant),
            Err(NoLine::Fault(fault)) => return Err(fault),
        };
        // A line is written when its request ends, and that is what it tells of.
        let time = plausible(line.began.plus(line.total))?;
        rows.times.push((offset, time));
        let Some(said) = self.said(&line) else { return Ok(Meaning::Irrelevant) };
        let names = self.config.holder.iter().map(|(each, part)| (*each, line.part(*part)));
        let names: Vec<(Dimension, Cow<'_, str>)> = names.collect();
        let mut holder = Holder::default();
        for (dimension, name) in &names {
            holder.set(*dimension, name);
        }
        let named = self.config.session.map(|part| line.part(part)).filter(|id| !id.is_empty());
        let session = named.unwrap_or_else(|| Cow::Owned(line.id()));
        if holder.values().iter().flatten().any(|name| name.contains('\0'))
            || session.contains('\0')
        {
            return Err(Fault::new(RejectReason::Encoding, "NUL in a name"));
        }
        rows.sessions.append(&SessionRow {
            time,
            offset,
            event: said.event,
            resource: &self.resource,
            session: Some(&session),
            started: said.started,
            age_us: said.started.map(|started| time.micros_since(started)),
            waited_us: Some(line.queued.map_or(0, micros)),
            reason: said.reason,
            holder,
        });
        // A request that left the queue knows no server, and what the backend counts has the
        // queue in it.
        let (metric, server) = match self.config.slots {
            Slots::Backend => (metric::USED_OF_PART, line.part(Part::Server)),
            _ => (metric::USED, Cow::Borrowed("")),
        };
        if metric == metric::USED || !server.is_empty() {
            let mut of = Holder::default();
            if !server.is_empty() {
                of.set(Dimension::ServiceInstanceId, &server);
            }
            rows.samples.append(&SampleRow {
                time,
                offset,
                resource: &self.resource,
                metric,
                value: line.in_use(self.config.slots) as f64,
                holder: of,
            });
        }
        Ok(Meaning::Used)
    }

    /// What a line says of its request, if that was one for a slot of the resource.
    fn said<'a>(&self, line: &Line<'a>) -> Option<Said<'a>> {
        let is_other = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_some_and(|wanted| wanted != name)
        };
        let HaproxyConfig { frontend, backend, slots, .. } = &self.config;
        if is_other(frontend, line.frontend) || is_other(backend, line.backend) || line.goes_on {
            return None;
        }
        let refused = |reason| Said { event: SessionEvent::Refused, started: None, reason };
        let is_whole = matches!(slots, Slots::Process | Slots::Frontend);
        let (cause, phase) = line.termination();
        match (cause, phase) {
            // The queue timed out, or the process had no connection left.
            ('s', 'Q') | ('P', 'C') if !is_whole => Some(refused(Some(refusal::LIMIT))),
            // The client left the queue.
            (_, 'Q') if !is_whole => Some(refused(Some("left the queue"))),
            _ if is_whole || line.reached_server() => {
                let waited = [line.read, line.queued].into_iter().flatten().sum();
                let before = if is_whole { Duration::ZERO } else { waited };
                let reason = (cause != '-').then_some(line.ended);
                let started = Some(line.began.plus(before.min(line.total)));
                Some(Said { event: SessionEvent::Finished, started, reason })
            }
            _ => None,
        }
    }
}

/// What a line says of its request.
struct Said<'a> {
    event: SessionEvent,
    started: Option<Time>,
    reason: Option<&'a str>,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
