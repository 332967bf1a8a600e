//! Listening, accepting, and closing in an orderly way.

use std::net::{SocketAddr, ToSocketAddrs as _};
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
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::authority::ClientAddress;
use super::patience::{PATIENCE, Patient};
use crate::tls::Certificates;

/// Largest head of a request, bytes (contract.md 1.0).
const HEAD_LIMIT: usize = 16_384;
/// Longest time for the head of a request to arrive; an idle connection is closed after it.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;
/// Open connections; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// Pause after a failed accept, when files are exhausted say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let connection = serve_client(stream, client, certificates.clone(), router.clone(), graceful.watcher());
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

async fn serve_client(
    stream: TcpStream,
    client: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    router: Router,
    watcher: Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(target: "api", "TCP_NODELAY: {error}");
    }
    match certificates {
        None => serve_http(stream, client, router, watcher).await,
        Some(certificates) => match certificates.accept(stream).await {
            Ok(stream) => serve_http(stream, client, router, watcher).await,
            Err(error) => tracing::debug!(target: "api", "no TLS with {client}: {error}"),
        },
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: SocketAddr,
    router: Router,
    watcher: Watcher,
) {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ClientAddress(client.ip()));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(target: "api", "connection ended: {error}");
    }
}
