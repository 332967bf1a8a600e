//! Pushing blobs: `blobs/uploads/`, in one request, in two, in chunks, or by mounting what another repository has.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use dede_bundle::Digest;
use dede_bundle::oci::RepositoryName;
use dede_bundle::store::{BlobStore, StoreError, UploadId};

use super::blobs::{self, Content};
use super::refusal::{Answer, Code, Refusal};
use super::{CONTENT_DIGEST, Call, blocking, empty, path, set};
use crate::http::body;
use crate::http::transport::body_reader;
use crate::http::transport::ranges::uploaded;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// POST blobs/uploads/: a session, a mount, or a whole blob.
pub(super) async fn begin(call: &Call, body: &mut Option<Body>, name: RepositoryName) -> Answer {
    call.pushable(&name).await?;
    let digest = |key: &str| call.query.get(key).map(str::parse::<Digest>).transpose().map_err(|_| invalid_digest());
    let (mounted, whole) = (digest("mount")?, digest("digest")?);
    if call.query.get("digest-algorithm").is_some_and(|algorithm| algorithm != "sha256") {
        return Err(Refusal::new(400, Code::DigestInvalid, "digests of algorithm sha256 expected"));
    }
    if let Some(digest) = mounted
        && mount(call, &name, digest).await?
    {
        return Ok(created(&name, &digest));
    }
    let (store, repository, client) = (call.store()?, name.clone(), call.client());
    let id = blocking(move || Ok(store.begin_upload(&repository, client)?)).await?;
    let Some(digest) = whole else { return Ok(progress(StatusCode::ACCEPTED, &name, &id, 0)) };
    let outcome = receive(call, body, &name, &id, Some(digest)).await;
    if outcome.is_err() {
        let store = call.store()?;
        let (repository, id) = (name.clone(), id.clone());
        // No client knows of this upload, so none goes on with it; what failed first is what the client hears.
        let _ = blocking(move || Ok(store.abort_upload(&repository, &id)?)).await;
    }
    outcome?;
    Ok(created(&name, &digest))
}

/// Shows a blob of another repository; whether that has it.
async fn mount(call: &Call, to: &RepositoryName, digest: Digest) -> Answer<bool> {
    let Some(from) = call.query.get("from") else { return Ok(false) };
    let Ok(from) = path::repository(from) else { return Ok(false) };
    let (store, to) = (call.store()?, to.clone());
    if call.service(&from).await?.is_none() {
        return blocking(move || Ok(store.mount(&from, &to, &digest)?)).await;
    }
    let content = match blobs::find(call, &from, digest).await {
        Ok(content) => content,
        Err(refusal) if refusal.status() == 404 => return Ok(false),
        Err(refusal) => return Err(refusal),
    };
    blocking(move || {
        let lease = store.lease();
        let _room = store.reserve(content.size())?;
        match content {
            Content::File(file, _) => store.put_file(digest, &file, &lease)?,
            Content::Bytes(bytes) => drop(store.put_bytes(&bytes, &lease)?),
        }
        store.show(&to, &[digest], &lease)?;
        Ok(true)
    })
    .await
}

/// GET blobs/uploads/{id}: how much has come.
pub(super) async fn status(call: &Call, name: RepositoryName, id: Option<UploadId>) -> Answer {
    let (id, store) = (id.ok_or_else(unknown)?, call.store()?);
    blocking(move || {
        let offset = store.upload_offset(&name, &id)?;
        Ok(progress(StatusCode::NO_CONTENT, &name, &id, offset))
    })
    .await
}

/// PATCH blobs/uploads/{id}: a chunk.
pub(super) async fn append(call: &Call, body: &mut Option<Body>, name: RepositoryName, id: Option<UploadId>) -> Answer {
    call.pushable(&name).await?;
    let id = id.ok_or_else(unknown)?;
    let offset = receive(call, body, &name, &id, None).await?;
    Ok(progress(StatusCode::ACCEPTED, &name, &id, offset))
}

/// PUT blobs/uploads/{id}: the last chunk, if any, and the digest of the whole.
pub(super) async fn finish(call: &Call, body: &mut Option<Body>, name: RepositoryName, id: Option<UploadId>) -> Answer {
    call.pushable(&name).await?;
    let id = id.ok_or_else(unknown)?;
    let digest = call.query.get("digest").and_then(|digest| digest.parse().ok()).ok_or_else(invalid_digest)?;
    receive(call, body, &name, &id, Some(digest)).await?;
    Ok(created(&name, &digest))
}

/// DELETE blobs/uploads/{id}.
pub(super) async fn abort(call: &Call, name: RepositoryName, id: Option<UploadId>) -> Answer {
    let (id, store) = (id.ok_or_else(unknown)?, call.store()?);
    blocking(move || {
        store.abort_upload(&name, &id)?;
        Ok(empty(StatusCode::NO_CONTENT))
    })
    .await
}

/// Adds the body to an upload; with a digest the upload is then finished. Gives the new offset.
async fn receive(
    call: &Call,
    body: &mut Option<Body>,
    name: &RepositoryName,
    id: &UploadId,
    finish: Option<Digest>,
) -> Answer<u64> {
    let length = call.header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let invalid = || Refusal::new(400, Code::BlobUploadInvalid, "Content-Range: <first>-<last> expected");
    let chunk = call.header(CONTENT_RANGE).map(|text| uploaded(text).ok_or_else(invalid)).transpose()?;
    let chunk = chunk.map(|chunk| (chunk.start, chunk.end - chunk.start));
    if let (Some(length), Some((_, expected))) = (length, chunk)
        && length != expected
    {
        let message = format!("Content-Range has {expected} bytes, Content-Length says {length}");
        return Err(Refusal::new(400, Code::BlobUploadInvalid, message));
    }
    let (start, expected) = (chunk.map(|(start, _)| start), chunk.map(|(_, length)| length).or(length));
    let (store, repository, id) = (call.store()?, name.clone(), id.clone());
    let transfer = call.server.distribution.transfer()?;
    let body = body.take().unwrap_or_default();
    let (sender, reader) = body_reader::channel(expected);
    let work = move || {
        let _transfer = transfer;
        let appended = store.append(&repository, &id, start, expected, reader);
        let offset = appended.map_err(|error| located(error, &repository, &id))?;
        if let Some(digest) = finish {
            close(&store, &repository, &id, digest)?;
        }
        Ok(offset)
    };
    let (rest, outcome) = tokio::join!(body_reader::pass_on(body, sender), blocking(work));
    if let Some(rest) = rest {
        // Refused before all of it came: what is left passes, so that the client reads the answer.
        body::discard(&call.parts.headers, rest).await;
    }
    outcome
}

fn close(store: &BlobStore, name: &RepositoryName, id: &UploadId, digest: Digest) -> Answer<()> {
    Ok(store.finish_upload(name, id, digest)?)
}

/// With where to go on, for a chunk out of order.
fn located(error: StoreError, name: &RepositoryName, id: &UploadId) -> Refusal {
    let expected = if let StoreError::OutOfOrder { expected, .. } = &error { Some(*expected) } else { None };
    let refusal = Refusal::from(error);
    match expected {
        None => refusal,
        Some(offset) => refusal.with(LOCATION, &location(name, id)).with(RANGE, &received(offset)),
    }
}

fn location(name: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// The specification has no way to say that nothing came yet; this is what registries send.
fn received(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn progress(code: StatusCode, name: &RepositoryName, id: &UploadId, offset: u64) -> Response {
    let mut response = empty(code);
    set(&mut response, LOCATION, &location(name, id));
    set(&mut response, RANGE, &received(offset));
    set(&mut response, UPLOAD_ID, id.as_str());
    response
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    response
}

fn invalid_digest() -> Refusal {
    Refusal::new(400, Code::DigestInvalid, "sha256:<64 lower-case hex digits> expected")
}

/// What cannot be the id of an upload is the id of none.
fn unknown() -> Refusal {
    Refusal::new(404, Code::BlobUploadUnknown, "no such upload")
}
