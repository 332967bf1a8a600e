//! Blobs: `blobs/<digest>`, whole or a range.

use std::fs::File;
use std::ops::Range;

use axum::http::StatusCode;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::response::Response;
use dede_bundle::Digest;
use dede_bundle::oci::RepositoryName;

use super::refusal::{Answer, Code, Refusal};
use super::{CONTENT_DIGEST, Call, blocking, empty, service, set};
use crate::http::stream;

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
    let wanted = call.header(RANGE).filter(|_| !call.is_head() && call.header(IF_RANGE).is_none_or(|of| of == etag));
    let (status, range) = match wanted.map_or(Wanted::All, |text| wanted_range(text, size)) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => {
            let message = format!("the blob has {size} bytes");
            let refusal = Refusal::new(416, Code::Unsupported, message);
            return Err(refusal.with(CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let mut response = if call.is_head() { empty(status) } else { body(call, content, range.clone())? };
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/octet-stream");
    set(&mut response, CONTENT_LENGTH, &(range.end - range.start).to_string());
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    set(&mut response, ACCEPT_RANGES, "bytes");
    set(&mut response, ETAG, &etag);
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
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

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// The whole blob, also where the header asks for what is not understood, or for several parts.
    All,
    /// These bytes; at least one.
    Part(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

fn wanted_range(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Outside } else { Wanted::Part(range) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_as_http_has_them() {
        for (header, expected) in [
            ("bytes=0-3", Wanted::Part(0..4)),
            ("bytes=9-9", Wanted::Part(9..10)),
            ("bytes=4-", Wanted::Part(4..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=4-18446744073709551615", Wanted::Part(4..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-12", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=0-3", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(wanted_range(header, 10), expected, "{header}");
        }
        assert_eq!(wanted_range("bytes=0-", 0), Wanted::Outside);
    }
}
