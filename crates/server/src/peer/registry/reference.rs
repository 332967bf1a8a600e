//! The name of an artifact in a registry: `registry.example:5000/models/iris:v3`, `…@sha256:<digest>`.

use dede_bundle::oci::{Reference, RepositoryName};

use crate::peer::PeerUrl;

/// Where an artifact is. `http://` or `https://` may stand in front; without it the registry is spoken to over https, one on this machine
/// over plain http.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The registry.
    pub(crate) registry: PeerUrl,
    /// The repository there.
    pub(crate) repository: RepositoryName,
    /// The tag, `latest` where none is named, or the digest.
    pub(crate) reference: Reference,
}

impl Place {
    /// Parses one. `plain_http` lets registries elsewhere be spoken to without TLS.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn parse(text: &str, plain_http: bool) -> Result<Self, String> {
        let expected =
            || format!("expected registry/repository:tag, such as localhost:5000/models/iris:v3, found {text:?}");
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_once('/').ok_or_else(expected)?;
        let (repository, reference) = match path.split_once('@') {
            Some((repository, digest)) if digest.contains(':') => (repository, digest),
            Some(_) => return Err(expected()),
            None => path.rsplit_once(':').unwrap_or((path, "latest")),
        };
        let plain = PeerUrl::parse(&format!("http://{host}")).map_err(|_| expected())?;
        let scheme = scheme.unwrap_or(if plain_http || plain.is_loopback() { "http" } else { "https" });
        let registry = PeerUrl::parse(&format!("{scheme}://{host}"))?;
        if registry.is_plain() && !registry.is_loopback() && !plain_http {
            return Err(format!("{registry} is spoken to without TLS only with --plain-http"));
        }
        Ok(Self {
            registry,
            repository: repository.parse().map_err(|error| format!("{error}"))?,
            reference: reference.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn places_are_parsed() {
        for (text, registry, repository, reference) in [
            ("localhost:5000/models/iris:v3", "http://localhost:5000", "models/iris", "v3"),
            ("127.0.0.1:5000/iris", "http://127.0.0.1:5000", "iris", "latest"),
            ("https://localhost:5000/iris", "https://localhost:5000", "iris", "latest"),
            ("registry.example/iris:v1", "https://registry.example", "iris", "v1"),
            ("registry.example:5000/a/b/c:v1", "https://registry.example:5000", "a/b/c", "v1"),
            (&format!("registry.example/iris@{DIGEST}"), "https://registry.example", "iris", DIGEST),
        ] {
            let place = Place::parse(text, false).expect(text);
            let found = (place.registry.to_string(), place.repository.to_string(), place.reference.to_string());
            assert_eq!(found, (registry.to_owned(), repository.to_owned(), reference.to_owned()), "{text}");
        }
        let plain = Place::parse("registry.example/iris", true).expect("plain");
        assert!(plain.registry.is_plain());
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "iris",
            "iris:v1",
            "/iris",
            "registry.example/",
            "registry.example/Iris",
            "registry.example/../iris",
            "registry.example/iris:",
            "registry.example/iris:.v1",
            "registry.example/iris@v1",
            "registry.example/iris@sha256:00",
            "registry.example/iris:v1@",
            "http://registry.example/iris",
            "ftp://registry.example/iris",
            "user:secret@registry.example/iris",
        ] {
            let reason = Place::parse(text, false).expect_err(text);
            assert!(!reason.contains("secret") || text.is_empty() || reason.starts_with("expected"), "{reason}");
        }
    }
}
