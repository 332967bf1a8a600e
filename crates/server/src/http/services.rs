//! /services/{name}: create, describe, rename, delete.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use dede_api::answer::{Answer, Status};
use dede_api::requests::{CreateRequest, read_rename};
use dede_engine::catalogue::Routed;
use dede_engine::dispatch::RemoteTarget;
use dede_engine::name::ServiceName;
use dede_model::error::Error;
use dede_model::repository::Clear;
use serde_json::json;

use super::body::Received;
use super::error::Outcome;
use super::forward::ForwardingPath;
use super::{Server, authority, forward, name_in, query_of, reply, unsupported};
use crate::deepdetect::{InfoOptions, creation, service_info};

/// PUT and POST: creates a service.
pub(crate) async fn create(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(create_outcome(&server, request).await)
}

async fn create_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let name = name_in(request.uri());
    let received = server.receive(request).await?;
    // The original looks at the name before the body.
    if server.catalogue().await?.snapshot().is_taken(&ServiceName::parse(&name)?) {
        return Err(Error::ServiceExists(name).into());
    }
    let (mut received, object) = server.read(received, Received::object).await?;
    server
        .manage(move |catalogue| {
            let request = creation(CreateRequest::read(object, received.text()?)?);
            unsupported::check_connector(&request)?;
            catalogue.create(&name, request)?;
            Ok(reply::json(&Answer::bare(Status::created())))
        })
        .await
}

/// GET: describes a service, or the one an alias points to.
pub(crate) async fn get(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap) -> Response {
    reply::of(get_outcome(&server, &uri, &headers).await)
}

async fn get_outcome(server: &Arc<Server>, uri: &Uri, headers: &HeaderMap) -> Outcome {
    let (name, query) = (name_in(uri), query_of(uri));
    server.check_unknown(&name, query.others(&["status", "labels"]))?;
    let service = match server.catalogue().await?.snapshot().whereabouts(&name)? {
        Routed::Here(resolved) => resolved.service,
        Routed::There { asked, peer, service } => {
            let to = RemoteTarget { asked, peer, service };
            return forward::describe(server, to, ForwardingPath::of(headers), uri.query()).await;
        }
    };
    let options = InfoOptions { status: query.flag("status", true)?, labels: query.flag("labels", false)? };
    server.blocking(move || Ok(reply::json(&Answer::with_body(Status::ok(), service_info(&service, options))))).await
}

/// DELETE: removes a service; `clear` says which of its files go too. What is left of its directory, as it is not the service's, is told
/// in the body, which the original's answer has not. A body of the request is ignored, as by the original, whose clients send one that
/// would remove files.
pub(crate) async fn delete(State(server): State<Arc<Server>>, request: Request) -> Response {
    let is_guest = authority::is_guest(&server, request.headers());
    reply::of(delete_outcome(&server, request.uri(), is_guest, !request.body().is_end_stream()).await)
}

async fn delete_outcome(server: &Server, uri: &Uri, is_guest: bool, has_body: bool) -> Outcome {
    let (name, query) = (name_in(uri), query_of(uri));
    server.check_unknown(&name, query.others(&["clear"]))?;
    // What is no way of clearing clears nothing, as in the original.
    let clear = match query.get("clear").filter(|clear| !clear.is_empty()) {
        None => Clear::default(),
        Some(text) => match Clear::named(text) {
            Some(clear) => clear,
            None => {
                server.check_unknown(&name, vec![format!("clear={text}")])?;
                Clear::default()
            }
        },
    };
    if has_body {
        server.check_unknown(&name, vec!["body of DELETE".to_owned()])?;
    }
    let cleared = server.manage(move |catalogue| Ok(catalogue.delete(&name, clear)?)).await?;
    if cleared.count == 0 {
        return Ok(reply::json(&Answer::bare(Status::ok())));
    }
    // A guest learns no names of files.
    let body = match is_guest {
        true => json!({"left_count": cleared.count}),
        false => json!({"left_count": cleared.count, "left": cleared.left}),
    };
    Ok(reply::json(&Answer::with_body(Status::ok(), body)))
}

/// PATCH `{"name": "new"}`: renames a running service. An addition of ours.
pub(crate) async fn rename(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(rename_outcome(&server, request).await)
}

async fn rename_outcome(server: &Server, request: Request) -> Outcome {
    let name = name_in(request.uri());
    let (_received, object) = server.receive_object(request).await?;
    server
        .manage(move |catalogue| {
            let new = read_rename(object)?;
            catalogue.rename(&name, &new)?;
            Ok(reply::json(&Answer::bare(Status::ok())))
        })
        .await
}
