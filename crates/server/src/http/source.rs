//! What another server fetches from here when a service moves to it: below `/v2/_dede`, a name that no repository of an OCI registry can
//! have.
//!
//! | route | answers |
//! |---|---|
//! | `host` | what this server computes with |
//! | `services/{name}/manifest`, `…/config` | the bundle of a service; `?training=true` with checkpoints |
//! | `services/{name}/blobs/{digest}` | a file of it, `Range` understood |
//! | `services/{name}/chunks/{digest}` | its chunks |
//! | `services/{name}/requests` | recent requests with their answers |

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use dede_api::errors::ErrorKind;
use dede_api::query::decode_path;
use dede_bundle::Digest;
use dede_bundle::chunks::ChunkList;
use dede_bundle::modelpack::Packed;
use dede_engine::service::{Service, Serving};
use dede_migration::{PackageOptions, package, record_captured};
use dede_model::error::Error;
use dede_model::priority;
use dede_storage::failpoint;

use super::error::{Failure, Outcome};
use super::transport::ranges::{self, Wanted};
use super::transport::stream;
use super::{Server, query_of, reply};
use crate::deepdetect::{captured_cases, describe};

/// Bundles that are remembered, so that their files are not read again for each request.
const BUNDLES: usize = 16;
/// Lists of chunks that are remembered.
const LISTS: usize = 64;

/// The bundle of one version of a service, which is not kept loaded for it.
struct Known {
    of: Weak<Serving>,
    options: PackageOptions,
    packed: Arc<Packed>,
}

/// Bundles of services as they were when they were loaded.
#[derive(Default)]
pub(crate) struct Bundles {
    packed: Mutex<VecDeque<Known>>,
    chunks: Mutex<VecDeque<(Digest, Arc<Vec<u8>>)>>,
}

impl Bundles {
    /// The bundle of what a service answers with now.
    pub(super) fn of(&self, service: &Service, options: PackageOptions) -> Outcome<Arc<Packed>> {
        let serving = service.serving()?;
        {
            let packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
            let known =
                packed.iter().find(|known| known.of.as_ptr() == Arc::as_ptr(&serving) && known.options == options);
            if let Some(known) = known {
                return Ok(Arc::clone(&known.packed));
            }
        }
        let made = Arc::new(priority::giving_way(|| package(service, &describe(service), options))??);
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        packed.retain(|known| known.of.strong_count() > 0);
        packed.truncate(BUNDLES - 1);
        packed.push_front(Known { of: Arc::downgrade(&serving), options, packed: Arc::clone(&made) });
        Ok(made)
    }

    /// The bundle of a service that has this file: the plain one, or the one with checkpoints.
    fn with_file(&self, service: &Service, digest: &Digest) -> Outcome<Arc<Packed>> {
        for with_training_state in [false, true] {
            let packed = self.of(service, PackageOptions { with_training_state })?;
            if packed.bundle.files().iter().any(|file| file.digest == *digest) {
                return Ok(packed);
            }
        }
        Err(Failure::new(ErrorKind::NotFound, "no such file in the present bundle of this service"))
    }

    /// The chunks of a file of a bundle.
    fn chunks(&self, packed: &Packed, digest: &Digest) -> Outcome<Arc<Vec<u8>>> {
        {
            let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, found)) = chunks.iter().find(|(of, _)| of == digest) {
                return Ok(Arc::clone(found));
            }
        }
        let file = open(packed, digest)?.0;
        let list =
            priority::giving_way(|| ChunkList::of_reader(file))?.map_err(Error::io("read a file of the bundle"))?;
        if list.digest() != *digest {
            return Err(Error::MoveConflict("a file of the service changed on disk since it was loaded".into()).into());
        }
        let made = Arc::new(list.to_bytes());
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.truncate(LISTS - 1);
        chunks.push_front((*digest, Arc::clone(&made)));
        Ok(made)
    }
}

/// GET host.
pub(crate) async fn host(State(server): State<Arc<Server>>) -> Response {
    let outcome = server.blocking(|| {
        let bytes =
            serde_json::to_vec(&crate::host::describe(None)).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(reply::with_bytes(StatusCode::OK, bytes))
    });
    reply::of(outcome.await)
}

/// GET services/{name}/manifest.
pub(crate) async fn manifest(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    of_bundle(&server, &uri, |packed| packed.manifest.clone()).await
}

/// GET services/{name}/config.
pub(crate) async fn config(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    of_bundle(&server, &uri, |packed| packed.config.clone()).await
}

async fn of_bundle(server: &Arc<Server>, uri: &Uri, part: fn(&Packed) -> Vec<u8>) -> Response {
    let (shared, name, query) = (Arc::clone(server), name_in(uri), query_of(uri));
    let outcome = server.manage(move |catalogue| {
        failpoint("bundle");
        let service = catalogue.resolve(&name)?.service;
        let options = PackageOptions { with_training_state: query.flag("training", false)? };
        Ok(reply::with_bytes(StatusCode::OK, part(&*shared.bundles.of(&service, options)?)))
    });
    reply::of(outcome.await)
}

/// GET services/{name}/chunks/{digest}.
pub(crate) async fn chunks(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let answer = |bundles: &Bundles, packed: &Packed, digest: &Digest| {
        failpoint("chunks");
        Ok(octets(StatusCode::OK, bundles.chunks(packed, digest)?.as_ref().clone()))
    };
    reply::of(with_file(&server, &uri, answer).await)
}

/// GET services/{name}/blobs/{digest}, whole or a range.
pub(crate) async fn blob(State(server): State<Arc<Server>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let answer = move |_: &Bundles, packed: &Packed, digest: &Digest| {
        let (file, size) = open(packed, digest)?;
        let wanted = ranges::wanted(&headers, size);
        let range = match &wanted {
            Wanted::All => 0..size,
            Wanted::Part(range) => range.clone(),
            Wanted::Outside => {
                let mut response = octets(StatusCode::RANGE_NOT_SATISFIABLE, Vec::new());
                set(&mut response, CONTENT_RANGE, &ranges::outside(size));
                return Ok(response);
            }
        };
        let mut response = Response::new(stream::file(file, range, ()));
        ranges::describe(&mut response, &wanted, size);
        set(&mut response, CONTENT_TYPE, "application/octet-stream");
        Ok(response)
    };
    reply::of(with_file(&server, request.uri(), answer).await)
}

async fn with_file(
    server: &Arc<Server>,
    uri: &Uri,
    answer: impl FnOnce(&Bundles, &Packed, &Digest) -> Outcome + Send + 'static,
) -> Outcome {
    let (shared, name, digest) = (Arc::clone(server), name_in(uri), digest_in(uri)?);
    server
        .manage(move |catalogue| {
            let service = catalogue.resolve(&name)?.service;
            let packed = shared.bundles.with_file(&service, &digest)?;
            answer(&shared.bundles, &packed, &digest)
        })
        .await
}

/// GET services/{name}/requests: recent requests and what this service answers to them now. A server of the version before asks for
/// them in the words of the API, a present one in the types of models (`typed`).
pub(crate) async fn requests(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let (name, query) = (name_in(&uri), query_of(&uri));
    let outcome = server.manage(move |catalogue| {
        let service = catalogue.resolve(&name)?.service;
        if query.flag("typed", false)? {
            return Ok(reply::with_bytes(StatusCode::OK, record_captured(&service)?.into_bytes()));
        }
        let cases = captured_cases(&service)?;
        let bytes = serde_json::to_vec(&cases).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(reply::with_bytes(StatusCode::OK, bytes))
    });
    reply::of(outcome.await)
}

/// A file of the bundle, and its size.
pub(super) fn open(packed: &Packed, digest: &Digest) -> Outcome<(File, u64)> {
    let files = packed.bundle.files().iter().zip(&packed.sources);
    let (file, source) = files
        .clone()
        .find(|(file, _)| file.digest == *digest)
        .ok_or_else(|| Failure::new(ErrorKind::NotFound, "no such file in the bundle"))?;
    let opened = source.open().map_err(|error| Error::Internal(error.to_string()))?;
    let size = opened.metadata().map_err(Error::io(format!("look at {}", file.name)))?.len();
    if size != file.size {
        return Err(Error::MoveConflict(format!("{} changed on disk since it was loaded", file.name)).into());
    }
    Ok((opened, size))
}

fn octets(code: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = reply::with_bytes(code, bytes);
    set(&mut response, CONTENT_TYPE, "application/octet-stream");
    response
}

fn set(response: &mut Response, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The name in `/v2/_dede/services/{name}/…`, decoded.
fn name_in(uri: &Uri) -> String {
    decode_path(uri.path().split('/').nth(4).unwrap_or_default())
}

fn digest_in(uri: &Uri) -> Outcome<Digest> {
    let text = decode_path(uri.path().rsplit('/').next().unwrap_or_default());
    text.parse().map_err(|error| Failure::new(ErrorKind::Malformed, format!("{error}")))
}
