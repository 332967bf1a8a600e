//! Where a peer is: scheme, host, port and path, in one spelling, so that two can be compared.

use std::fmt;

use serde::Deserialize;
use url::{Host, Url};

/// `http://host:8080`, `https://host/behind/a/proxy`. Without user, query and fragment; a default port and a slash at the end
/// make no difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PeerUrl(Url);

impl PeerUrl {
    /// Checks a URL and brings it into its one spelling.
    ///
    /// # Errors
    /// A sentence that does not repeat a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("expected a URL like http://host:8080: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(format!("expected a URL with http or https, found {}", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("expected a URL without a user: the token belongs in token_file".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected a URL without a query and without #".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The URL of a path of that server, which begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> (Option<Host<&str>>, Option<u16>) {
        (self.0.host(), self.0.port_or_known_default())
    }

    /// Whether it is plain http.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether it says that it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

impl TryFrom<String> for PeerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_equal_and_places_differ() {
        let url = |text: &str| PeerUrl::parse(text).expect(text);
        for same in ["http://dev:80", "HTTP://DEV/", "http://dev:080//", "http://dev/a/..", "http://dev/%2e"] {
            assert_eq!(url(same), url("http://dev"), "{same}");
        }
        assert_eq!(url("http://127.1:8080"), url("http://127.0.0.1:8080/"));
        assert_eq!(url("http://[0:0::1]/x/"), url("http://[::1]/x"));
        for other in [
            "https://dev",
            "http://dev:8080",
            "http://dev.example",
            "http://dev/x",
            "http://dev/xy",
            "http://dev/X",
            "http://deѵ",
        ] {
            assert_ne!(url(other), url("http://dev"), "{other}");
        }
        assert_ne!(url("http://dev/x"), url("http://dev/xy"));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "dev",
            "dev:8080",
            "file:///etc",
            "ftp://dev",
            "http://",
            "http://user@dev",
            "http://u:secret@dev",
            "http://dev?x",
            "http://dev#x",
        ] {
            let reason = PeerUrl::parse(text).expect_err(text);
            assert!(reason.starts_with("expected") && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn paths_are_joined_and_loopback_is_known() {
        assert_eq!(PeerUrl::parse("http://dev/").expect("a URL").join("/info"), "http://dev/info");
        assert_eq!(PeerUrl::parse("https://h/a/").expect("a URL").join("/v2/"), "https://h/a/v2/");
        for (text, expected) in [
            ("http://localhost:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(PeerUrl::parse(text).expect(text).is_loopback(), expected, "{text}");
        }
    }
}
