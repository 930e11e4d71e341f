//! What the service manager is told: ready, still working, stopping.
//!
//! The protocol is that of `sd_notify(3)`: datagrams to the socket that `NOTIFY_SOCKET` names. It
//! is a few lines of text, so it is written here rather than taken from a library.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use plimsoll_console::Health;
use tokio_util::sync::CancellationToken;

/// The manager that started this process, if one wants to be told.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The manager that the environment names. A variable that makes no sense is warned of, and
    /// then nobody is told.
    pub fn of_environment() -> ServiceManager {
        ServiceManager::new(&|name| std::env::var_os(name), std::process::id())
    }

    fn new(variable: &dyn Fn(&str) -> Option<OsString>, pid: u32) -> ServiceManager {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return ServiceManager::default();
        };
        let socket = address(&name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        if let Err(error) = &socket {
            tracing::warn!(%error, ?name, "NOTIFY_SOCKET cannot be used");
        }
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|wanted| wanted == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        ServiceManager { socket: socket.ok(), watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Says that the pipeline serves its addresses and its data directory is open. What it reads
    /// from may still be missing; `/readyz` says so.
    pub fn ready(&self, pipeline: &str) {
        self.tell(&format!("READY=1\nSTATUS=pipeline {pipeline}"));
    }

    /// Tells the manager that the loop goes on, for as long as it does, and that it stops when
    /// `cancel` says so.
    pub async fn accompany(self, health: Health, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut progress = Progress::default();
        // The manager advises half of its limit; a third forgives one slow commit.
        let every = self.watchdog.map(|limit| limit / 3);
        while let Some(every) = every {
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(every) => {}
            }
            if progress.made(health.beats()) {
                self.tell("WATCHDOG=1");
            }
        }
        cancel.cancelled().await;
        self.tell("STOPPING=1");
        Ok(())
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::warn!(%error, text, "the service manager cannot be told");
        }
    }
}

/// Whether the loop has gone round since it was asked last.
#[derive(Debug, Default)]
struct Progress {
    beats: u64,
}

impl Progress {
    fn made(&mut self, beats: u64) -> bool {
        std::mem::replace(&mut self.beats, beats) != beats
    }
}

/// A path, or a name in the abstract space, which begins with `@`.
fn address(name: &OsStr) -> std::io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> ServiceManager {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        ServiceManager::new(&variable, 7)
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let socket = ("NOTIFY_SOCKET", "/nowhere");
        let limit = ("WATCHDOG_USEC", "3000000");
        assert_eq!(manager(&[socket, limit]).watchdog, Some(Duration::from_secs(3)));
        let ours = manager(&[socket, limit, ("WATCHDOG_PID", "7")]);
        assert_eq!(ours.watchdog, Some(Duration::from_secs(3)));
        assert_eq!(manager(&[socket, limit, ("WATCHDOG_PID", "8")]).watchdog, None);
        assert_eq!(manager(&[limit]).watchdog, None);
        assert_eq!(manager(&[socket, ("WATCHDOG_USEC", "0")]).watchdog, None);
    }

    #[test]
    fn without_a_manager_nobody_is_told_and_nothing_fails() {
        manager(&[]).ready("p");
        manager(&[("NOTIFY_SOCKET", "/nowhere/at/all")]).ready("p");
        let long = "x".repeat(200);
        assert!(manager(&[("NOTIFY_SOCKET", &long)]).socket.is_none());
    }

    #[test]
    fn a_name_in_the_abstract_space_is_found() {
        let name = format!("plimsoll-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let heard = UnixDatagram::bind_addr(&address).unwrap();
        manager(&[("NOTIFY_SOCKET", &format!("@{name}"))]).ready("payments");
        let mut text = [0; 64];
        let length = heard.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"READY=1\nSTATUS=pipeline payments");
    }

    #[test]
    fn a_loop_that_hangs_is_not_called_alive() {
        let mut progress = Progress::default();
        assert!(progress.made(1));
        assert!(!progress.made(1));
        assert!(progress.made(3));
    }
}
