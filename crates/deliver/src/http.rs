//! One HTTP exchange with a receiver that may be slow, endless, or lost.

use std::error::Error as _;
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};

use crate::{Error, address, trust};

/// How much of an answer's body is read.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a receiver answered.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The head of its body; shorter than sent if the deadline passed or it was too long.
    pub(crate) body: Vec<u8>,
}

/// A client that follows no redirect, uses no proxy from the environment, retries nothing,
/// decodes no compression, and speaks TLS 1.2 or later with Mozilla's roots.
pub(crate) fn client() -> Result<Client, Error> {
    let tls = trust::tls(None)?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        // Pages are rare: a connection that was kept is more likely dead than useful.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::Config(format!("cannot set up HTTP: {}", causes(&error))))
}

/// Posts JSON and reads the answer, all within `timeout`.
///
/// The status decides what an answer means, so a body that is cut off or never ends does not
/// turn an answer into an error. An error names the host and the cause, never path or body.
pub(crate) async fn post_json(
    client: &Client,
    url: &Url,
    body: Vec<u8>,
    timeout: Duration,
) -> Result<Answer, String> {
    let place = address::place(url);
    let deadline = tokio::time::Instant::now() + timeout;
    let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body);
    let mut response = match tokio::time::timeout_at(deadline, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(format!("{place}: {}", causes(&error.without_url()))),
        Err(_) => return Err(format!("{place} did not answer within {timeout:?}")),
    };
    let mut body = Vec::new();
    // A body that is not over at the deadline is used as far as it came.
    let _ = tokio::time::timeout_at(deadline, read(&mut response, &mut body)).await;
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after(response.headers()),
        body,
    })
}

async fn read(response: &mut Response, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = BODY_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == BODY_BYTES_MAX {
            return;
        }
    }
}

/// `Retry-After` in seconds or as a date. A date is compared with the answer's own `Date`, so
/// that neither clock has to be right; without one it is ignored, as is a date in the past.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let answered = date(headers.get(DATE)?.to_str().ok()?)?;
    date(text)?.duration_since(answered).try_into().ok()
}

/// An error with its causes, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(retry_after_text: &str, date: Option<&str>, expected_s: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after_text.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        assert_eq!(retry_after(&headers), expected_s.map(Duration::from_secs));
    }

    #[test]
    fn retry_after_in_seconds() {
        check("30", None, Some(30));
        check("0", None, Some(0));
        check("-5", None, None);
        check("soon", None, None);
    }

    #[test]
    fn retry_after_as_a_date_is_measured_by_the_receivers_own_clock() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        check("Sun, 06 Nov 1994 08:51:37 GMT", date, Some(120));
        check("Sun, 06 Nov 1994 08:49:00 GMT", date, None);
        check("Sun, 06 Nov 1994 08:51:37 GMT", None, None);
    }

    #[test]
    fn a_client_can_be_built() {
        assert!(client().is_ok());
    }
}
