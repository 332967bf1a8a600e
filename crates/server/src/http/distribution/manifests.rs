//! Manifests: `manifests/<tag or digest>`.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, StatusCode, Uri};
use dede_api::query::decode_path;
use dede_bundle::oci::{MediaType, Reference, RepositoryName, Tag};
use dede_bundle::store::ManifestContent;

use super::refusal::{Answer, Code, Refusal};
use super::{CONTENT_DIGEST, Call, blocking, empty, service, set};
use crate::http::{body, reply};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags of one push.
const TAGS: usize = 100;

/// GET and HEAD manifests/{reference}.
pub(super) async fn get(call: &Call, name: RepositoryName, reference: Option<Reference>) -> Answer {
    let reference = reference.ok_or_else(unknown)?;
    let found = match call.service(&name).await? {
        Some(found) => service::shown(call, &name, found).await?.manifest(&reference)?,
        None => {
            let store = call.store()?;
            blocking(move || Ok(store.manifest(&name, &reference)?)).await?
        }
    };
    let ManifestContent { digest, media_type, bytes } = found;
    if !accepts(call.header(ACCEPT), &media_type) {
        let message = format!("the manifest is of type {media_type}, which Accept does not name");
        return Err(Refusal::new(404, Code::ManifestUnknown, message));
    }
    let mut response = reply::with_bytes(StatusCode::OK, bytes);
    response.headers_mut().remove(CONTENT_TYPE);
    set(&mut response, CONTENT_TYPE, media_type.as_str());
    set(&mut response, CONTENT_DIGEST, &digest.to_string());
    set(&mut response, ETAG, &format!("\"{digest}\""));
    Ok(response)
}

/// Whether a client takes a manifest of this type. Those that name no type of manifest at all are given what there is.
fn accepts(accept: Option<&str>, media_type: &MediaType) -> bool {
    let Some(accept) = accept else { return true };
    let mut names_manifests = false;
    for range in accept.split(',').map(|entry| entry.split(';').next().unwrap_or_default().trim()) {
        if range.eq_ignore_ascii_case(media_type.as_str()) || matches!(range, "*/*" | "application/*") {
            return true;
        }
        names_manifests |= range.starts_with("application/vnd.");
    }
    !names_manifests
}

/// PUT manifests/{reference}.
pub(super) async fn put(
    call: &Call,
    body: &mut Option<Body>,
    name: RepositoryName,
    reference: Option<Reference>,
) -> Answer {
    call.pushable(&name).await?;
    let invalid = |text: &str| Refusal::new(400, Code::ManifestInvalid, text);
    let reference = reference.ok_or_else(|| invalid("a tag, or sha256:<64 lower-case hex digits> expected"))?;
    let announced = call.header(CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or_default().trim());
    let announced: Option<MediaType> = announced
        .filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error| Refusal::new(400, Code::ManifestInvalid, format!("Content-Type: {error}")))?;
    let (expected, tags, are_named) = match reference {
        Reference::Tag(tag) => (None, vec![tag], false),
        Reference::Digest(digest) => (Some(digest), tags_in(&call.parts.uri)?, true),
    };
    let store = call.store()?;
    let body = body.take().unwrap_or_default();
    let received = body::receive(&call.parts.headers, body, &call.server.distribution.manifests).await;
    let mut received = received.map_err(unreadable)?;
    let (repository, named) = (name.clone(), tags.clone());
    let pushed = blocking(move || {
        let text = received.text().map_err(unreadable)?;
        Ok(store.push_manifest(&repository, expected, &named, announced.as_ref(), text.as_bytes())?)
    });
    let pushed = pushed.await?;
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, &format!("/v2/{name}/manifests/{}", pushed.digest));
    set(&mut response, CONTENT_DIGEST, &pushed.digest.to_string());
    if let Some(subject) = pushed.subject {
        set(&mut response, OCI_SUBJECT, &subject.to_string());
    }
    for tag in tags.iter().filter(|_| are_named) {
        set(&mut response, OCI_TAG, tag.as_str());
    }
    Ok(response)
}

/// The values of `tag` in a query.
fn tags_in(uri: &Uri) -> Answer<Vec<Tag>> {
    let values = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("tag="));
    let refused = |error| Refusal::new(400, Code::ManifestInvalid, format!("{error}"));
    let tags: Vec<Tag> = values.map(|value| decode_path(value).parse().map_err(refused)).collect::<Answer<_>>()?;
    if tags.len() > TAGS {
        return Err(Refusal::new(414, Code::ManifestInvalid, format!("at most {TAGS} tags expected")));
    }
    Ok(tags)
}

/// A manifest's body that did not come, or is too large.
fn unreadable(failure: crate::http::error::Failure) -> Refusal {
    let status = failure.status();
    match status.code {
        400 | 413 | 415 => {
            let message = status.dd_msg.unwrap_or_else(|| "the manifest is no text, or did not come whole".into());
            Refusal::new(status.code, Code::ManifestInvalid, message)
        }
        _ => failure.into(),
    }
}

/// DELETE manifests/{reference}: a tag, or a manifest with its tags.
pub(super) async fn delete(call: &Call, name: RepositoryName, reference: Option<Reference>) -> Answer {
    call.deletable(&name).await?;
    let (reference, store) = (reference.ok_or_else(unknown)?, call.store()?);
    blocking(move || {
        match &reference {
            Reference::Tag(tag) => store.delete_tag(&name, tag)?,
            Reference::Digest(digest) => store.delete_manifest(&name, digest)?,
        }
        Ok(empty(StatusCode::ACCEPTED))
    })
    .await
}

/// What cannot be the name of a manifest names none.
fn unknown() -> Refusal {
    Refusal::new(404, Code::ManifestUnknown, "a tag, or sha256:<64 lower-case hex digits> expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_they_take() {
        let index: MediaType = MediaType::IMAGE_INDEX.parse().expect("a media type");
        for (accept, expected) in [
            (None, true),
            (Some("*/*"), true),
            (Some("application/json"), true),
            (Some("text/html, application/*;q=0.5"), true),
            (Some("application/vnd.oci.image.index.v1+json;q=1"), true),
            (Some("application/vnd.oci.image.manifest.v1+json,application/vnd.oci.image.index.v1+json"), true),
            (Some("application/vnd.oci.image.manifest.v1+json"), false),
        ] {
            assert_eq!(accepts(accept, &index), expected, "{accept:?}");
        }
    }
}
