//! The real servers that tests need: started on free loopback ports, ended with the test.
//!
//! A part belongs to the test that starts it. It ends when its value is dropped, and also when the thread
//! that started it ends in any other way, so a killed test run leaves no server behind; start parts from the
//! test itself, not from a helper thread.

pub mod browser;
pub mod certificate;
#[allow(dead_code, reason = "other test binaries use what this one does not")]
pub mod clickhouse;
pub mod estate;
pub mod kafka;
pub mod postgres;
pub mod process;
pub mod program;
#[allow(dead_code, reason = "other test binaries use what this one does not")]
pub mod receiver;
pub mod shipper;

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// `count` loopback ports that nobody listens on. They are chosen together, so they differ.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let taken: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<_>>()
        .context("cannot listen on a loopback port")?;
    taken.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// A folder of the parts' cache that `.ci/install` fills: `$PLIMSOLL_PARTS`, or `plimsoll/parts` in the user's cache.
pub fn cached(part: &str) -> Result<PathBuf> {
    let root = match std::env::var_os("PLIMSOLL_PARTS") {
        Some(parts) => PathBuf::from(parts),
        None => std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .context("none of PLIMSOLL_PARTS, XDG_CACHE_HOME and HOME is set")?
            .join("plimsoll/parts"),
    };
    let folder = root.join(part);
    ensure!(folder.is_dir(), "{part} is not in {}; run `.ci/install`", root.display());
    Ok(folder)
}
