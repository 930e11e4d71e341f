//! What can go wrong with a source as a whole. A bad record is never an error.

use std::io;

/// Why a source could not be opened or read, or not be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration of a source cannot be used.
    #[error("source `{source_name}`: {problem}")]
    Config {
        /// The source.
        source_name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A file could not be opened.
    #[error("cannot open `{path}`: {}", what_next(error))]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file could not be read on.
    #[error("cannot read `{path}` at byte {offset}: {error}")]
    Read {
        /// The file.
        path: String,
        /// How far it was read, in the decompressed stream.
        offset: i64,
        /// What the system said.
        error: io::Error,
    },
    /// An option for the Kafka client that Plimsoll sets itself, or that the client refuses.
    #[error("kafka option `{option}`: {problem}")]
    KafkaOption {
        /// The option.
        option: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The brokers do not have the topic.
    #[error("topic `{topic}` does not exist at `{brokers}`; create it, or correct its name")]
    TopicMissing {
        /// The topic.
        topic: String,
        /// Where it was looked for.
        brokers: String,
    },
    /// The brokers did not answer, or refused.
    #[error("cannot reach kafka at `{brokers}`: {problem}")]
    Kafka {
        /// Where they were looked for.
        brokers: String,
        /// What the client said.
        problem: String,
    },
    /// Another version of the program wrote where reading stood. Nothing was changed.
    #[error(
        "the checkpoint's reading positions have version {found}, this program reads version {known}; \
         start the version that wrote them again, or move the data directory away to judge anew"
    )]
    StateVersion {
        /// The version of the bytes.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// Where reading stood is damaged.
    #[error(
        "the checkpoint's reading positions cannot be read ({problem}); restore the data directory \
         from a copy, or move it away to judge anew"
    )]
    StateMalformed {
        /// What is wrong with the bytes.
        problem: String,
    },
}

/// What the system said, with what to do about it where that is known.
fn what_next(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("{error}; check the path"),
        io::ErrorKind::PermissionDenied => format!("{error}; let this user read it"),
        io::ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
        _ => error.to_string(),
    }
}
