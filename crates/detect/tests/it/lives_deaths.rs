//! An instance that is dead and does not come back is told, and nobody else.

use plimsoll_model::Kind;
use plimsoll_model::lives::EndCause;

use crate::lives_world::{DAY, HOUR, Heard, Program, World};

/// Three instances of a program with a death.
fn death(cause: Option<EndCause>, edit: impl Fn(&mut World)) -> Heard {
    let program = Program::new("web", |_, _| 0.0);
    let (every_s, at) = (30, 3 * DAY + 1_000);
    let mut world = World::new(5).with(Program {
        instances: 3,
        every_s,
        deploys: vec![DAY, 2 * DAY],
        deaths: vec![(1, at, cause)],
        ..program
    });
    edit(&mut world);
    world.run(4 * DAY)
}

const DIED: i64 = 3 * DAY + 1_000;

#[test]
fn a_death_by_memory_is_told_within_a_minute() {
    let heard = death(Some(EndCause::OutOfMemory), |_| {});
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    assert!((60..=62).contains(&(at - DIED)), "{:?}", heard.openings());
    assert!(heard.transitions[0].headline.contains("out of memory"), "{:?}", heard.openings());
    assert!(heard.transitions[0].headline.contains("(usual: 14 s)"), "{:?}", heard.openings());
}

#[test]
fn a_death_is_told_by_the_clock_and_not_by_the_next_sample() {
    // Samples come every five minutes, and the world is judged every ten seconds.
    let heard = death(Some(EndCause::Crash), |world| world.programs[0].every_s = 300);
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    assert!((60..=71).contains(&(at - DIED)), "{:?}", heard.openings());
}

#[test]
fn an_instance_that_falls_silent_is_told_after_three_samples() {
    let heard = death(None, |_| {});
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    // Three samples of 30 s after the last one, which was at most 30 s before.
    assert!((60..=95).contains(&(at - DIED)), "{:?}", heard.openings());
}

#[test]
fn two_metrics_at_a_time_make_nobody_wait_longer() {
    let heard = death(None, |world| world.programs[0].cache = Some(Box::new(|_| 100.0)));
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    assert!((60..=95).contains(&(at - DIED)), "{:?}", heard.openings());
}

#[test]
fn what_was_stopped_or_scaled_in_is_silent() {
    let heard = death(Some(EndCause::Stopped), |_| {});
    assert!(heard.openings().is_empty(), "{:?}", heard.openings());
}

#[test]
fn everybody_silent_is_a_gap_in_the_data() {
    let heard = death(None, |world| {
        world.programs[0].deaths.clear();
        world.gap = DIED..DIED + 2 * HOUR;
    });
    assert!(heard.openings().is_empty(), "{:?}", heard.openings());
}

#[test]
fn missing_samples_are_no_death() {
    for (seed, missing) in (300..).zip([0.01, 0.05, 0.2]) {
        let program =
            Program { instances: 4, missing, every_s: 10, ..Program::new("web", |_, _| 0.0) };
        let heard = World::new(seed).with(program).run(6 * DAY);
        assert!(heard.openings().is_empty(), "{missing}: {:?}", heard.openings());
    }
}

/// A pod that goes without a word and another that comes under its own name 45 s later.
#[test]
fn a_successor_under_another_name_takes_the_place() {
    let heard = death(None, |world| world.programs[0].newcomers = vec![DIED + 45]);
    assert!(heard.openings().is_empty(), "{:?}", heard.openings());
    // One newcomer takes one place: of two that go, one is missed.
    let heard = death(None, |world| {
        world.programs[0].instances = 5;
        world.programs[0].deaths.push((2, DIED + 5, None));
        world.programs[0].newcomers = vec![DIED + 45];
    });
    assert_eq!(heard.openings().len(), 1, "{:?}", heard.openings());
}

/// From three instances to six and back: they warm up, and they fall silent.
#[test]
fn scaling_is_silent_and_the_same_silence_without_it_is_not() {
    let scaled = |is_told: bool| {
        death(None, |world| {
            let program = &mut world.programs[0];
            program.shape = Box::new(|hours, _| 500.0 * (hours * 4.0).min(1.0));
            program.newcomers = vec![DIED, DIED + 5, DIED + 10];
            let back = DIED + 6 * HOUR;
            program.deaths = (3..6).map(|place| (place, back + place as i64, None)).collect();
            program.deaths.truncate(if is_told { 3 } else { 2 });
            program.scales = vec![(DIED - 5, 6.0)];
            if is_told {
                program.scales.push((back - 5, 3.0));
            }
        })
    };
    assert!(scaled(true).openings().is_empty(), "{:?}", scaled(true).openings());
    assert_eq!(scaled(false).openings().len(), 2, "{:?}", scaled(false).openings());
}

/// The collector is away for two hours, and who was there before is there after it, but for one.
#[test]
fn who_does_not_come_back_after_a_gap_is_told() {
    let heard = death(None, |world| {
        world.programs[0].deaths = vec![(1, DIED + HOUR, None)];
        world.gap = DIED..DIED + 2 * HOUR;
    });
    let at = heard.opened(Kind::NotBack, "web-2").unwrap();
    assert!((2 * HOUR..2 * HOUR + 200).contains(&(at - DIED)), "{:?}", heard.openings());
}

/// The collector is away while a release is rolled out.
#[test]
fn a_deploy_that_nobody_saw_is_silent_and_a_death_in_it_is_not() {
    let deployed = |deaths: Vec<(usize, i64, Option<EndCause>)>, told: bool| {
        death(None, |world| {
            let program = &mut world.programs[0];
            program.deploys = vec![DAY, 2 * DAY, DIED];
            program.told = told;
            program.deaths = deaths.clone();
            world.gap = DIED - 300..DIED + 1_200;
        })
    };
    for told in [true, false] {
        let heard = deployed(Vec::new(), told);
        assert!(heard.openings().is_empty(), "{:?}", heard.openings());
        // It started with the release and went while nobody looked.
        let heard = deployed(vec![(1, DIED + 600, None)], told);
        let at = heard.opened(Kind::NotBack, "web-2");
        assert!(at.is_some_and(|at| at < DIED + 1_200 + 1_800), "{:?}", heard.openings());
        assert_eq!(heard.openings().len(), 1, "{:?}", heard.openings());
    }
}
