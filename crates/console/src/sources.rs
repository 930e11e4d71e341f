//! Where the console takes what it shows.

use std::fmt;
use std::sync::Arc;

use plimsoll_store::Snapshot;

use crate::health::Health;
use crate::routes::Version;
use crate::watched::Watched;

/// Renders the metrics page.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Opens what a pipeline's store holds now. It may wait for a commit, so it is called off the
/// server's threads.
pub(crate) type Snapshots = Arc<dyn Fn() -> Result<Snapshot, plimsoll_store::Error> + Send + Sync>;

/// One pipeline whose incidents are shown.
#[derive(Clone)]
pub struct Pipeline {
    pub(crate) name: String,
    pub(crate) snapshots: Snapshots,
    pub(crate) watched: Watched,
}

impl Pipeline {
    /// The pipeline `name`, whose store is read through `snapshots` and whose judge publishes to
    /// `watched`.
    pub fn new(
        name: impl Into<String>,
        snapshots: impl Fn() -> Result<Snapshot, plimsoll_store::Error> + Send + Sync + 'static,
        watched: Watched,
    ) -> Pipeline {
        Pipeline { name: name.into(), snapshots: Arc::new(snapshots), watched }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Everything that the console serves.
#[derive(Clone)]
pub struct Sources {
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) version: Arc<Version>,
    pub(crate) pipelines: Arc<[Pipeline]>,
}

impl Sources {
    /// `metrics` renders the page of `/metrics`.
    pub fn new(
        health: Health,
        metrics: impl Fn() -> String + Send + Sync + 'static,
        version: Version,
        pipelines: Vec<Pipeline>,
    ) -> Sources {
        let (metrics, version) = (Arc::new(metrics), Arc::new(version));
        Sources { health, metrics, version, pipelines: pipelines.into() }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sources");
        shown.field("version", &self.version).field("pipelines", &self.pipelines);
        shown.finish_non_exhaustive()
    }
}
