//! ClickHouse, through its official client.
//!
//! `deploy/clickhouse/` has the tables; `docs/receivers.md` says for people how they are filled.

mod evidence;
mod failure;
mod migrate;
mod rows;

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use clickhouse::{Client, Compression, Row, RowWrite};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use plimsoll_model::evidence::Table;
use plimsoll_model::{Delivery, Outcome, Payload};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Secret, address, trust};
use evidence::Block;
use rows::IncidentRow;

pub use migrate::Applied;

/// Reads nothing, but needs the account and every table that a delivery is written to.
const PROBE: &str = "SELECT 1 FROM pane_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM sample_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM life_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM session_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM delivery_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM reject_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM incident_event_rows LIMIT 0 UNION ALL \
                     SELECT 1 FROM incident_rows LIMIT 0";

/// What stands before the digest in the token of rows that are no delivery's.
const COPY: &str = "copy";

/// How often a connection without traffic is tested.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How long a connection is kept for the next exchange. ClickHouse closes it after 3 s by default.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How much later than `timeout` an exchange is cut off from outside. An insert runs in a task
/// of the client's, which ends only if the client's own limit, `timeout`, passes first.
const GRACE: Duration = Duration::from_secs(1);

/// The settings of one ClickHouse database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickHouseConfig {
    /// The server's HTTP address: `https://clickhouse.example:8443`.
    pub url: String,
    /// The database that holds our tables.
    #[serde(default = "default_database")]
    pub database: String,
    /// The account.
    #[serde(default = "default_user")]
    pub user: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// PEM certificates of the authorities that may have signed the server's; Mozilla's if there
    /// is none.
    #[serde(default)]
    pub ca: Option<String>,
    /// How long one delivery may take, all its tables and answers included.
    #[serde(default = "default_timeout")]
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub timeout: Duration,
}

fn default_database() -> String {
    "plimsoll".to_owned()
}

fn default_user() -> String {
    "default".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

impl ClickHouseConfig {
    /// The default settings with this address.
    pub fn new(url: impl Into<String>) -> ClickHouseConfig {
        ClickHouseConfig {
            url: url.into(),
            database: default_database(),
            user: default_user(),
            password: None,
            ca: None,
            timeout: default_timeout(),
        }
    }
}

/// A ClickHouse database.
#[derive(Debug)]
pub struct ClickHouse {
    name: String,
    database: String,
    url: Url,
    password: Option<Secret>,
    timeout: Duration,
    /// The server, whatever its databases.
    server: Client,
    /// Our database. It remembers the columns of our tables between inserts.
    tables: Client,
}

impl ClickHouse {
    /// A sink called `name`. Connects to nothing yet.
    pub fn new(name: impl Into<String>, config: ClickHouseConfig) -> Result<ClickHouse, Error> {
        let name = name.into();
        let url = address::checked(&config.url, "url")?;
        if !is_identifier(&config.database) {
            let database = &config.database;
            return Err(Error::Config(format!(
                "`database` of sink `{name}` is `{database}`; it must be letters, digits and \
                 underscores, and not begin with a digit"
            )));
        }
        if config.timeout.is_zero() {
            return Err(Error::Config(format!("`timeout` of sink `{name}` must be above zero")));
        }
        // Blocks are a few kilobytes, so compressing them is not worth a setting.
        let mut server = client(config.ca.as_deref())?
            .with_url(url.as_str())
            .with_compression(Compression::None)
            .with_product_info("plimsoll", env!("CARGO_PKG_VERSION"))
            .with_user(config.user);
        if let Some(password) = &config.password {
            server = server.with_password(password.reveal());
        }
        Ok(ClickHouse {
            name,
            tables: server.clone().with_database(&config.database),
            server,
            database: config.database,
            url,
            password: config.password,
            timeout: config.timeout,
        })
    }

    /// The sink's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's version, if it answers.
    pub async fn ping(&self) -> Result<String, Error> {
        self.within(self.server.query_raw("SELECT version()").fetch_one::<String>()).await
    }

    /// Whether the server answers, knows the account, and has the tables.
    pub async fn probe(&self) -> Result<(), Error> {
        self.within(self.tables.query_raw(PROBE).execute()).await
    }

    /// Creates what is missing of the database and its tables, in the order of the files in
    /// `deploy/clickhouse/`, and returns what it applied; nothing if all was there.
    ///
    /// With `dry_run` it changes nothing and returns what it would apply. A file that was
    /// changed after it was applied, or a database from a newer build, is an error before
    /// anything is changed. Two runs at the same time do no harm.
    pub async fn migrate(&self, dry_run: bool) -> Result<Vec<Applied>, Error> {
        migrate::migrate(self, dry_run).await
    }

    /// Makes one attempt. Each table gets one block under a token made of the delivery's key and
    /// the rows, so that a repetition, which has the same rows, is taken once.
    ///
    /// Evidence goes first and the current state last: a reader who sees an incident finds its
    /// proof. If an attempt fails between tables, the repetition completes it.
    ///
    /// `evidence` are the rows of the segments that the delivery names, as far as they are still
    /// there; all its transitions belong to one pipeline.
    ///
    /// Rows are refused only if they can never be written: a page instead of rows, evidence that
    /// has not the schema of its table, or evidence without any transition. Everything else can
    /// be repaired at the server, so it is `Later`.
    pub async fn deliver(&self, delivery: &Delivery, evidence: &[(Table, RecordBatch)]) -> Outcome {
        let Payload::Rows { transitions, .. } = &delivery.payload else {
            let error = format!("sink `{}` takes rows, not pages", self.name);
            return Outcome::Refused { error };
        };
        // Evidence does not say its pipeline; all rows of a delivery belong to one.
        let pipeline = match transitions.first() {
            Some((transition, _)) => transition.pipeline.as_str(),
            None if evidence.is_empty() => return accepted(0, 0),
            None => {
                let error = "evidence without a transition belongs to no pipeline".to_owned();
                return Outcome::Refused { error };
            }
        };
        let events: Vec<IncidentRow> = transitions.iter().map(IncidentRow::new).collect();
        let states = rows::newest(&events);
        let blocks: Result<Vec<Block>, String> = (evidence.iter())
            .map(|(table, rows)| Block::of_evidence(*table, rows, pipeline))
            .collect();
        let blocks = match blocks {
            Ok(blocks) => blocks,
            Err(error) => return Outcome::Refused { error },
        };
        let evidence_rows = blocks.iter().map(|block| block.rows).sum();
        let key = &delivery.key;
        let until = Instant::now() + self.timeout;
        let written = self.within(async {
            for block in blocks {
                self.insert_block(key, block, until).await?;
            }
            self.insert::<IncidentRow>("incident_event_rows", key, &events, until).await?;
            self.insert::<IncidentRow>("incident_rows", key, &states, until).await
        });
        match written.await {
            Ok(()) => accepted(events.len(), evidence_rows),
            Err(error) => {
                // The table may have changed since its columns were looked up.
                self.tables.clear_cached_metadata().await;
                Outcome::Later { after: None, error: error.to_string() }
            }
        }
    }

    /// Writes rows of `deliveries` and `rejects` over those that are there: of each the columns of
    /// its table, with the revision that tells which of two rows is newer.
    ///
    /// This is no delivery, so nothing is told of it in turn. Rows that are sent again are taken
    /// once; if only the first table was written, sending both again completes it.
    pub async fn copy(&self, deliveries: &RecordBatch, rejects: &RecordBatch) -> Result<(), Error> {
        let tables = [("delivery_rows", deliveries), ("reject_rows", rejects)];
        let blocks: Result<Vec<Block>, _> =
            tables.iter().map(|(table, rows)| Block::new(table, rows)).collect();
        let blocks = blocks.map_err(|error| Error::Schema(error.to_string()))?;
        let until = Instant::now() + self.timeout;
        let written = self.within(async {
            for block in blocks {
                self.insert_block(COPY, block, until).await?;
            }
            Ok(())
        });
        written.await
    }

    async fn insert<'a, R>(
        &self,
        table: &str,
        key: &str,
        rows: &[R::Value<'a>],
        until: Instant,
    ) -> clickhouse::error::Result<()>
    where
        R: Row + RowWrite,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = self.tables.insert::<R>(table).await?;
        let rows_json = serde_json::to_vec(rows).expect("texts and numbers can be written as JSON");
        let left = Some(until.saturating_duration_since(Instant::now()));
        insert = insert.with_timeouts(left, left);
        for (name, value) in ours_alone(key, table, &rows_json) {
            insert = insert.with_setting(name, value);
        }
        for row in rows {
            insert.write(row).await?;
        }
        insert.end().await
    }

    async fn insert_block(
        &self,
        key: &str,
        block: Block,
        until: Instant,
    ) -> clickhouse::error::Result<()> {
        if block.rows == 0 {
            return Ok(());
        }
        let (table, columns) = (block.table, &block.columns);
        let sql = format!("INSERT INTO {table} ({columns}) FORMAT ArrowStream");
        let left = Some(until.saturating_duration_since(Instant::now()));
        let mut insert = self.tables.insert_formatted_with(sql).with_timeouts(left, left);
        for (name, value) in ours_alone(key, table, &block.stream) {
            insert = insert.with_setting(name, value);
        }
        insert.send(block.stream.into()).await?;
        insert.end().await
    }

    /// Runs one exchange within the time limit, and words its error for a person.
    ///
    /// The client reads an error's body whole, so only the time limit bounds what a hostile
    /// server can make us hold; the server is chosen by whoever writes the configuration.
    async fn within<T>(
        &self,
        exchange: impl Future<Output = clickhouse::error::Result<T>>,
    ) -> Result<T, Error> {
        let place = address::place(&self.url);
        match tokio::time::timeout(self.timeout + GRACE, exchange).await {
            Ok(Ok(value)) => Ok(value),
            Err(_) | Ok(Err(clickhouse::error::Error::TimedOut)) => {
                let timeout = self.timeout;
                let error = format!("clickhouse at {place} did not answer within {timeout:?}");
                Err(Error::Unavailable(error))
            }
            Ok(Err(error)) => Err(failure::worded(&place, &error, self.password.as_ref())),
        }
    }
}

/// The settings of an insert: a block is ours alone, so the server must neither gather it with
/// others (asynchronous inserts) nor take it twice.
fn ours_alone(key: &str, table: &str, rows: &[u8]) -> [(&'static str, String); 3] {
    [
        ("async_insert", "0".to_owned()),
        ("insert_deduplicate", "1".to_owned()),
        ("insert_deduplication_token", token(key, table, rows)),
    ]
}

/// A client with the HTTP that it brings, but with our choice of authorities.
fn client(ca: Option<&str>) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.enforce_http(false);
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(trust::tls(ca)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let mut http = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    Ok(Client::with_http_client(http.pool_idle_timeout(POOL_IDLE_TIMEOUT).build(tls)))
}

/// The name of a block at the server. A digest of its rows is part of it, so that two blocks that
/// share a key by mistake (two data directories, one database) are both kept.
fn token(key: &str, table: &str, rows: &[u8]) -> String {
    let digest = Sha256::digest(rows);
    let head: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{key}/{table}/{head}")
}

fn accepted(events: usize, evidence: usize) -> Outcome {
    Outcome::Accepted { answer: format!("{events} transitions, {evidence} evidence rows") }
}

/// Whether `text` can stand in SQL without quotes.
fn is_identifier(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_needs_the_address_only() {
        let json = r#"{"url":"http://127.0.0.1:8123"}"#;
        let config: ClickHouseConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config, ClickHouseConfig::new("http://127.0.0.1:8123"));
        assert!(serde_json::from_str::<ClickHouseConfig>(r#"{"url":"","table":"x"}"#).is_err());
    }

    #[test]
    fn a_sink_never_shows_its_password() {
        let mut config = ClickHouseConfig::new("https://clickhouse.example:8443");
        config.password = Some(Secret::new("hunter2"));
        let json = serde_json::to_string(&config).unwrap();
        let shown = format!("{config:?} {json} {:?}", ClickHouse::new("history", config.clone()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_database_is_a_plain_name() {
        for (name, good) in [("plimsoll", true), ("_p2", true), ("2p", false), ("", false)] {
            assert_eq!(is_identifier(name), good, "{name}");
        }
        let mut config = ClickHouseConfig::new("https://clickhouse.example:8443");
        config.database = "x; DROP TABLE y".into();
        assert!(ClickHouse::new("history", config).is_err());
    }
}
