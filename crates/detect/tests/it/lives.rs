//! Memory and lives over drawn worlds: leaks are told, what looks like them is not.

use plimsoll_model::{Dimension, Kind, Transition};

use crate::families::memory::leak;
use crate::lives_world::{DAY, HOUR};

#[test]
fn a_leak_is_a_ticket_while_deploys_hide_it_and_a_page_before_its_end() {
    for seed in 0..4 {
        let (world, rate, last) = leak(seed);
        let room = world.limit_mib - world.programs[0].base_mib;
        let heard = world.run(last + (room / rate * HOUR as f64) as i64 + DAY);
        let out = *heard.out.values().min().unwrap();
        let said = heard.openings();
        let ticket = heard.opened(Kind::GrowthAcrossLives, "web");
        assert!(ticket.is_some_and(|at| at <= last), "seed {seed}: {said:?}");
        let (paged, transition) = heard.paged("web").unwrap();
        let lead_h = (out - paged) as f64 / HOUR as f64;
        assert!((24.0..72.0).contains(&lead_h), "seed {seed}: {lead_h} h: {}", transition.headline);
        // The growth that is said is the one that was drawn, to a tenth.
        let across = transition.finding.growth_per_minute.unwrap() * 60.0 / 1_048_576.0;
        assert!((across / rate - 1.0).abs() < 0.1, "seed {seed}: {across} of {rate}");
        let calm = heard.transitions.iter().filter(|it| it.headline.contains("calm")).count();
        assert_eq!(calm, 0, "{said:?}");
    }
}

/// The slope of a least-squares line, straight from the textbook's sums.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let origin = points[0].0;
    let sum = |of: fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - origin, *y)).sum::<f64>();
    let (x, y) = (sum(|x, _| x), sum(|_, y| y));
    (n * sum(|x, y| x * y) - x * y) / (n * sum(|x, _| x * x) - x * x)
}

#[test]
fn the_evidence_of_a_ticket_gives_its_growth() {
    let (world, ..) = leak(1);
    let heard = world.run(20 * DAY);
    let ticket = &heard.transitions[0];
    assert_eq!(ticket.finding.kind, Kind::GrowthAcrossLives);
    let is_newest = |it: &&Transition| {
        it.incident == ticket.incident && it.finding.kind == Kind::GrowthAcrossLives
    };
    let newest = heard.transitions.iter().rfind(is_newest).unwrap();
    let mut slopes = Vec::new();
    for life in &heard.evidence.lives {
        let Some(end) = life.ended_at.filter(|end| end.second() <= newest.as_of) else { continue };
        let of_life = heard.evidence.samples.iter().filter(|sample| {
            sample.metric == "memory_floor"
                && sample.holder == life.holder
                && (life.started_at..=end).contains(&sample.time)
        });
        let points: Vec<_> =
            of_life.map(|it| (it.time.as_micros() as f64 / 1e6, it.value)).collect();
        slopes.push(slope(&points));
    }
    let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
    let said = newest.finding.growth_per_minute.unwrap() / 60.0;
    assert!((mean / said - 1.0).abs() < 1e-6, "{mean} {said}");
    let service = heard.evidence.lives[0].holder.get(Dimension::ServiceName);
    assert_eq!(service, Some("web"));
}
