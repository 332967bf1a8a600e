//! Authorization: the rule of a route, and whether a request satisfies it.
//!
//! Without a token, DeepDetect's own routes are as open as the original's; routes that it does not have answer this
//! machine only. With a token, every route requires it but health and, unless configured otherwise, predicts.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use dede_api::errors::ErrorKind;

use super::Server;
use super::error::Failure;
use super::transport::ClientAddress;
use crate::tokens::Bearer;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Open to every client, always: whether the server is well.
    Anybody,
    /// Open to every client, unless predicts require a token.
    Predicts,
    /// Open to every client until a token is set: the routes of the original.
    Clients,
    /// Open to clients on this machine until a token is set: routes that move services and names.
    Operators,
}

/// Set by a server that forwards the request of a guest: it is a guest's here too, whatever token that server presents.
pub(super) const GUEST: HeaderName = HeaderName::from_static("x-dede-guest");

/// Whether a client has fewer rights than the owner of the server: it may name no files, and is not told which servers
/// this one talks to.
pub(super) fn is_guest(server: &Server, headers: &HeaderMap) -> bool {
    if headers.contains_key(GUEST) {
        return true;
    }
    server.settings.is_strict && bearer(server, headers) != Bearer::Owner
}

fn bearer(server: &Server, headers: &HeaderMap) -> Bearer {
    // A header that cannot be read counts as a token too.
    let presented = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    server.settings.tokens.bearer(presented)
}

/// Whether a request satisfies a rule.
///
/// # Errors
/// 401 without the token, 403 from another machine.
pub(super) fn check(server: &Server, access: Access, request: &Request) -> Result<(), Failure> {
    let tokens = &server.settings.tokens;
    let wants_token = match access {
        Access::Anybody => false,
        Access::Predicts => tokens.predict_wants_token(),
        Access::Clients | Access::Operators => tokens.has_owner(),
    };
    if wants_token {
        return match (bearer(server, request.headers()), access) {
            (Bearer::Owner, _) | (Bearer::Predicting, Access::Predicts) => Ok(()),
            (Bearer::Predicting, _) => Err(Failure::new(ErrorKind::Forbidden, "this token may only predict")),
            (Bearer::Unknown, _) => Err(Failure::new(ErrorKind::Unauthorized, "this is not the token of this server")),
            (Bearer::Nameless, _) => Err(Failure::new(ErrorKind::Unauthorized, "this server wants a token here")),
        };
    }
    match access {
        Access::Operators => check_local(request),
        Access::Anybody | Access::Predicts | Access::Clients => Ok(()),
    }
}

/// Refuses requests under a host name that a web page can point here (DNS rebinding): without a token, only its address
/// protects a server.
///
/// # Errors
/// 403.
pub(super) fn check_host(server: &Server, request: &Request) -> Result<(), Failure> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let Some(host) = host(request.headers(), request.uri()).filter(|_| is_read && !server.settings.is_strict) else {
        return Ok(());
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_known = || server.settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_unspoofable(host) || is_known() {
        return Ok(());
    }
    let text = "without a token this server is read as localhost or under an IP address only (--allow-host)";
    Err(Failure::new(ErrorKind::Forbidden, text))
}

fn check_local(request: &Request) -> Result<(), Failure> {
    let forbidden = |reason| Err(Failure::new(ErrorKind::Forbidden, reason));
    let client = request.extensions().get::<ClientAddress>();
    if !client.is_some_and(|client| client.0.to_canonical().is_loopback()) {
        return forbidden("without a token this server answers this to its own machine only (--token-file)");
    }
    // A web page whose name was pointed here connects from this machine too, but sends its own name.
    if !host(request.headers(), request.uri()).is_some_and(is_unspoofable) {
        return forbidden("without a token this server answers this as localhost or under an IP address only");
    }
    Ok(())
}

/// Host and port that the client believes to talk to.
pub(super) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let written = || headers.get(HOST).map(|host| host.to_str().unwrap_or("?"));
    uri.authority().map(|authority| authority.as_str()).or_else(written)
}

/// Whether a host, with or without a port, is `localhost` or an IP address: names that a web page cannot point
/// elsewhere.
pub(super) fn is_unspoofable(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_pointed_elsewhere_are_told_apart() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8080", true),
            ("10.1.2.3:80", true),
            ("[::1]", true),
            ("[::1]:8080", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[evil]", false),
            ("::1", false),
            ("", false),
            ("?", false),
        ] {
            assert_eq!(is_unspoofable(host), expected, "{host}");
        }
    }
}
