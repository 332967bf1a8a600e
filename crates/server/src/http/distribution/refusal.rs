//! Failures of the registry as answers: the error body of the Distribution specification, and one table from what went wrong to status
//! and code.

use std::io;

use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dede_bundle::oci::InvalidManifest;
use dede_bundle::store::StoreError;
use serde::Serialize;
use serde_json::json;

use crate::http::error::Failure;
use crate::http::reply;

/// The specification's codes, and one for what it has none for: mistakes of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::http) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    /// Only ever with a 5xx.
    Unknown,
}

/// Result of a handler here.
pub(super) type Answer<T = Response> = Result<T, Refusal>;

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Refusal(Box<Content>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    status: u16,
    code: Code,
    message: String,
    /// Each is an error of its own in the body.
    details: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with a sentence.
    pub(super) fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        let (details, headers) = Default::default();
        Self(Box::new(Content { status, code, message: message.into(), details, headers }))
    }

    /// Another method than those that a path takes.
    pub(super) fn method(allowed: &'static str) -> Self {
        let message = format!("this path takes {allowed}");
        Self::new(405, Code::Unsupported, message).with(ALLOW, allowed)
    }

    /// With a header.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// What kind it is.
    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// The status it is answered with.
    pub(super) fn status(&self) -> u16 {
        self.0.status
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code) = row(&error);
        let mut refusal = Self::new(status, code, error.to_string());
        if let StoreError::MissingReferences(digests) = &error {
            refusal.0.details = digests.iter().map(ToString::to_string).collect();
        }
        refusal
    }
}

/// The row of every error of the store.
fn row(error: &StoreError) -> (u16, Code) {
    match error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => (507, Code::Unknown),
        StoreError::Io { .. }
        | StoreError::InUse
        | StoreError::Damaged { .. }
        | StoreError::Directory(_)
        | StoreError::Assembly(_) => (500, Code::Unknown),
        StoreError::Source(_) => (400, Code::BlobUploadInvalid),
        StoreError::UnknownRepository(_) => (404, Code::NameUnknown),
        StoreError::UnknownBlob(_) | StoreError::Corrupt(_) => (404, Code::BlobUnknown),
        StoreError::UnknownManifest(_) => (404, Code::ManifestUnknown),
        StoreError::UnknownUpload(_) => (404, Code::BlobUploadUnknown),
        // What registries with quotas answer: clients give up, where a 5xx or 429 has them send everything again.
        StoreError::QuotaExceeded { .. } => (403, Code::Denied),
        StoreError::SizeMismatch { .. } => (400, Code::SizeInvalid),
        StoreError::Busy(_) | StoreError::Crowded(_) => (429, Code::TooManyRequests),
        StoreError::OutOfOrder { .. } => (416, Code::BlobUploadInvalid),
        StoreError::DigestMismatch { .. } => (400, Code::DigestInvalid),
        StoreError::Manifest(InvalidManifest::TooLarge(_)) => (413, Code::ManifestInvalid),
        StoreError::Manifest(_) => (400, Code::ManifestInvalid),
        StoreError::MissingReferences(_) => (400, Code::ManifestBlobUnknown),
        StoreError::BlobNeeded { .. } => (405, Code::Unsupported),
    }
}

/// What other parts of the server refuse: who may, and the state of services.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = failure.status();
        let code = match status.code {
            401 => Code::Unauthorized,
            403 => Code::Denied,
            404 => Code::NameUnknown,
            429 | 503 => Code::TooManyRequests,
            400..500 => Code::Unsupported,
            _ => Code::Unknown,
        };
        let message = status.dd_msg.unwrap_or_else(|| status.msg.into_owned());
        Self::new(status.code, code, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Content { status, code, message, details, headers } = *self.0;
        let message = if status >= 500 && status != 503 {
            tracing::error!(target: "api", "{message}");
            "the server made a mistake, see its log".to_owned()
        } else {
            message
        };
        let errors: Vec<_> = match details.as_slice() {
            [] => vec![json!({"code": code, "message": message})],
            details => {
                details.iter().map(|detail| json!({"code": code, "message": message, "detail": detail})).collect()
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = reply::with_bytes(status, json!({ "errors": errors }).to_string());
        response.headers_mut().extend(headers);
        if code == Code::TooManyRequests {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
