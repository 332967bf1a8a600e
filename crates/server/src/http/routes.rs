//! Every route once: path, method, who may call it, what answers. The router is built from this list, so a route without a rule
//! cannot be written.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use dede_api::answer::{Answer, Status};

use super::access::RouteLabels;
use super::authority::{self, Access};
use super::{
    Server, access, admission, aliases, chain, distribution, health, info, moves, predict, query_of, relays, reply,
    services, source, train, unsupported, uploads,
};

/// Beginnings of the paths that take nothing from the query.
const WITHOUT_QUERY: [&str; 2] = ["/aliases", "/moves"];

/// One path with one method, or with all of them.
struct Route {
    access: Access,
    /// What it is counted as.
    label: &'static str,
    path: &'static str,
    answers: MethodRouter<Arc<Server>>,
}

impl Route {
    fn new<H, T>(access: Access, label: &'static str, method: MethodFilter, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Server>>,
        T: 'static,
    {
        Self { access, label, path, answers: on(method, handler) }
    }

    fn unsupported(label: &'static str, path: &'static str) -> Self {
        Self { access: Access::Clients, label, path, answers: any(not_supported_yet) }
    }
}

/// All of them.
fn routes() -> Vec<Route> {
    use Access::{Anybody, Clients, Operators, Predicts};
    const GET: MethodFilter = MethodFilter::GET;
    const PUT: MethodFilter = MethodFilter::PUT;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    vec![
        Route::new(Anybody, "info", GET, "/info", info::get),
        Route::new(Predicts, "predict", POST, "/predict", predict::predict),
        Route::new(Predicts, "chain", POST.or(PUT), "/chain/{name}", chain::chain),
        Route::new(Anybody, "healthz", GET, "/healthz", health::healthz),
        Route::new(Anybody, "readyz", GET, "/readyz", health::readyz),
        Route::new(Clients, "metrics", GET, "/metrics", health::metrics),
        Route::new(Clients, "services", POST.or(PUT), "/services/{name}", services::create),
        Route::new(Clients, "services", GET, "/services/{name}", services::get),
        Route::new(Clients, "services", DELETE, "/services/{name}", services::delete),
        Route::new(Operators, "services", PATCH, "/services/{name}", services::rename),
        Route::new(Clients, "train", POST.or(PUT), "/train", train::start),
        Route::new(Clients, "train", GET, "/train", train::get),
        Route::new(Clients, "train", DELETE, "/train", train::delete),
        Route::new(Clients, "aliases", GET, "/aliases", aliases::list),
        Route::new(Clients, "aliases", GET, "/aliases/{name}", aliases::get),
        Route::new(Operators, "aliases", PUT, "/aliases/{name}", aliases::put),
        Route::new(Operators, "aliases", DELETE, "/aliases/{name}", aliases::delete),
        Route::new(Operators, "aliases", POST, "/aliases/{name}/rollback", aliases::rollback),
        Route::new(Operators, "moves", POST, "/moves", moves::begin),
        Route::new(Operators, "moves", GET, "/moves", moves::list),
        Route::new(Operators, "moves", POST, "/moves/plan", moves::plan),
        Route::new(Operators, "moves", GET, "/moves/{name}", moves::get),
        Route::new(Operators, "moves", GET, "/moves/{name}/events", moves::events),
        Route::new(Operators, "moves", GET, "/moves/{name}/certificate", moves::certificate),
        Route::new(Operators, "moves", POST, "/moves/{name}/promote", moves::act),
        Route::new(Operators, "moves", POST, "/moves/{name}/abort", moves::act),
        Route::new(Operators, "moves", POST, "/moves/{name}/resume", moves::act),
        Route::new(Operators, "moves", POST, "/moves/{name}/rollback", moves::act),
        Route::new(Operators, "registry", GET, "/v2/", distribution::root),
        Route::new(Operators, "registry", GET.or(POST).or(PUT).or(PATCH).or(DELETE), "/v2/{*rest}", distribution::any),
        Route::new(Operators, "bundles", GET, "/v2/_dede/host", source::host),
        Route::new(Operators, "bundles", GET, "/v2/_dede/services/{name}/manifest", source::manifest),
        Route::new(Operators, "bundles", GET, "/v2/_dede/services/{name}/config", source::config),
        Route::new(Operators, "bundles", GET, "/v2/_dede/services/{name}/blobs/{digest}", source::blob),
        Route::new(Operators, "bundles", GET, "/v2/_dede/services/{name}/chunks/{digest}", source::chunks),
        Route::new(Operators, "bundles", GET, "/v2/_dede/services/{name}/requests", source::requests),
        Route::new(Operators, "uploads", POST, "/v2/_dede/uploads", uploads::offer),
        Route::new(Operators, "uploads", PUT, "/v2/_dede/uploads/{source}/blobs/{digest}", uploads::put),
        Route::new(Operators, "relays", POST, "/v2/_dede/relays", relays::open),
        Route::new(Operators, "relays", GET, "/v2/_dede/relays/{source}/questions", relays::next),
        Route::new(Operators, "relays", PUT, "/v2/_dede/relays/{source}/answers/{number}", relays::answer),
        Route::new(Operators, "relays", PUT, "/v2/_dede/relays/{source}/failures/{number}", relays::fail),
        Route::unsupported("resources", "/resources/{name}"),
        Route::unsupported("stream", "/stream/{name}"),
    ]
}

/// The routes, with what every request goes through.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new();
    let mut labels = RouteLabels::default();
    for Route { access, label, path, answers } in routes() {
        labels.insert(path, label);
        let answers = match WITHOUT_QUERY.iter().any(|begin| path.starts_with(begin)) {
            true => answers.layer(from_fn_with_state(Arc::clone(server), without_query)),
            false => answers,
        };
        let answers = match access {
            Access::Anybody => answers,
            // The busiest route takes no step that is not needed.
            Access::Predicts if !server.settings.tokens.predict_wants_token() => answers,
            Access::Predicts | Access::Clients | Access::Operators => {
                answers.layer(from_fn_with_state((Arc::clone(server), access), admission::admit))
            }
        };
        router = router.route(path, answers);
    }
    router
        .fallback(no_mapping)
        .method_not_allowed_fallback(no_mapping)
        .layer(from_fn_with_state((Arc::clone(server), Arc::new(labels)), access::observe))
        .with_state(Arc::clone(server))
}

/// Reports query members on a route that takes none.
async fn without_query(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    match server.check_unknown(request.uri().path(), query_of(request.uri()).others(&[])) {
        Ok(()) => next.run(request).await,
        Err(error) => reply::of(Err(error.into())),
    }
}

/// An unknown route, or a known one with another method; the words are the original's. Where a token is set, a client
/// without it cannot learn which routes there are.
async fn no_mapping(State(server): State<Arc<Server>>, request: Request) -> Response {
    if let Err(failure) = authority::check(&server, Access::Clients, &request) {
        return admission::refused(failure, request).await;
    }
    if distribution::speaks(request.uri().path()) {
        return distribution::no_mapping(request.uri().path());
    }
    let text = format!("No mapping for HTTP-method: '{}', URL: '{}'", request.method(), request.uri());
    reply::json(&Answer::bare(Status::framework(404, "Not Found", &text)))
}

async fn not_supported_yet(State(_): State<Arc<Server>>, uri: Uri) -> Response {
    let route = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    reply::of(Err(unsupported::refusal(&route).into()))
}

#[cfg(test)]
mod tests;
