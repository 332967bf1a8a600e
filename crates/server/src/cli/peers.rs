//! `dede peers`: the servers of the configuration file, and whether they can be used.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::visible;
use crate::config::Configuration;
use crate::peer::Peer;
use crate::peer::client::PeerClient;

/// Largest answer of a peer, bytes.
const ANSWER_LIMIT: u64 = 16 << 20;

/// Where the configuration file is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct ConfigOption {
    /// Configuration file [default: $XDG_CONFIG_HOME/dede/dede.toml or ~/.config/dede/dede.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What to list.
#[derive(Debug, Clone, Args)]
pub(crate) struct PeersOptions {
    /// Name or URL of one peer [default: all].
    peer: Option<String>,

    #[command(flatten)]
    config: ConfigOption,
}

/// Lists peers, one line each: name, URL, what it answers.
///
/// # Errors
/// What went wrong, in words; a peer that does not answer is no error.
pub(crate) fn run(options: &PeersOptions) -> Result<(), String> {
    let configuration = Configuration::load(options.config.config.as_deref())?;
    let peers: Vec<&Peer> = match options.peer.as_deref() {
        Some(url) if url.contains("://") => vec![configuration.peer_at(url)?],
        Some(name) => vec![configuration.peer(name)?],
        None => configuration.peers().collect(),
    };
    let mut out = io::stdout().lock();
    for peer in peers {
        let state = state(peer).unwrap_or_else(|reason| reason);
        let line = visible::line(&format!("{:<16} {} {state}", peer.name.to_string(), peer.url));
        writeln!(out, "{line}").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What a peer says of itself, and whether it takes the token.
fn state(peer: &Peer) -> Result<String, String> {
    let client = PeerClient::new(peer)?;
    let answer = client.get("/info")?;
    let status = answer.status();
    if !status.is_success() {
        return Ok(format!("answers {} to GET /info", status.as_u16()));
    }
    let info: serde_json::Value = serde_json::from_slice(&client.bytes(answer, ANSWER_LIMIT)?)
        .map_err(|error| format!("its GET /info is no JSON: {error}"))?;
    let head = &info["head"];
    let services = head["services"].as_array().map_or(0, Vec::len);
    let version = head["version"].as_str().unwrap_or("unknown version");
    let token = match client.get("/metrics")?.status().as_u16() {
        401 if peer.token_file.is_some() => ", refuses the token",
        401 => ", wants a token",
        _ if peer.token_file.is_some() => ", takes the token",
        _ => "",
    };
    Ok(format!("{version}, {services} services{token}"))
}
