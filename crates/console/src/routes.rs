//! What each address answers, and to whom.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::health::Health;
use crate::loopback::names_loopback;

/// What runs here: the body of `/version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The program's version.
    pub version: String,
    /// The commit that it was built from, if known.
    pub commit: Option<String>,
    /// The pipeline's name.
    pub pipeline: String,
    /// The hash of the configuration in force, without its secrets.
    pub config: String,
}

/// Renders the metrics page.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: Metrics,
    version: Arc<Version>,
}

pub(crate) fn router(health: Health, metrics: Metrics, version: Version) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/version", get(version_page))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(guard))
        .with_state(Shared { health, metrics, version: Arc::new(version) })
}

async fn livez(State(shared): State<Shared>) -> Response {
    if shared.health.is_alive_at(Instant::now()) {
        text(StatusCode::OK, "ok\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine's loop has made no progress for a minute\n",
        )
    }
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let report = shared.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(report)).into_response()
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, (shared.metrics)()).into_response()
}

async fn version_page(State(shared): State<Shared>) -> Response {
    axum::Json(&*shared.version).into_response()
}

async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "nothing here; try /livez, /readyz, /metrics, /version\n")
}

async fn method_not_allowed() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: nothing can be changed here\n")
}

fn text(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// Turns away what is not meant for this server before anything else sees it, and marks every
/// answer as data that no browser should interpret.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request) -> Option<Response> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let refused = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD: nothing can be changed here\n",
        );
        return Some(([(header::ALLOW, "GET, HEAD")], refused).into_response());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let named = request.uri().authority().map(|authority| authority.as_str());
    let welcome = host.is_some_and(names_loopback)
        && hosts.next().is_none()
        && named.is_none_or(names_loopback);
    (!welcome).then(|| {
        text(
            StatusCode::FORBIDDEN,
            "the Host header must name this machine itself: localhost or a loopback address\n",
        )
    })
}
