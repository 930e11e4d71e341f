//! Debian's Chromium, driven by `browser/look.mjs` through playwright-core.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cached;
use super::process::{self, Orphan};

/// Where Debian's package puts the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Opens the page at `url` on every kind of screen, checks it as `expected` says, and keeps the
/// pictures in `pictures`. What does not hold is the error.
pub fn look(url: &str, expected: &Value, pictures: &Path) -> Result<()> {
    ensure!(Path::new(CHROMIUM).exists(), "{CHROMIUM} is missing; run `.ci/install`");
    let parts = cached("browser")?;
    std::fs::create_dir_all(pictures).context("cannot make a folder for the pictures")?;
    let mut command = process::command(&node()?, None, Orphan::Kill);
    command.arg(script("look.mjs")).args([url, &expected.to_string()]).arg(pictures);
    command.env("PLIMSOLL_BROWSER", parts).env("PLIMSOLL_CHROMIUM", CHROMIUM);
    process::run("the browser", &mut command)
}

/// Checks the words that the page makes of numbers and facts, which needs no browser.
pub fn words() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/page");
    let mut command = process::command(&node()?, None, Orphan::Kill);
    process::run("node", command.arg(script("words.mjs")).arg(page))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts/browser").join(name)
}

fn node() -> Result<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v node"]).output()?;
    ensure!(found.status.success(), "node is not installed; run `.ci/install`");
    Ok(PathBuf::from(String::from_utf8(found.stdout)?.trim()))
}
