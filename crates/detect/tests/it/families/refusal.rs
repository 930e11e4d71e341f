//! Refusals at the hard limit, and refusals that are not about it.

use plimsoll_model::Severity;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Case, Fault, said};
use crate::script::{START, run, settings};

/// What happens, happens in this second.
const AT: i64 = 300;

/// A server of a drawn size, three tenths of which are held from its first minute on.
struct Server {
    rng: StdRng,
    limit: u64,
    held: u64,
    script: String,
}

fn server(seed: u64) -> Server {
    let mut rng = StdRng::seed_from_u64(seed);
    let limit = rng.random_range(20..200);
    let held = limit * 3 / 10;
    let mut script = String::new();
    for session in 0..held {
        let (at, app) = (rng.random_range(0.0..60.0), session % 4);
        script += &format!("{at:.3} open s.{session} app{app}/user{app}; ");
    }
    Server { rng, limit, held, script }
}

impl Server {
    /// `app` opens what is free within a second.
    fn fill(&mut self, app: impl Fn(u64) -> String) {
        let free = self.limit - self.held;
        for session in 0..free {
            let at = AT as f64 + 0.9 * session as f64 / free as f64;
            self.script += &format!("{at:.3} open f.{session} {0}/{0}; ", app(session));
        }
    }

    /// Somebody is refused in second `at`.
    fn refuse(&mut self, at: i64, reason: &str) {
        let app = self.rng.random_range(0..4);
        self.script += &format!("{at} refuse - app{app}/user{app} {reason}; ");
    }

    fn judge(self, until: i64) -> Case {
        let (_, steps) = run(settings(self.limit), &self.script, until);
        let told: Vec<_> = steps.into_iter().flat_map(|step| step.transitions).collect();
        Case { said: said(&told, START), ..Case::default() }
    }
}

/// It must be told in the second of the first refusal.
fn refused(owner: &str, at: i64) -> Vec<Fault> {
    vec![Fault::page(owner, AT, at)]
}

pub fn filled(seed: u64) -> Case {
    let mut server = server(seed);
    server.fill(|_| "batch".to_owned());
    for second in 0..30 {
        server.refuse(AT + 1 + second, "limit");
    }
    Case { faults: refused("service.name batch", AT + 1), ..server.judge(AT + 60) }
}

pub fn filled_alike(seed: u64) -> Case {
    let mut server = server(seed);
    server.fill(|session| format!("app{}", session % 4));
    for second in 0..30 {
        server.refuse(AT + 1 + second, "limit");
    }
    Case { faults: refused("nobody|unknown", AT + 1), ..server.judge(AT + 60) }
}

/// Ten minutes of refusals, with pauses of up to 170 s of the 180 s that are a tenth.
pub fn pauses(seed: u64) -> Case {
    let mut server = server(seed);
    server.fill(|_| "batch".to_owned());
    let mut at = AT + 1;
    while at < AT + 600 {
        server.refuse(at, "limit");
        at += server.rng.random_range(1..170);
    }
    Case { faults: refused("service.name batch", AT + 1), ..server.judge(AT + 900) }
}

pub fn other_reasons(seed: u64) -> Case {
    let mut server = server(seed);
    for second in 0..120 {
        server.refuse(AT + second, ["password", "database"][second as usize % 2]);
    }
    server.judge(AT + 300)
}

/// A ticket about the role, not a page about the server.
pub fn one_role(seed: u64) -> Case {
    let mut server = server(seed);
    for second in 0..60 {
        server.script += &format!("{} refuse - app1/user1 role_limit; ", AT + second);
    }
    let fault = Fault { severity: Severity::Ticket, ..Fault::page("user.name user1", AT, AT) };
    Case { faults: vec![fault], ..server.judge(AT + 300) }
}

/// They tell of a past that is over.
pub fn late_rows(seed: u64) -> Case {
    let mut server = server(seed);
    for second in 0..30 {
        server.script += &format!("{}<{} refuse - app1/user1 limit; ", AT + 3_600, AT + second);
    }
    server.judge(AT + 4_000)
}
