//! /aliases/{name}: a stable name that clients predict under, pointed from one service to another in one step; with a canary that
//! answers a part of them and a shadow that gets copies.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use dede_api::aliases::{AliasInfo, AliasShadow, AliasShare, AliasStep};
use dede_api::answer::{Answer, Status};
use dede_api::requests::{PutAlias, ShareRequest};
use dede_engine::catalogue::{AliasChange, AliasView, ShadowView, ShareChange, ShareView, StepView};
use dede_engine::name::PeerName;
use dede_engine::shadow::ShadowCounts;
use dede_model::error::Error;

use super::error::Outcome;
use super::{Server, name_in, reply};

fn shown(alias: AliasView) -> Response {
    reply::json(&Answer::with_body(Status::ok(), rendered(alias)))
}

/// GET without a name: the names of all aliases.
pub(crate) async fn list(State(server): State<Arc<Server>>) -> Response {
    let names = server.manage(|catalogue| {
        let names: Vec<String> = catalogue.snapshot().aliases().map(|alias| alias.name.to_string()).collect();
        Ok(reply::json(&Answer::with_body(Status::ok(), names)))
    });
    reply::of(names.await)
}

/// GET: target, generation, history.
pub(crate) async fn get(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let name = name_in(&uri);
    reply::of(server.manage(move |catalogue| Ok(shown(catalogue.alias(&name)?))).await)
}

/// PUT: creates an alias or switches it.
pub(crate) async fn put(State(server): State<Arc<Server>>, request: Request) -> Response {
    reply::of(put_outcome(&server, request).await)
}

async fn put_outcome(server: &Arc<Server>, request: Request) -> Outcome {
    let name = name_in(request.uri());
    let (_received, object) = server.receive_object(request).await?;
    let shared = Arc::clone(server);
    server
        .manage(move |catalogue| {
            let request = PutAlias::read(object)?;
            if let Some(peer) = &request.peer {
                check_peer(&shared, peer)?;
            }
            Ok(shown(catalogue.put_alias(&name, change(request))?))
        })
        .await
}

/// An alias may only point to peers of the configuration.
fn check_peer(server: &Server, name: &str) -> Result<(), Error> {
    let checked = server.settings.peers.check(&PeerName::parse(name)?);
    checked.map_err(|reason| Error::bad_parameter_at("peer", reason))
}

/// DELETE: removes the alias, not the service.
pub(crate) async fn delete(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let name = name_in(&uri);
    let outcome = server.manage(move |catalogue| Ok(catalogue.delete_alias(&name)?)).await;
    reply::of(outcome.map(|()| reply::json(&Answer::bare(Status::ok()))))
}

/// POST …/rollback: points the alias to what it pointed to before.
pub(crate) async fn rollback(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let name = name_in(&uri);
    reply::of(server.manage(move |catalogue| Ok(shown(catalogue.rollback_alias(&name, None)?))).await)
}

/// The change that a body asks for.
fn change(request: PutAlias) -> AliasChange {
    let share = |asked: ShareRequest| ShareChange { service: asked.service, percent: asked.percent };
    let PutAlias { service, peer, canary, shadow, expect, expect_generation, takeover } = request;
    let (canary, shadow) = (canary.map(share), shadow.map(share));
    AliasChange { service, peer, canary, shadow, expect, expect_generation, takeover }
}

fn rendered(alias: AliasView) -> AliasInfo {
    let AliasView { name, service, peer, digest, generation, canary, shadow, history } = alias;
    AliasInfo {
        name: name.to_string(),
        service: service.to_string(),
        peer: peer.map(|peer| peer.to_string()),
        digest: digest.map(|digest| digest.to_string()),
        generation,
        canary: canary.map(rendered_share),
        shadow: shadow.map(rendered_shadow),
        history: history.into_iter().map(rendered_step).collect(),
    }
}

/// A service without a name is shown with an empty one.
fn rendered_share(ShareView { service, percent }: ShareView) -> AliasShare {
    AliasShare { service: service.map(|service| service.to_string()).unwrap_or_default(), percent: percent.get() }
}

fn rendered_shadow(ShadowView { share, counts }: ShadowView) -> AliasShadow {
    let ShadowCounts { compared, dropped, failed, changed, .. } = counts;
    AliasShadow { share: rendered_share(share), compared, dropped, failed, changed }
}

fn rendered_step(StepView { generation, service, peer, at_s, by }: StepView) -> AliasStep {
    let (service, peer) = (service.to_string(), peer.map(|peer| peer.to_string()));
    AliasStep { generation, service, peer, at_s, by: by.map(|id| format!("/moves/{id}")) }
}
