//! PostgreSQL's jsonlog to session rows. `docs/formats.md` has the rules in words.

mod line;

use plimsoll_model::sessions::{SessionEvent, SessionRow, refusal};
use plimsoll_model::{Dimension, Holder, RejectReason};

use crate::config::SourceConfig;
use crate::parser::{Fault, Meaning, Rows, plausible};
use crate::scalar::Scalar;
use crate::timestamp::TimestampReader;
use line::Line;

/// `too_many_connections`.
const SQLSTATE_TOO_MANY_CONNECTIONS: &str = "53300";

/// The longest reason kept of a refusal or close whose text is not known.
const REASON_BYTES_MAX: usize = 200;

/// Decodes the log of one server.
pub(crate) struct PostgresDecoder {
    resource: String,
    timestamps: TimestampReader,
}

impl PostgresDecoder {
    pub(crate) fn new(config: &SourceConfig) -> Result<PostgresDecoder, String> {
        let resource = config.resource.clone().ok_or("needs `resource`")?;
        Ok(PostgresDecoder { resource, timestamps: TimestampReader::new(&config.timezone)? })
    }

    pub(crate) fn decode(
        &mut self,
        line: &str,
        offset: i64,
        rows: &mut Rows,
    ) -> Result<Meaning, Fault> {
        let fields: Line<'_> =
            sonic_rs::from_str(line).map_err(|error| Fault::malformed(&error))?;
        if fields.timestamp == Scalar::Absent {
            return Err(Fault::missing("timestamp"));
        }
        let bad_value = |detail| Fault::new(RejectReason::BadValue, detail);
        let time = plausible(self.timestamps.read(fields.timestamp.text()).map_err(bad_value)?)?;
        rows.times.push((offset, time));
        let Some(said) = fields.said() else { return Ok(Meaning::Irrelevant) };
        if fields.session_id.text().is_empty() && said.event != SessionEvent::Reset {
            return Err(Fault::missing("session_id"));
        }
        if fields.has_nul() {
            return Err(Fault::new(RejectReason::Encoding, "NUL in a name"));
        }
        let row = SessionRow {
            time,
            offset,
            event: said.event,
            resource: &self.resource,
            reason: said.reason,
            ..SessionRow::default()
        };
        if said.event == SessionEvent::Reset {
            rows.sessions.append(&row);
            return Ok(Meaning::Used);
        }
        let started = self.timestamps.read(fields.session_start.text()).ok();
        rows.sessions.append(&SessionRow {
            session: Some(fields.session_id.text()),
            started: started.filter(|started| started.is_plausible()),
            age_us: said.age_us,
            holder: fields.holder(said.event),
            ..row
        });
        Ok(Meaning::Used)
    }
}

/// What a line says of a session.
#[derive(Debug, PartialEq)]
struct Said<'a> {
    event: SessionEvent,
    reason: Option<&'a str>,
    age_us: Option<i64>,
}

impl<'a> Said<'a> {
    fn event(event: SessionEvent) -> Said<'a> {
        Said { event, reason: None, age_us: None }
    }
}

impl Line<'_> {
    /// What the line says of a session, if anything. SQLSTATE decides first, English text second.
    fn said(&self) -> Option<Said<'_>> {
        let message = self.message.text();
        match self.state_code.text() {
            SQLSTATE_TOO_MANY_CONNECTIONS if !self.is_survived() => {
                let reason = Some(self.refusal());
                Some(Said { reason, ..Said::event(SessionEvent::Refused) })
            }
            "" | "00000" => said_by_log_line(message),
            // A session that fails between its authorization and its first command was counted
            // as opened, and ends without a line of disconnection.
            _ if self.error_severity.text() == "FATAL"
                && self.ps.text() == "startup"
                && self.user != Scalar::Absent =>
            {
                let reason = Some(bounded(message));
                Some(Said { reason, ..Said::event(SessionEvent::Closed) })
            }
            _ => None,
        }
    }

    /// Whether the session goes on after this line. FATAL and its translations end it.
    fn is_survived(&self) -> bool {
        matches!(
            self.error_severity.text(),
            "ERROR" | "WARNING" | "NOTICE" | "INFO" | "LOG" | "DEBUG"
        )
    }

    /// By which limit a connection was refused. The name of the server's function does not depend
    /// on `lc_messages`, but is logged only with `log_error_verbosity = verbose`.
    fn refusal(&self) -> &str {
        const BY_TEXT: [(&str, &str); 4] = [
            ("sorry, too many clients already", refusal::LIMIT),
            ("remaining connection slots are reserved", refusal::RESERVED),
            ("too many connections for role", refusal::ROLE_LIMIT),
            ("too many connections for database", refusal::DATABASE_LIMIT),
        ];
        const BY_FUNCTION: [(&str, &str); 5] = [
            ("InitProcess", refusal::LIMIT),
            ("ProcArrayAdd", refusal::LIMIT),
            ("InitPostgres", refusal::RESERVED),
            ("InitializeSessionUserId", refusal::ROLE_LIMIT),
            ("CheckMyDatabase", refusal::DATABASE_LIMIT),
        ];
        let message = self.message.text();
        let by_text = BY_TEXT.iter().find(|(opening, _)| message.starts_with(opening));
        let function = self.func_name.text();
        let by_function = || BY_FUNCTION.iter().find(|(name, _)| *name == function);
        by_text.or_else(by_function).map_or(bounded(message), |(_, reason)| reason)
    }

    /// Who holds the session. Before it is authorized a client may claim to be anybody, so an
    /// attempt has only its address.
    fn holder(&self, event: SessionEvent) -> Holder<'_> {
        let holder = Holder::default().with(Dimension::ClientAddress, self.remote_host.text());
        if event == SessionEvent::Attempted {
            return holder;
        }
        let mut application = self.application_name.text();
        if application.is_empty() && event == SessionEvent::Opened {
            application = self.application_in_message();
        }
        holder
            .with(Dimension::ServiceName, application)
            .with(Dimension::DbNamespace, self.dbname.text())
            .with(Dimension::UserName, self.user.text())
    }

    /// The application's name in a message of authorization. The line's own key is not there yet.
    ///
    /// The text before it is known from the other keys, so a user or database whose name contains
    /// `application_name=` misleads nobody.
    fn application_in_message(&self) -> &str {
        let message = self.message.text();
        let known = message.split_once(": user=").and_then(|(_, rest)| {
            let rest = rest.strip_prefix(self.user.text())?;
            let database = rest.strip_prefix(" database=");
            let after = match database {
                Some(rest) => rest.strip_prefix(self.dbname.text())?,
                None => rest,
            };
            after.strip_prefix(" application_name=")
        });
        let Some(rest) = known else { return "" };
        let ends = [" SSL enabled (protocol=", " GSS (authenticated="];
        let end = ends.iter().filter_map(|end| rest.rfind(end)).min();
        &rest[..end.unwrap_or(rest.len())]
    }

    fn has_nul(&self) -> bool {
        let names = [
            &self.user,
            &self.dbname,
            &self.remote_host,
            &self.session_id,
            &self.message,
            &self.application_name,
        ];
        names.into_iter().any(Scalar::has_nul)
    }
}

/// What a line of severity LOG says. Parallel workers, autovacuum and other background processes
/// write none of these, so they are not sessions.
fn said_by_log_line(message: &str) -> Option<Said<'_>> {
    const OPENINGS: [(&str, SessionEvent); 7] = [
        ("connection received: ", SessionEvent::Attempted),
        ("connection authorized: ", SessionEvent::Opened),
        ("replication connection authorized: ", SessionEvent::Opened),
        ("disconnection: session time: ", SessionEvent::Closed),
        ("all server processes terminated; reinitializing", SessionEvent::Reset),
        ("database system is ready to accept ", SessionEvent::Reset),
        ("database system is shut down", SessionEvent::Reset),
    ];
    let (opening, event) = OPENINGS.iter().find(|(opening, _)| message.starts_with(opening))?;
    let age_us = match event {
        SessionEvent::Closed => read_age_us(&message[opening.len()..]),
        _ => None,
    };
    Some(Said { age_us, ..Said::event(*event) })
}

/// Microseconds of `H:MM:SS.mmm`, up to the next space. Hours may have any number of digits.
fn read_age_us(text: &str) -> Option<i64> {
    let text = text.split(' ').next()?;
    let (hours, rest) = text.split_once(':')?;
    let (minutes, rest) = rest.split_once(':')?;
    let (seconds, millis) = rest.split_once('.')?;
    let parts = [hours, minutes, seconds, millis].map(|part| part.parse::<u32>().ok());
    let [Some(hours), Some(minutes), Some(seconds), Some(millis)] = parts else { return None };
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    Some((seconds * 1_000 + i64::from(millis)) * 1_000)
}

/// The first [`REASON_BYTES_MAX`] bytes, cut between characters.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}
