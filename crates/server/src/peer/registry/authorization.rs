//! How a registry wants a client to authenticate: Basic, or a Bearer token that the registry itself issues. Credentials
//! are sent to no realm on another server, whatever the registry says.

use url::Url;

use crate::token::Token;

/// A user and what proves it.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// Name.
    pub(crate) user: String,
    /// Password or token.
    pub(crate) password: Token,
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> String {
        self.password.basic(&self.user)
    }
}

/// What a `WWW-Authenticate` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token from this URL.
    Bearer(Url),
}

/// The challenge to answer among those of a registry; `scope` is what a token is wanted for.
///
/// # Errors
/// A sentence, for a realm that is not on the registry itself.
pub(super) fn challenge<'a>(
    headers: impl Iterator<Item = &'a str>,
    registry: &Url,
    scope: &str,
) -> Result<Option<Challenge>, String> {
    let mut found = None;
    for header in headers {
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(Some(Challenge::Basic));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            continue;
        }
        let Some(realm) = parameter(rest, "realm") else { continue };
        let Ok(mut realm) = Url::parse(&realm) else { continue };
        if realm.origin() != registry.origin() {
            return Err(format!(
                "it wants a token of {}, and credentials go to the registry itself only",
                realm.host_str().unwrap_or("elsewhere")
            ));
        }
        if let Some(service) = parameter(rest, "service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        realm.query_pairs_mut().append_pair("scope", scope);
        found = Some(Challenge::Bearer(realm));
    }
    Ok(found)
}

/// The value of `name="value"` in a list of them.
fn parameter(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, following) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = following;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_the_registry_itself_only() {
        let registry = Url::parse("https://registry.example").expect("a URL");
        let ask = |header: &str| challenge(std::iter::once(header), &registry, "repository:a:pull");
        assert_eq!(ask("Basic realm=\"x\""), Ok(Some(Challenge::Basic)));
        let Ok(Some(Challenge::Bearer(url))) = ask("Bearer realm=\"https://registry.example/token\",service=\"a b\"")
        else {
            panic!("no token asked for");
        };
        assert_eq!(url.as_str(), "https://registry.example/token?service=a+b&scope=repository%3Aa%3Apull");
        for realm in [
            "https://evil.example/token",
            "http://registry.example/token",
            "https://registry.example:444/token",
            "https://registry.example.evil/token",
            "https://registry.example@evil.example/token",
        ] {
            let reason = ask(&format!("Bearer service=\"x\", realm=\"{realm}\"")).expect_err(realm);
            assert!(reason.contains("the registry itself only"), "{reason}");
        }
        for nonsense in ["", "Bearer", "Bearer realm=", "Bearer realm=\"", "Negotiate x", "Bearer realm=\"no URL\""] {
            assert_eq!(ask(nonsense), Ok(None), "{nonsense}");
        }
    }
}
