//! The server of the page: `GET /healthz` and `GET /metrics`, and nothing else.
//!
//! Knows no node beyond its health and its numbers. Invariant: a bounded number of connections, each for a bounded time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::metrics::CONTENT;
use super::{Health, Watched};

type Page = Response<Full<Bytes>>;

/// Serves it until it is dropped.
pub(super) async fn serve(listener: TcpListener, watched: Watched) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Whoever finds no place waits in the system's queue, and is refused by the system when that is full.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the metrics was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let watched = watched.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &watched));
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(PATIENCE, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a reader of the metrics went wrong"),
            }
            drop(place);
        });
    }
}

async fn answer<B>(request: Request<B>, watched: &Watched) -> Result<Page, Infallible> {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let page = match request.uri().path() {
        _ if !is_reading => {
            let mut page = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            page.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            page
        }
        "/healthz" => health(watched).await,
        "/metrics" => numbers(watched).await,
        _ => text(StatusCode::NOT_FOUND, "there are /healthz and /metrics\n"),
    };
    Ok(page)
}

async fn health(watched: &Watched) -> Page {
    let health = timeout(ANSWER_WITHIN, watched.health()).await.unwrap_or(Health::Silent);
    let (status, words) = match health {
        Health::Well => (StatusCode::OK, "ok\n"),
        Health::Closing => (StatusCode::SERVICE_UNAVAILABLE, "closing\n"),
        Health::Silent => (StatusCode::SERVICE_UNAVAILABLE, "the node does not answer\n"),
    };
    text(status, words)
}

async fn numbers(watched: &Watched) -> Page {
    match timeout(ANSWER_WITHIN, watched.numbers()).await {
        Ok(Some(numbers)) => {
            let mut page = Response::new(Full::from(numbers));
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
            page
        }
        Ok(None) => text(StatusCode::SERVICE_UNAVAILABLE, "closing\n"),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the node does not answer\n"),
    }
}

fn text(status: StatusCode, words: &'static str) -> Page {
    let mut page = Response::new(Full::from(words));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    page
}

/// Readers at a time.
const CONNECTIONS_MAX: usize = 16;
/// How long one may take for all of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node that is well takes to answer, at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// After a connection that could not be accepted, as when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
