//! Every route, every method, every kind of client: the whole table of access rules.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use base64::Engine as _;
use dede_model::connector::InputLimits;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt as _;

use super::super::HttpSettings;
use super::super::transport::ClientAddress;
use super::*;
use crate::peer::Peers;
use crate::tokens::Tokens;

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"];

/// Access rules. A route or a method that is not listed here does not exist.
const WHO_MAY: &str = "
anybody   GET HEAD                     /info
predicts  POST                         /predict
anybody   GET HEAD                     /healthz
anybody   GET HEAD                     /readyz
clients   GET HEAD                     /metrics
clients   GET HEAD POST PUT DELETE     /services/{name}
operators PATCH                        /services/{name}
clients   GET HEAD POST PUT DELETE     /train
clients   GET HEAD                     /aliases/{name}
operators PUT DELETE                   /aliases/{name}
operators POST                         /aliases/{name}/rollback
clients   GET HEAD                     /aliases
operators GET HEAD POST                /moves
operators POST                         /moves/plan
operators GET HEAD                     /moves/{name}
operators GET HEAD                     /moves/{name}/events
operators GET HEAD                     /moves/{name}/certificate
operators POST                         /moves/{name}/promote
operators POST                         /moves/{name}/abort
operators POST                         /moves/{name}/resume
operators POST                         /moves/{name}/rollback
operators GET HEAD                     /v2/
operators GET HEAD POST PUT PATCH DELETE /v2/{*rest}
operators GET HEAD                     /v2/_dede/host
operators GET HEAD                     /v2/_dede/services/{name}/manifest
operators GET HEAD                     /v2/_dede/services/{name}/config
operators GET HEAD                     /v2/_dede/services/{name}/blobs/{digest}
operators GET HEAD                     /v2/_dede/services/{name}/chunks/{digest}
operators GET HEAD                     /v2/_dede/services/{name}/requests
operators POST                         /v2/_dede/uploads
operators PUT                          /v2/_dede/uploads/{source}/blobs/{digest}
operators POST                         /v2/_dede/relays
operators GET HEAD                     /v2/_dede/relays/{source}/questions
operators PUT                          /v2/_dede/relays/{source}/answers/{number}
operators PUT                          /v2/_dede/relays/{source}/failures/{number}
predicts  POST PUT                     /chain/{name}
clients   *                            /resources/{name}
clients   *                            /stream/{name}
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// What the route does is tested elsewhere.
    Admitted,
    Unknown,
    Unauthorized,
    Forbidden,
}

/// A server that drains before it has begun: an admitted request is answered at once, and nothing is changed.
fn server(token: Option<&str>) -> Arc<Server> {
    server_with(token, None, true)
}

/// With a token for predicts, and within or beyond loopback.
fn server_with(token: Option<&str>, predict: Option<&str>, is_strict: bool) -> Arc<Server> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, token.unwrap_or_default()).expect("written");
    let predict_file = directory.path().join("predict");
    std::fs::write(&predict_file, predict.unwrap_or_default()).expect("written");
    let predict_file = predict.map(|_| predict_file.as_path());
    let tokens = Tokens::load(token.map(|_| file.as_path()), predict_file, false).expect("tokens");
    let settings = HttpSettings {
        peers: Peers::default(),
        allow_origin: None,
        tokens: Arc::new(tokens),
        hosts: vec!["proxy.example".to_owned()],
        body_limit: 1 << 20,
        request_memory: dede_model::request_memory::RequestMemory::new(16 << 20),
        is_strict,
        threads: 1,
        strict: false,
        limits: Arc::new(InputLimits::default()),
    };
    let server = Server::with_metrics(settings, PrometheusBuilder::new().build_recorder().handle());
    server.drain();
    server
}

/// One request, and what became of it.
async fn ask(router: &Router, method: &str, path: &str, client: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path.replace("{name}", "a"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let client: IpAddr = client.parse().expect("an address");
    request.extensions_mut().insert(ClientAddress(client));
    let response = router.clone().oneshot(request).await.expect("every request is answered");
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter().count();
    assert_eq!(challenges > 0, response.status() == StatusCode::UNAUTHORIZED, "{method} {path}");
    match response.status() {
        StatusCode::UNAUTHORIZED => Answer::Unauthorized,
        StatusCode::FORBIDDEN => Answer::Forbidden,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Answer::Unknown,
        _ => Answer::Admitted,
    }
}

/// The rule in the table above.
fn rule(method: &str, path: &str) -> Option<Access> {
    let line = WHO_MAY.lines().find(|line| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.pop() == Some(path) && (words.contains(&"*") || words.contains(&method))
    })?;
    match line.split_whitespace().next() {
        Some("anybody") => Some(Access::Anybody),
        Some("predicts") => Some(Access::Predicts),
        Some("clients") => Some(Access::Clients),
        Some("operators") => Some(Access::Operators),
        other => panic!("no rule is called {other:?}"),
    }
}

#[test]
fn the_table_above_has_every_route() {
    let mut listed: Vec<&str> = WHO_MAY.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let mut paths: Vec<&str> = routes().into_iter().map(|route| route.path).collect();
    for paths in [&mut listed, &mut paths] {
        paths.sort_unstable();
        paths.dedup();
    }
    assert_eq!(paths, listed);
}

#[tokio::test]
async fn without_a_token_strangers_get_what_the_original_gives() {
    let router = router(&server(None));
    for path in routes().iter().map(|route| route.path).chain(["/", "/nosuch", "/v2", "/moves"]) {
        for method in METHODS {
            let (near, far) = match rule(method, path) {
                Some(Access::Anybody | Access::Predicts | Access::Clients) => (Answer::Admitted, Answer::Admitted),
                Some(Access::Operators) => (Answer::Admitted, Answer::Forbidden),
                None => (Answer::Unknown, Answer::Unknown),
            };
            for (client, host, expected) in [
                ("127.0.0.1", "localhost:8080", near),
                ("127.3.2.1", "127.3.2.1", near),
                ("::1", "[::1]:8080", near),
                ("::ffff:127.0.0.1", "127.0.0.1:8080", near),
                ("192.0.2.1", "prod:8080", far),
                ("192.0.2.1", "localhost", far),
                ("10.0.0.1", "10.0.0.2", far),
                // A page whose name leads here.
                ("127.0.0.1", "evil.example:8080", far),
            ] {
                let answer = ask(&router, method, path, client, &[(HOST.as_str(), host)]).await;
                assert_eq!(answer, expected, "{method} {path} from {client} to {host}");
            }
        }
    }
}

#[tokio::test]
async fn with_a_token_everything_wants_it_but_predicts_info_and_health() {
    let router = router(&server(Some("a-token-of-this-test")));
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let (good, better) = ("Bearer a-token-of-this-test".to_owned(), basic("oras:a-token-of-this-test"));
    let wrong = ["Bearer a-token-of-this-tesT".to_owned(), basic("a-token-of-this-test:"), "Bearer".to_owned()];
    for path in routes().iter().map(|route| route.path).chain(["/", "/nosuch", "/v2", "/moves"]) {
        for method in METHODS {
            let rule = rule(method, path);
            let known = if rule.is_some() { Answer::Admitted } else { Answer::Unknown };
            let is_open = matches!(rule, Some(Access::Anybody | Access::Predicts));
            let without = if is_open { Answer::Admitted } else { Answer::Unauthorized };
            for client in ["127.0.0.1", "192.0.2.1"] {
                assert_eq!(ask(&router, method, path, client, &[]).await, without, "{method} {path} from {client}");
                for value in &wrong {
                    let answer = ask(&router, method, path, client, &[(AUTHORIZATION.as_str(), value)]).await;
                    assert_eq!(answer, without, "{method} {path} {value}");
                }
                for value in [&good, &better] {
                    let answer = ask(&router, method, path, client, &[(AUTHORIZATION.as_str(), value)]).await;
                    assert_eq!(answer, known, "{method} {path} {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn paths_written_otherwise_are_no_way_around() {
    let router = router(&server(Some("a-token-of-this-test")));
    for path in [
        "//info",
        "/info/",
        "/INFO",
        "/./info",
        "/info/../services/a",
        "/%69nfo",
        "/predict/",
        "/predict/../aliases/a",
        "/info/services/a",
        "/healthz/..",
        "/services/a?x=/info",
        "/services/a;/info",
        "/services/%2e%2e",
        "/services//",
    ] {
        for method in METHODS {
            let answer = ask(&router, method, path, "127.0.0.1", &[]).await;
            assert_eq!(answer, Answer::Unauthorized, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_token_for_predicts_predicts_and_does_nothing_else() {
    let router = router(&server_with(Some("a-token-of-this-test"), Some("another-for-predicts"), true));
    let bearer = |token: &str| format!("Bearer {token}");
    for path in routes().iter().map(|route| route.path).chain(["/", "/nosuch"]) {
        for method in METHODS {
            let rule = rule(method, path);
            let known = if rule.is_some() { Answer::Admitted } else { Answer::Unknown };
            let (nameless, predicting) = match rule {
                Some(Access::Anybody) => (Answer::Admitted, Answer::Admitted),
                Some(Access::Predicts) => (Answer::Unauthorized, Answer::Admitted),
                Some(Access::Clients | Access::Operators) | None => (Answer::Unauthorized, Answer::Forbidden),
            };
            for (token, expected) in
                [("", nameless), ("another-for-predicts", predicting), ("a-token-of-this-test", known)]
            {
                let value = bearer(token);
                let headers = [(AUTHORIZATION.as_str(), value.as_str())];
                let headers = if token.is_empty() { &[][..] } else { &headers };
                assert_eq!(ask(&router, method, path, "127.0.0.1", headers).await, expected, "{method} {path} {token}");
            }
        }
    }
}

/// A web page whose name is pointed to this machine sends its own name, whatever it reads.
#[tokio::test]
async fn on_loopback_without_a_token_nothing_is_read_under_a_name_that_is_not_its_own() {
    let router = router(&server_with(None, None, false));
    for path in routes().iter().map(|route| route.path).chain(["/nosuch"]) {
        for method in ["GET", "HEAD"] {
            let known = if rule(method, path).is_some() { Answer::Admitted } else { Answer::Unknown };
            let is_operators = rule(method, path) == Some(Access::Operators);
            let named = if is_operators { Answer::Forbidden } else { known };
            for (host, expected) in [
                (Some("localhost:8080"), known),
                (Some("127.0.0.1:8080"), known),
                (Some("[::1]:8080"), known),
                (Some("evil.example:8080"), Answer::Forbidden),
                (Some("localhost.evil.example"), Answer::Forbidden),
                // That of a proxy.
                (Some("Proxy.example:8080"), named),
                (None, named),
            ] {
                let headers: Vec<(&str, &str)> = host.map(|host| (HOST.as_str(), host)).into_iter().collect();
                let answer = ask(&router, method, path, "127.0.0.1", &headers).await;
                assert_eq!(answer, expected, "{method} {path} to {host:?}");
            }
        }
    }
}
