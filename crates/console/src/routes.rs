//! What each address answers, and to whom.

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::loopback::names_loopback;
use crate::sources::Sources;
use crate::{api, page};

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

pub(crate) fn router(sources: Sources) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/version", get(version_page))
        .with_state(sources.clone())
        .merge(api::router(sources))
        .merge(page::router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(guard))
}

async fn livez(State(sources): State<Sources>) -> Response {
    if sources.health.is_alive_at(Instant::now()) {
        text(StatusCode::OK, "ok\n")
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine's loop has made no progress for a minute\n",
        )
    }
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let report = sources.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(report)).into_response()
}

async fn metrics_page(State(sources): State<Sources>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, (sources.metrics)()).into_response()
}

async fn version_page(State(sources): State<Sources>) -> Response {
    axum::Json(&*sources.version).into_response()
}

async fn not_found() -> Response {
    text(
        StatusCode::NOT_FOUND,
        "nothing here; try /, /api/incidents, /livez, /readyz, /metrics, /version\n",
    )
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
    for (name, value) in HEADERS {
        // The page brings a policy of its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// On every answer that does not say otherwise.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

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
