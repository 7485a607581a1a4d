//! The TCP listener under a router: bounded in connections, headers and patience, and able to stop gracefully.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::https::Https;
use super::patience::PatientStream;

/// The bounds of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListenerOptions {
    /// Connections at once; further ones are told to come back and closed.
    pub connections_count_max: usize,
    /// How long a connection may take to send a request's headers, and may stand idle between two requests.
    pub header_timeout: Duration,
    /// Request line and headers, in bytes.
    pub header_bytes_max: usize,
    /// How long a client may take none of what is sent to it before its connection is cut.
    pub write_timeout: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            connections_count_max: 10_000,
            header_timeout: Duration::from_secs(30),
            header_bytes_max: 32 << 10,
            write_timeout: Duration::from_secs(15),
        }
    }
}

/// A bound listener, not yet serving.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: ListenerOptions,
    https: Option<Https>,
}

const HEADERS_COUNT_MAX: usize = 64;
/// Sent and not yet taken by a client, in bytes, in the kernel (which doubles it for its own needs).
const SEND_BUFFER_BYTES: u32 = 128 << 10;
/// Connections that wait to be accepted: those of a node's clients, when all come back at once. The system may allow fewer.
const BACKLOG_COUNT_MAX: u32 = 4_096;
/// What a connection too many is told, by hand: nothing of its request is read, so there is no id either.
const FULL: &str = r#"{"type":"urn:leftoff:problem:overloaded","title":"Not now","status":503,"code":"overloaded","detail":"as many connections are open as are allowed","retry_after_ms":1000}"#;

impl Listener {
    /// Binds, within a tokio runtime. Port 0 takes a free one; see [`Listener::local_addr`].
    #[expect(clippy::unused_async, reason = "a socket of tokio is bound within its runtime, and awaiting says so")]
    pub async fn bind(address: SocketAddr, options: ListenerOptions) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Connections inherit it. What the kernel holds for a client cannot be replaced by something newer, and is memory too.
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG_COUNT_MAX)?;
        Ok(Self { address: socket.local_addr()?, socket, options, https: None })
    }

    /// Speaks HTTPS, and nothing else, with the given certificate.
    #[must_use]
    pub fn with_https(mut self, https: Https) -> Self {
        self.https = Some(https);
        self
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves the routes until shut down. The returned handle ends it.
    pub fn serve(self, routes: Router) -> ListenerShutdown {
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(self.options.connections_count_max));
        let count = self.options.connections_count_max;
        let accepting = tokio::spawn(accept(self.socket, self.options, self.https, routes, stopped, Arc::clone(&connections)));
        ListenerShutdown { stop, accepting, connections, count }
    }
}

async fn accept(
    socket: TcpListener,
    options: ListenerOptions,
    https: Option<Https>,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.header_bytes_max)
        .max_headers(HEADERS_COUNT_MAX)
        .half_close(false);
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = told(&mut stopped) => return,
        };
        match accepted {
            Ok((stream, _peer)) => {
                // Answers are small and somebody waits for each.
                let _ = stream.set_nodelay(true);
                if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
                    // The permit goes with the stream, not with its task: an upgraded connection is one still.
                    let stream = PatientStream::new(stream, options.write_timeout, permit);
                    let (http, routes, stopped) = (http.clone(), routes.clone(), stopped.clone());
                    match &https {
                        Some(https) => tokio::spawn(secured(https.acceptor(), options.header_timeout, http, stream, routes, stopped)),
                        None => tokio::spawn(connection(http, stream, routes, stopped)),
                    };
                } else {
                    if https.is_none() {
                        // Best effort: who does not take these few bytes at once is closed without a word.
                        let _ = stream.try_write(full().as_bytes());
                    }
                    metrics::counter!("leftoff_http_connections_refused_total").increment(1);
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly: waiting is all that helps, and spinning would not.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn full() -> String {
    let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/problem+json";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{FULL}", FULL.len())
}

// Also when the handle is dropped: nobody is left to ask.
async fn told(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}

/// The same behind TLS. A handshake may take as long as headers may.
async fn secured(
    acceptor: TlsAcceptor,
    patience: Duration,
    http: http1::Builder,
    stream: PatientStream<TcpStream>,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(patience, acceptor.accept(stream)) => shaken,
        () = told(&mut stopped) => return,
    };
    match shaken {
        Ok(Ok(stream)) => connection(http, stream, routes, stopped).await,
        Ok(Err(error)) => {
            metrics::counter!("leftoff_tls_handshakes_failed_total").increment(1);
            tracing::trace!(%error, "a handshake failed");
        }
        Err(_) => {
            metrics::counter!("leftoff_tls_handshakes_failed_total").increment(1);
        }
    }
}

async fn connection<S>(http: http1::Builder, stream: S, routes: Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = told(&mut stopped) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Ends a listener.
#[derive(Debug)]
pub struct ListenerShutdown {
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    connections: Arc<Semaphore>,
    count: usize,
}

impl ListenerShutdown {
    /// Stops accepting, lets requests under way finish for at most `patience`, and says whether all did.
    pub async fn shutdown(self, patience: Duration) -> bool {
        self.stop.send_replace(true);
        let all = self.connections.acquire_many(u32::try_from(self.count).unwrap_or(u32::MAX));
        let finished = tokio::time::timeout(patience, all).await.is_ok();
        // The task ends by itself once told; a panic in it has been logged.
        let _ = self.accepting.await;
        finished
    }
}
