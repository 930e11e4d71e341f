//! A real PostgreSQL server that writes its log as JSON lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

use super::free_ports;
use super::process::{self, Orphan, Process};

/// The user that Debian's package makes; PostgreSQL refuses to run as root.
const SYSTEM_USER: &str = "postgres";

/// How long the server may take to start, and a line to reach its log.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with its own cluster; everybody on the loopback is trusted.
pub struct PostgresPart {
    process: Process,
    directory: TempDir,
    port: u16,
}

/// One open session.
pub struct Session {
    pub client: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Session {
    /// Closes the session in order; the server has been told when this returns.
    pub async fn close(self) {
        drop(self.client);
        // The connection's own error says nothing here: the session ends either way.
        let _ = self.connection.await;
    }
}

impl PostgresPart {
    /// Makes a cluster and starts a server on it that takes `max_connections`, the last `reserved` only from superusers.
    pub async fn start(max_connections: u32, reserved: u32) -> Result<PostgresPart> {
        let programs = programs()?;
        let user = if is_root()? { Some(SYSTEM_USER) } else { None };
        let directory = TempDir::with_prefix("plimsoll-postgres-")?;
        if user.is_some() {
            process::run("chown", Command::new("chown").arg(SYSTEM_USER).arg(directory.path()))?;
        }
        let data = directory.path().join("data");
        let mut initdb = process::command(&programs.join("initdb"), user, Orphan::Kill);
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ]);
        process::run("initdb", initdb.arg(&data))?;

        let port = free_ports(1)?[0];
        let mut server = process::command(&programs.join("postgres"), user, Orphan::Quit);
        server.arg("-D").arg(&data);
        for (key, value) in settings(port, max_connections, reserved) {
            server.arg("-c").arg(format!("{key}={value}"));
        }
        let output = directory.path().join("output");
        let process = Process::start("PostgreSQL", &mut server, &output)?;
        let mut part = PostgresPart { process, directory, port };
        let log = part.log_path();
        part.process
            .wait_for(&log, "database system is ready to accept connections", PATIENCE)
            .await?;
        Ok(part)
    }

    /// The log: JSON lines, never rotated.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("data/log/postgres.json")
    }

    /// Where clients connect; the user and the application are theirs to add.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname("postgres").user("postgres");
        config
    }

    /// Makes a role that may log in and is no superuser.
    pub async fn create_user(&self, user: &str) -> Result<()> {
        let session = self.connect("setup", "postgres").await?;
        session.client.batch_execute(&format!("create role {user} login")).await?;
        session.close().await;
        Ok(())
    }

    /// Opens a session; the error carries the SQLSTATE of a refusal.
    pub async fn connect(
        &self,
        application: &str,
        user: &str,
    ) -> Result<Session, tokio_postgres::Error> {
        connect(self.config().application_name(application).user(user)).await
    }

    /// Waits until a line of the log contains every one of `texts`, and returns the first such line.
    pub async fn logged(&self, texts: &[&str]) -> Result<serde_json::Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(self.log_path())?;
            // The last piece may be half a line.
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            if let Some(line) =
                whole.lines().find(|line| texts.iter().all(|text| line.contains(text)))
            {
                return serde_json::from_str(line).with_context(|| format!("not JSON: {line}"));
            }
            if Instant::now() > deadline {
                bail!("no line with {texts:?} within {PATIENCE:?} in {} bytes of log", log.len());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A fast shutdown: sessions are told and end. The log can still be read.
    pub fn stop(&mut self) {
        self.process.end("INT", Duration::from_secs(20));
    }
}

impl Drop for PostgresPart {
    fn drop(&mut self) {
        // An immediate shutdown rather than a kill, which would leave a segment of shared memory behind.
        self.process.end("QUIT", Duration::from_secs(10));
    }
}

/// Opens a session by `config`.
pub async fn connect(config: &Config) -> Result<Session, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    Ok(Session { client, connection: tokio::spawn(connection) })
}

/// The newest installed server programs from version 15 on, which is the first that writes JSON lines.
fn programs() -> Result<PathBuf> {
    let root = Path::new("/usr/lib/postgresql");
    let newest = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| *version >= 15 && root.join(format!("{version}/bin/postgres")).exists())
        .max();
    match newest {
        Some(version) => Ok(root.join(format!("{version}/bin"))),
        None => bail!(
            "no PostgreSQL server of version 15 or later in {}; run `.ci/install`",
            root.display()
        ),
    }
}

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output().context("cannot run id")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

fn settings(port: u16, max_connections: u32, reserved: u32) -> Vec<(&'static str, String)> {
    let text = |value: &str| value.to_owned();
    vec![
        ("port", port.to_string()),
        ("listen_addresses", text("127.0.0.1")),
        ("unix_socket_directories", text("")),
        ("max_connections", max_connections.to_string()),
        ("superuser_reserved_connections", reserved.to_string()),
        ("logging_collector", text("on")),
        ("log_destination", text("jsonlog")),
        ("log_filename", text("postgres")),
        ("log_rotation_age", text("0")),
        ("log_rotation_size", text("0")),
        ("log_connections", text("on")),
        ("log_disconnections", text("on")),
        ("log_timezone", text("UTC")),
        ("lc_messages", text("C")),
        ("fsync", text("off")),
    ]
}
