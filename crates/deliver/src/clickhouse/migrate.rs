//! The tables, created in order and remembered.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ClickHouse;
use crate::Error;

/// One file of `deploy/clickhouse/`: one statement, so that it is applied or not.
struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        [$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../../deploy/clickhouse/", $name, ".sql")),
        }),*]
    };
}

/// All files in order. A released file never changes: a change is a new file.
const MIGRATIONS: [Migration; 16] = migrations![
    1 "0001_incident_rows",
    2 "0002_incident_event_rows",
    3 "0003_pane_rows",
    4 "0004_sample_rows",
    5 "0005_life_rows",
    6 "0006_session_rows",
    7 "0007_incidents",
    8 "0008_incident_events",
    9 "0009_panes",
    10 "0010_samples",
    11 "0011_lives",
    12 "0012_sessions",
    13 "0013_delivery_rows",
    14 "0014_reject_rows",
    15 "0015_deliveries",
    16 "0016_rejects",
];

/// Where the applied files are remembered.
const MEMORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version UInt32 COMMENT 'number of the file in deploy/clickhouse',
    name String COMMENT 'name of the file, without .sql',
    checksum String COMMENT 'SHA-256 of the file, hexadecimal',
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'when it was applied, server time'
) ENGINE = ReplacingMergeTree ORDER BY version
COMMENT 'The files of deploy/clickhouse that were applied, by plimsoll clickhouse migrate'";

/// A file that was applied, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: u32,
    /// Its name, without `.sql`.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
}

#[derive(Row, Deserialize)]
struct Remembered {
    version: u32,
    name: String,
    checksum: String,
}

pub(super) async fn migrate(sink: &ClickHouse, dry_run: bool) -> Result<Vec<Applied>, Error> {
    let remembered = remembered(sink).await?;
    let missing = missing(&remembered)?;
    if dry_run || missing.is_empty() {
        return Ok(missing);
    }
    let known = format!("SELECT count() FROM system.databases WHERE name = '{}'", sink.database);
    if !exists(sink, &known).await? {
        let create = format!("CREATE DATABASE IF NOT EXISTS {}", sink.database);
        sink.within(sink.server.query_raw(&create).execute()).await?;
    }
    sink.within(sink.tables.query_raw(MEMORY).execute()).await?;
    for file in &missing {
        sink.within(sink.tables.query_raw(file.sql).execute()).await?;
        // The statement can be repeated, so a crash before this line does no harm.
        let remember = format!(
            "INSERT INTO schema_migrations (version, name, checksum) SETTINGS async_insert = 0 \
             VALUES ({}, '{}', '{}')",
            file.version,
            file.name,
            checksum(file.sql)
        );
        sink.within(sink.tables.query_raw(&remember).execute()).await?;
    }
    Ok(missing)
}

/// What was applied to the database; nothing if it or the memory does not exist.
async fn remembered(sink: &ClickHouse) -> Result<Vec<Remembered>, Error> {
    // The name was checked to be an identifier, so it can stand between quotes.
    let known = format!(
        "SELECT count() FROM system.tables WHERE database = '{}' AND name = 'schema_migrations'",
        sink.database
    );
    if !exists(sink, &known).await? {
        return Ok(Vec::new());
    }
    let all = "SELECT version, name, checksum FROM schema_migrations FINAL ORDER BY version";
    sink.within(sink.tables.query_raw(all).fetch_all()).await
}

async fn exists(sink: &ClickHouse, count: &str) -> Result<bool, Error> {
    Ok(sink.within(sink.server.query_raw(count).fetch_one::<u64>()).await? > 0)
}

/// The files that were not applied yet. An applied one must be ours, and unchanged.
fn missing(remembered: &[Remembered]) -> Result<Vec<Applied>, Error> {
    let applied: BTreeMap<u32, &Remembered> =
        remembered.iter().map(|file| (file.version, file)).collect();
    for file in remembered {
        if !MIGRATIONS.iter().any(|migration| migration.version == file.version) {
            return Err(Error::Schema(format!(
                "the database has migration {} `{}`, which this build does not know: use the \
                 build that made it, or a newer one",
                file.version, file.name
            )));
        }
    }
    let mut missing = Vec::new();
    for Migration { version, name, sql } in MIGRATIONS {
        match applied.get(&version) {
            None => missing.push(Applied { version, name, sql }),
            Some(file) if file.checksum == checksum(sql) => {}
            Some(file) => {
                return Err(Error::Schema(format!(
                    "`{name}.sql` was changed after it was applied (applied: {}, now: {}): \
                     a change must be a new file",
                    file.checksum,
                    checksum(sql)
                )));
            }
        }
    }
    Ok(missing)
}

fn checksum(sql: &str) -> String {
    let digest = Sha256::digest(sql.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
