//! How soon `plimsoll run` answers, and what it holds in memory while nothing happens.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::usage::{memory_bytes, mib};

const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long a process rests before its memory is looked at.
const REST: Duration = Duration::from_secs(10);

/// Starts the program several times on an empty file and prints what was seen.
pub fn measure() -> anyhow::Result<()> {
    let example = std::env::current_exe()?;
    let program = example.parent().and_then(Path::parent).context("examples lie in a folder")?;
    let program = program.join("plimsoll");
    ensure!(program.exists(), "build the program first: cargo build --release -p plimsoll");
    let mut starts_ms = Vec::new();
    for start in 1..=STARTS {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::write(folder.path().join("empty.jsonl"), "")?;
        let pipeline = folder.path().join("pipeline.yaml");
        std::fs::write(&pipeline, definition(address))?;
        let started = Instant::now();
        let child = Command::new(&program)
            .args(["run", "--config"])
            .arg(&pipeline)
            .stderr(Stdio::null())
            .spawn()?;
        let mut child = Ended(child);
        while !answers(address) {
            ensure!(child.0.try_wait()?.is_none(), "`plimsoll run` has ended");
            ensure!(started.elapsed() < PATIENCE, "/livez does not answer");
            std::thread::sleep(LOOK_EVERY);
        }
        starts_ms.push(started.elapsed().as_secs_f64() * 1e3);
        if start == STARTS {
            std::thread::sleep(REST);
            let process = child.0.id().to_string();
            let idle = mib(memory_bytes(&process, "VmRSS")?);
            let peak = mib(memory_bytes(&process, "VmHWM")?);
            println!("idle: {idle:.1} MiB resident after {} s, peak {peak:.1} MiB", REST.as_secs());
        }
    }
    starts_ms.sort_unstable_by(f64::total_cmp);
    println!(
        "start to /livez: {:.0} ms in the median of {STARTS}, {:.0} to {:.0} ms",
        starts_ms[STARTS / 2],
        starts_ms[0],
        starts_ms[STARTS - 1]
    );
    Ok(())
}

fn definition(address: SocketAddr) -> String {
    format!(
        "version: 1\nname: idle\nlisten: {address}\nsources:\n  db: {{file: empty.jsonl, \
         format: postgres_jsonlog, resource: orders-db}}\nresources:\n  \
         orders-db: {{connections: {{limit: 200}}}}\n"
    )
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A process that ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
