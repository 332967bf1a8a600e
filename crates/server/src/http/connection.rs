//! Listening, accepting, and closing in an orderly way.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

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

/// Accepts and serves connections until `stop` is done; then waits for the requests in flight.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
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
            Ok((stream, _)) => {
                let connection = serve_connection(stream, router.clone(), &graceful);
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

fn serve_connection(
    stream: TcpStream,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(target: "api", "TCP_NODELAY: {error}");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(target: "api", "connection ended: {error}");
        }
    }
}
