//! Requests that the rule of their route lets through, and the answer to all others.
//!
//! It must not know the rules.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::authority::{Access, check};
use super::error::Failure;
use super::{Server, body, distribution};

/// Lets a request through to its route, or answers it.
pub(super) async fn admit(
    State((server, access)): State<(Arc<Server>, Access)>,
    request: Request,
    next: Next,
) -> Response {
    match check(&server, access, &request) {
        Ok(()) => next.run(request).await,
        Err(failure) => refused(failure, request).await,
    }
}

/// The answer to a request that its rule refuses, once its body has been read.
pub(super) async fn refused(failure: Failure, request: Request) -> Response {
    let wants_token = failure.is_unauthorized();
    let is_distribution = distribution::speaks(request.uri().path());
    let (parts, body) = request.into_parts();
    body::discard(&parts.headers, body).await;
    let mut response = if is_distribution { distribution::refused(failure) } else { failure.into_response() };
    if wants_token {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"dede\""));
        // To OCI clients Bearer means a server that gives tokens away, and they would look for it.
        if !is_distribution {
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"dede\""));
        }
    }
    response
}
