//! JSON lines without a definition: which field has the time, who holds, how many.
//!
//! Only obvious names are taken ([`super::words`]), and only where the values fit. What was taken
//! is said as a map that can be copied into a definition; where something is missing, that is said
//! instead, with a definition to begin with.

use plimsoll_model::lives::LifeEvent;
use serde_json::{Map, Value, json};

use super::Asked;
use super::fields::{Field, Fields};
use super::formats::{CONFIDENCE_MIN, Guess};
use super::head::Line;
use super::words::{self, plain};

/// Fields that are named where one is missing.
const FIELDS_SAID_MAX: usize = 12;

/// How wide a definition to begin with is, so that no terminal breaks it.
const STARTER_WIDTH: usize = 74;

/// The canonical form of context events: deploys, restarts, scaling, limit changes.
pub(super) fn context_events(lines: &[Line<'_>], _: &Asked) -> Option<Guess> {
    // What starts and ends under an id of its own is a session, not an instance.
    let is_one = |object: &Map<String, Value>| {
        let event = object.get("event").and_then(Value::as_str);
        let has_session = || object.keys().any(|key| words::SESSION.contains(&&*plain(key)));
        object.contains_key("time")
            && event.is_some_and(is_context)
            && !(event.is_some_and(is_session) && has_session())
    };
    let matched = lines.iter().filter(|line| line.object.as_ref().is_some_and(is_one)).count();
    (matched > 0).then(|| Guess {
        format: "context events",
        matched,
        lines: lines.len(),
        why: "are JSON objects with `time` and an `event` that explains, such as deploy, restart or limit_change".into(),
        source: Some(json!({ "format": "json", "role": "context" })),
        advice: String::new(),
        notes: Vec::new(),
        starter: None,
        resources: Vec::new(),
        unit: "connections",
        has_no_zone: false,
    })
}

/// JSON lines, with the map of the command line or a guessed one.
pub(super) fn mapped(lines: &[Line<'_>], asked: &Asked) -> Option<Guess> {
    let objects: Vec<&Map<String, Value>> =
        lines.iter().filter_map(|line| line.object.as_ref()).collect();
    if objects.is_empty() {
        return None;
    }
    let fields = Fields::of(&objects);
    let guess = Guess {
        format: "JSON lines",
        matched: objects.len(),
        lines: lines.len(),
        why: "are JSON objects".to_owned(),
        source: None,
        advice: String::new(),
        notes: Vec::new(),
        starter: None,
        resources: Vec::new(),
        unit: "connections",
        has_no_zone: false,
    };
    let given = match &asked.map {
        Some(map) => Ok((json!(map), false)),
        None => guess_map(&fields).map(|map| (map, true)),
    };
    Some(match given {
        Ok((map, guessed)) => with_map(guess, map, guessed, &objects, &fields, asked),
        Err(missing) => {
            let starter = Some(starter(&fields));
            Guess { advice: missing, starter, ..guess }
        }
    })
}

fn with_map(
    guess: Guess,
    map: Value,
    guessed: bool,
    objects: &[&Map<String, Value>],
    fields: &Fields,
    asked: &Asked,
) -> Guess {
    let is_memory = map["value"].get("memory").is_some();
    // Calls that start and finish hold a slot; what is opened and closed is a connection.
    let events = map["session"]["events"].as_object();
    let are_calls = events.is_some_and(|events| !events.contains_key("opened"));
    let unit = match (is_memory, are_calls) {
        (true, _) => "memory",
        (false, true) => "slots",
        (false, false) => "connections",
    };
    let default = match unit {
        "memory" => "memory",
        "slots" => "calls",
        _ => "resource",
    };
    let resource = asked.resource.as_deref().unwrap_or(default).to_owned();
    let mut resources = vec![resource.clone()];
    if let Some(path) = map["resource"].as_str() {
        let field = fields.all.iter().find(|field| field.path == path);
        resources.extend(field.iter().flat_map(|field| field.texts.iter().cloned()));
    }
    let time = fields.all.iter().find(|field| map["time"] == field.path.as_str());
    let is_context = map.get("context").is_some();
    let fits = |object: &&&Map<String, Value>| {
        let has = |path: &Value| path.as_str().is_some_and(|path| find(object, path).is_some());
        let values = map["value"].as_object();
        has(&map["time"]) && values.is_none_or(|values| values.values().any(has))
    };
    let matched = objects.iter().filter(fits).count();
    if !guessed && (matched as f64) < CONFIDENCE_MIN * objects.len() as f64 {
        let advice = missing(&map, objects, fields);
        return Guess { advice, ..guess };
    }
    let mut source = json!({ "format": "json", "resource": resource, "map": map });
    if is_context {
        source["role"] = "context".into();
    }
    let taken = if guessed { "taken by their names" } else { "as given" };
    Guess {
        matched,
        why: format!("are JSON objects with the fields of this map ({taken}): {}", flow(&map)),
        source: Some(source),
        resources: if is_context { Vec::new() } else { resources },
        unit,
        notes: if guessed && !is_context { nobody(&map, fields) } else { Vec::new() },
        has_no_zone: time.is_some_and(|field| 2 * field.without_zone > field.present),
        ..guess
    }
}

/// What a map that was given names and hardly any line has.
fn missing(map: &Value, objects: &[&Map<String, Value>], fields: &Fields) -> String {
    let mut paths = vec![&map["time"]];
    paths.extend(map["value"].as_object().into_iter().flat_map(|values| values.values()));
    let is_absent = |path: &&&str| !objects.iter().any(|object| find(object, path).is_some());
    let paths: Vec<&str> = paths.into_iter().filter_map(Value::as_str).collect();
    let absent: Vec<String> =
        paths.iter().filter(is_absent).map(|path| format!("`{path}`")).collect();
    let there = fields.all.iter().take(FIELDS_SAID_MAX).map(|field| field.path.as_str());
    let there = there.collect::<Vec<_>>().join(", ");
    match absent.is_empty() {
        true => format!("hardly any line has all fields that the map names; there are: {there}"),
        false => format!(
            "no line that was looked at has the field {}, which the map names; there are: {there}",
            absent.join(" or ")
        ),
    }
}

/// That a guessed map says of nobody that he holds something, with the fields that could.
fn nobody(map: &Value, fields: &Fields) -> Vec<String> {
    if map.get("holder").is_some() || map["value"].get("memory").is_some() {
        return Vec::new();
    }
    let used = flow(map);
    let is_left = |field: &&Field| {
        field.are_names()
            && !field.texts.is_empty()
            && !field.are_times()
            && !used.contains(&field.path)
    };
    let left = fields.all.iter().filter(is_left).take(FIELDS_SAID_MAX);
    let left: Vec<&str> = left.map(|field| field.path.as_str()).collect();
    let inner = used.strip_suffix('}').unwrap_or(&used);
    let (left, example) = match left.first() {
        Some(first) => (format!("fields that are left: {}", left.join(", ")), *first),
        None => ("no field is left that could".to_owned(), "FIELD"),
    };
    vec![format!(
        "no field is obviously who holds, so nobody can be named; {left}; to name one: \
         `--map '{inner}, holder: {{tenant: {example}}}}}'`"
    )]
}

/// The value at `path`, through objects or as a name with dots.
fn find<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let inner = object.get(&path[..dot])?.as_object()?;
        find(inner, &path[dot + 1..])
    })
}

/// The field that is obviously the time: by its name, or because no other one is a time.
fn time_of(fields: &Fields) -> Option<&Field> {
    fields.named(words::TIME, Field::are_times).or_else(|| {
        let mut times = fields.all.iter().filter(|field| {
            fields.is_common(field.present) && field.are_times() && !field.are_numbers()
        });
        times.next().filter(|_| times.next().is_none())
    })
}

/// A map of the obvious fields, or what is missing for one.
fn guess_map(fields: &Fields) -> Result<Value, String> {
    let Some(time) = time_of(fields) else {
        return Err("no field is obviously the time".to_owned());
    };
    let mut map = json!({ "time": time.path });
    let mut taken = vec![time.path.as_str()];
    let found = context(fields, &mut map, &mut taken)
        || session(fields, &mut map, &mut taken)
        || samples(fields, &mut map, &mut taken)
        || memory(fields, &mut map, &mut taken);
    if !found {
        return Err(format!(
            "`{}` is the time, but no field is obviously a number of units in use (`used`, `active`, …), \
             an amount of memory (`rss`, …), or what happened to a session (`event: open`, …)",
            time.path
        ));
    }
    let resource = fields.named(words::RESOURCE, |field| field.are_names() && !field.are_numbers());
    if let Some(resource) = resource.filter(|field| !taken.contains(&field.path.as_str())) {
        map["resource"] = resource.path.as_str().into();
        taken.push(&resource.path);
    }
    let mut holder = Map::new();
    for (dimension, names) in words::HOLDER {
        let field = fields.named(names, Field::are_names);
        if let Some(field) = field.filter(|field| !taken.contains(&field.path.as_str())) {
            holder.insert((*dimension).to_owned(), field.path.as_str().into());
            taken.push(&field.path);
        }
    }
    if !holder.is_empty() {
        map["holder"] = Value::Object(holder);
    }
    Ok(map)
}

/// Whether a value of an event field explains what happens around resources.
fn is_context(event: &str) -> bool {
    LifeEvent::from_name(event).is_some()
}

fn is_session(event: &str) -> bool {
    session_event(event).is_some()
}

/// The event of a session that a value of an event field means.
fn session_event(text: &str) -> Option<&'static str> {
    let text = plain(text);
    let fits = |(_, values): &&(&str, &[&str])| values.contains(&text.as_str());
    words::SESSION_EVENTS.iter().find(fits).map(|(event, _)| *event)
}

fn context<'a>(fields: &'a Fields, map: &mut Value, taken: &mut Vec<&'a str>) -> bool {
    let is_event = |field: &Field| {
        !field.texts.is_empty()
            && field.texts.iter().all(|text| is_context(text) && !is_session(text))
    };
    let Some(event) = fields.named(words::EVENT, is_event) else { return false };
    map["context"] = json!({ "event": event.path });
    taken.push(&event.path);
    if let Some(value) = fields.all.iter().find(|field| field.last() == "value") {
        map["context"]["value"] = value.path.as_str().into();
    }
    true
}

fn session<'a>(fields: &'a Fields, map: &mut Value, taken: &mut Vec<&'a str>) -> bool {
    let begins = |field: &Field| {
        let mut events = field.texts.iter().filter_map(|text| session_event(text));
        events.any(|event| event == "opened" || event == "started")
    };
    let Some(event) = fields.named(words::EVENT, begins) else { return false };
    let is_id = |field: &Field| field.are_names() && field.path != event.path;
    let Some(id) = fields.named(words::SESSION, is_id) else { return false };
    let mut events = Map::new();
    for text in &event.texts {
        if let Some(event) = session_event(text) {
            let values = events.entry(event).or_insert_with(|| json!([]));
            values.as_array_mut().expect("it was made as a list").push(text.as_str().into());
        }
    }
    let mut session = json!({ "id": id.path, "event": event.path, "events": events });
    taken.extend([event.path.as_str(), id.path.as_str()]);
    // The age stands on closing lines only, so it need not be common.
    let age = words::AGE.iter().find_map(|(word, unit)| {
        let field = fields.all.iter().find(|field| field.last() == *word && field.are_numbers())?;
        Some((field, unit))
    });
    if let Some((age, unit)) = age {
        session["age"] = age.path.as_str().into();
        session["age_unit"] = (*unit).into();
    }
    if let Some(reason) =
        fields.all.iter().find(|field| words::REASON.contains(&field.last().as_str()))
    {
        session["reason"] = reason.path.as_str().into();
    }
    map["session"] = session;
    true
}

fn samples<'a>(fields: &'a Fields, map: &mut Value, taken: &mut Vec<&'a str>) -> bool {
    let counts = |field: &Field| {
        field.are_numbers()
            && !words::NOT_UNITS.iter().any(|word| plain(&field.path).contains(word))
    };
    let used = fields.named(words::USED, counts);
    let Some(used) = used.or_else(|| fields.ending(words::USED_ENDS, counts)) else { return false };
    map["value"] = json!({ "used": used.path });
    taken.push(&used.path);
    let is_limit = |field: &Field| counts(field) && field.largest >= used.largest;
    let limit = fields.named(words::LIMIT, is_limit);
    if let Some(limit) = limit.or_else(|| fields.ending(words::LIMIT_ENDS, is_limit)) {
        map["value"]["limit"] = limit.path.as_str().into();
        taken.push(&limit.path);
    }
    true
}

fn memory<'a>(fields: &'a Fields, map: &mut Value, taken: &mut Vec<&'a str>) -> bool {
    /// The name without the unit at its end, and the unit.
    fn parts(name: &str) -> (&str, Option<&'static str>) {
        let ends =
            |(end, unit): &(&str, &'static str)| Some((name.strip_suffix(end)?, Some(*unit)));
        words::BYTES.iter().find_map(ends).unwrap_or((name, None))
    }
    let of = |names: &[&str]| {
        let field = names.iter().find_map(|wanted| {
            fields.all.iter().find(|field| {
                let name = field.last();
                fields.is_common(field.present)
                    && field.are_numbers()
                    && (parts(&name).0 == *wanted || name == *wanted)
            })
        })?;
        Some((field, parts(&field.last()).1.unwrap_or("bytes")))
    };
    let Some((memory, unit)) = of(words::MEMORY) else { return false };
    map["value"] = json!({ "memory": memory.path });
    map["unit"] = json!({ "memory": unit });
    taken.push(&memory.path);
    if let Some((limit, unit)) = of(&["memory_limit", "mem_limit", "limit"]) {
        map["value"]["limit"] = limit.path.as_str().into();
        map["unit"]["limit"] = unit.into();
        taken.push(&limit.path);
    }
    true
}

/// A definition to begin with, with the fields that there are.
fn starter(fields: &Fields) -> String {
    let list = |what: &str, fits: fn(&Field) -> bool| {
        let paths = fields.all.iter().filter(|field| fits(field)).take(FIELDS_SAID_MAX);
        let paths: Vec<_> = paths.map(|field| field.path.as_str()).collect();
        let paths = if paths.is_empty() { "none".to_owned() } else { paths.join(", ") };
        let options = textwrap::Options::new(STARTER_WIDTH)
            .initial_indent("      # ")
            .subsequent_indent("      # ")
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(&format!("{what}: {paths}"), options)
    };
    let times = list("the time of the record; fields that read as times", Field::are_times);
    let numbers = list("how many units are in use; fields with numbers", Field::are_numbers);
    let names = list("who holds; fields that can be names", |field| {
        !field.texts.is_empty() && field.are_names() && !field.are_times()
    });
    let time = time_of(fields).map_or("FIELD", |field| field.path.as_str());
    format!(
        "\
version: 1
name: mine
sources:
  lines:
    file: FILE
    format: json
    resource: my-resource
    map:
{times}
      time: {time}
{names}
      holder: {{service.name: FIELD}}
{numbers}
      value: {{used: FIELD}}
resources:
  my-resource: {{connections: {{limit: 100}}}}
"
    )
}

/// A value as YAML in one line: texts without quotes where they need none.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<_> =
                map.iter().map(|(key, value)| format!("{}: {}", word(key), flow(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(list) => {
            let parts: Vec<_> = list.iter().map(flow).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

fn word(text: &str) -> String {
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let means_more = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if begins && text.bytes().all(is_plain) && !means_more.contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map that is guessed for lines with single quotes, as YAML; or what is missing.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let text = text.replace('\'', "\"");
        let lines: Vec<_> = text.lines().map(|line| Line::new(line.as_bytes())).collect();
        let objects: Vec<_> = lines.iter().filter_map(|line| line.object.as_ref()).collect();
        let seen = match guess_map(&Fields::of(&objects)) {
            Ok(map) => {
                let source = json!({ "file": "x", "format": "json", "resource": "r", "map": map });
                let source: plimsoll_ingest::SourceConfig = serde_json::from_value(source).unwrap();
                assert_eq!(source.validate("x").iter().find(|it| !it.contains("role")), None);
                flow(&map)
            }
            Err(missing) => missing,
        };
        assert!(seen.contains(expected), "{seen}");
    }

    #[test]
    fn pools_are_known_by_common_names() {
        check(
            "{'ts':1795370400,'active':3,'max':10,'pod':'a-1'}",
            "{holder: {service.instance.id: pod}, time: ts, value: {limit: max, used: active}}",
        );
        check(
            "{'@timestamp':'2026-11-22T18:00:00Z','pool':'orders','hikari':{'activeConnections':3,'maximumPoolSize':10}}",
            "{resource: pool, time: \"@timestamp\", value: {limit: hikari.maximumPoolSize, used: hikari.activeConnections}}",
        );
        check(
            "{'time':'2026-11-22T18:00:00Z','db_conns_in_use':'7'}",
            "value: {used: db_conns_in_use}",
        );
    }

    #[test]
    fn memory_has_the_unit_of_its_name() {
        check(
            "{'ts':1795370400,'rss_mib':300}",
            "{time: ts, unit: {memory: MiB}, value: {memory: rss_mib}}",
        );
        check("{'ts':1795370400,'memory':3000000,'heap_used':1}", "value: {memory: memory}");
    }

    #[test]
    fn sessions_are_known_by_what_happens_to_them() {
        check(
            "{'ts':1795370400,'id':1,'event':'open','tenant':'a'}\n{'ts':1795370401,'id':1,'event':'closed','duration_ms':9,'tenant':'a'}\n{'ts':1795370401,'id':1,'event':'query','tenant':'a'}",
            "{holder: {tenant: tenant}, session: {age: duration_ms, age_unit: ms, event: event, events: {closed: [closed], opened: [open]}, id: id}, time: ts}",
        );
    }

    #[test]
    fn what_is_not_obvious_is_not_taken() {
        check("{'level':'info','msg':'hello'}", "no field is obviously the time");
        check("{'ts':1795370400,'msg':'hello','cpu_used':3}", "`ts` is the time, but no field");
        check("{'ts':'yesterday','used':3}", "no field is obviously the time");
        check("{'ts':1795370400,'used':'many'}", "`ts` is the time, but no field");
    }

    #[test]
    fn one_field_that_is_a_time_is_the_time() {
        check("{'logged':'2026-11-22T18:00:00Z','used':3}", "{time: logged, value: {used: used}}");
    }
}
