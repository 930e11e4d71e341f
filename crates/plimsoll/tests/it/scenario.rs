//! A generated estate as log lines: ordinary traffic, a deploy, a leak until the server refuses,
//! the leak's end. Every number comes from the seed; nothing knows the program under test.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Units that the generated server can hold.
pub const USABLE: usize = 60;

/// The first second of scenarios that need no other: 2026-03-04T12:00:00Z.
pub const START: i64 = 1_772_625_600;

/// The application that leaks.
pub const LEAKING: &str = "issuer";

/// One line of one source, with its moment in milliseconds since [`Plan::start`].
#[derive(Clone, Debug)]
pub struct Line {
    pub at_ms: i64,
    pub text: String,
}

/// The lines of three sources, each in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub db: Vec<Line>,
    pub gauge: Vec<Line>,
    pub deploys: Vec<Line>,
    /// Moments of refusals, in milliseconds since [`Plan::start`].
    pub refusals: Vec<i64>,
}

/// What happens, in seconds since `start`.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The first second, since the Unix epoch.
    pub start: i64,
    pub leak_from: i64,
    pub leak_every: f64,
    pub leak_until: i64,
    pub end: i64,
}

impl Plan {
    /// Three quiet minutes, a leak of one session every two seconds, its end, two quiet minutes.
    pub fn short(seed: u64) -> Plan {
        Plan { seed, start: START, leak_from: 180, leak_every: 2.0, leak_until: 330, end: 480 }
    }
}

struct Server {
    start: i64,
    random: StdRng,
    lines: Vec<Line>,
    refusals: Vec<i64>,
    /// Open sessions: (closes at, id, application, opened at).
    open: Vec<(i64, String, &'static str, i64)>,
    next_pid: u32,
}

/// Applications with their rate per second and mean hold time in seconds.
const APPLICATIONS: [(&str, f64, f64); 4] =
    [("web", 2.0, 6.0), (LEAKING, 1.0, 5.0), ("reports", 0.3, 12.0), ("worker", 0.5, 4.0)];

impl Server {
    fn log(&mut self, at_ms: i64, id: &str, application: &str, rest: &str) {
        let text = format!(
            r#"{{"timestamp":"{}","user":"{application}_user","dbname":"orders","pid":{},"remote_host":"10.0.0.{}","remote_port":5{},"session_id":"{id}","line_num":2,"session_start":"{}","backend_type":"client backend","application_name":"{application}",{rest}}}"#,
            timestamp(self.start, at_ms, true),
            self.next_pid,
            application.len(),
            self.next_pid % 1000,
            timestamp(self.start, at_ms, false),
        );
        self.lines.push(Line { at_ms, text });
    }

    fn open(&mut self, at_ms: i64, application: &'static str, hold_ms: i64) {
        self.next_pid += 1;
        let id = format!("{:x}.{:x}", self.start + at_ms / 1000, self.next_pid);
        let authorized = format!(
            r#""error_severity":"LOG","message":"connection authorized: user={application}_user database=orders application_name={application}""#
        );
        if self.open.len() >= USABLE {
            self.log(
                at_ms,
                &id,
                application,
                r#""error_severity":"FATAL","state_code":"53300","message":"sorry, too many clients already""#,
            );
            self.refusals.push(at_ms);
            return;
        }
        self.log(at_ms, &id, application, &authorized);
        self.open.push((at_ms + hold_ms, id, application, at_ms));
    }

    fn close_until(&mut self, now_ms: i64) {
        self.open.sort();
        while let Some((at_ms, ..)) = self.open.first()
            && *at_ms <= now_ms
        {
            let (at_ms, id, application, opened_ms) = self.open.remove(0);
            let age = at_ms - opened_ms;
            let rest = format!(
                r#""error_severity":"LOG","message":"disconnection: session time: {}:{:02}:{:02}.{:03} user={application}_user database=orders host=10.0.0.{} port=5{}""#,
                age / 3_600_000,
                age / 60_000 % 60,
                age / 1000 % 60,
                age % 1000,
                application.len(),
                self.next_pid % 1000,
            );
            self.log(at_ms, &id, application, &rest);
        }
    }
}

/// The lines of `plan`.
pub fn generate(plan: Plan) -> Scenario {
    let mut server = Server {
        start: plan.start,
        random: StdRng::seed_from_u64(plan.seed),
        lines: Vec::new(),
        refusals: Vec::new(),
        open: Vec::new(),
        next_pid: 100,
    };
    let mut scenario = Scenario::default();
    let mut leaks_at = plan.leak_from as f64 * 1000.0;
    for tenth in 0..plan.end * 10 {
        let now_ms = tenth * 100;
        server.close_until(now_ms);
        for (application, rate, hold_s) in APPLICATIONS {
            if server.random.random::<f64>() < rate / 10.0 {
                let hold = -hold_s * (1.0 - server.random.random::<f64>()).ln();
                let jitter = server.random.random_range(0..100);
                server.open(now_ms + jitter, application, (hold * 1000.0) as i64 + 1);
            }
        }
        if (now_ms as f64) >= leaks_at && now_ms < plan.leak_until * 1000 {
            leaks_at += plan.leak_every * 1000.0;
            let left_ms = plan.leak_until * 1000 - now_ms;
            server.open(now_ms, LEAKING, left_ms);
        }
        if tenth % 50 == 0 {
            let text = format!(
                r#"{{"ts":"{}","active":{},"max":{USABLE}}}"#,
                timestamp(plan.start, now_ms, true).replace(" UTC", "Z").replace(' ', "T"),
                server.open.len()
            );
            scenario.gauge.push(Line { at_ms: now_ms, text });
        }
    }
    server.close_until(plan.end * 1000);
    let at_ms = (plan.leak_from - 10) * 1000;
    let text = format!(
        r#"{{"time":"{}","event":"deploy","service.name":"{LEAKING}","service.version":"2.14"}}"#,
        timestamp(plan.start, at_ms, true).replace(" UTC", "Z").replace(' ', "T"),
    );
    scenario.deploys.push(Line { at_ms, text });
    server.lines.sort_by_key(|line| line.at_ms);
    scenario.db = server.lines;
    scenario.refusals = server.refusals;
    scenario
}

/// PostgreSQL's form of a moment, with or without milliseconds.
pub fn timestamp(start: i64, at_ms: i64, millis: bool) -> String {
    let seconds = start + at_ms.div_euclid(1000);
    let text = plimsoll_model::Second(seconds).to_string().replace('T', " ").replace('Z', "");
    if millis { format!("{text}.{:03} UTC", at_ms.rem_euclid(1000)) } else { format!("{text} UTC") }
}
