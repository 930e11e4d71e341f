//! The parts of one line of `option httplog`.

use std::borrow::Cow;
use std::time::Duration;

use plimsoll_model::{RejectReason, Time};

use super::{Part, Slots};
use crate::parser::Fault;
use crate::timestamp::{TimestampReader, shortened};

/// A line that is not about a request, or that cannot be read.
pub(super) enum NoLine {
    Irrelevant,
    Fault(Fault),
}

impl From<Fault> for NoLine {
    fn from(fault: Fault) -> NoLine {
        NoLine::Fault(fault)
    }
}

/// `client:port [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes cookie cookie
/// termination process/frontend/backend/server/retries queue/queue {request} {response} "…"`.
pub(super) struct Line<'a> {
    client: &'a str,
    pub(super) frontend: &'a str,
    pub(super) backend: &'a str,
    server: &'a str,
    /// When the first byte of the request came.
    pub(super) began: Time,
    /// How long the request took to come; `None` if it never was whole.
    pub(super) read: Option<Duration>,
    /// How long it was in the queue; `None` if it never came to one.
    pub(super) queued: Option<Duration>,
    /// How long connecting took; `None` if there was no connection.
    connected: Option<Duration>,
    /// From the first byte of the request to the last of the answer.
    pub(super) total: Duration,
    /// The line was written before the request ended (`option logasap`).
    pub(super) goes_on: bool,
    /// The four letters that say how it ended.
    pub(super) ended: &'a str,
    /// Connections of process, frontend, backend and server when the line was written.
    in_use: [u64; 3],
    /// What was captured of request and response, without its braces.
    captures: [&'a str; 2],
    /// The line without what a log daemon put before it.
    own: &'a str,
}

/// How lines begin that HAProxy writes about itself.
const NOTICES: [&str; 12] = [
    "Proxy ",
    "Server ",
    "Backup Server ",
    "backend ",
    "Connect from ",
    "Health check ",
    "Pausing ",
    "Resuming ",
    "Stopping ",
    "[NOTICE]",
    "[WARNING]",
    "[ALERT]",
];

impl<'a> Line<'a> {
    pub(super) fn read(
        text: &'a str,
        timestamps: &mut TimestampReader,
    ) -> Result<Line<'a>, NoLine> {
        let malformed = |what: &str| Fault::new(RejectReason::Malformed, what.to_owned());
        let Some(at) = date_at(text) else {
            let message = message(text);
            return Err(if NOTICES.iter().any(|opening| message.starts_with(opening)) {
                NoLine::Irrelevant
            } else {
                malformed("there is no `[date]` of HAProxy's HTTP log").into()
            });
        };
        let begin = text[..at].rfind(' ').map_or(0, |space| space + 1);
        let own = &text[begin..];
        let client = own[..at - begin].rsplit_once(':').map_or(&text[begin..at], |(host, _)| host);
        let (date, rest) = text[at + 2..].split_once(']').ok_or_else(|| malformed("no `]`"))?;
        let began = read_date(date, timestamps)
            .map_err(|problem| Fault::new(RejectReason::BadValue, problem))?;
        let mut words = rest.trim_start().splitn(9, ' ');
        let mut word = || words.next().unwrap_or_default();
        let frontend = word();
        if frontend.ends_with(':') {
            // `frontend/listener: SSL handshake failure` and the like.
            return Err(NoLine::Irrelevant);
        }
        let (backend, server) = word().split_once('/').ok_or_else(|| malformed("no server"))?;
        let timers = word();
        let [read, queued, connected, _, total] = numbers::<5>(timers).ok_or_else(|| {
            let count = timers.split('/').count();
            malformed(&if count == 3 {
                "three timers are those of `option tcplog`; `option httplog` has five".to_owned()
            } else {
                format!("timers `{}` must be five numbers", shortened(timers))
            })
        })?;
        let [_status, _bytes, _request_cookie, _response_cookie] = [word(), word(), word(), word()];
        let ended = word();
        let (counts, rest) = word().split_once(' ').unwrap_or_default();
        let (queues, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let in_use = numbers::<5>(counts).filter(|_| numbers::<2>(queues).is_some());
        let (Some([process, of_frontend, _, of_server, _]), 4) = (in_use, ended.len()) else {
            return Err(malformed("cut short, or not of `option httplog`").into());
        };
        if total < 0 {
            return Err(Fault::new(RejectReason::BadValue, "negative total time").into());
        }
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let millis = |number: i64| u64::try_from(number).ok().map(Duration::from_millis);
        Ok(Line {
            client,
            frontend: frontend.strip_suffix('~').unwrap_or(frontend),
            backend,
            server,
            began,
            read: millis(read),
            queued: millis(queued),
            connected: millis(connected),
            total: millis(total).unwrap_or_default(),
            goes_on: timers.rsplit('/').next().is_some_and(|total| total.starts_with('+')),
            ended,
            in_use: [process, of_frontend, of_server].map(count),
            captures: captures(rest),
            own,
        })
    }

    /// Who or what ended the request, and in which phase; `-` if nothing unusual.
    pub(super) fn termination(&self) -> (char, char) {
        let mut letters = self.ended.chars();
        (letters.next().unwrap_or('-'), letters.next().unwrap_or('-'))
    }

    /// Whether the request had a slot of a server, if only to try to connect.
    pub(super) fn reached_server(&self) -> bool {
        let has_server = !self.server.starts_with('<');
        has_server && (self.connected.is_some() || self.queued.is_some())
    }

    /// Units in use beside this line's own.
    pub(super) fn in_use(&self, slots: Slots) -> u64 {
        let [process, frontend, server] = self.in_use;
        match slots {
            // These two still count the connection of the line.
            Slots::Process => process.saturating_sub(1),
            Slots::Frontend => frontend.saturating_sub(1),
            Slots::Backend | Slots::Server => server,
        }
    }

    /// The text of a part; empty if the line does not have it.
    pub(super) fn part(&self, part: Part) -> Cow<'a, str> {
        let capture = |side: usize, position: u8| {
            decoded(self.captures[side].split('|').nth(position.into()).unwrap_or_default())
        };
        match part {
            Part::Client => Cow::Borrowed(self.client),
            Part::Frontend => Cow::Borrowed(self.frontend),
            Part::Backend => Cow::Borrowed(self.backend),
            Part::Server if self.server.starts_with('<') => Cow::Borrowed(""),
            Part::Server => Cow::Borrowed(self.server),
            Part::Request(position) => capture(0, position),
            Part::Response(position) => capture(1, position),
        }
    }

    /// An id of the request: a line that is read twice has it twice, and no other line has it.
    pub(super) fn id(&self) -> String {
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(self.own.as_bytes()))
    }
}

/// Where ` [dd/Mon/` begins.
fn date_at(text: &str) -> Option<usize> {
    memchr::memmem::find_iter(text.as_bytes(), b" [").find(|at| {
        let date = &text.as_bytes()[at + 2..];
        date.len() > 7 && date[0].is_ascii_digit() && date[2] == b'/' && date[6] == b'/'
    })
}

/// The text after what a log daemon put before it.
fn message(text: &str) -> &str {
    let after = text.find("haproxy[").and_then(|at| text[at..].split_once("]: "));
    after.map_or(text, |(_, message)| message)
}

/// `22/Nov/2026:20:58:20.227`, in the source's zone.
fn read_date(date: &str, timestamps: &mut TimestampReader) -> Result<Time, String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let unreadable = || format!("cannot read the time `{}`", shortened(date));
    let mut parts = date.splitn(3, '/');
    let (Some(day), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(unreadable());
    };
    let month = MONTHS.iter().position(|name| *name == month).ok_or_else(unreadable)? + 1;
    let (year, clock) = rest.split_once(':').ok_or_else(unreadable)?;
    timestamps.read(&format!("{year}-{month:02}-{day} {clock}"))
}

/// So many numbers between slashes; one may have a `+` before it.
fn numbers<const N: usize>(text: &str) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split('/');
    for number in &mut numbers {
        *number = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// What is captured of request and response. A side that captures nothing writes no braces, so
/// one pair alone is the request's.
fn captures(rest: &str) -> [&str; 2] {
    let block = |text: &'_ str| -> Option<(usize, usize)> {
        text.starts_with('{').then(|| text.find('}').map(|end| (1, end))).flatten()
    };
    let Some((begin, end)) = block(rest) else { return ["", ""] };
    let after = rest[end + 1..].trim_start();
    let response = block(after).map_or("", |(begin, end)| &after[begin..end]);
    [&rest[begin..end], response]
}

/// `#7C` is `|`: HAProxy writes bytes that would break its line in hexadecimal digits.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('#') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |place: usize| after.get(place).and_then(|byte| char::from(*byte).to_digit(16));
        let code = digit(0).zip(digit(1)).map(|(high, low)| (16 * high + low) as u8);
        match code {
            Some(code) if *first == b'#' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
