//! Applications at work on one PostgreSQL server, one of which can be told to leak sessions.
//!
//! Every application keeps some sessions open at a time and replaces each after a short while. The server is
//! asked every second how many sessions it has, so that a ledger made from its log can be held against it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use plimsoll_model::Time;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::postgres::{self, PostgresPart, Session};

/// The applications and how many sessions each keeps. The one that should leak is not the largest.
pub const APPLICATIONS: [(&str, usize); 4] =
    [("web", 12), ("issuer", 8), ("reports", 5), ("workers", 3)];

/// Sessions that the estate holds in ordinary times, its own counting session included.
pub const ORDINARY: usize = 12 + 8 + 5 + 3 + 1;

/// The shortest and the longest that a session is held.
const HOLD: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// The longest wait between closing a session and opening the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a refused application waits before it tries again.
const RETRY: Duration = Duration::from_millis(500);

/// How often the server is asked for its count.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What `pg_stat_activity` said at one moment of the server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub at: Time,
    /// Client sessions, the counting one included.
    pub sessions: usize,
    /// Those of each application, by name.
    pub held: Vec<(String, usize)>,
}

/// What has happened so far.
#[derive(Default)]
struct Seen {
    counts: Vec<Count>,
    refused: Vec<(Time, String)>,
    leaked: Vec<Session>,
    faults: Vec<String>,
}

/// The applications at work. They end in order with [`Estate::stop`].
pub struct Estate {
    config: Config,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    stop_leak: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Estate {
    /// Makes one role per application and starts all of them. The seed is printed, so that a run can be repeated.
    pub async fn start(postgres: &PostgresPart, seed: u64) -> Result<Estate> {
        println!("estate: seed {seed}");
        let mut estate = Estate {
            config: postgres.config(),
            seen: Arc::default(),
            stop: CancellationToken::new(),
            stop_leak: CancellationToken::new(),
            tasks: Vec::new(),
        };
        for (application, _) in APPLICATIONS {
            postgres.create_user(application).await?;
        }
        let counter = postgres.connect("counter", "postgres").await?;
        estate.spawn(count(counter, estate.seen.clone(), estate.stop.clone()));
        let slots = APPLICATIONS.iter().flat_map(|(name, size)| std::iter::repeat_n(*name, *size));
        for (slot, application) in slots.enumerate() {
            let client = estate.client(application);
            let draw = StdRng::seed_from_u64(seed.wrapping_add(slot as u64));
            estate.spawn(work(client, draw, estate.stop.clone()));
        }
        Ok(estate)
    }

    /// From now on `application` opens one session `every` so often and never closes it.
    pub fn leak(&mut self, application: &'static str, every: Duration) {
        self.stop_leak = self.stop.child_token();
        let client = self.client(application);
        self.spawn(leak(client, every, self.stop_leak.clone()));
    }

    /// Ends the leak and closes what was leaked; returns how many sessions that were.
    pub async fn stop_leak(&mut self) -> usize {
        self.stop_leak.cancel();
        let leaked = std::mem::take(&mut locked(&self.seen).leaked);
        let count = leaked.len();
        for session in leaked {
            session.close().await;
        }
        count
    }

    /// When the server refused which application, by the clock of this machine.
    pub fn refused(&self) -> Vec<(Time, String)> {
        locked(&self.seen).refused.clone()
    }

    /// What the server counted so far, oldest first.
    pub fn counts(&self) -> Vec<Count> {
        locked(&self.seen).counts.clone()
    }

    /// Waits until `condition` holds for the estate; looks again ten times a second.
    pub async fn until(
        &self,
        patience: Duration,
        condition: impl Fn(&Estate) -> bool,
    ) -> Result<()> {
        let met = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(patience, met)
            .await
            .with_context(|| format!("the estate did not come so far within {patience:?}"))
    }

    /// Closes every session in order and returns the counts. Fails if an application met anything but a refusal.
    pub async fn stop(mut self) -> Result<Vec<Count>> {
        self.stop_leak().await;
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            task.await.context("a task of the estate panicked")?;
        }
        // A session may have been leaked between the first call and the end of its task.
        self.stop_leak().await;
        let seen = std::mem::take(&mut *locked(&self.seen));
        if let Some(fault) = seen.faults.first() {
            bail!("{} faults in the estate, the first: {fault}", seen.faults.len());
        }
        Ok(seen.counts)
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    fn client(&self, application: &'static str) -> Application {
        let mut config = self.config.clone();
        config.application_name(application).user(application);
        Application { name: application, config, seen: self.seen.clone() }
    }
}

/// One application as a client of the server.
struct Application {
    name: &'static str,
    config: Config,
    seen: Arc<Mutex<Seen>>,
}

impl Application {
    /// Opens a session, or notes why not.
    async fn open(&self) -> Option<Session> {
        match postgres::connect(&self.config).await {
            Ok(session) => Some(session),
            Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                locked(&self.seen).refused.push((now(), self.name.to_owned()));
                None
            }
            Err(error) => {
                locked(&self.seen).faults.push(format!("{}: {error}", self.name));
                None
            }
        }
    }
}

/// One slot of an application: open, hold, close, pause.
async fn work(application: Application, mut draw: StdRng, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let Some(session) = application.open().await else {
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            continue;
        };
        stop.run_until_cancelled(tokio::time::sleep(draw.random_range(HOLD.0..HOLD.1))).await;
        session.close().await;
        stop.run_until_cancelled(tokio::time::sleep(draw.random_range(Duration::ZERO..PAUSE)))
            .await;
    }
}

async fn leak(application: Application, every: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Some(session) = application.open().await {
            locked(&application.seen).leaked.push(session);
        }
    }
}

/// Counts as each second of the clock begins, so that ledgers with whole seconds can be compared.
async fn count(session: Session, seen: Arc<Mutex<Seen>>, stop: CancellationToken) {
    let into = now().as_micros().rem_euclid(1_000_000) as u64;
    let first = tokio::time::Instant::now() + Duration::from_micros(1_000_000 - into);
    let mut ticks = tokio::time::interval_at(first, COUNT_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match counted(&session).await {
            Ok(count) => locked(&seen).counts.push(count),
            Err(error) => {
                locked(&seen).faults.push(format!("counting: {error:#}"));
                break;
            }
        }
    }
    session.close().await;
}

async fn counted(session: &Session) -> Result<Count> {
    let rows = session
        .client
        .simple_query(
            "select (extract(epoch from statement_timestamp()) * 1000000)::bigint, application_name, count(*)
             from pg_stat_activity where backend_type = 'client backend' group by 2 order by 2",
        )
        .await?;
    let mut count = Count { at: Time::default(), sessions: 0, held: Vec::new() };
    for message in rows {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let column = |index| row.get(index).context("the server left a column out");
        let sessions: usize = column(2)?.parse()?;
        count.at = Time::from_micros(column(0)?.parse()?);
        count.sessions += sessions;
        count.held.push((column(1)?.to_owned(), sessions));
    }
    Ok(count)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the estate is the outside world; it runs by the real clock"
)]
fn now() -> Time {
    Time::from_micros(jiff::Timestamp::now().as_microsecond())
}

fn locked(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().expect("nothing panics while it holds the lock")
}
