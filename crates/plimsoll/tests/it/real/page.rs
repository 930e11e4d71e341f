//! The console's page in a real browser, over stores that real engines filled.

use std::path::{Path, PathBuf};

use plimsoll_console::{Health, Sources, Version};
use plimsoll_model::Change;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::shown::{CLICKHOUSE, PAGER, Shown, hostile, leaking, memory, recorded};
use crate::parts::browser;
use crate::scenario::LEAKING;

/// Kept where `cargo` puts what it makes, so that people can look at them.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("page")
}

fn screen(name: &str, path: &str, texts: &[&str]) -> Value {
    json!({ "name": name, "path": path, "texts": texts })
}

#[test]
fn numbers_and_moments_are_said_as_people_say_them() {
    browser::words().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_is_readable_accessible_and_inert() {
    let (leaking, recorded) = (leaking(), recorded(&[PAGER, CLICKHOUSE]));
    let (memory, hostile) = (memory(), hostile());
    let (open_path, open) = leaking.newest();
    let (over_path, over) = recorded.newest();
    let (hostile_path, _) = hostile.newest();
    let (memory_path, _) = memory.newest();
    assert_eq!((open.change, over.change), (Change::Opened, Change::Resolved), "{open:?}");
    let expected = json!({
        "focus": open_path,
        "copy": { "path": memory_path, "text": "SELECT max(value) FROM samples" },
        "screens": [
            screen("now", "/", &[
                "3 incidents are open",
                &format!("{LEAKING} fills orders-db"),
                &open.headline,
                &open.advice,
                "orders-db refused; issuer filled it",
                "! 3",
                "stuck",
                "<img src=x onerror=\"window.hacked=1\"><script>",
            ]),
            screen("open", &open_path, &[
                &format!("{LEAKING} fills orders-db"),
                &open.headline,
                &format!("{LEAKING} (service.name)"),
                "Told until",
                "as watched since then",
                "✓ accepted: oncall, trigger",
                "✓ accepted: clickhouse",
            ]),
            screen("over", &over_path, &[
                "orders-db refused; issuer filled it",
                &over.headline,
                "issuer 2.14, rolled out",
                "before it was over.",
                "deploy issuer 2.14",
                "197 usable",
                "… waiting after 3 attempts: oncall",
                "429: slow down",
            ]),
            screen("memory", &memory_path, &[
                "web-1 outgrows web-memory",
                "150 MiB an hour since",
                "10 of 11 lives that were long enough to tell",
                "11–14 days of uptime (80 %)",
                "2 GiB usable",
                "each against the limit for itself",
                "restart web-1: deploy",
                "SELECT max(value) FROM samples",
            ]),
            screen("hostile", &hostile_path, &[
                "⟨202E⟩⟨001B⟩[31m⟨0000⟩",
                "✕ refused",
                "8 s on average, usually 250 ms: 32 times as long",
                "59 others: 18 min in all",
            ]),
        ],
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let version = Version { version: "test".into(), ..Version::default() };
    let pipelines = [&leaking, &recorded, &memory, &hostile].map(Shown::pipeline).to_vec();
    let sources = Sources::new(Health::new(), String::new, version, pipelines);
    let cancel = CancellationToken::new();
    let server = tokio::spawn(plimsoll_console::serve(listener, sources, cancel.clone()));
    let pictures = pictures();
    println!("page: {url}, pictures in {}", pictures.display());
    let seen = tokio::task::block_in_place(|| browser::look(&url, &expected, &pictures));
    cancel.cancel();
    server.await.unwrap().unwrap();
    seen.unwrap();
}
