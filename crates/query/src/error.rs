//! Why there is no answer.

use std::time::Duration;

use datafusion::error::DataFusionError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a query that can be answered: syntax, an unknown name, types that do not
    /// fit, a value that cannot be computed.
    #[error("{0}")]
    Query(String),
    /// The text would change something, or read what is not a table of the store.
    #[error("{0}; only queries are answered: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES")]
    NotAQuery(String),
    /// The answer took longer than it may.
    #[error("stopped after {} s, the limit of time; ask for less, or raise the limit", .0.as_secs_f64())]
    Time(Duration),
    /// The answer needed more memory than it may.
    #[error(
        "stopped at {} MiB, the limit of memory; ask for less, or raise the limit",
        .0 / (1024 * 1024)
    )]
    Memory(usize),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] plimsoll_store::Error),
    /// The answer cannot be written.
    #[error("cannot write the answer: {0}")]
    Write(#[from] std::io::Error),
    /// A fault of this program.
    #[error("the query failed inside the program: {0}")]
    Internal(String),
}

impl Error {
    /// What the engine says, as what a person can act on.
    pub(crate) fn of(error: DataFusionError, memory_bytes: usize) -> Error {
        let error = match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                return Error::of(*inner, memory_bytes);
            }
            DataFusionError::External(inner) => match inner.downcast::<plimsoll_store::Error>() {
                Ok(error) => return Error::Store(*error),
                Err(inner) => match inner.downcast::<Error>() {
                    Ok(error) => return *error,
                    Err(inner) => DataFusionError::External(inner),
                },
            },
            other => other,
        };
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Error::Memory(memory_bytes),
            DataFusionError::Internal(text) => Error::Internal(sentence(text)),
            DataFusionError::External(inner) => Error::Query(inner.to_string()),
            DataFusionError::SQL(error, _) => {
                let text = error.to_string().replace("sql parser error: ", "");
                let next = match text.starts_with("Expected: an SQL statement") {
                    true => {
                        "; a query begins with SELECT, WITH, VALUES, EXPLAIN, DESCRIBE or SHOW TABLES"
                    }
                    false => "",
                };
                Error::Query(text + next)
            }
            root => Error::Query(sentence(&root.message())),
        }
    }
}

/// An engine's text on one line, without its backtrace and its request to file a bug.
fn sentence(text: &str) -> String {
    let text = text.split("\n\nbacktrace").next().unwrap_or(text);
    let text = text.split(".\nThis issue was likely").next().unwrap_or(text);
    text.trim().trim_end_matches('.').replace('\n', " ")
}
