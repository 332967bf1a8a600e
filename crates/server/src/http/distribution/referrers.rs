//! The referrers of a manifest: `GET referrers/<digest>`.

use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use dede_bundle::Digest;
use dede_bundle::oci::{Descriptor, ImageIndex, MANIFEST_LIMIT, MediaType, RepositoryName};

use super::refusal::{Answer, Code, Refusal};
use super::{Call, blocking, service, set};
use crate::http::reply;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Largest list that is sent at once, bytes: clients take no larger manifests.
const PAGE: u64 = MANIFEST_LIMIT - 4096;

/// GET referrers/{digest}.
pub(super) async fn list(call: &Call, name: RepositoryName, subject: Option<Digest>) -> Answer {
    let invalid = || Refusal::new(400, Code::DigestInvalid, "expected sha256:<64 lower-case hex digits>");
    let subject = subject.ok_or_else(invalid)?;
    let wanted = call.query.get("artifactType").filter(|wanted| !wanted.is_empty()).map(str::to_owned);
    let last = call.query.get("last").map(str::parse::<Digest>).transpose().map_err(|_| invalid())?;
    let found = match call.service(&name).await? {
        Some(found) => {
            let shown = service::shown(call, &name, found).await?;
            let mut found = shown.referrers(&subject);
            found.retain(|found| {
                wanted.is_none() || found.artifact_type.as_ref().map(MediaType::as_str) == wanted.as_deref()
            });
            found
        }
        None => {
            let (store, repository, wanted) = (call.store()?, name.clone(), wanted.clone());
            blocking(move || Ok(store.referrers(&repository, &subject, wanted.as_deref()).manifests)).await?
        }
    };
    let (page, more) = page(found, last.as_ref());
    let next = page.last().filter(|_| more).map(|entry| {
        let filter = wanted.as_deref().map(|wanted| format!("&artifactType={}", crate::peer::path_part(wanted)));
        format!("</v2/{name}/referrers/{subject}?last={}{}>; rel=\"next\"", entry.digest, filter.unwrap_or_default())
    });
    let bytes = serde_json::to_vec(&ImageIndex::new(page))
        .map_err(|error| Refusal::new(500, Code::Unknown, error.to_string()))?;
    let mut response = reply::with_bytes(StatusCode::OK, bytes);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MediaType::IMAGE_INDEX));
    if wanted.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(next) = next {
        set(&mut response, LINK, &next);
    }
    Ok(response)
}

/// As many descriptors after `last` as fit into one manifest, at least one; they are in the order of their digests.
fn page(found: Vec<Descriptor>, last: Option<&Digest>) -> (Vec<Descriptor>, bool) {
    let (mut page, mut size) = (Vec::new(), 0);
    for entry in found.into_iter().filter(|entry| last.is_none_or(|last| entry.digest > *last)) {
        size += serde_json::to_vec(&entry).map_or(0, |bytes| bytes.len() as u64 + 1);
        if size > PAGE && !page.is_empty() {
            return (page, true);
        }
        page.push(entry);
    }
    (page, false)
}
