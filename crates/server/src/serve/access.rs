//! Access control of the server that is about to start: its tokens, its certificates, and a warning where nothing
//! protects it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::serve::AccessOptions;
use crate::config::Configuration;
use crate::tls::Certificates;
use crate::tokens::Tokens;

/// The tokens that clients must present, if there are any.
///
/// # Errors
/// A sentence: a file holds none.
pub(super) fn tokens(options: &AccessOptions) -> Result<Arc<Tokens>, String> {
    let predict = options.predict_token_file.as_deref();
    Tokens::load(options.token_file.as_deref(), predict, options.predict_wants_token).map(Arc::new)
}

/// The certificates, if there are any.
///
/// # Errors
/// A sentence naming the file.
pub(super) fn certificates(options: &AccessOptions) -> Result<Option<Arc<Certificates>>, String> {
    let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) else { return Ok(None) };
    Certificates::load(chain, key).map(|certificates| Some(Arc::new(certificates)))
}

/// Reads tokens and certificates again on every SIGHUP from now on.
///
/// # Errors
/// A sentence: signals cannot be listened to.
pub(super) fn reload_on_hangup(tokens: &Arc<Tokens>, certificates: Option<&Arc<Certificates>>) -> Result<(), String> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| format!("cannot listen to signals: {error}"))?;
    let (tokens, certificates) = (Arc::clone(tokens), certificates.map(Arc::clone));
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let tokens = Arc::clone(&tokens);
            reload("tokens", move || tokens.reload()).await;
            if let Some(certificates) = certificates.clone() {
                reload("certificates", move || certificates.reload()).await;
            }
        }
    });
    Ok(())
}

async fn reload(what: &str, read: impl FnOnce() -> Result<(), String> + Send + 'static) {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(())) => tracing::info!(target: "api", "{what} read again"),
        Ok(Err(reason)) => tracing::error!(target: "api", "the former {what} stay in use: {reason}"),
        Err(_) => tracing::error!(target: "api", "the former {what} stay in use: a bug, see above"),
    }
}

/// Logs which routes are open to which clients, where that is more than an operator may think, and which peers there
/// are.
pub(super) fn tell(address: SocketAddr, has_token: bool, configuration: &Configuration) {
    if !has_token && !address.ip().is_loopback() {
        tracing::warn!(
            target: "api",
            "no token (--token-file): every client that reaches {address} may create, train, read and delete services and predict; \
             moves, /v2, aliases and renames answer this machine only"
        );
    }
    for peer in configuration.peers() {
        tracing::info!(target: "api", "peer {}: {}", peer.name, peer.url);
    }
}
