//! One request to a registry and its answer: URLs, credentials, bounds. It must not know retries.

use std::time::Duration;

use dede_bundle::Digest;
use serde_json::Value;
use ureq::http::header::{AUTHORIZATION, HeaderName, LOCATION};
use ureq::http::{Method, Request, Response};
use ureq::{AsSendBody, Body};
use url::Url;

use super::Registry;
use super::failure::Failure;
use crate::peer::client;

/// Largest answer that is neither manifest nor blob, bytes.
pub(super) const SMALL: u64 = 1 << 20;
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Characters of a registry's own words that are shown.
const SHOWN: usize = 300;
/// Longest time until the answer begins to a request without content. Content may have to be checked and stored before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

impl Registry {
    pub(super) fn url(&self, path: &str) -> Result<Url, Failure> {
        self.base.join(&format!("v2/{path}")).map_err(|error| Failure::permanent(error.to_string()))
    }

    pub(super) fn of_repository(&self, path: &str) -> Result<Url, Failure> {
        self.url(&format!("{}/{path}", self.repository))
    }

    /// Whether credentials may go there.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Where an answer points to.
    pub(super) fn location(&self, answer: &Response<Body>, from: &Url) -> Result<Url, Failure> {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let joined = location.and_then(|location| from.join(location).ok());
        joined.ok_or_else(|| Failure::permanent("its answer has no Location"))
    }

    /// Sends one request; credentials go along to the registry's own origin only. A token that has run out is renewed, and the request
    /// has to be made again.
    pub(super) fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        if !self.is_own(url) {
            return self.exchange(method, url, headers, body, None);
        }
        let answer = self.exchange(method, url, headers, body, self.login.header().as_deref())?;
        if self.login.has_run_out(answer.status().as_u16()) {
            self.renew()?;
            return Err(Failure::transient("the token had run out"));
        }
        Ok(answer)
    }

    /// One request, with these credentials.
    pub(super) fn exchange(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let brings_content = matches!(request.method_ref(), Some(&Method::PUT | &Method::PATCH));
        let request = request.body(body).map_err(|error| Failure::permanent(error.to_string()))?;
        let mut request = self.agent.configure_request(request);
        if !brings_content {
            request = request.timeout_recv_response(Some(ANSWER_TIMEOUT));
        }
        let answer = self.agent.run(request.build());
        answer.map_err(|error| Failure::of_error(&error))
    }

    pub(super) fn accepted(&self, answer: Response<Body>) -> Result<Response<Body>, Failure> {
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer)) }
    }

    /// What a registry says where it refuses.
    pub(super) fn refusal(&self, answer: Response<Body>) -> Failure {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let said: Value = client::bounded(answer, SMALL)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let error = &said["errors"][0];
        let text = |member: &str| error[member].as_str().unwrap_or_default().chars().take(SHOWN).collect::<String>();
        let reason = format!("it answers {status} {} {}", text("code"), text("message"));
        Failure::of_answer(status, &headers, reason.trim_end().to_owned())
    }
}

/// The digest of what an answer brings, where it names one.
pub(super) fn content_digest(answer: &Response<Body>) -> Option<Digest> {
    answer.headers().get(&CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

/// The body of an answer, inflated, of at most `limit` bytes.
pub(super) fn read(answer: Response<Body>, limit: u64) -> Result<Vec<u8>, Failure> {
    client::bounded(answer, limit).map_err(|error| Failure::of_body(&error))
}

/// The URL of the next page in a `Link` header (RFC 8288), which may name several.
pub(super) fn next_page(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (url, after) = rest.split_once('<')?.1.split_once('>')?;
        let begins_link = |&comma: &usize| after[comma + 1..].trim_start().starts_with('<');
        let end = after.match_indices(',').map(|(comma, _)| comma).find(begins_link).unwrap_or(after.len());
        let mut parameters = after[..end].split(';').filter_map(|parameter| parameter.split_once('='));
        let is_next = |(name, value): (&str, &str)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        };
        if parameters.any(is_next) {
            return Some(url);
        }
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_link_of_that_relation() {
        for (header, expected) in [
            ("</v2/a/referrers/x?n=2&last=b>; rel=\"next\"", Some("/v2/a/referrers/x?n=2&last=b")),
            ("<https://r.example/next>; rel=next", Some("https://r.example/next")),
            ("<x>; title=\"a\"; rel=\"prev next\"", Some("x")),
            ("<first>; rel=\"first\", <second>; rel=\"next\"", Some("second")),
            ("<a,b>; rel=\"next\"", Some("a,b")),
            ("<first>; rel=\"first\"", None),
            ("<x>", None),
            ("x; rel=\"next\"", None),
            ("<x; rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_page(header), expected, "{header}");
        }
    }
}
