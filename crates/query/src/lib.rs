//! SQL over what a pipeline stored.
//!
//! A [`Query`] answers from one data directory, also while its pipeline runs: each answer is made
//! of one snapshot of the store. The tables ([`TABLES`]) have the names and columns of those in
//! ClickHouse; two table functions ([`FUNCTIONS`]) put what an analyst asks first into one call.
//!
//! [`copies()`] makes rows of the two tables whose rows change, for those in ClickHouse.
//!
//! Nothing can be changed, and nothing but these tables can be read: every plan is checked before
//! it runs, and there is no file or network behind the engine. [`Limits`] bound time, memory and
//! rows; an answer that was cut says so.
//!
//! The only crate that names DataFusion. It reads no wall clock, and writes only where it is told to.
//!
//! ```
//! use plimsoll_query::{Limits, Query};
//! use plimsoll_store::{Commit, Options, Reader, Store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let options = Options { ballast_bytes: 0, ..Options::new("payments") };
//! let mut store = Store::open(dir.path(), options)?;
//! store.commit(&Commit::default())?;
//!
//! let query = Query::open(dir.path())?;
//! let answer = query.run("select count(*) as incidents from incidents", &Limits::default()).await?;
//! let mut text = Vec::new();
//! answer.write_csv(&mut text)?;
//! assert_eq!(text, b"incidents\n0\n");
//! # Ok(())
//! # }
//! ```

mod answer;
mod copies;
mod error;
mod functions;
mod guard;
mod limits;
mod names;
mod rows;
mod scan;
mod schema;
mod session;
mod statements;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use plimsoll_store::{Reader, Snapshot};

pub use answer::Answer;
pub use copies::{REVISION, copies};
pub use error::Error;
pub use functions::{FUNCTIONS, Function, HOLDERS_AT, INCIDENT_WINDOW};
pub use limits::{Limits, MEMORY_BYTES_DEFAULT, ROWS_DEFAULT, TIME_DEFAULT};
pub use schema::{Column, Kind, Table};
pub use statements::statements;
pub use tables::{
    DELIVERIES, INCIDENT_EVENTS, INCIDENTS, LIVES, PANES, REJECTS, SAMPLES, SESSIONS, TABLES,
};

use scan::{Snapshots, Source};

/// Answers SQL from one store. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    snapshots: Snapshots,
    sources: Arc<[String]>,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Query {
    /// Over the data directory `dir`, whose pipeline may be running in another process.
    pub fn open(dir: &Path) -> Result<Query, Error> {
        let reader = Reader::open(dir)?;
        Ok(Query::over(move || reader.snapshot()))
    }

    /// Over a store of this process: `snapshots` gives what it has now, once per answer.
    pub fn over(
        snapshots: impl Fn() -> Result<Snapshot, plimsoll_store::Error> + Send + Sync + 'static,
    ) -> Query {
        Query { snapshots: Arc::new(snapshots), sources: Arc::new([]) }
    }

    /// With the names of the pipeline's sources by their numbers, for `rejects.source`.
    pub fn with_sources(self, names: Vec<String>) -> Query {
        Query { sources: names.into(), ..self }
    }

    /// Answers one query.
    ///
    /// Needs a runtime with its timer enabled; dropping the future stops the work. The store is
    /// read, and rows are worked on, by the thread that polls: give it one of its own where others
    /// must not wait.
    pub async fn run(&self, sql: &str, limits: &Limits) -> Result<Answer, Error> {
        match tokio::time::timeout(limits.time, self.answer(sql, limits)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Time(limits.time)),
        }
    }

    async fn answer(&self, sql: &str, limits: &Limits) -> Result<Answer, Error> {
        let failed = |error| Error::of(error, limits.memory_bytes);
        let statement = guard::statement(sql)?;
        let source = Source::open(Arc::clone(&self.snapshots), Arc::clone(&self.sources))?;
        let source = Arc::new(source);
        let state = session::open(&source, limits).map_err(failed)?;
        let plan = guard::plan(&state, statement).await.map_err(|error| match error {
            guard::Refusal::Engine(error) => names::with_hint(failed(error)),
            guard::Refusal::NotAQuery(what) => Error::NotAQuery(what),
        })?;
        let memory = session::memory(&state);
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let plan = session::interruptible(plan).map_err(failed)?;
        let mut stream = execute_stream(plan, state.task_ctx()).map_err(failed)?;
        let mut answer = Answer::new(stream.schema());
        while let Some(batch) = stream.next().await {
            let batch: RecordBatch = batch.map_err(failed)?;
            memory.try_grow(batch.get_array_memory_size()).map_err(failed)?;
            if !answer.push(batch, limits.rows) {
                break;
            }
        }
        answer.rows_read = source.rows_read.load(Ordering::Relaxed);
        Ok(answer)
    }
}
