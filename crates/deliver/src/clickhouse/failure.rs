//! What a server's error means for the person who reads it.

use clickhouse::error::Error as ClientError;

use crate::{Error, Secret, text};

/// How much of a server's message is kept, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 400;

/// ClickHouse's error codes (`src/Common/ErrorCodes.cpp`) that a missing or older table gives:
/// no such column (8, 10, 16, 47), type mismatch (53), unknown table (60), unknown database (81).
const SCHEMA_CODES: [u32; 7] = [8, 10, 16, 47, 53, 60, 81];

/// Those of an account: unknown user (192), wrong password (193), password needed (194), access
/// denied (497), authentication failed (516).
const ACCOUNT_CODES: [u32; 5] = [192, 193, 194, 497, 516];

/// `error` with the server's place and what to do about it, and without the password even if the
/// server repeats it.
pub(super) fn worded(place: &str, error: &ClientError, password: Option<&Secret>) -> Error {
    let message = with_causes(error);
    let message = match password {
        Some(password) => password.redact(&message),
        None => message,
    };
    let message = text::fit(message.trim(), MESSAGE_CHARACTERS_MAX);
    let said = format!("clickhouse at {place}: {message}");
    if let ClientError::SchemaMismatch(_) = error {
        return Error::Schema(format!("{said}; run `plimsoll clickhouse migrate`"));
    }
    match code(&message) {
        Some(code) if SCHEMA_CODES.contains(&code) => {
            Error::Schema(format!("{said}; run `plimsoll clickhouse migrate`"))
        }
        Some(code) if ACCOUNT_CODES.contains(&code) => {
            Error::Config(format!("{said}; check `user`, `password` and what they may do"))
        }
        // Why a certificate is refused is known only as text.
        _ if message.contains("UnknownIssuer") => Error::Config(format!(
            "{said}; nobody who is trusted has signed the server's certificate: name its authority \
             in `ca`"
        )),
        _ if message.contains("invalid peer certificate") => {
            Error::Config(format!("{said}; check `url` and the server's certificate"))
        }
        _ => Error::Unavailable(said),
    }
}

/// An error with its causes, in one line.
fn with_causes(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause, others hide it.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// The number in `Code: 60. DB::Exception: …`.
fn code(message: &str) -> Option<u32> {
    let (_, rest) = message.split_once("Code: ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, is_expected: fn(&Error) -> bool, advice: &str) {
        let error = worded("127.0.0.1:1", &ClientError::BadResponse(message.to_owned()), None);
        assert!(is_expected(&error), "{error:?}");
        assert!(error.to_string().contains(advice), "{error}");
    }

    #[test]
    fn a_missing_table_asks_for_the_migration() {
        let message = "Code: 60. DB::Exception: Table plimsoll.incidents does not exist.";
        check(message, |error| matches!(error, Error::Schema(_)), "plimsoll clickhouse migrate");
        check("Code: 81", |error| matches!(error, Error::Schema(_)), "migrate");
    }

    #[test]
    fn a_refused_account_asks_for_the_password() {
        let message = "Code: 516. DB::Exception: default: Authentication failed";
        check(message, |error| matches!(error, Error::Config(_)), "check `user`");
    }

    #[test]
    fn an_overloaded_server_is_unavailable() {
        let message = "Code: 252. DB::Exception: Too many parts (3001).";
        check(message, |error| matches!(error, Error::Unavailable(_)), "Too many parts");
        check("502 Bad Gateway", |error| matches!(error, Error::Unavailable(_)), "502");
    }

    #[test]
    fn an_endless_message_is_shortened() {
        let error = worded("h", &ClientError::BadResponse("x".repeat(1 << 20)), None);
        assert!(error.to_string().len() < 500);
    }
}
