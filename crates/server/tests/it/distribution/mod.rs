//! The registry, by the Distribution specification 1.1: one test per MUST of a registry, in files named after its categories; what this
//! server adds; and what strangers and hostile clients must not achieve.

mod breaking;
mod discovery;
mod hostile_registry;
mod management;
mod pull;
mod push;
mod push_chunks;
mod push_manifests;
mod referrers;
mod refusals;
mod resumed;
mod security;
mod services;
mod transfer;

use dede_bundle::Digest;
use dede_testing::http::Response;
use serde_json::{Value, json};

use crate::server::Server;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A digest that nothing has.
const NOTHING: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The codes that the specification has.
const CODES: &str = "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID \
    MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS";

/// One request with further headers.
pub(crate) fn call(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let sent = server.connect().exchange(&[head.as_bytes(), body].concat());
    sent.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", server.log()))
}

pub(crate) fn get(server: &Server, path: &str) -> Response {
    call(server, "GET", path, &[], b"")
}

/// The codes in the error body of an answer, which must have one in the specification's form.
fn codes(response: &Response) -> Vec<String> {
    let body = response.json().expect("an error body in JSON");
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {body}"));
    let text = |error: &Value| error["code"].as_str().expect("a code").to_owned();
    assert!(!errors.is_empty() && errors.iter().all(|error| error["message"].is_string()), "{body}");
    let codes: Vec<String> = errors.iter().map(text).collect();
    let is_known = |code: &String| CODES.split_whitespace().any(|known| known == code);
    assert!(response.status >= 500 || codes.iter().all(is_known), "{codes:?}");
    codes
}

/// The same, as `<status> <code>`; all errors must have one code.
pub(crate) fn refusal(response: &Response) -> String {
    let mut codes = codes(response);
    codes.dedup();
    assert_eq!(codes.len(), 1, "{codes:?}");
    format!("{} {}", response.status, codes[0])
}

/// A header that must be there.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or_else(|| panic!("no {name}: {response:?}"))
}

/// Begins an upload; gives its location.
pub(crate) fn begin(server: &Server, repository: &str) -> String {
    let begun = call(server, "POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    assert_eq!(begun.status, 202, "{begun:?}");
    header(&begun, "location").to_owned()
}

/// Pushes a blob; gives its digest.
pub(crate) fn push_blob(server: &Server, repository: &str, content: &[u8]) -> String {
    let digest = Digest::of(content).to_string();
    let location = begin(server, repository);
    let done = call(server, "PUT", &format!("{location}?digest={digest}"), &[], content);
    assert_eq!(done.status, 201, "{done:?}");
    digest
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content).to_string(), "size": content.len()})
}

/// An image manifest with one layer; its blobs are pushed.
pub(crate) fn manifest(server: &Server, repository: &str, content: &[u8]) -> Value {
    push_blob(server, repository, b"{}");
    push_blob(server, repository, content);
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": "application/vnd.example.test",
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [descriptor("application/octet-stream", content)],
    })
}

pub(crate) fn put_manifest(server: &Server, repository: &str, reference: &str, manifest: &[u8]) -> Response {
    call(server, "PUT", &format!("/v2/{repository}/manifests/{reference}"), &[("Content-Type", IMAGE)], manifest)
}

/// Pushes a manifest with one layer under a tag; gives its bytes and its digest.
pub(crate) fn push(server: &Server, repository: &str, tag: &str, content: &[u8]) -> (Vec<u8>, String) {
    let bytes = manifest(server, repository, content).to_string().into_bytes();
    let pushed = put_manifest(server, repository, tag, &bytes);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let digest = Digest::of(&bytes).to_string();
    (bytes, digest)
}
