//! The HTTP side of pipelines: a page for people, incidents as JSON, health, metrics, version.
//!
//! * `/`, `/incidents/{id}`: the page, whose files the program carries (`page/`);
//! * `/api/incidents`, `/api/incidents/{id}`, `/api/watched`: what it shows, as JSON
//!   (`docs/api.md`);
//! * `/livez`: 200 while the engine's loop makes progress, 503 when it hangs;
//! * `/readyz`: 200 when every dependency is well, 503 otherwise, with each one's state as JSON;
//! * `/metrics`: what the program counts, in Prometheus' text format;
//! * `/version`: what runs here, as JSON.
//!
//! The engine shares a [`Health`] with the server: it calls [`Health::beat`] in its loop and
//! [`Health::set`] when a dependency changes. It publishes what is watched to a [`Watched`];
//! incidents, their evidence and deliveries come from the store. [`Sources`] puts all of it
//! together for [`serve`].
//!
//! The console changes nothing: it answers `GET` and `HEAD` only. It listens on loopback only,
//! and answers only requests that name a loopback host, so that a web page cannot reach it
//! through a name of its own that resolves to 127.0.0.1. Headers, connections and time are
//! bounded (the constants of [`server`]).
//!
//! ```
//! use plimsoll_console::{Health, State};
//!
//! let health = Health::new();
//! health.set("kafka", State::Ok);
//! assert!(health.is_ready());
//! health.drain();
//! assert!(!health.is_ready());
//! ```

pub mod api;
mod followed;
pub mod health;
pub mod loopback;
mod page;
mod routes;
pub mod server;
mod sources;
pub mod watched;

pub use health::{Health, State};
pub use loopback::{NotLoopback, require_loopback};
pub use routes::Version;
pub use server::{Error, serve};
pub use sources::{Pipeline, Sources};
pub use watched::{Picture, Watched};
