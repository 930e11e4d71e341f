//! The embedded page: a few files that the program carries, and the policy that binds them.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may do: its own scripts, styles and pictures, questions to this server, and
/// nothing else. No text can become script: the browser refuses every sink for markup.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $content_type:ident),* $(,)?) => {
        /// Every file below `/page/`: name, content type, content.
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $content_type, include_str!(concat!("../page/", $name)))),*];
    };
}

files! {
    "chart.js": SCRIPT,
    "draw.js": SCRIPT,
    "facts.js": SCRIPT,
    "frame.js": SCRIPT,
    "incident.js": SCRIPT,
    "mark.svg": SVG,
    "marks.js": SCRIPT,
    "now.js": SCRIPT,
    "page.css": CSS,
    "poll.js": SCRIPT,
    "state.js": SCRIPT,
    "words.js": SCRIPT,
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(async || screen(include_str!("../page/now.html"))))
        .route("/incidents/{id}", get(async || screen(include_str!("../page/incident.html"))))
        .route("/page/{file}", get(file))
}

fn screen(html: &'static str) -> Response {
    answer(HTML, html)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, content_type, content)) => answer(content_type, content),
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

fn answer(content_type: &'static str, content: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, content).into_response()
}
