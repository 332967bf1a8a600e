//! GET /info.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use dede_api::answer::{Answer, Status};
use dede_api::defaults::with_single_gpuid;
use dede_api::services::InfoHead;
use dede_backends::neural::engine::{self, Engine};

use super::error::Outcome;
use super::{Server, query_of, reply};
use crate::deepdetect::{InfoOptions, service_info};

/// Describes the server and all services.
pub(crate) async fn get(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    reply::of(answer(&server, &uri).await)
}

/// `ENGINE_<NAME>=ON` for each engine this server can use where its library is found.
fn engines() -> String {
    let shown = |engine: &&dyn Engine| format!("ENGINE_{}=ON", engine.name().to_ascii_uppercase());
    engine::engines().iter().map(shown).collect::<Vec<_>>().join(" ")
}

async fn answer(server: &Server, uri: &Uri) -> Outcome {
    let query = query_of(uri);
    server.check_unknown("info", query.others(&["status"]))?;
    let options = InfoOptions { status: query.flag("status", false)?, labels: false };
    server
        .manage(move |catalogue| {
            let mut services: Vec<_> =
                catalogue.snapshot().services().map(|service| service_info(service, options)).collect();
            for service in &mut services {
                with_single_gpuid(&mut service.parameters);
            }
            let head = InfoHead {
                method: "/info",
                build_type: if cfg!(debug_assertions) { "dev" } else { "release" },
                version: concat!("v", env!("CARGO_PKG_VERSION")),
                branch: option_env!("DEDE_BRANCH").unwrap_or_default(),
                commit: option_env!("DEDE_COMMIT").unwrap_or_default(),
                compile_flags: format!("USE_TURBOJPEG={}", if cfg!(feature = "turbojpeg") { "ON" } else { "OFF" }),
                deps_version: engines(),
                services,
            };
            Ok(reply::json(&Answer::<_, ()> { status: Status::ok(), head: Some(head), body: None }))
        })
        .await
}
