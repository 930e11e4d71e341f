//! What this process has used.

use std::time::Instant;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Watches one stage from its start.
pub struct Meter {
    started: Instant,
}

/// What a stage has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Of all its threads, in the program and in the kernel.
    pub cpu_s: f64,
    pub wall_s: f64,
    /// The most memory that was resident at any time.
    pub peak_bytes: u64,
}

impl Meter {
    pub fn start() -> Meter {
        Meter { started: Instant::now() }
    }

    pub fn used(&self) -> anyhow::Result<Used> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Ok(Used {
            cpu_s: cpu_us as f64 / 1e6,
            wall_s: self.started.elapsed().as_secs_f64(),
            peak_bytes: memory_bytes("self", "VmHWM")?,
        })
    }
}

/// One of the sizes in a process's status file. (What getrusage tells of memory begins with the
/// peak of the process that started this one.)
pub fn memory_bytes(process: &str, key: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {key}"))? * 1024)
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
