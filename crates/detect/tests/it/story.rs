//! Ledger, both detectors and the book together.

use plimsoll_model::{Change, Dimension, Owner, Reason, Severity};

use crate::script::{START, run, settings};

/// Four services do ordinary work on 100 connections: `web` 24 at a time, the others 6, each
/// session for 60 s. After a deploy at 900 s `issuer` leaks one session every 4 s until the
/// server refuses; a restart at 1500 s ends it.
fn leak() -> String {
    let mut script = String::new();
    let services = [("web", 24), ("batch", 6), ("report", 6), ("issuer", 6)];
    for (service, count) in services {
        for place in 0..count {
            let mut time = place * 60 / count;
            while time < 1_600 {
                script += &format!("{time} open {service}.{place}.{time} {service};");
                script += &format!("{}.5 close {service}.{place}.{time};", time + 59);
                time += 60;
            }
        }
    }
    script += "900 deploy issuer 2.14;";
    for leaked in 0..58 {
        script += &format!("{} open leak.{leaked} issuer;", 905 + 4 * leaked);
    }
    script + "1140 refuse - web limit; 1141 refuse - web limit; 1500 reset;"
}

#[test]
fn a_leak_after_a_deploy_is_one_page_before_the_first_refusal() {
    let (_, steps) = run(settings(100), &leak(), 2_400);
    let told: Vec<_> = steps.iter().flat_map(|step| &step.transitions).collect();
    let lines: Vec<String> = told
        .iter()
        .map(|told| format!("{} {} {}", told.as_of.0 - START, told.reason.name(), told.headline))
        .collect();
    let text = lines.join("\n");
    let opened = told.iter().filter(|told| told.change == Change::Opened).count();
    assert_eq!(opened, 1, "{text}");
    let page = told.iter().find(|told| told.severity_peak == Severity::Page).expect("a page");
    let owner = Owner::Holder { dimension: Dimension::ServiceName, value: "issuer".to_owned() };
    assert!(page.as_of.0 - START > 905 && page.as_of.0 - START < 1_140, "{text}");
    assert_eq!(page.finding.owner, owner, "{text}");
    let release = page.finding.release.as_ref().and_then(|release| release.version.as_deref());
    assert_eq!(release, Some("2.14"), "{text}");
    assert!(told.iter().any(|told| told.reason == Reason::RefusalsBegan), "{text}");
    let last = told.last().expect("an end");
    assert_eq!(last.change, Change::Resolved, "{text}");
    let sequences: Vec<u32> = told.iter().map(|told| told.sequence).collect();
    assert_eq!(sequences, (1..=told.len() as u32).collect::<Vec<_>>(), "{text}");
}
