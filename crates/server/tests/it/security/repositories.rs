//! Cases 2, 15: where models may lie when the operator says so.

use std::os::unix::fs::symlink;
use std::path::Path;

use dede_testing::fixtures;
use serde_json::json;

use super::{csv_service, tree};
use crate::server::Server;

/// A template on a directory that is to be made.
fn creation(repository: &Path) -> serde_json::Value {
    json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"},
           "mllib": {"template": "mlp", "nclasses": 2, "layers": [4]}},
           "model": {"repository": repository, "create_repository": true}})
}

#[test]
fn with_a_root_repositories_lie_beneath_it() {
    let models = tempfile::tempdir().unwrap();
    let base = models.path().canonicalize().unwrap();
    let (root, outside) = (base.join("root"), base.join("outside"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    let iris = fixtures::copy_model("iris", &root).unwrap();
    fixtures::copy_model("iris", &base.join("root-twin")).unwrap();
    symlink(&outside, root.join("link")).unwrap();
    symlink("iris", root.join("within")).unwrap();
    let server = Server::start(&["--repository-root", root.to_str().unwrap()]);
    assert_eq!(server.put("/services/good", &csv_service(&iris)).0, 201);
    assert_eq!(server.put("/services/linked", &csv_service(&root.join("within"))).0, 201);
    assert_eq!(server.put("/services/new", &creation(&root.join("a/b"))).0, 201);
    let before = tree(&base);
    for path in [
        outside.clone(),
        outside.join("new"),
        base.join("root-twin/iris"),
        root.join("link"),
        root.join("link/new"),
        root.join("../outside"),
        root.join("x/../../outside/new"),
        "relative".into(),
        "/".into(),
        "/etc".into(),
        "/proc/self/cwd".into(),
    ] {
        // The second time it is checked again.
        for body in [csv_service(&path), creation(&path), creation(&path)] {
            let (status, answer) = server.put("/services/bad", &body);
            assert_eq!((status, &answer["status"]["dd_code"]), (400, &json!(1006)), "{}: {answer}", path.display());
            assert!(answer["status"]["dd_msg"].as_str().unwrap().contains("model.repository"), "{answer}");
        }
    }
    assert_eq!(tree(&base), before);
}

#[test]
fn what_was_recorded_elsewhere_is_not_served_but_kept() {
    let server = Server::start(&[]);
    let iris = super::create_iris(&server);
    let directory = server.stop();
    let root = tempfile::tempdir().unwrap();
    let server = Server::start_in(directory, &["--repository-root", root.path().to_str().unwrap()]);
    assert_eq!(server.get("/services/iris").0, 404);
    assert!(server.log().contains("its record is kept"), "{}", server.log());
    let server = Server::start_in(server.stop(), &["--repository-root", iris.to_str().unwrap()]);
    assert_eq!(server.get("/services/iris").0, 200);
}

#[test]
fn without_a_root_any_path_will_do_but_no_weights_elsewhere() {
    let server = Server::start(&[]);
    let iris = super::create_iris(&server);
    for weights in ["/etc/passwd", "../iris/model_iter_0.caffemodel/../../server.log", "..", "/", "a\u{0}b"] {
        let mut body = csv_service(&iris);
        body["model"]["weights"] = json!(weights);
        let (status, answer) = server.put("/services/bad", &body);
        assert_eq!(status, 400, "{weights}: {answer}");
    }
}
