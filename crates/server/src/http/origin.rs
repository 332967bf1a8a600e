//! Requests that a web page makes a browser send: refused where they change anything and the page was not allowed.
//!
//! Other clients send neither `Origin` nor `Sec-Fetch-Site` and are not affected. A page that a proxy serves under the same origin as
//! this server is told by its browser (`Sec-Fetch-Site: same-origin`, which no page can forge), or is allowed by `--allow-origin`.

use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use dede_api::errors::ErrorKind;

use super::authority::{host, is_unspoofable};
use super::error::Failure;

/// How a browser sees the way from a page to this server.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks where a request comes from.
///
/// # Errors
/// 403 for one that a foreign page sent.
pub(super) fn check(request: &Request, allowed: Option<&HeaderValue>) -> Result<(), Failure> {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if is_safe || !is_foreign(request.headers(), request.uri(), allowed) {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::Forbidden, "web pages may not call this server (--allow-origin)"))
}

fn is_foreign(headers: &HeaderMap, uri: &Uri, allowed: Option<&HeaderValue>) -> bool {
    let origin = headers.get(ORIGIN);
    let is_allowed = allowed.is_some_and(|allowed| {
        allowed == "*" || origin.is_some_and(|origin| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
    });
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let looks_foreign = match (site, origin) {
        (Some(b"same-origin" | b"none"), _) | (None, None) => false,
        (Some(_), _) => true,
        (None, Some(origin)) => !is_own(origin, host(headers, uri)),
    };
    looks_foreign && !is_allowed
}

/// Whether a page came from this server itself. Under a name that can be pointed elsewhere it need not have, although both agree.
fn is_own(origin: &HeaderValue, host: Option<&str>) -> bool {
    let (Ok(origin), Some(host)) = (origin.to_str(), host) else { return false };
    let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    place.is_some_and(|place| place.eq_ignore_ascii_case(host)) && is_unspoofable(host)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn pages_are_told_from_other_clients() {
        let dns = "prod.example:8080";
        for (headers, host, allowed, expected) in [
            // curl, scripts, DeepDetect's clients.
            ("", "localhost:8080", "", true),
            ("", dns, "", true),
            // A foreign page, and one without an origin.
            ("Origin: http://evil.example", "localhost:8080", "", false),
            ("Origin: null", "localhost:8080", "", false),
            ("Origin: http://localhost:9999", "localhost:8080", "", false),
            // A name that was pointed here.
            ("Origin: http://evil.example:8080", "evil.example:8080", "", false),
            // A page of this server.
            ("Origin: http://localhost:8080", "localhost:8080", "", true),
            ("Origin: http://127.0.0.1:8080", "127.0.0.1:8080", "", true),
            // What the browser says.
            ("Origin: http://localhost:1912|Sec-Fetch-Site: same-origin", "deepdetect:8080", "", true),
            ("Sec-Fetch-Site: none", dns, "", true),
            ("Origin: http://localhost:8080|Sec-Fetch-Site: cross-site", "localhost:8080", "", false),
            ("Sec-Fetch-Site: same-site", dns, "", false),
            // Allowed pages.
            ("Origin: http://ui.example", dns, "*", true),
            ("Origin: http://ui.example|Sec-Fetch-Site: cross-site", dns, "*", true),
            ("Origin: http://UI.example", dns, "http://ui.example", true),
            ("Origin: http://evil.example", dns, "http://ui.example", false),
            ("Origin: http://ui.example.evil.example", dns, "http://ui.example", false),
        ] {
            let mut builder = Request::builder().method("POST").uri("/predict").header("host", host);
            for line in headers.split('|').filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once(": ").expect("a header");
                builder = builder.header(name, value);
            }
            let mut request = builder.body(Body::empty()).expect("a request");
            let allowed = (!allowed.is_empty()).then(|| HeaderValue::from_str(allowed).expect("a value"));
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                *request.method_mut() = method.parse().expect("a method");
                assert_eq!(check(&request, allowed.as_ref()).is_ok(), expected, "{method} {headers} to {host}");
            }
            *request.method_mut() = Method::GET;
            assert!(check(&request, allowed.as_ref()).is_ok(), "reading is safe");
        }
    }
}
