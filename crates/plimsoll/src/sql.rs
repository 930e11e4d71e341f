//! `plimsoll sql`: one query, a file of queries, or a prompt, over the data directory of a
//! pipeline that may be running.

mod prompt;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use plimsoll_query::{Answer, Limits, Query};
use tokio::runtime::Runtime;

use crate::cli::{Sql, SqlFormat};
use crate::config::{Config, Purpose};
use crate::exit::Exit;
use crate::terminal;

/// The most bytes of a file of queries.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A command line that cannot be followed, beyond what its grammar says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

/// The data directory cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not there yet.
    #[error("there is no data directory `{}`; `plimsoll run` makes it when it first starts", .0.display())]
    Absent(PathBuf),
    /// The store says why.
    #[error(transparent)]
    Store(plimsoll_query::Error),
}

/// Answers what the command line asks.
pub fn sql(arguments: &Sql) -> anyhow::Result<Exit> {
    let session = Session::open(arguments)?;
    if arguments.tables {
        session.answer("show tables", &mut *session.out()?)?;
        return Ok(Exit::Ok);
    }
    let text = match (&arguments.query, &arguments.file) {
        (Some(query), _) if query == "-" => read(Path::new("-"))?,
        (Some(query), _) => query.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) if io::stdin().is_terminal() => return prompt::prompt(&session),
        (None, None) => read(Path::new("-"))?,
    };
    session.answer_all(&text)?;
    Ok(Exit::Ok)
}

/// The exit code of an error of this command; `None` if it is not one.
pub fn exit_of(error: &anyhow::Error) -> Option<Exit> {
    use plimsoll_query::Error;
    for cause in error.chain() {
        if cause.is::<Usage>() {
            return Some(Exit::Usage);
        }
        if cause.is::<Unreadable>() {
            return Some(Exit::Unavailable);
        }
        match cause.downcast_ref::<Error>() {
            Some(Error::Store(_) | Error::Write(_)) => return Some(Exit::Unavailable),
            Some(Error::Internal(_)) => return Some(Exit::Internal),
            Some(_) => return Some(Exit::Usage),
            None => {}
        }
    }
    None
}

/// The store to ask, and how answers are given.
struct Session<'a> {
    arguments: &'a Sql,
    query: Query,
    limits: Limits,
    runtime: Runtime,
}

impl<'a> Session<'a> {
    fn open(arguments: &'a Sql) -> anyhow::Result<Session<'a>> {
        let config = match &arguments.config {
            Some(file) => Some(Config::load_for(file, Purpose::Replay)?.0),
            None => None,
        };
        let dir = match (&arguments.data_dir, &config) {
            (Some(dir), _) => dir.clone(),
            (None, Some(config)) => config.data.clone(),
            (None, None) => return Err(Usage("name --config or --data-dir".to_owned()).into()),
        };
        if !dir.exists() {
            return Err(Unreadable::Absent(dir).into());
        }
        let query = Query::open(&dir).map_err(Unreadable::Store)?;
        let sources = config.map(|config| config.sources.into_keys().collect());
        let limits = Limits {
            time: arguments.timeout,
            memory_bytes: arguments.memory_mib.saturating_mul(1024 * 1024),
            rows: arguments.rows,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .context("cannot start the runtime")?;
        let query = query.with_sources(sources.unwrap_or_default());
        Ok(Session { arguments, query, limits, runtime })
    }

    /// Where answers go.
    fn out(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        Ok(match &self.arguments.out {
            None => Box::new(BufWriter::new(io::stdout())),
            Some(path) => {
                let file = File::create(path);
                let file = file.with_context(|| format!("cannot create `{}`", path.display()))?;
                Box::new(BufWriter::new(file))
            }
        })
    }

    fn format(&self) -> SqlFormat {
        self.arguments.format.unwrap_or(match self.arguments.out {
            None if io::stdout().is_terminal() => SqlFormat::Table,
            _ => SqlFormat::Csv,
        })
    }

    /// Answers every statement of `text`.
    fn answer_all(&self, text: &str) -> anyhow::Result<()> {
        let (mut statements, rest) = plimsoll_query::statements(text);
        if !rest.is_empty() || statements.is_empty() {
            statements.push(rest);
        }
        if self.format() == SqlFormat::Parquet {
            if statements.len() > 1 {
                return Err(Usage("a Parquet file holds the answer to one query".into()).into());
            }
            if self.arguments.out.is_none() && io::stdout().is_terminal() {
                return Err(Usage("Parquet is not for a terminal; add --out FILE".into()).into());
            }
        }
        let mut out = self.out()?;
        for (place, statement) in statements.iter().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            self.answer(statement, &mut *out)?;
        }
        Ok(())
    }

    /// Answers one statement on `out`; what was cut, and on a terminal the cost, on stderr.
    fn answer(&self, statement: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let started = Instant::now();
        let answer = self.runtime.block_on(self.query.run(statement, &self.limits));
        let answer = answer.map_err(with_flag)?;
        let took = started.elapsed();
        self.write(&answer, out)?;
        if answer.is_cut {
            let rows = answer.rows;
            terminal::tell(&format!("cut after {rows} rows, the limit; there are more (--rows)"));
        }
        if io::stderr().is_terminal() {
            terminal::tell(&cost(&answer, took));
        }
        Ok(())
    }

    fn write(&self, answer: &Answer, mut out: &mut (dyn Write + Send)) -> io::Result<()> {
        match self.format() {
            SqlFormat::Table => answer.write_table(&mut out),
            SqlFormat::Csv => answer.write_csv(&mut out),
            SqlFormat::Json => answer.write_json(&mut out),
            SqlFormat::Parquet => answer.write_parquet(out),
        }
    }
}

/// A limit with the flag that raises it.
fn with_flag(error: plimsoll_query::Error) -> anyhow::Error {
    let flag = match error {
        plimsoll_query::Error::Time(_) => "--timeout raises it",
        plimsoll_query::Error::Memory(_) => "--memory-mib raises it",
        _ => return error.into(),
    };
    Usage(format!("{error} ({flag})")).into()
}

/// `(12 rows; 3,400 read; 0.041 s)`.
fn cost(answer: &Answer, took: Duration) -> String {
    let rows = if answer.rows == 1 { "row" } else { "rows" };
    format!("({} {rows}; {} read; {:.3} s)", answer.rows, answer.rows_read, took.as_secs_f64())
}

/// A file of queries; `-` is standard input.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = |reader: &mut dyn Read, text: &mut String| {
        reader.take(FILE_BYTES_MAX + 1).read_to_string(text)
    };
    let length = if path == Path::new("-") {
        read(&mut io::stdin().lock(), &mut text)
    } else {
        File::open(path).and_then(|mut file| read(&mut file, &mut text))
    };
    let length =
        length.with_context(|| format!("cannot read queries from `{}`", path.display()))?;
    if length as u64 > FILE_BYTES_MAX {
        let what = format!("`{}` is longer than {FILE_BYTES_MAX} bytes", path.display());
        return Err(Usage(what).into());
    }
    Ok(text)
}
