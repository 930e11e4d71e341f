//! The program under test as a child process: `plimsoll run` with a definition of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::{self, Orphan, Process};

/// How long it may take until every dependency was met.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running pipeline. It ends with this value.
pub struct Program {
    process: Process,
    port: u16,
    output: PathBuf,
}

impl Program {
    /// Starts `plimsoll run` with the definition in `config`, which listens on `port`, and waits until it is ready.
    pub async fn start(config: &Path, port: u16) -> Result<Program> {
        let program = Program::launch(config, port)?;
        let deadline = Instant::now() + PATIENCE;
        while !program.get("/readyz").is_ok_and(|(status, body)| is_judging(status, &body)) {
            let said = program.said();
            ensure!(Instant::now() < deadline, "not ready within {PATIENCE:?}: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(program)
    }

    /// The same without waiting.
    pub fn launch(config: &Path, port: u16) -> Result<Program> {
        let output = config.with_extension("log");
        let mut command = process::command(binary(), None, Orphan::Kill);
        command.args(["run", "--config"]).arg(config).env("PAGERDUTY_KEY", "key-of-the-test");
        let process = Process::start("plimsoll", &mut command, &output)?;
        Ok(Program { process, port, output })
    }

    /// Runs another command of the program to its end.
    pub fn run(arguments: &[&str], config: &Path) -> Result<()> {
        let mut command = process::command(binary(), None, Orphan::Kill);
        command.args(arguments).arg("--config").arg(config).env("PAGERDUTY_KEY", "key-of-the-test");
        process::run("plimsoll", &mut command)
    }

    /// Status and body of an answer of the console.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
        let status = head.split(' ').nth(1).context("the answer has no status")?;
        Ok((status.parse()?, body.to_owned()))
    }

    /// Sends SIGTERM and returns how and after how long the program ended.
    pub fn stop(&mut self, patience: Duration) -> Result<(ExitStatus, Duration)> {
        let told = Instant::now();
        let status = self.process.ended("TERM", patience)?;
        Ok((status, told.elapsed()))
    }

    /// What it logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_plimsoll"))
}

/// Ready, and the judge is among what is ready: before it started there may be nothing to wait for.
fn is_judging(status: u16, body: &str) -> bool {
    status == 200 && body.contains("\"judge\"")
}
