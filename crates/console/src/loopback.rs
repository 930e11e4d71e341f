//! Only this machine may talk to the console.

use std::net::{IpAddr, SocketAddr};

/// The address can be reached from other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "address `{0}` can be reached from other machines, and the console has neither TLS nor authentication yet: \
     use a loopback address such as `127.0.0.1:{port}`, and a proxy or `ssh -L` to reach it from elsewhere",
    port = .0.port()
)]
pub struct NotLoopback(pub SocketAddr);

/// Refuses every address but 127.0.0.0/8 and ::1.
pub fn require_loopback(address: SocketAddr) -> Result<(), NotLoopback> {
    if is_loopback(address.ip()) { Ok(()) } else { Err(NotLoopback(address)) }
}

/// Whether the value of a `Host` header names this machine itself: `localhost` or a loopback
/// address, with or without a port.
pub(crate) fn names_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return is_loopback(address.ip());
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(names_loopback(host), expected, "{host}");
    }

    #[test]
    fn names_of_this_machine_pass() {
        check("localhost", true);
        check("LocalHost:9464", true);
        check("127.0.0.1:9464", true);
        check("127.8.9.1", true);
        check("[::1]:9464", true);
        check("[::1]", true);
    }

    #[test]
    fn names_that_only_resolve_to_it_do_not() {
        check("rebind.example:9464", false);
        check("localhost.example", false);
        check("127.0.0.1.example", false);
        check("10.0.0.1", false);
        check("localhost:port", false);
        check("", false);
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused_with_the_reason() {
        assert_eq!(require_loopback(([127, 0, 0, 1], 1).into()), Ok(()));
        let error = require_loopback(([0, 0, 0, 0], 9464).into()).unwrap_err().to_string();
        assert!(error.contains("`0.0.0.0:9464` can be reached"), "{error}");
        assert!(error.contains("`127.0.0.1:9464`"), "{error}");
    }
}
