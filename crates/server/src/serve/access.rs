//! Who may use the server that is about to start: its token, its certificates, and a warning where nothing protects it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::serve::AccessOptions;
use crate::config::Configuration;
use crate::tls::Certificates;
use crate::token::Token;

/// The token that clients must present, if there is one.
///
/// # Errors
/// A sentence: the file holds none, or there must be one and is not.
pub(super) fn token(options: &AccessOptions) -> Result<Option<Token>, String> {
    let token = options.token_file.as_deref().map(Token::read).transpose()?;
    if token.is_none() && options.require_token {
        return Err("--require-token: expected --token-file or DEDE_TOKEN_FILE".to_owned());
    }
    Ok(token)
}

/// The certificates, read again on every SIGHUP from now on.
///
/// # Errors
/// A sentence naming the file.
pub(super) fn certificates(options: &AccessOptions) -> Result<Option<Arc<Certificates>>, String> {
    let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) else { return Ok(None) };
    let certificates = Arc::new(Certificates::load(chain, key)?);
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| format!("cannot listen to signals: {error}"))?;
    let reloaded = Arc::clone(&certificates);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reloaded = Arc::clone(&reloaded);
            match tokio::task::spawn_blocking(move || reloaded.reload()).await {
                Ok(Ok(())) => tracing::info!(target: "api", "certificates read again"),
                Ok(Err(reason)) => tracing::error!(target: "api", "the former certificates stay in use: {reason}"),
                Err(_) => tracing::error!(target: "api", "the former certificates stay in use: a bug, see above"),
            }
        }
    });
    Ok(Some(certificates))
}

/// Says what is open to whom, where that is more than an operator may think, and which peers there are.
pub(super) fn tell(address: SocketAddr, has_token: bool, configuration: &Configuration) {
    if !has_token && !address.ip().is_loopback() {
        tracing::warn!(
            target: "api",
            "no token (--token-file): whoever reaches {address} may create, train, read and delete services and predict; \
             moves, /v2, aliases and renames answer this machine only"
        );
    }
    for peer in configuration.peers() {
        tracing::info!(target: "api", "peer {}: {}", peer.name, peer.url);
    }
}
