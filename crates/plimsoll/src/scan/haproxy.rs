//! What HAProxy's lines say of how they should be read: whose slots, and which headers they have.

use std::collections::BTreeSet;

/// Backends that are named in a note.
const BACKENDS_SAID_MAX: usize = 5;

/// Whose slots are counted, as `haproxy.slots` in a definition, and what to know about it.
///
/// A backend's count has those in its queue in it, who hold nothing. Where there is one server,
/// its own count is that of the slots.
pub(super) fn slots(lines: &[&str]) -> (&'static str, Vec<String>) {
    let servers: BTreeSet<(&str, &str)> = lines
        .iter()
        .filter_map(|line| backend_and_server(line))
        .filter(|(_, server)| !server.starts_with('<'))
        .collect();
    let backends: BTreeSet<&str> = servers.iter().map(|(backend, _)| *backend).collect();
    if servers.len() == 1 {
        return ("server", Vec::new());
    }
    let mut notes = vec![
        "requests in the queue count as if they held a slot, because several servers stand behind it; \
         a definition of its own for each tells them apart"
            .to_owned(),
    ];
    if let (Some(first), true) = (backends.first(), backends.len() > 1) {
        let said: Vec<&str> = backends.iter().copied().take(BACKENDS_SAID_MAX).collect();
        let dots = if backends.len() > said.len() { ", …" } else { "" };
        notes.push(format!(
            "its backends ({}{dots}) are judged as one resource; `--haproxy '{{backend: {first}}}'` takes one of them",
            said.join(", ")
        ));
    }
    ("backend", notes)
}

/// What to do with the captured headers, if most lines have some.
pub(super) fn headers(lines: &[&str]) -> Option<String> {
    let captured: Vec<&str> = lines.iter().filter_map(|line| captured(line)).collect();
    let first = captured.first().filter(|_| 2 * captured.len() > lines.len())?;
    Some(format!(
        "holders are the clients' addresses; the lines have captured headers such as `{first}`: \
         `--haproxy '{{holder: {{tenant: request.0}}}}'` takes the first of them for the holder (docs/formats.md)"
    ))
}

/// `app`, `a1` of `… [22/Nov/2026:20:58:20.227] edge app/a1 0/0/0/101/101 …`.
fn backend_and_server<'a>(line: &&'a str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = line.split_once("] ").filter(|(before, _)| before.contains('['))?;
    let after_daemon = rest.split_once("] ").filter(|(before, _)| before.contains(" ["));
    let words = after_daemon.map_or(rest, |(_, rest)| rest);
    words.split(' ').nth(1)?.split_once('/')
}

/// The first braces after the counts, before the request.
fn captured(line: &str) -> Option<&str> {
    let before_request = line.split('"').next()?;
    let from = before_request.find(" {")? + 1;
    let length = before_request[from..].find('}')?;
    let inner = &before_request[from + 1..from + length];
    let is_empty = inner.chars().all(|it| it == '|');
    (!is_empty).then(|| &before_request[from..=from + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "10.0.0.14:20274 [01/Jun/2026:08:00:00.110] edge app/s1 0/0/0/1059/1059 200 512 - - ---- 0/0/0/0/0 0/0 {t14|r1} \"GET /pay HTTP/1.1\"";

    #[track_caller]
    fn check(lines: &[String], expected: &str, notes: usize) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (seen, said) = slots(&lines);
        assert_eq!((seen, said.len()), (expected, notes), "{said:?}");
    }

    #[test]
    fn the_slots_of_one_server_are_counted_without_the_queue() {
        let logged = format!("Jun 1 08:00:00 host haproxy[411]: {ONE}");
        check(&[ONE.to_owned(), logged, ONE.replace("app/s1", "app/<NOSRV>")], "server", 0);
        check(&[ONE.to_owned(), ONE.replace("app/s1", "app/s2")], "backend", 1);
        check(&[ONE.to_owned(), ONE.replace("app/s1", "static/s1")], "backend", 2);
    }

    #[test]
    fn captured_headers_are_offered_as_holders() {
        assert!(headers(&[ONE]).is_some_and(|note| note.contains("`{t14|r1}`")));
        assert_eq!(headers(&[&ONE.replace("{t14|r1} ", "")]), None);
        assert_eq!(headers(&[&ONE.replace("{t14|r1}", "{|}")]), None);
    }
}
