//! Listening, accepting, and closing in an orderly way.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower::Service as _;

use super::connections::{Activity, ConnectionLimits, Connections, Passing};
use super::own_wakes::OwnWakes;
use super::patience::{PATIENCE, Patient};
use crate::tls::Certificates;

/// Largest head of a request, bytes (contract.md 1.0).
const HEAD_LIMIT: usize = 16_384;
/// Longest time for the head of a request to arrive; an idle connection is closed after it.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;
/// What a client is told that has too many connections open.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";
/// Pause after a failed accept, when files are exhausted say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a connection; every request has it among its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// Binds the address.
///
/// # Errors
/// A sentence with the address.
pub(crate) fn listen(host: &str, port: u16) -> Result<TcpListener, String> {
    let failed = |error: std::io::Error| format!("cannot listen on {host}:{port}: {error}");
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(failed)?.collect();
    // The original listens on IPv4 only, so a name that has both means that.
    let address = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first());
    let address = address.ok_or_else(|| format!("cannot listen on {host}:{port}: no such host"))?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(*address).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

/// Accepts and serves connections until `stop` is done; then waits for the requests in flight. With certificates it speaks TLS.
pub(crate) async fn serve(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    router: Router,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(limits);
    let mut stop = std::pin::pin!(stop);
    loop {
        let permit = tokio::select! {
            () = &mut stop => break,
            permit = connections.place() => permit,
        };
        let Some(permit) = permit else { break };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(place) = connections.take(client.ip(), permit) else {
                    if certificates.is_none() {
                        // Where it cannot be written at once the connection just ends.
                        let _ = stream.try_write(TOO_MANY);
                    }
                    continue;
                };
                let activity = Arc::clone(place.activity());
                let server = Serving { certificates: certificates.clone(), router: router.clone(), activity };
                let connection = server.serve(stream, client, graceful.watcher());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(target: "api", "cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

/// What one connection is served with.
struct Serving {
    certificates: Option<Arc<Certificates>>,
    router: Router,
    activity: Arc<Activity>,
}

impl Serving {
    async fn serve(self, stream: TcpStream, client: SocketAddr, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(target: "api", "TCP_NODELAY: {error}");
        }
        // Each in a place of its own: a connection without TLS is a third of one with it, and there may be thousands.
        match self.certificates.clone() {
            None => Box::pin(self.serve_http(stream, client, watcher)).await,
            Some(certificates) => match Box::pin(certificates.accept(stream)).await {
                Ok(stream) => Box::pin(self.serve_http(stream, client, watcher)).await,
                Err(error) => tracing::debug!(target: "api", "no TLS with {client}: {error}"),
            },
        }
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: SocketAddr,
        watcher: Watcher,
    ) {
        let (mut router, activity) = (self.router, Arc::clone(&self.activity));
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ClientAddress(client.ip()));
            // A router is always ready.
            let (answer, busy) = (router.call(request), activity.request());
            async move { answer.await.map(|response| Passing::of(response, busy)) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_header_size(HEAD_LIMIT)
            .serve_connection(
                TokioIo::new(Patient::new(stream, PATIENCE, self.activity.clone())),
                TowerToHyperService::new(service),
            );
        let connection = std::pin::pin!(watcher.watch(connection));
        let mut connection = OwnWakes::new(connection);
        let ended = tokio::select! {
            // What is ready to be written was written before its connection may end.
            biased;
            ended = &mut connection => ended,
            () = idle_and_wanted_back(&self.activity) => return,
        };
        if let Err(error) = ended {
            tracing::debug!(target: "api", "connection ended: {error}");
        }
    }
}

/// Waits until an idle connection is reclaimed. One on which a request began meanwhile stays.
async fn idle_and_wanted_back(activity: &Activity) {
    loop {
        activity.wanted_back().await;
        if activity.is_idle() {
            return;
        }
    }
}
