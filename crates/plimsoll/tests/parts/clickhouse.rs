//! A real ClickHouse engine behind the server's HTTP protocol: see `clickhouse.py`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::certificate::Certificate;

/// A running engine. It ends with this value, and with this process however that ends.
pub struct ClickHousePart {
    child: Child,
    port: u16,
    /// Where it speaks TLS and asks for the account, if it does.
    tls_port: Option<u16>,
    folder: TempDir,
}

/// The account that a [`ClickHousePart::secured`] engine knows.
pub const ACCOUNT: (&str, &str) = ("plimsoll", "right-password");

/// What the front does to INSERTs that carry data.
#[derive(Clone, Copy, Debug)]
pub enum ClickHouseFault {
    /// An overloaded server: status 500, nothing written.
    Error,
    /// Everything written, and the answer lost.
    DropAnswer,
    /// Nothing written, no answer.
    Hang,
}

impl ClickHousePart {
    /// Installs the engine if it is missing, and starts it with empty tables on a free port.
    pub fn start() -> ClickHousePart {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (child, port, tls_port) = launch(folder.path(), 0, &[]);
        ClickHousePart { child, port, tls_port, folder }
    }

    /// The same, and under [`ClickHousePart::tls_url`] with TLS for [`ACCOUNT`] only. The second
    /// value is the certificate of the authority that has signed its own, in PEM.
    pub fn secured() -> (ClickHousePart, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Certificate { ca, certificate, key } = Certificate::make(folder.path());
        let paths = [certificate, key].map(|path| path.display().to_string());
        let arguments = [ACCOUNT.0, ACCOUNT.1, &paths[0], &paths[1]];
        let (child, port, tls_port) = launch(folder.path(), 0, &arguments);
        let ca = std::fs::read_to_string(ca).expect("openssl wrote it");
        (ClickHousePart { child, port, tls_port, folder }, ca)
    }

    /// The address for `url` where it speaks TLS.
    pub fn tls_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port.expect("it was started as secured"))
    }

    /// The address for `url` in the configuration.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the engine; connections are refused until [`ClickHousePart::restart`].
    pub fn stop(&mut self) {
        self.child.kill().expect("the engine can be killed");
        self.child.wait().expect("the engine ends");
    }

    /// Starts the stopped engine again with its tables, on its port.
    pub fn restart(&mut self) {
        (self.child, self.port, self.tls_port) = launch(self.folder.path(), self.port, &[]);
    }

    /// Runs one statement and returns its answer, tab-separated. Panics on an error.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        self.post("/", sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same with names that stand for tables of `database`.
    #[track_caller]
    pub fn query_in(&self, database: &str, sql: &str) -> String {
        let answer = self.post(&format!("/?database={database}"), sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Spoils the next `times` INSERTs that carry data.
    pub fn spoil(&self, fault: ClickHouseFault, times: u32) {
        let kind = match fault {
            ClickHouseFault::Error => "error",
            ClickHouseFault::DropAnswer => "drop",
            ClickHouseFault::Hang => "hang",
        };
        let path = format!("/fault?kind={kind}&times={times}");
        self.post(&path, "").expect("the front takes a fault");
    }

    /// Posts and returns the body of a 200, or what was answered instead.
    fn post(&self, path: &str, body: &str) -> Result<String, String> {
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            let length = body.len();
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| error.to_string())?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
            _ => Err(answer),
        }
    }
}

impl Drop for ClickHousePart {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the front and waits until it answers.
fn launch(folder: &Path, port: u16, more: &[&str]) -> (Child, u16, Option<u16>) {
    let mut child = Command::new(python())
        .arg(file("../plimsoll/tests/parts/clickhouse.py"))
        .arg(folder.join("tables"))
        .arg(port.to_string())
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the installed python starts");
    let stdout = child.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the front can be read");
    let ports = line.trim().strip_prefix("ready ").unwrap_or_default();
    let mut ports = ports.split(' ').map_while(|port| port.parse().ok());
    match ports.next() {
        Some(port) => (child, port, ports.next()),
        None => panic!("clickhouse.py did not start: it said {line:?}"),
    }
}

/// The Python that has the engine, installed if it is missing.
fn python() -> PathBuf {
    let install = Command::new("bash").arg(file("../../.ci/parts/clickhouse")).output();
    let install = install.expect("bash starts");
    let said = String::from_utf8_lossy(&install.stderr);
    assert!(install.status.success(), "cannot install chdb: {said}");
    PathBuf::from(String::from_utf8_lossy(&install.stdout).trim())
}

/// A file of the checkout, by its path from a crate's folder.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
