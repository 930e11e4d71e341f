//! What the judge makes of small scripts of rows, and the detectors of generated runs.

mod end_lines;
mod evidence;
#[allow(dead_code, reason = "the table in docs/detectors.md is made of all of it")]
mod families;
mod growth_again;
mod growth_intervals;
mod growth_lookalikes;
mod growth_pages;
mod growth_phases;
mod growth_slow;
mod growth_world;
mod held_open;
mod held_open_cost;
mod held_open_family;
mod held_open_world;
mod ledger;
mod lives;
mod lives_again;
mod lives_deaths;
mod lives_intervals;
mod lives_lookalikes;
mod lives_world;
mod order;
mod owner;
mod refusal;
mod script;
mod story;
