//! The listening side: who may connect, how long, how much.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::loopback::{NotLoopback, require_loopback};
use crate::routes;
use crate::sources::Sources;

/// Connections at a time; further ones wait in the listener's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// The bytes of a request's line and headers. hyper takes no smaller buffer than 8 KiB.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The headers of a request.
pub const HEADERS_MAX: usize = 64;
/// How long a client may take to send a request's headers, or to begin the next request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live. A scraper that is cut off connects again.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// How long open requests may take when the server ends.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the console cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be open to other machines.
    #[error(transparent)]
    NotLoopback(#[from] NotLoopback),
    /// The listener does not work.
    #[error("the console's listener does not work: {0}")]
    Listener(#[source] io::Error),
}

/// Serves `sources` until `cancel`, then lets open requests end within [`DRAIN_TIMEOUT`].
pub async fn serve(
    listener: TcpListener,
    sources: Sources,
    cancel: CancellationToken,
) -> Result<(), Error> {
    require_loopback(listener.local_addr().map_err(Error::Listener)?)?;
    let router = routes::router(sources);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = cancel.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => {
                place.expect("the semaphore is never closed")
            }
        };
        let stream = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // A client that left early, or no file descriptors: both pass. The pause
                    // keeps the second from spinning.
                    tracing::warn!(%error, "cannot accept a connection to the console");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (router, cancel) = (router.clone(), cancel.clone());
        connections.spawn(async move {
            connection(stream, router, cancel).await;
            drop(place);
        });
    }
    connections.close();
    // Whoever is not done by then is cut off when the runtime ends.
    let _ = timeout(DRAIN_TIMEOUT, connections.wait()).await;
    Ok(())
}

async fn connection(stream: TcpStream, router: axum::Router, cancel: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // What goes wrong with one connection is the client's affair: it left, or sent nonsense and
    // was told so.
    tokio::select! {
        _ = timeout(CONNECTION_TIMEOUT, connection.as_mut()) => return,
        () = cancel.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(DRAIN_TIMEOUT, connection).await;
}
