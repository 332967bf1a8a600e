//! A client for any OCI registry, as far as moving artifacts needs it: manifests, blobs, referrers.
//!
//! A registry is not trusted: answers are bounded, content is checked against its digest by the caller, credentials go
//! to the registry's own origin only. A request that breaks off is retried within bounds ([`attempts`]), one that is
//! refused is not ([`failure`]).

mod attempts;
mod authorization;
mod copy;
mod download;
mod exchange;
mod failure;
mod login;
mod reference;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;

use dede_bundle::oci::{Descriptor, ImageIndex, MANIFEST_LIMIT, MediaType, Reference, RepositoryName};
use dede_bundle::{Blob, Digest};
use ureq::http::Method;
use ureq::http::Response;
use ureq::http::header::{CONTENT_TYPE, LINK};
use ureq::{Agent, Body};
use url::Url;

use self::attempts::Attempts;
pub(crate) use self::authorization::Credentials;
pub(crate) use self::copy::{Artifact, copy, read_small};
pub(crate) use self::download::Download;
use self::failure::Failure;
use self::login::Login;
pub(crate) use self::reference::Place;
pub(crate) use self::upload::Source;
use self::upload::Upload;
use super::PeerUrl;
use super::client::{self, AgentOptions};

/// Types of manifests that are asked for.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
/// Pages of one list that are read.
const MOST_PAGES: usize = 100;

/// How broken connections are retried.
#[derive(Clone)]
pub(crate) struct Retry {
    /// Attempts in a row that bring nothing before something is given up; at least one.
    pub(crate) attempts: u32,
    /// Told before each pause what broke, and what follows.
    pub(crate) report: Arc<dyn Fn(&str)>,
}

/// The rights that a registry is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To read.
    Pull,
    /// To read and write.
    PullAndPush,
}

impl Scope {
    /// As the scope of a token names it.
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::PullAndPush => "pull,push",
        }
    }
}

/// Where a repository is, and what its registry is spoken to with.
pub(crate) struct Endpoint<'a> {
    /// The registry.
    pub(crate) registry: &'a PeerUrl,
    /// One of its repositories.
    pub(crate) repository: RepositoryName,
    /// What it may want to see.
    pub(crate) credentials: Option<Credentials>,
    /// How connections are made.
    pub(crate) agent: AgentOptions<'a>,
}

/// One repository of a registry.
pub(crate) struct Registry {
    agent: Agent,
    base: Url,
    repository: RepositoryName,
    login: Login,
    retry: Retry,
}

impl Registry {
    /// Connects to a registry for one repository.
    ///
    /// # Errors
    /// A sentence: it does not answer, is none, or wants what it is not given.
    pub(crate) fn connect(
        Endpoint { registry, repository, credentials, agent }: Endpoint<'_>,
        scope: Scope,
        retry: &Retry,
    ) -> Result<Self, String> {
        let base = Url::parse(&registry.join("/")).map_err(|error| error.to_string())?;
        let (agent, retry) = (client::agent(&agent)?, retry.clone());
        let mut this = Self { agent, base, repository, login: Login::none(), retry };
        let credentials = credentials.as_ref();
        let challenge = this.patiently("GET /v2/", || {
            let answer = this.send(Method::GET, &this.url("")?, &[], ()).map_err(Failure::at_first_contact)?;
            if answer.status().as_u16() == 401 {
                return this.challenge(&answer, credentials, scope.actions()).map(Some);
            }
            this.accepted(answer).map(|_| None)
        })?;
        if let Some(challenge) = challenge {
            this.login = this.patiently("asking for a token", || this.log_in(&challenge, credentials))?;
        }
        Ok(this)
    }

    /// A manifest as it is stored, and its type; `None` where there is none.
    ///
    /// # Errors
    /// A sentence; also when the content is not of the digest it was asked by.
    pub(crate) fn manifest(&self, reference: &Reference) -> Result<Option<(MediaType, Vec<u8>)>, String> {
        self.patiently(&format!("asking for manifest {reference}"), || {
            let url = self.of_repository(&format!("manifests/{reference}"))?;
            let answer = self.send(Method::GET, &url, &[("accept", ACCEPTED)], ())?;
            if answer.status().as_u16() == 404 {
                return Ok(None);
            }
            let answer = self.accepted(answer)?;
            let announced = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let announced = announced.and_then(|text| text.split(';').next()?.trim().parse::<MediaType>().ok());
            let media_type = announced.ok_or_else(|| Failure::permanent("its manifest has no Content-Type"))?;
            let announced_digest = exchange::content_digest(&answer);
            let bytes = exchange::read(answer, MANIFEST_LIMIT)?;
            let found = Digest::of(&bytes);
            let expected = if let Reference::Digest(digest) = reference { Some(*digest) } else { announced_digest };
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(Failure::permanent(format!("it is something else there: {found} instead of {expected}")));
            }
            Ok(Some((media_type, bytes)))
        })
    }

    /// A blob from an offset on: not checked, and never longer than it should be. It retries broken connections itself.
    pub(crate) fn blob(&self, blob: Blob, offset: u64) -> Download<'_> {
        Download::new(self, blob, offset)
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn has_blob(&self, digest: &Digest) -> Result<bool, String> {
        let what = format!("blob {}: asking whether it is there", digest.short());
        self.patiently(&what, || self.shows_blob(digest))
    }

    fn shows_blob(&self, digest: &Digest) -> Result<bool, Failure> {
        let answer = self.send(Method::HEAD, &self.of_repository(&format!("blobs/{digest}"))?, &[], ())?;
        match answer.status().as_u16() {
            200 => Ok(true),
            // Whether it is elsewhere is what pushing it again finds out.
            300..400 | 404 => Ok(false),
            _ => Err(self.refusal(answer)),
        }
    }

    /// Pushes a blob.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn push_blob(&self, blob: Blob, source: &dyn Source) -> Result<(), String> {
        Upload::new(self, blob, source).run()
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
        self.patiently(&format!("pushing manifest {reference}"), || {
            let url = self.of_repository(&format!("manifests/{reference}"))?;
            let answer = self.send(Method::PUT, &url, &[(CONTENT_TYPE.as_str(), media_type.as_str())], bytes)?;
            let answer = self.accepted(answer)?;
            self.check_pushed(&answer, &Digest::of(bytes))?;
            Ok(answer.headers().contains_key("oci-subject"))
        })
    }

    /// That a manifest is there after it was pushed: 201 says so; what another success means is looked up.
    fn check_pushed(&self, answer: &Response<Body>, digest: &Digest) -> Result<(), Failure> {
        let status = answer.status().as_u16();
        if let Some(found) = exchange::content_digest(answer).filter(|found| found != digest) {
            return Err(Failure::permanent(format!("it stored something else: {found} instead of {digest}")));
        }
        if status == upload::CREATED {
            return Ok(());
        }
        let url = self.of_repository(&format!("manifests/{digest}"))?;
        match self.send(Method::HEAD, &url, &[("accept", ACCEPTED)], ())?.status().as_u16() {
            200 => Ok(()),
            _ => Err(Failure::permanent(format!("expected 201, found {status}, and the manifest is not there"))),
        }
    }

    /// The referrers of a manifest, as the registry lists them on all pages; empty where it has no such list.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, String> {
        let what = format!("asking for the referrers of {}", subject.short());
        let failed = |failure: Failure| self.about(&what, &failure.reason);
        let mut next = Some(self.of_repository(&format!("referrers/{subject}")).map_err(failed)?);
        let mut found = Vec::new();
        for number in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(found) };
            let (page, following) = self.patiently(&what, || match self.page(&url) {
                Err(failure) if failure.status == Some(404) && number == 0 => Ok((Vec::new(), None)),
                outcome => outcome,
            })?;
            found.extend(page);
            next = following;
        }
        if next.is_some() {
            return Err(self.about(&what, &format!("expected at most {MOST_PAGES} pages")));
        }
        Ok(found)
    }

    /// One page of a list of referrers, and where the next is.
    fn page(&self, url: &Url) -> Result<(Vec<Descriptor>, Option<Url>), Failure> {
        let answer = self.accepted(self.send(Method::GET, url, &[], ())?)?;
        let links = answer.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        let next = links.filter_map(exchange::next_page).next().map(str::to_owned);
        let next = next.map(|link| url.join(&link)).transpose();
        let next = next.map_err(|error| Failure::permanent(format!("Link: a URL expected: {error}")))?;
        if next.as_ref().is_some_and(|url| !self.is_own(url)) {
            return Err(Failure::permanent("its list goes on elsewhere, where its credentials do not go"));
        }
        let bytes = exchange::read(answer, MANIFEST_LIMIT)?;
        let index: ImageIndex =
            serde_json::from_slice(&bytes).map_err(|error| Failure::permanent(error.to_string()))?;
        Ok((index.manifests, next))
    }

    /// Makes a request again while that may help.
    fn patiently<T>(&self, what: &str, mut request: impl FnMut() -> Result<T, Failure>) -> Result<T, String> {
        let mut attempts = Attempts::new(self.retry.attempts);
        loop {
            match request() {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => self.wait(&mut attempts, what, &failure)?,
            }
        }
    }

    /// Waits until the next attempt; the sentence to end with where there is none.
    fn wait(&self, attempts: &mut Attempts, what: &str, failure: &Failure) -> Result<(), String> {
        let sentence = self.about(what, &failure.reason);
        let Some(pause) = attempts.pause_after(failure) else { return Err(format!("{sentence} ({attempts})")) };
        (self.retry.report)(&format!("{sentence}; attempt {} in {:.1} s", attempts.next(), pause.as_secs_f64()));
        thread::sleep(pause);
        Ok(())
    }

    /// What went wrong with a blob on its way from here, or after it came, for people.
    pub(crate) fn about_blob(&self, digest: &Digest, reason: &str) -> String {
        self.about(&format!("blob {}: downloading", digest.short()), reason)
    }

    fn about(&self, what: &str, reason: &str) -> String {
        format!("{}: {what}: {}", self.base.as_str().trim_end_matches('/'), reason.trim_end())
    }

    /// Something wrong with what the registry has.
    fn failed(&self, reason: &str) -> String {
        format!("{}: {}", self.base.as_str().trim_end_matches('/'), reason.trim_end())
    }
}
