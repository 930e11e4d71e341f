//! `/api`: incidents and what is watched, as JSON. `docs/api.md` says what each key means.

mod evidence;
mod incident;
mod levels;
mod list;
mod marks;
mod memory;
pub mod transition;
mod watched;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use plimsoll_model::IncidentId;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;

pub use evidence::EVIDENCE_ROWS_READ_MAX;
pub use incident::{DELIVERIES_SHOWN_MAX, TRANSITIONS_SHOWN_MAX};
pub use levels::{BANDS_MAX, POINTS_MAX};
pub use list::INCIDENTS_SHOWN_MAX;
pub use marks::MARKS_MAX;

use crate::sources::Sources;

/// Questions to the stores that are answered at a time; further ones wait for their turn.
pub const QUESTIONS_MAX: usize = 2;

#[derive(Clone)]
struct Api {
    sources: Sources,
    places: Arc<Semaphore>,
}

/// What cannot be answered.
enum Failure {
    /// The question makes no sense.
    Bad(String),
    /// There is no such thing.
    Unknown(String),
    /// The store cannot be read now.
    Store(plimsoll_store::Error),
}

impl From<plimsoll_store::Error> for Failure {
    fn from(error: plimsoll_store::Error) -> Failure {
        Failure::Store(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Failure::Bad(error) => (StatusCode::BAD_REQUEST, error),
            Failure::Unknown(error) => (StatusCode::NOT_FOUND, error),
            Failure::Store(error) => {
                tracing::warn!(%error, "cannot read the store for the console");
                (StatusCode::SERVICE_UNAVAILABLE, format!("the store cannot be read now: {error}"))
            }
        };
        (status, axum::Json(json!({ "error": error }))).into_response()
    }
}

pub(crate) fn router(sources: Sources) -> Router {
    let api = Api { sources, places: Arc::new(Semaphore::new(QUESTIONS_MAX)) };
    Router::new()
        .route("/api/watched", get(watched))
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{id}", get(incident))
        .with_state(api)
}

async fn watched(State(api): State<Api>) -> Response {
    axum::Json(watched::answer(&api.sources, Instant::now())).into_response()
}

async fn incidents(State(api): State<Api>) -> Result<Response, Failure> {
    ask(&api, |sources| list::answer(&sources.pipelines).map_err(Failure::from)).await
}

async fn incident(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Failure> {
    let id = parse_id(&id).map_err(Failure::Bad)?;
    ask(&api, move |sources| {
        let found = incident::answer(&sources.pipelines, id)?;
        found.ok_or_else(|| Failure::Unknown(format!("there is no incident {id} (any more)")))
    })
    .await
}

/// Answers off the server's threads: a store may wait for its disk.
async fn ask<T: Serialize + Send + 'static>(
    api: &Api,
    question: impl FnOnce(&Sources) -> Result<T, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    let place = Arc::clone(&api.places).acquire_owned().await;
    let sources = api.sources.clone();
    let answered = tokio::task::spawn_blocking(move || {
        let answer = question(&sources);
        drop(place);
        answer
    });
    match answered.await {
        Ok(answer) => Ok(axum::Json(answer?).into_response()),
        Err(_panicked) => Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}

/// An id as we write it: a second spelling of the same incident would be a second address.
fn parse_id(text: &str) -> Result<IncidentId, String> {
    let id: Result<IncidentId, String> = text.parse();
    match id {
        Ok(id) if id.to_string() == text => Ok(id),
        _ => Err("an incident's id is 32 hexadecimal digits in lower case".to_owned()),
    }
}
