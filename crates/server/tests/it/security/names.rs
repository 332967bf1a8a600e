//! Cases 4, 15 and 24: names are decoded once, then checked; none becomes a path.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::{ask, create_iris, csv_service, tree};
use crate::server::Server;

/// Names that would be paths if they were decoded, decoded again, or cut somewhere; as they stand in a URL.
const CORPUS: &[&str] = &[
    "..",
    ".",
    "%2e%2e",
    "%2e",
    "..%2fx",
    "%2e%2e%2fx",
    "..%5cx",
    "a%5c..%5cb",
    "a%2f..%2f..%2fb",
    "%2fetc%2fpasswd",
    "%2fabs",
    "a%00b",
    "%00",
    "a%0ab",
    "a%0d%0ab",
    "a%7fb",
    "%c0%ae%c0%ae%c0%afx",
    "%252e%252e%252fx",
    "%25252e%25252e",
    "..;x",
    "..%3bx",
    "..%3fx",
    "..%23x",
    "%2e%2e?x",
    "a;%2f..%2fb",
    "..%c0%afx",
    "%uff0e%uff0e",
    "%",
    "%2",
    "%zz",
];

/// The corpus, and a name of 4 KiB.
fn corpus() -> Vec<String> {
    let mut names: Vec<String> = CORPUS.iter().map(|name| (*name).to_owned()).collect();
    names.push("x".repeat(4096));
    names
}

fn routes(name: &str) -> [(&'static str, String); 11] {
    [
        ("PUT", format!("/services/{name}")),
        ("POST", format!("/services/{name}")),
        ("GET", format!("/services/{name}")),
        ("PATCH", format!("/services/{name}")),
        ("DELETE", format!("/services/{name}?clear=dir")),
        ("PUT", format!("/aliases/{name}")),
        ("GET", format!("/aliases/{name}")),
        ("DELETE", format!("/aliases/{name}")),
        ("POST", format!("/aliases/{name}/rollback")),
        ("GET", format!("/train?service={name}&job=1")),
        ("DELETE", format!("/train?service={name}&job=1")),
    ]
}

#[test]
fn no_name_of_the_corpus_creates_or_removes_a_file() {
    let server = Server::start(&[]);
    create_iris(&server);
    let before = tree(server.path());
    for name in corpus() {
        for (method, path) in routes(&name) {
            let body = json!({"service": "nosuch", "name": "b/../c", "mllib": "caffe"}).to_string();
            let response = ask(&server, method, &path, "", body.as_bytes());
            assert!((400..500).contains(&response.status), "{method} {path}: {}", response.status);
            assert_eq!(response.json().unwrap()["status"]["code"], response.status, "{method} {path}");
        }
    }
    assert_eq!(tree(server.path()), before);
    assert_eq!(server.get("/services/iris").0, 200);
}

#[test]
fn names_are_decoded_once() {
    let server = Server::start(&[]);
    let repository = create_iris(&server);
    let creation = csv_service(&repository);
    for (path, name) in [("/services/a%252fb", "a%2fb"), ("/services/%252e%252e", "%2e%2e"), ("/services/x;y", "x;y")] {
        let (status, answer) = server.put(path, &creation);
        assert_eq!(status, 201, "{path}: {answer}");
        let (_, info) = server.get("/info");
        let services = info["head"]["services"].as_array().unwrap();
        assert!(services.iter().any(|service| service["name"] == name), "{info}");
        assert_eq!(server.get(path).0, 200);
    }
    for path in ["/services/a%2fb", "/services/%2e%2e"] {
        assert_eq!((server.put(path, &creation).0, server.get(path).0), (400, 404), "{path}");
    }
}

#[test]
fn any_name_is_one_service_or_none_and_stays_in_the_state() {
    let server = Server::start(&[]);
    let repository = create_iris(&server);
    let before = tree(server.path());
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let part = prop_oneof![Just("..".to_owned()), Just("/".to_owned()), Just("\\".to_owned()), "[a-c.%;?#~é ]{1,4}"];
    let ran = runner.run(&proptest::collection::vec(part, 1..5), |parts| {
        let encoded: String = parts.concat().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/services/{encoded}");
        let status = server.put(&path, &csv_service(&repository)).0;
        prop_assert!([201, 400, 409].contains(&status), "{path}: {status}");
        if status == 201 {
            prop_assert_eq!(server.get(&path).0, 200);
            prop_assert_eq!(server.delete(&path).0, 200);
        }
        Ok(())
    });
    assert!(ran.is_ok(), "{}", ran.unwrap_err());
    assert_eq!(tree(server.path()), before);
}
