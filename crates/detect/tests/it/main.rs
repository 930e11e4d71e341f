//! What the judge makes of small scripts of rows, and the detectors of generated runs.

mod end_lines;
mod evidence;
mod growth_intervals;
mod growth_lookalikes;
mod growth_pages;
mod growth_slow;
mod growth_world;
mod held_open;
mod held_open_cost;
mod held_open_family;
mod held_open_world;
mod ledger;
mod lives;
mod lives_world;
mod order;
mod owner;
mod refusal;
mod script;
mod story;
