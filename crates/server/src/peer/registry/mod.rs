//! A client for any OCI registry, as far as moving artifacts needs it: manifests, blobs, referrers.
//!
//! Nothing a registry says is believed: answers are bounded, content is checked against its digest by whoever asked, credentials go to
//! the registry's own origin only.

mod authorization;
mod copy;
mod reference;

use std::io::Read;

use dede_bundle::Digest;
use dede_bundle::oci::{Descriptor, MANIFEST_LIMIT, MediaType, Reference, RepositoryName};
use serde_json::Value;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, AsSendBody, Body, SendBody};
use url::Url;

use self::authorization::Challenge;
pub(crate) use self::authorization::Credentials;
pub(crate) use self::copy::{copy, read_small};
pub(crate) use self::reference::Place;
use super::PeerUrl;
use super::client::{self, AgentOptions};

/// Hops that the download of a blob may take: registries keep them elsewhere.
const REDIRECTS: usize = 3;
/// Largest answer that is neither manifest nor blob, bytes.
const SMALL: u64 = 1 << 20;
/// Types of manifests that are asked for.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// One repository of a registry.
pub(crate) struct Registry {
    agent: Agent,
    base: Url,
    repository: RepositoryName,
    authorization: Option<String>,
}

impl Registry {
    /// Connects to a registry for one repository. `actions` are `pull`, or `pull,push`.
    ///
    /// # Errors
    /// A sentence: it does not answer, is none, or wants what it is not given.
    pub(crate) fn connect(
        registry: &PeerUrl,
        repository: RepositoryName,
        credentials: Option<&Credentials>,
        options: &AgentOptions<'_>,
        actions: &str,
    ) -> Result<Self, String> {
        let base = Url::parse(&registry.join("/")).map_err(|error| error.to_string())?;
        let mut this = Self { agent: client::agent(options)?, base, repository, authorization: None };
        let answer = this.send(Method::GET, &this.url("")?, &[], ())?;
        match answer.status().as_u16() {
            200..300 => Ok(this),
            401 => {
                this.authorize(&answer, credentials, actions)?;
                Ok(this)
            }
            _ => Err(this.refusal("GET /v2/", answer)),
        }
    }

    fn authorize(
        &mut self,
        answer: &Response<Body>,
        credentials: Option<&Credentials>,
        actions: &str,
    ) -> Result<(), String> {
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let scope = format!("repository:{}:{actions}", self.repository);
        let asked = authorization::challenge(headers, &self.base, &scope).map_err(|reason| self.failed(&reason))?;
        match (asked, credentials) {
            (Some(Challenge::Basic), Some(credentials)) => self.authorization = Some(credentials.basic()),
            (Some(Challenge::Bearer(realm)), _) => {
                self.authorization = credentials.map(Credentials::basic);
                let answer = self.accepted("the token", self.send(Method::GET, &realm, &[], ())?)?;
                let said: Value = serde_json::from_slice(&client::bounded(answer, SMALL)?).unwrap_or_default();
                let token = said["token"].as_str().or(said["access_token"].as_str());
                let token = token.ok_or_else(|| self.failed("it gives no token"))?;
                self.authorization = Some(format!("Bearer {token}"));
            }
            _ => return Err(self.failed("it wants a user and a password (--user, --password-file)")),
        }
        Ok(())
    }

    /// A manifest as it is stored, and its type; `None` where there is none.
    ///
    /// # Errors
    /// A sentence; also when the content is not of the digest it was asked by.
    pub(crate) fn manifest(&self, reference: &Reference) -> Result<Option<(MediaType, Vec<u8>)>, String> {
        let url = self.of_repository(&format!("manifests/{reference}"))?;
        let answer = self.send(Method::GET, &url, &[("accept", ACCEPTED)], ())?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        let answer = self.accepted(&format!("manifest {reference}"), answer)?;
        let announced = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|text| text.split(';').next()?.trim().parse::<MediaType>().ok());
        let media_type = announced.ok_or_else(|| self.failed("its manifest has no Content-Type"))?;
        let bytes = client::bounded(answer, MANIFEST_LIMIT).map_err(|reason| self.failed(&reason))?;
        if let Reference::Digest(digest) = reference
            && Digest::of(&bytes) != *digest
        {
            return Err(self.failed(&format!("manifest {digest} is something else there")));
        }
        Ok(Some((media_type, bytes)))
    }

    /// What is in a blob: not checked, and without end where the registry wants it so.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Box<dyn Read + Send>, String> {
        let mut url = self.of_repository(&format!("blobs/{digest}"))?;
        for _ in 0..=REDIRECTS {
            let answer = self.send(Method::GET, &url, &[("accept-encoding", "identity")], ())?;
            if !answer.status().is_redirection() {
                let answer = self.accepted(&format!("blob {digest}"), answer)?;
                return Ok(Box::new(answer.into_body().into_reader()));
            }
            url = self.location(&answer, &url)?;
            let is_own = url.origin() == self.base.origin();
            if !is_own && url.scheme() != "https" {
                return Err(self.failed("it keeps its blobs elsewhere without TLS"));
            }
        }
        Err(self.failed("too many redirects"))
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn has_blob(&self, digest: &Digest) -> Result<bool, String> {
        let answer = self.send(Method::HEAD, &self.of_repository(&format!("blobs/{digest}"))?, &[], ())?;
        match answer.status().as_u16() {
            200 => Ok(true),
            // Whether it is elsewhere is what pushing it again finds out.
            300..400 | 404 => Ok(false),
            _ => Err(self.refusal(&format!("blob {digest}"), answer)),
        }
    }

    /// Pushes a blob of that many bytes.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn push_blob(&self, digest: &Digest, size: u64, content: &mut dyn Read) -> Result<(), String> {
        let url = self.of_repository("blobs/uploads/")?;
        let begun = self.accepted("the upload", self.send(Method::POST, &url, &[], &[][..])?)?;
        let mut upload = self.location(&begun, &url)?;
        if upload.origin() != self.base.origin() {
            return Err(self.failed("it takes uploads elsewhere, where its credentials do not go"));
        }
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        let length = size.to_string();
        let headers = [(CONTENT_TYPE.as_str(), "application/octet-stream"), (CONTENT_LENGTH.as_str(), &length)];
        let mut content = content.take(size);
        let answer = self.send(Method::PUT, &upload, &headers, SendBody::from_reader(&mut content))?;
        self.accepted(&format!("blob {digest}"), answer).map(drop)
    }

    /// Pushes a manifest; whether the registry lists it among the referrers of its subject by itself.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<bool, String> {
        let url = self.of_repository(&format!("manifests/{reference}"))?;
        let answer = self.send(Method::PUT, &url, &[(CONTENT_TYPE.as_str(), media_type.as_str())], bytes)?;
        let answer = self.accepted(&format!("manifest {reference}"), answer)?;
        Ok(answer.headers().contains_key("oci-subject"))
    }

    /// What says something about a manifest, as the registry lists it; nothing where it has no such list.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, String> {
        let url = self.of_repository(&format!("referrers/{subject}"))?;
        let answer = self.send(Method::GET, &url, &[], ())?;
        if answer.status().as_u16() == 404 {
            return Ok(Vec::new());
        }
        let bytes = client::bounded(self.accepted("referrers", answer)?, MANIFEST_LIMIT)?;
        let index: dede_bundle::oci::ImageIndex =
            serde_json::from_slice(&bytes).map_err(|error| self.failed(&error.to_string()))?;
        Ok(index.manifests)
    }

    fn url(&self, path: &str) -> Result<Url, String> {
        self.base.join(&format!("v2/{path}")).map_err(|error| error.to_string())
    }

    fn of_repository(&self, path: &str) -> Result<Url, String> {
        self.url(&format!("{}/{path}", self.repository))
    }

    /// Where an answer points to.
    fn location(&self, answer: &Response<Body>, from: &Url) -> Result<Url, String> {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let joined = location.and_then(|location| from.join(location).ok());
        joined.ok_or_else(|| self.failed("its answer has no Location"))
    }

    /// Sends one request; credentials go along to the registry's own origin only.
    fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, String> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| url.origin() == self.base.origin()) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|error| self.failed(&error.to_string()))?;
        self.agent.run(request).map_err(|error| self.failed(&error.to_string()))
    }

    fn accepted(&self, what: &str, answer: Response<Body>) -> Result<Response<Body>, String> {
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(what, answer)) }
    }

    /// What a registry says where it refuses.
    fn refusal(&self, what: &str, answer: Response<Body>) -> String {
        let status = answer.status().as_u16();
        let said: Value = client::bounded(answer, SMALL)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let error = &said["errors"][0];
        let text = |member: &str| error[member].as_str().unwrap_or_default().chars().take(300).collect::<String>();
        self.failed(&format!("{what}: it answers {status} {} {}", text("code"), text("message")))
    }

    fn failed(&self, reason: &str) -> String {
        format!("{}: {}", self.base.as_str().trim_end_matches('/'), reason.trim_end())
    }
}
