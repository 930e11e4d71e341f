//! Where a sink may connect to.

use std::net::IpAddr;

use reqwest::Url;

use crate::Error;

/// The address of a receiver, checked once.
///
/// It comes from the configuration alone; nothing in a delivery can change it. It is `https`, or
/// `http` on the loopback interface, and carries no user, password, query or fragment, so
/// that it can be named in errors.
pub(crate) fn checked(text: &str, key: &str) -> Result<Url, Error> {
    let problem = |what: &str| Error::Config(format!("`{key}` {what}"));
    let url = Url::parse(text).map_err(|error| problem(&format!("is not an address: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("must not contain a user or a password: they have keys of their own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(problem("must not have a query or a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(problem("must be https: http is allowed on loopback only")),
        other => Err(problem(&format!("has the scheme `{other}`; it must be https"))),
    }
}

/// Host and port, for errors.
pub(crate) fn place(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "an address without a host".to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of an accepted address, or the error's text.
    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let place = checked(text, "url").map(|url| place(&url)).map_err(|error| error.to_string());
        match expected {
            Ok(expected) => assert_eq!(place.as_deref(), Ok(expected)),
            Err(part) => assert!(place.as_ref().is_err_and(|e| e.contains(part)), "{place:?}"),
        }
    }

    #[test]
    fn https_goes_anywhere_and_http_stays_at_home() {
        check("https://events.pagerduty.com/v2/enqueue", Ok("events.pagerduty.com"));
        check("http://127.0.0.1:8123", Ok("127.0.0.1:8123"));
        check("http://[::1]:8123", Ok("[::1]:8123"));
        check("http://localhost:8123", Ok("localhost:8123"));
        check("http://clickhouse.example:8123", Err("http is allowed on loopback only"));
        check("http://127.0.0.1.example", Err("http is allowed on loopback only"));
        check("ftp://example", Err("scheme `ftp`"));
        check("events.pagerduty.com", Err("is not an address"));
    }

    #[test]
    fn an_address_holds_no_secrets() {
        check("https://user:hunter2@example", Err("must not contain a user"));
        check("https://example/?token=hunter2", Err("query"));
        let error = checked("https://user:hunter2@example", "url").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
