//! A server process that cannot outlive its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a condition on a server is looked at again.
const POLL: Duration = Duration::from_millis(20);

/// Bytes of a server's output that an error quotes.
const TAIL_BYTES: usize = 2_000;

/// One running server. Dropping it kills it.
pub struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

/// What happens to a server when the thread that started it ends.
#[derive(Clone, Copy)]
pub enum Orphan {
    /// It is killed on the spot.
    Kill,
    /// It gets SIGQUIT: PostgreSQL then frees its shared memory and ends at once.
    Quit,
}

/// A command that starts `program` and ends it with the thread that started it; with `user` also as that user.
pub fn command(program: &Path, user: Option<&str>, orphan: Orphan) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--init-groups");
    }
    command.arg("--pdeathsig").arg(match orphan {
        Orphan::Kill => "KILL",
        Orphan::Quit => "QUIT",
    });
    command.arg("--").arg(program).stdin(Stdio::null()).current_dir("/");
    command
}

/// Runs a short command to its end; its output is part of the error.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("{name} failed ({}): {}", done.status, tail(&said));
    }
    Ok(())
}

impl Process {
    /// Starts a server; its standard output and error go to the file `output`, which is emptied.
    pub fn start(name: &'static str, command: &mut Command, output: &Path) -> Result<Process> {
        let file =
            File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name, child, output: output.to_owned() })
    }

    /// Waits until the file `log` contains `text`; fails when the server ends first or after `patience`.
    pub async fn wait_for(&mut self, log: &Path, text: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            if fs::read(log).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before `{text}`: {}", self.name, self.said());
            }
            if Instant::now() > deadline {
                bail!("{} did not say `{text}` within {patience:?}: {}", self.name, self.said());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let id = self.child.id().to_string();
        run("kill", Command::new("kill").args(["-s", signal, &id]))
    }

    /// Sends `signal` and waits for the end; kills the server when it takes longer than `patience`.
    pub fn end(&mut self, signal: &str, patience: Duration) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        let deadline = Instant::now() + patience;
        let told = self.signal(signal).is_ok();
        while told && Instant::now() < deadline {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(POLL);
        }
        self.kill();
    }

    /// Sends `signal` and returns how the process ended; fails if it did not within `patience`.
    pub fn ended(&mut self, signal: &str, patience: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {patience:?} of {signal}: {}", self.name, self.said());
            }
            std::thread::sleep(POLL);
        }
    }

    /// `kill -9`, and waits until the process is gone. A process that has ended already stays ended.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn said(&self) -> String {
        tail(&fs::read_to_string(&self.output).unwrap_or_default()).to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].trim()
}
