//! OTLP metrics in JSON and protobuf: a record, and what it says.

use proptest::prelude::*;

use crate::shown::{parse, parser, shown, source};

const JSON: &str = "{kafka: otlp_metrics, format: otlp_json, resource: web-memory}";
const PROTO: &str = "{kafka: otlp_metrics, format: otlp_proto, resource: web-memory}";

#[track_caller]
fn check_json(record: &str, expected: &[&str]) {
    assert_eq!(shown(&parse(JSON, &[record])), expected);
}

/// One resource `web` of instance `web-1` with these metrics, in JSON.
fn web(metrics: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"web"}}}},
            {{"key":"service.instance.id","value":{{"stringValue":"web-1"}}}}]}},
            "scopeMetrics":[{{"scope":{{"name":"x"}},"metrics":[{metrics}]}}]}}]}}"#
    )
    .replace('\n', " ")
}

const WEB: &str = "service.name=web service.instance.id=web-1";

#[test]
fn numbers_are_numbers_or_text() {
    let sum = r#"{"name":"process.memory.usage","unit":"By","sum":{"aggregationTemporality":2,
        "dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"1048576"}]}}"#;
    let gauge = r#"{"name":"container.memory.limit","gauge":{
        "dataPoints":[{"timeUnixNano":1700000000000000000,"asDouble":"2097152.0"}]}}"#;
    check_json(
        &web(&format!("{sum},{gauge}")),
        &[
            &format!("web-memory limit=2097152 {WEB}"),
            &format!("web-memory memory_anonymous=1048576 {WEB}"),
        ],
    );
}

#[test]
fn the_beginning_of_a_sum_is_the_beginning_of_a_life() {
    let sum = r#"{"name":"process.memory.usage","sum":{"aggregationTemporality":2,
        "dataPoints":[{"startTimeUnixNano":"1699990000000000000",
                       "timeUnixNano":"1700000000000000000","asInt":"5"}]}}"#;
    check_json(
        &web(sum),
        &[
            &format!("web-memory memory_anonymous=5 {WEB}"),
            &format!("web-memory started=1699990000 {WEB}"),
        ],
    );
}

#[test]
fn heap_after_a_collection_is_the_sum_of_its_pools_and_no_limit_is_none() {
    let point = |pool: &str, kind: &str, value: &str| {
        format!(
            r#"{{"timeUnixNano":"1700000000000000000","asInt":{value},"attributes":[
                {{"key":"jvm.memory.pool.name","value":{{"stringValue":"{pool}"}}}},
                {{"key":"jvm.memory.type","value":{{"stringValue":"{kind}"}}}}]}}"#
        )
    };
    let metric = |name: &str, points: &[String]| {
        let points = points.join(",");
        format!(
            r#"{{"name":"{name}","sum":{{"aggregationTemporality":2,"dataPoints":[{points}]}}}}"#
        )
    };
    let after = [
        point("G1 Old Gen", "heap", "300"),
        point("G1 Eden Space", "heap", "0"),
        point("Metaspace", "non_heap", "90"),
    ];
    let limit = [point("G1 Old Gen", "heap", "4000"), point("G1 Eden Space", "heap", "-1")];
    let metrics = [
        metric("jvm.memory.used_after_last_gc", &after),
        metric("jvm.memory.limit", &limit),
        metric("k8s.container.memory_limit", &[point("", "heap", "9223372036854771712")]),
    ];
    check_json(
        &web(&metrics.join(",")),
        &[
            &format!("web-memory limit_after_collection=4000 {WEB}"),
            &format!("web-memory memory_after_collection=300 {WEB}"),
        ],
    );
}

#[test]
fn a_bad_point_is_a_reject_and_hides_nothing() {
    let metrics = r#"{"name":"process.memory.usage","gauge":{"dataPoints":[
        {"timeUnixNano":"1700000000000000000","asDouble":"NaN"},
        {"timeUnixNano":"1700000030000000000","asDouble":7}]}}"#;
    check_json(
        &web(metrics),
        &[
            &format!("web-memory memory_anonymous=7 {WEB}"),
            "reject bad_value: `process.memory.usage` is not a finite number",
        ],
    );
}

#[test]
fn a_delta_says_what_would_be_right() {
    let metric = r#"{"name":"process.memory.usage","sum":{"aggregationTemporality":1,
        "dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"5"}]}}"#;
    let expected =
        "reject bad_value: `process.memory.usage` is a delta; have it exported as cumulative";
    check_json(&web(metric), &[expected]);
    check_json(&web(&metric.replace(":1,", r#":"AGGREGATION_TEMPORALITY_DELTA","#)), &[expected]);
}

#[test]
fn other_metrics_mean_nothing_here() {
    let metric = r#"{"name":"http.server.duration","histogram":{"dataPoints":[{"count":"3"}]}}"#;
    check_json(&web(metric), &["irrelevant 1"]);
    check_json(r#"{"resourceLogs":[]}"#, &["irrelevant 1"]);
    check_json("42", &["reject malformed: not a JSON object"]);
}

#[test]
fn names_can_be_chosen() {
    let yaml = "{kafka: m, format: otlp_json, resource: web-memory,
        otlp: {value: {memory: my.rss, memory_anonymous: []}, holder: {tenant: [org, service.name]}}}";
    let metrics = r#"{"name":"my.rss","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":9}]}},
        {"name":"process.memory.usage","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":5}]}}"#;
    let batch = parse(yaml, &[web(metrics).replace('\n', " ")]);
    assert_eq!(shown(&batch), [format!("web-memory memory=9 tenant=web {WEB}")]);
}

#[test]
fn wrong_sources_say_what_would_be_right() {
    let problems = |yaml: &str| source(yaml).validate("m").join("\n");
    assert!(problems("{kafka: m, format: otlp_proto}").contains("needs `resource`"));
    let file = "{file: m.bin, format: otlp_proto, resource: r}";
    assert!(problems(file).contains("use `otlp_json`, or Kafka"));
    let json = "{kafka: m, format: json, resource: r, map: {time: t, value: {used: u}}, otlp: {}}";
    assert!(problems(json).contains("has `otlp`, which belongs to"));
}

/// A small protobuf writer after the encoding guide, so that the bytes are not our decoder's own.
mod wire {
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }
    pub fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }
    pub fn fixed(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
    }
    pub fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }
}

/// `process.memory.usage` of `web-1` as the Collector sends it, with fields that nobody reads.
fn request(value: f64) -> Vec<u8> {
    use wire::{bytes, fixed, number};
    let attribute =
        |key: &str, value: &str| bytes(1, [bytes(1, key), bytes(2, bytes(1, value))].concat());
    let resource =
        [attribute("service.name", "web"), attribute("service.instance.id", "web-1"), number(2, 0)];
    let point = [
        fixed(2, 1_699_990_000_000_000_000),
        fixed(3, 1_700_000_000_000_000_000),
        fixed(4, value.to_bits()),
        bytes(7, [bytes(1, "state"), bytes(2, bytes(5, bytes(1, bytes(1, "x"))))].concat()),
    ];
    let sum = [bytes(1, point.concat()), number(2, 2), number(3, 0)];
    let metric = [bytes(1, "process.memory.usage"), bytes(3, "By"), bytes(7, sum.concat())];
    let scope =
        [bytes(1, bytes(1, "hostmetrics")), bytes(2, bytes(1, "other")), bytes(2, metric.concat())];
    bytes(1, [bytes(1, resource.concat()), bytes(2, scope.concat()), bytes(3, "url")].concat())
}

#[test]
fn protobuf_says_the_same() {
    let expected = [
        format!("web-memory memory_anonymous=4096.5 {WEB}"),
        format!("web-memory started=1699990000 {WEB}"),
    ];
    assert_eq!(shown(&parse(PROTO, &[request(4096.5)])), expected);
}

#[test]
fn protobuf_is_not_cut_at_newlines_nor_trimmed() {
    // 10.0 and 0.0 hold bytes that are newlines and blanks elsewhere; a time has them too.
    for value in [10.0, 0.0, f64::from_bits(0x0a0a_0a20_0920_0a0a)] {
        let batch = parse(PROTO, &[request(value)]);
        assert_eq!((batch.samples.len(), batch.rejects.len(), batch.records), (2, 0, 1));
    }
}

#[test]
fn protobuf_that_is_cut_is_a_reject() {
    let whole = request(1.0);
    let batch = parse(PROTO, &[&whole[..whole.len() - 3], &whole[..], b"\xff\xff\xff"]);
    let rejects: Vec<_> = batch.rejects.iter().map(|it| (it.offset, it.reason.name())).collect();
    assert_eq!(rejects, [(0, "malformed"), (2, "malformed")]);
    assert_eq!(batch.samples.len(), 2);
}

#[test]
fn groups_that_nest_without_end_are_a_reject() {
    // Field 9 as the start of a group, 100,000 times.
    let batch = parse(PROTO, &[vec![0x4b; 100_000]]);
    assert_eq!((batch.rejects.len(), batch.samples.len()), (1, 0));
}

proptest! {
    #[test]
    fn no_bytes_and_no_text_stop_the_parser(bytes: Vec<u8>, at in 0_usize..200, to: u8, text: String) {
        let mut record = request(1.0);
        let at = at % record.len();
        record[at] = to;
        let mut proto = parser(PROTO);
        let mut json = parser(JSON);
        let good = web(r#"{"name":"process.memory.usage","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"5"}]}}"#);
        let cut = good.char_indices().map(|(at, _)| at).nth(at).unwrap_or(0);
        for record in [bytes, record, text.clone().into_bytes(), format!("{}{text}{}", &good[..cut], &good[cut..]).into_bytes()] {
            let mut raw = plimsoll_ingest::RawBatch::new(plimsoll_model::PartitionId::new(0, 0));
            raw.push(0, &record);
            proto.parse(&raw);
            json.parse(&raw);
        }
    }
}
