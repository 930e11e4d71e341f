//! What must hold between the parts of a definition, and what a person should know.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_console::require_loopback;
use plimsoll_deliver::{ClickHouse, PagerDuty};
use plimsoll_ingest::SourceConfig;
use plimsoll_model::Severity;

use super::problem::{Reporter, nearest, suggestion};
use super::sections::{Definition, ReceiverConfig, VERSION};
use super::tree::{Node, Place};
use super::{secret, typed};

/// The longest name of a pipeline, source, resource or receiver.
pub const NAME_CHARS_MAX: usize = 64;

/// The most sources of one pipeline.
pub const SOURCES_MAX: usize = 256;

/// The shortest time that the data directory keeps what is over.
pub const RETENTION_MIN: Duration = Duration::from_secs(86_400);

/// Settings of librdkafka that the pipeline makes itself.
const OWN_OPTIONS: [&str; 8] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
];

/// Reports every secret that is written down instead of referred to.
pub(super) fn inline_secrets(tree: &Node, errors: &mut Reporter<'_>) {
    let why = "whoever reads the file or its history would have it";
    for section in ["kafka", "clickhouse", "receivers"] {
        let Some(node) = tree.at(&[section]) else { continue };
        secret::visit_secrets(node, &mut |entry| {
            let text = entry.node.text().unwrap_or_default();
            if secret::is_inline(text) {
                let key = &entry.key;
                let variable = key.replace(['.', '-'], "_").to_uppercase();
                errors.add(
                    entry.place,
                    format!("secret `{key}` is written in the file"),
                    format!("{why}: write `${{{variable}}}` or `${{file:/run/secrets/{key}}}` instead, without a default"),
                );
            }
        });
    }
    if let Some(url) = tree.at(&["clickhouse", "url"])
        && url.text().is_some_and(secret::url_has_password)
    {
        errors.add(
            tree.place_of(&["clickhouse", "url"]),
            "the address contains a password",
            format!("{why}: use the keys `user` and `password`, the latter with `${{…}}`"),
        );
    }
}

/// Reports what does not hold. `definition` is what could be read of the tree, if it is enough to
/// be one; parts at fault are gone from the tree and were reported before. `receivers` are the
/// names that the file declares, whatever is wrong with them.
pub(super) fn check(
    tree: &Node,
    receivers: &[String],
    definition: Option<&Definition>,
    errors: &mut Reporter<'_>,
    warnings: &mut Reporter<'_>,
) {
    names(tree, errors);
    kafka(tree, errors);
    routes(tree, receivers, errors);
    for entry in tree.at(&["sources"]).map_or(&[][..], Node::entries) {
        if let Ok(source) = serde::Deserialize::deserialize(&entry.node) {
            check_source(tree, &entry.key, &source, errors);
        }
    }
    let Some(definition) = definition else { return };
    if definition.version != VERSION {
        errors.add(
            tree.place_of(&["version"]),
            format!("version `{}` of the format is not known", definition.version),
            "this build reads `version: 1`",
        );
    }
    if definition.response_time.is_zero() {
        errors.add(
            tree.place_of(&["response_time"]),
            "response_time must be above zero",
            "it is how long people need from a page to its cure, for example `30m`",
        );
    }
    if definition.retention < RETENTION_MIN {
        errors.add(
            tree.place_of(&["retention"]),
            "retention must be a day at least",
            "it is how long incidents and evidence stay in the data directory, for example `90d`",
        );
    }
    if definition.sources.is_empty() {
        errors.add(
            tree.place_of(&["sources"]),
            "there is no source",
            "name at least one below `sources`; docs/config.md has examples",
        );
    }
    if definition.sources.len() > SOURCES_MAX {
        errors.add(
            tree.place_of(&["sources"]),
            format!("{} sources are more than {SOURCES_MAX}", definition.sources.len()),
            "split the pipeline by resource",
        );
    }
    listen(tree, &definition.listen, errors);
    sinks(tree, definition, errors);
    if errors.is_empty() {
        resources(tree, definition, warnings);
    }
}

/// Names become paths, labels and keys, so they are plain.
fn names(tree: &Node, errors: &mut Reporter<'_>) {
    let mut check = |what: &str, name: &str, place: Place| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !begins || !name.bytes().all(plain) || name.len() > NAME_CHARS_MAX {
            errors.add(
                place,
                format!("{what} name `{name}` cannot be used"),
                format!("letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most {NAME_CHARS_MAX}"),
            );
        }
    };
    if let Some(node) = tree.at(&["name"])
        && let Some(name) = node.text()
    {
        check("pipeline", name, node.place);
    }
    for (what, section) in
        [("source", "sources"), ("resource", "resources"), ("receiver", "receivers")]
    {
        for entry in tree.at(&[section]).map_or(&[][..], Node::entries) {
            check(what, &entry.key, entry.place);
        }
    }
}

fn kafka(tree: &Node, errors: &mut Reporter<'_>) {
    if tree
        .at(&["kafka", "brokers"])
        .and_then(Node::text)
        .is_some_and(|text| text.trim().is_empty())
    {
        errors.add(
            tree.place_of(&["kafka", "brokers"]),
            "no broker is named",
            "write `host:port`, several separated by commas",
        );
    }
    for entry in tree.at(&["kafka", "options"]).map_or(&[][..], Node::entries) {
        if OWN_OPTIONS.contains(&entry.key.as_str()) {
            errors.add(
                entry.place,
                format!("Kafka option `{}` cannot be set", entry.key),
                "the pipeline sets it itself: brokers and start have keys of their own, and offsets are kept in its own store",
            );
        }
    }
}

fn routes(tree: &Node, receivers: &[String], errors: &mut Reporter<'_>) {
    let known: Vec<&str> = receivers.iter().map(String::as_str).collect();
    let Some(super::Value::List(routes)) = tree.at(&["routes"]).map(|node| &node.value) else {
        return;
    };
    for route in routes {
        let Some(to) = route.at(&["to"]) else { continue };
        if let Some(name) = to.text()
            && !known.contains(&name)
        {
            errors.add(
                to.place,
                format!("there is no receiver `{name}`"),
                suggestion(name, known.iter().copied()),
            );
        }
    }
}

fn check_source(tree: &Node, name: &str, source: &SourceConfig, errors: &mut Reporter<'_>) {
    let key = tree.place_of(&["sources", name]);
    for problem in source.validate(name) {
        let node = tree.at(&["sources", name]);
        let sentence = problem.split_once(": ").map_or(problem.as_str(), |(_, rest)| rest);
        let place = node.and_then(|node| typed::mentioned(node, sentence));
        let advice = match jiff::tz::TimeZone::get(&source.timezone) {
            Err(_) if sentence.starts_with("timezone ") => zone_like(&source.timezone),
            _ => "docs/formats.md says what each format needs and takes".to_owned(),
        };
        errors.add(place.unwrap_or(key), problem, advice);
    }
    if !source.kafka.is_empty() && tree.at(&["kafka"]).is_none() {
        errors.add(
            tree.place_of(&["sources", name, "kafka"]),
            format!("source `{name}` reads from Kafka, but no broker is named"),
            "add `kafka: {brokers: \"host:9092\"}` to the definition",
        );
    }
}

/// The zone that is most like `name`, as advice.
fn zone_like(name: &str) -> String {
    let zones: Vec<String> =
        jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
    match nearest(name, zones.iter().map(String::as_str)) {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => "write a name such as `Europe/Berlin`, or an offset such as `+01:00`".to_owned(),
    }
}

/// Files of sources that are folders, which no command reads, and those that are not there.
pub(super) fn files(
    tree: &Node,
    folder: &std::path::Path,
    errors: &mut Reporter<'_>,
    warnings: &mut Reporter<'_>,
) {
    for entry in tree.at(&["sources"]).map_or(&[][..], Node::entries) {
        let Some(file) = entry.node.at(&["file"]) else { continue };
        let nodes = match &file.value {
            super::Value::List(nodes) => &nodes[..],
            _ => std::slice::from_ref(file),
        };
        for node in nodes {
            let Some(name) = node.text().filter(|name| !["-", ""].contains(name)) else { continue };
            let path = folder.join(name);
            if path.is_dir() {
                let what = format!("source `{}`: file `{name}` is a folder", entry.key);
                errors.add(node.place, what, "name the files in it: `file: [a.jsonl, b.jsonl]`");
            } else if !path.exists() {
                let what = format!("source `{}`: there is no file `{name}`", entry.key);
                let why = format!(
                    "looked for at `{}`; `run` waits for it, `replay` needs it",
                    path.display()
                );
                warnings.add(node.place, what, why);
            }
        }
    }
}

fn listen(tree: &Node, listen: &str, errors: &mut Reporter<'_>) {
    let place = tree.at(&["listen"]).map_or(tree.place, |node| node.place);
    match listen.parse::<SocketAddr>().map(require_loopback) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => errors.add(place, error.to_string(), ""),
        Err(_) => errors.add(
            place,
            format!("listen `{listen}` is not an address with a port"),
            "write one such as `127.0.0.1:9464`",
        ),
    }
}

/// The sinks check their own settings when they are made; making one connects to nothing.
fn sinks(tree: &Node, definition: &Definition, errors: &mut Reporter<'_>) {
    let mut add = |keys: &[&str], error: plimsoll_deliver::Error| {
        let message = error.to_string();
        let place = tree.at(keys).and_then(|node| typed::mentioned(node, &message));
        errors.add(place.unwrap_or_else(|| tree.place_of(keys)), message, "");
    };
    if let Some(config) = &definition.clickhouse
        && let Err(error) = ClickHouse::new("clickhouse", config.clone())
    {
        add(&["clickhouse"], error);
    }
    for (name, receiver) in &definition.receivers {
        let ReceiverConfig::PagerDuty(config) = receiver;
        if let Err(error) = PagerDuty::new(name, config.clone()) {
            add(&["receivers", name, "pagerduty"], error);
        }
    }
}

/// Resources without a limit, without a source, and sources' resources without a declaration.
fn resources(tree: &Node, definition: &Definition, warnings: &mut Reporter<'_>) {
    let sources = definition.sources.values();
    let named: Vec<&str> =
        sources.clone().filter_map(|source| source.resource.as_deref()).collect();
    let rows_name_them = sources.clone().any(|source| {
        source.map.as_ref().is_some_and(|map| map.resource.is_some() || map.context.is_some())
    });
    for (name, resource) in &definition.resources {
        let place = tree.place_of(&["resources", name]);
        if resource.limit.is_none() {
            warnings.add(
                place,
                format!("resource `{name}` has no limit"),
                "no time to exhaustion can be given until a limit is seen: set `limit`, or send a limit_change event",
            );
        }
        if !rows_name_them && !named.contains(&name.as_str()) {
            warnings.add(
                place,
                format!("no source names resource `{name}`"),
                suggestion(name, named.iter().copied()),
            );
        }
    }
    for (name, source) in &definition.sources {
        if let Some(resource) = &source.resource
            && !definition.resources.contains_key(resource)
        {
            warnings.add(
                tree.place_of(&["sources", name, "resource"]),
                format!("resource `{resource}` is not declared"),
                format!("it is watched without a limit; declare it below `resources`: `{resource}: {{connections: {{limit: …}}}}`"),
            );
        }
    }
}

/// Receivers that hear nothing, and pages that nobody hears.
pub(super) fn unheard(tree: &Node, definition: &Definition, warnings: &mut Reporter<'_>) {
    for name in definition.receivers.keys() {
        if definition.routes.iter().all(|route| route.to != *name) {
            warnings.add(
                tree.place_of(&["receivers", name]),
                format!("no route leads to receiver `{name}`"),
                format!("add `- {{severity: page, to: {name}}}` to `routes`"),
            );
        }
    }
    if definition.routes.iter().all(|route| route.severity != Severity::Page) {
        warnings.add(
            None,
            "no route takes pages: `run` will page nobody",
            "add a receiver and `routes: [{severity: page, to: …}]`",
        );
    }
}
