//! `/v2`: this server as an OCI registry (Distribution specification 1.1).
//!
//! It shows two kinds of repositories. Every service of this server, and every alias of one, is a repository under its name, where that
//! is a name that OCI allows: its bundle is made of the service's own files and is read-only here. Everything else is what was pushed,
//! in the blob store. Names are one namespace: nothing can be pushed under the name of a service or an alias, and what was pushed under
//! it before is hidden for as long as it is called so.
//!
//! [`path`] knows paths, [`refusal`] errors; one file per kind of content, one for [`service`]s. Everything that touches a file runs on
//! blocking threads, bodies stream.

mod blobs;
mod catalog;
mod manifests;
mod path;
mod referrers;
mod refusal;
mod service;
mod uploads;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dede_api::query::Query;
use dede_bundle::oci::{MANIFEST_LIMIT, RepositoryName};
use dede_bundle::store::BlobStore;
use dede_engine::name::ServiceName;
use dede_engine::service::Service;
use dede_migration::HostDescription;
use dede_model::request_memory::RequestMemory;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::path::{Target, What};
use self::refusal::{Answer, Code, Refusal};
use super::body::{self, Bodies};
use super::error::Failure;
use super::transport::ClientAddress;
use super::{Server, query_of, reply};

/// Blobs that may be on their way at once: each takes a thread, and there must be some left for everything else.
const TRANSFERS: usize = 128;
/// How often what nothing needs is removed from the store, and how long it may lie there: clients push a manifest last.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(3600);
const COLLECTION_GRACE: Duration = Duration::from_secs(3600);

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// As many manifests of the largest size may be in memory at once.
const LARGE_MANIFESTS: u64 = 4;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The state of the registry.
pub(super) struct Distribution {
    opened: OnceLock<(Arc<BlobStore>, HostDescription)>,
    transfers: Arc<Semaphore>,
    manifests: Bodies,
}

impl Default for Distribution {
    fn default() -> Self {
        let transfers = Arc::new(Semaphore::new(TRANSFERS));
        Self {
            opened: OnceLock::new(),
            transfers,
            manifests: Bodies::new(MANIFEST_LIMIT, RequestMemory::new(MANIFEST_LIMIT * LARGE_MANIFESTS)),
        }
    }
}

impl Distribution {
    /// Begins to serve what is in the store.
    pub(super) fn open(&self, store: Arc<BlobStore>, host: HostDescription) {
        let _ = self.opened.set((store, host));
    }

    /// Lets one blob come or go.
    fn transfer(&self) -> Answer<OwnedSemaphorePermit> {
        let full = |_| Refusal::new(429, Code::TooManyRequests, format!("{TRANSFERS} blobs are on their way already"));
        Arc::clone(&self.transfers).try_acquire_owned().map_err(full)
    }
}

/// Removes now and then what nothing in the store needs any more.
pub(crate) async fn collect_garbage(store: Arc<BlobStore>) {
    loop {
        tokio::time::sleep(COLLECTION_INTERVAL).await;
        let store = Arc::clone(&store);
        match tokio::task::spawn_blocking(move || store.collect(COLLECTION_GRACE)).await {
            Ok(Ok(collected)) => tracing::info!(target: "api", ?collected, "the blob store was cleaned"),
            Ok(Err(error)) => tracing::warn!(target: "api", "the blob store could not be cleaned: {error}"),
            // The panic was logged where it happened.
            Err(_) => {}
        }
    }
}

/// Whether a path is one of the registry, whose answers have their own form. The private routes between dede servers
/// are not.
pub(super) fn speaks(path: &str) -> bool {
    path == "/v2" || path.strip_prefix("/v2/").is_some_and(|rest| !rest.starts_with("_dede/"))
}

/// What other parts of the server refuse, in the registry's form.
pub(super) fn refused(failure: Failure) -> Response {
    finished(Refusal::from(failure).into_response())
}

/// A path or method that the registry does not have.
pub(super) fn no_mapping(path: &str) -> Response {
    let refusal = match path::parse(path) {
        _ if path == "/v2/" => Refusal::method("GET, HEAD"),
        Ok(_) => Refusal::method("GET, HEAD, POST, PUT, PATCH or DELETE"),
        Err(refusal) => refusal,
    };
    finished(refusal.into_response())
}

/// GET /v2/: yes, this is a registry.
pub(super) async fn root(State(server): State<Arc<Server>>) -> Response {
    let outcome = server.catalogue().await.map(|_| reply::with_bytes(StatusCode::OK, "{}"));
    finished(outcome.unwrap_or_else(|failure| Refusal::from(failure).into_response()))
}

/// Everything else below /v2/.
pub(super) async fn any(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    finished(handle(server, parts, body).await.unwrap_or_else(Refusal::into_response))
}

async fn handle(server: Arc<Server>, parts: Parts, body: Body) -> Answer {
    let call = Call { query: query_of(&parts.uri), parts, server };
    let mut body = Some(body);
    let outcome = match call.target().await {
        Ok(Target::Catalog) => catalog::repositories(&call).await,
        Ok(Target::Of(repository, what)) => dispatch(&call, &mut body, repository, what).await,
        Err(refusal) => Err(refusal),
    };
    if outcome.is_err()
        && let Some(body) = body
    {
        body::discard(&call.parts.headers, body).await;
    }
    outcome
}

/// `body` is `Some` until a handler takes it.
async fn dispatch(call: &Call, body: &mut Option<Body>, name: RepositoryName, what: What) -> Answer {
    match (what, call.parts.method.as_str()) {
        (What::Tags, "GET" | "HEAD") => catalog::tags(call, name).await,
        (What::Tags, _) => Err(Refusal::method("GET, HEAD")),
        (What::Referrers(digest), "GET" | "HEAD") => referrers::list(call, name, digest).await,
        (What::Referrers(_), _) => Err(Refusal::method("GET, HEAD")),
        (What::Manifest(reference), "GET" | "HEAD") => manifests::get(call, name, reference).await,
        (What::Manifest(reference), "PUT") => manifests::put(call, body, name, reference).await,
        (What::Manifest(reference), "DELETE") => manifests::delete(call, name, reference).await,
        (What::Manifest(_), _) => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
        (What::Blob(digest), "GET" | "HEAD") => blobs::get(call, name, digest).await,
        (What::Blob(digest), "DELETE") => blobs::delete(call, name, digest).await,
        (What::Blob(_), _) => Err(Refusal::method("GET, HEAD, DELETE")),
        (What::Uploads, "POST") => uploads::begin(call, body, name).await,
        (What::Uploads, _) => Err(Refusal::method("POST")),
        (What::Upload(id), "GET" | "HEAD") => uploads::status(call, name, id).await,
        (What::Upload(id), "PATCH") => uploads::append(call, body, name, id).await,
        (What::Upload(id), "PUT") => uploads::finish(call, body, name, id).await,
        (What::Upload(id), "DELETE") => uploads::abort(call, name, id).await,
        (What::Upload(_), _) => Err(Refusal::method("GET, HEAD, PATCH, PUT, DELETE")),
    }
}

/// What every answer of the registry carries.
fn finished(mut response: Response) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

/// One request, and what it is answered from.
struct Call {
    server: Arc<Server>,
    parts: Parts,
    query: Query,
}

impl Call {
    fn store(&self) -> Answer<Arc<BlobStore>> {
        let opened = self.server.distribution.opened.get().map(|(store, _)| Arc::clone(store));
        opened.ok_or_else(|| Refusal::new(503, Code::TooManyRequests, "the server is starting"))
    }

    /// What is asked for, once the server has started.
    async fn target(&self) -> Answer<Target> {
        self.server.catalogue().await?;
        path::parse(self.parts.uri.path())
    }

    /// The other end of the connection.
    fn client(&self) -> Option<IpAddr> {
        self.parts.extensions.get::<ClientAddress>().map(|address| address.0)
    }

    fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The service that is shown under a name, be it its own or an alias.
    async fn service(&self, name: &RepositoryName) -> Answer<Option<Arc<Service>>> {
        let catalogue = self.server.catalogue().await?;
        Ok(catalogue.resolve(name.as_str()).ok().map(|resolved| resolved.service))
    }

    /// Refuses to change what is shown under the name of a service or an alias.
    async fn writable(&self, name: &RepositoryName, status: u16, code: Code) -> Answer<()> {
        let catalogue = self.server.catalogue().await?;
        let is_taken = ServiceName::parse(name.as_str()).is_ok_and(|name| catalogue.snapshot().is_taken(&name));
        if !is_taken {
            return Ok(());
        }
        let message = format!("{name} is a service or an alias of this server, whose repository is read-only here");
        Err(Refusal::new(status, code, message))
    }

    async fn pushable(&self, name: &RepositoryName) -> Answer<()> {
        self.writable(name, 403, Code::Denied).await
    }

    /// By the specification deleting is allowed, or answered with 405.
    async fn deletable(&self, name: &RepositoryName) -> Answer<()> {
        self.writable(name, 405, Code::Unsupported).await
    }
}

/// Runs `work` where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::panicked().into()),
    }
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Adds a header whose value comes from parsed names, digests and numbers.
fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_blobs_are_on_their_way_at_once() {
        let distribution = Distribution::default();
        let mut transfers: Vec<_> = (0..TRANSFERS).map(|_| distribution.transfer().expect("there is room")).collect();
        assert_eq!(distribution.transfer().expect_err("there is none").status(), 429);
        transfers.pop();
        assert!(distribution.transfer().is_ok());
    }

    #[test]
    fn the_registry_is_told_from_what_servers_ask_privately() {
        for (path, expected) in [
            ("/v2", true),
            ("/v2/", true),
            ("/v2/a/tags/list", true),
            ("/v2/_dede", true),
            ("/v2/_dede/host", false),
            ("/v2x", false),
            ("/info", false),
        ] {
            assert_eq!(speaks(path), expected, "{path}");
        }
    }
}
