//! A world that ends at any step, and a disk in it: for crash tests.
//!
//! A run counts its steps first; then it is repeated with a death before and after each:
//!
//! ```
//! use plimsoll_store::simulation::{Death, Side, World};
//!
//! let world = World::new([Death { step: 1, side: Side::After }]);
//! let mut sent = Vec::new();
//! assert!(world.act("send", || sent.push("one")).is_ok());
//! assert!(world.act("send", || sent.push("two")).is_err());
//! assert!(world.act("send", || sent.push("three")).is_err());
//! assert_eq!(sent, ["one", "two"]);
//!
//! world.revive();
//! assert!(world.step("send").is_ok());
//! assert_eq!(world.trace(), ["send"]);
//! ```

mod disk;

pub use disk::{Fate, SimulatedDisk};

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crate::fault::Fault;

/// When a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The step, counted from 0 in each life.
    pub step: usize,
    /// Whether the step still takes effect.
    pub side: Side,
}

/// Which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The step does not happen.
    Before,
    /// The step happens, and nobody learns of it.
    After,
}

/// The world has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead;

impl fmt::Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated machine has lost power")
    }
}

impl std::error::Error for Dead {}

impl From<Dead> for io::Error {
    fn from(dead: Dead) -> io::Error {
        io::Error::other(dead)
    }
}

/// Counts every step that touches something outside the process, and ends at the one it was told
/// to. Clones are the same world: a disk, a network and a test share it.
#[derive(Clone, Debug)]
pub struct World(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    deaths: Vec<Death>,
    life: usize,
    trace: Vec<&'static str>,
    dead: bool,
}

impl World {
    /// A world whose n-th life ends at the n-th of `deaths`; the life after the last one goes on.
    pub fn new(deaths: impl IntoIterator<Item = Death>) -> World {
        let deaths = deaths.into_iter().collect();
        World(Arc::new(Mutex::new(State { deaths, life: 0, trace: Vec::new(), dead: false })))
    }

    /// A step with no effect of its own: see [`World::act`].
    pub fn step(&self, name: &'static str) -> Result<(), Dead> {
        self.act(name, || ())
    }

    /// One step: `effect` happens unless the world has ended, or ends before it. If the world ends
    /// after it, the effect has happened and the caller is dead.
    pub fn act<T>(&self, name: &'static str, effect: impl FnOnce() -> T) -> Result<T, Dead> {
        let mut state = self.state();
        if state.dead {
            return Err(Dead);
        }
        let step = state.trace.len();
        state.trace.push(name);
        let death = state.deaths.get(state.life).copied().filter(|death| death.step == step);
        state.dead = death.is_some();
        drop(state);
        match death.map(|death| death.side) {
            None => Ok(effect()),
            Some(Side::Before) => Err(Dead),
            Some(Side::After) => {
                effect();
                Err(Dead)
            }
        }
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Begins the next life.
    pub fn revive(&self) {
        let mut state = self.state();
        state.dead = false;
        state.life += 1;
        state.trace.clear();
    }

    /// The names of the steps of this life.
    pub fn trace(&self) -> Vec<&'static str> {
        self.state().trace.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
