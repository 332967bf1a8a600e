//! Blobs: `blobs/<digest>`, whole or a range.

use std::fs::File;
use std::ops::Range;

use axum::http::StatusCode;
use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE};
use axum::response::Response;
use dede_bundle::Digest;
use dede_bundle::oci::RepositoryName;

use super::refusal::{Answer, Code, Refusal};
use super::{CONTENT_DIGEST, Call, blocking, empty, service, set};
use crate::http::transport::ranges::{self, Wanted};
use crate::http::transport::stream;

/// What is in a blob.
pub(super) enum Content {
    /// Any size.
    File(File, u64),
    /// Made by this server.
    Bytes(Vec<u8>),
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File(_, size) => *size,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// Finds a blob that a repository shows.
pub(super) async fn find(call: &Call, name: &RepositoryName, digest: Digest) -> Answer<Content> {
    if let Some(found) = call.service(name).await? {
        let shown = service::shown(call, name, found).await?;
        return blocking(move || shown.blob(&digest)).await;
    }
    let (store, name) = (call.store()?, name.clone());
    blocking(move || {
        let (file, size) = store.repository_blob(&name, &digest)?;
        Ok(Content::File(file, size))
    })
    .await
}

/// GET and HEAD blobs/{digest}.
pub(super) async fn get(call: &Call, name: RepositoryName, digest: Option<Digest>) -> Answer {
    let digest = digest.ok_or_else(unknown)?;
    let content = find(call, &name, digest).await?;
    let size = content.size();
    let etag = format!("\"{digest}\"");
    let is_whole = call.is_head() || call.header(IF_RANGE).is_some_and(|of| of != etag);
    let wanted = if is_whole { Wanted::All } else { ranges::wanted(&call.parts.headers, size) };
    let range = match &wanted {
        Wanted::All => 0..size,
        Wanted::Part(range) => range.clone(),
        Wanted::Outside => {
            let refusal = Refusal::new(416, Code::Unsupported, format!("the blob has {size} bytes"));
            return Err(refusal.with(CONTENT_RANGE, &ranges::outside(size)));
        }
    };
    let mut response = if call.is_head() { empty(StatusCode::OK) } else { body(call, content, range)? };
    ranges::describe(&mut response, &wanted, size);
    set(&mut response, CONTENT_TYPE, "application/octet-stream");
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    set(&mut response, ACCEPT_RANGES, "bytes");
    set(&mut response, ETAG, &etag);
    Ok(response)
}

fn body(call: &Call, content: Content, range: Range<u64>) -> Answer {
    Ok(Response::new(match content {
        Content::Bytes(bytes) => {
            let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes[place(range.start)..place(range.end)].to_vec().into()
        }
        Content::File(file, _) => stream::file(file, range, call.server.distribution.transfer()?),
    }))
}

/// DELETE blobs/{digest}.
pub(super) async fn delete(call: &Call, name: RepositoryName, digest: Option<Digest>) -> Answer {
    call.deletable(&name).await?;
    let (digest, store) = (digest.ok_or_else(unknown)?, call.store()?);
    blocking(move || {
        store.delete_blob(&name, &digest)?;
        Ok(empty(StatusCode::ACCEPTED))
    })
    .await
}

/// What cannot be the digest of a blob is the digest of none.
fn unknown() -> Refusal {
    Refusal::new(404, Code::BlobUnknown, "sha256:<64 lower-case hex digits> expected")
}
