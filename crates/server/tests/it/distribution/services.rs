//! What a server adds: its own services as repositories.

use std::collections::BTreeSet;

use dede_bundle::Digest;
use dede_bundle::modelpack::Bundle;
use dede_testing::fixtures;
use serde_json::{Value, json};

use super::{IMAGE, NOTHING, begin, call, get, header, push, push_blob, put_manifest, refusal};
use crate::server::{Server, eventually};

/// Creates the csv service `iris` under a name.
pub(super) fn create(server: &Server, name: &str) {
    let directory = server.path().join("models").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let repository = fixtures::copy_model("iris", &directory).unwrap();
    let body = json!({"mllib": "caffe", "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
                      "model": {"repository": repository}});
    let (status, answer) = server.put(&format!("/services/{}", name.replace(' ', "%20")), &body);
    assert_eq!(status, 201, "{answer}");
}

/// The bundle under a reference, checked as a client would.
fn bundle(server: &Server, repository: &str, reference: &str) -> (Bundle, Vec<u8>) {
    let manifest = get(server, &format!("/v2/{repository}/manifests/{reference}"));
    assert_eq!((manifest.status, header(&manifest, "content-type")), (200, IMAGE));
    let config = Bundle::config_of(&manifest.body).unwrap().digest;
    let config = get(server, &format!("/v2/{repository}/blobs/{config}"));
    (Bundle::parse(&manifest.body, &config.body).unwrap(), manifest.body)
}

#[test]
fn a_service_is_a_repository_with_its_bundle() {
    let server = Server::start(&[]);
    create(&server, "iris");
    let (bundle, manifest) = bundle(&server, "iris", "latest");
    let version = bundle.version().hex();
    let tags = get(&server, "/v2/iris/tags/list").json().unwrap();
    assert_eq!(tags, json!({"name": "iris", "tags": [&version[..12], "latest"]}));
    for reference in [&version[..12], &Digest::of(&manifest).to_string()] {
        assert_eq!(get(&server, &format!("/v2/iris/manifests/{reference}")).body, manifest, "{reference}");
    }
    let (_, served) = server.get("/services/iris");
    assert!(served.to_string().contains(&version), "the version that clients see: {served}");
    for file in bundle.files() {
        let blob = get(&server, &format!("/v2/iris/blobs/{}", file.digest));
        let on_disk = std::fs::read(server.path().join("models/iris/iris").join(file.name.as_str())).unwrap();
        assert!(blob.body == on_disk, "{}", file.name);
        if on_disk.len() < 4 {
            continue;
        }
        let headers = [("Range", "bytes=1-3")];
        let part = call(&server, "GET", &format!("/v2/iris/blobs/{}", file.digest), &headers, b"");
        assert_eq!((part.status, part.body.as_slice()), (206, &on_disk[1..4]));
    }
    assert_eq!(bundle.service()["mllib"], "caffe");
    assert_eq!(get(&server, "/v2/_catalog").json().unwrap(), json!({"repositories": ["iris"]}));
}

#[test]
fn an_alias_shows_what_it_points_to() {
    let server = Server::start(&[]);
    create(&server, "iris");
    assert_eq!(server.put("/aliases/prod", &json!({"service": "iris"})).0, 200);
    assert_eq!(bundle(&server, "prod", "latest").1, bundle(&server, "iris", "latest").1);
    assert_eq!(get(&server, "/v2/_catalog").json().unwrap(), json!({"repositories": ["iris", "prod"]}));
}

#[test]
fn services_without_a_name_or_a_network_to_show_are_left_out() {
    let server = Server::start(&[]);
    create(&server, "iris");
    create(&server, "two words");
    let repository = server.path().join("empty");
    std::fs::create_dir(&repository).unwrap();
    let untrained = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "mlp", "nclasses": 3, "layers": [5]}},
        "model": {"repository": repository, "templates": repository},
    });
    let (status, answer) = server.put("/services/untrained", &untrained);
    assert_eq!(status, 201, "{answer}");
    assert_eq!(get(&server, "/v2/_catalog").json().unwrap(), json!({"repositories": ["iris"]}));
    assert_eq!(refusal(&get(&server, "/v2/untrained/tags/list")), "404 NAME_UNKNOWN");
    assert_eq!(refusal(&get(&server, "/v2/untrained/manifests/latest")), "404 NAME_UNKNOWN");
    assert_eq!(refusal(&get(&server, "/v2/two%20words/tags/list")), "404 NAME_INVALID");
}

#[test]
fn what_a_service_shows_is_read_only() {
    let server = Server::start(&[]);
    let location = begin(&server, "iris");
    create(&server, "iris");
    let digest = Digest::of(b"content");
    for (method, path) in [
        ("POST", "/v2/iris/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/iris/blobs/uploads/?digest={digest}")),
        ("POST", format!("/v2/iris/blobs/uploads/?mount={digest}&from=a")),
        ("PATCH", location.clone()),
        ("PUT", format!("{location}?digest={digest}")),
        ("PUT", "/v2/iris/manifests/latest".to_owned()),
    ] {
        assert_eq!(refusal(&call(&server, method, &path, &[], b"content")), "403 DENIED", "{method} {path}");
    }
    let answer = put_manifest(&server, "iris", "latest", b"{}").json().unwrap();
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("read-only"), "{answer}");
}

#[test]
fn a_service_hides_what_was_pushed_under_its_name_while_it_is_there() {
    let server = Server::start(&[]);
    let (bytes, _) = push(&server, "iris", "mine", b"content");
    create(&server, "iris");
    assert_eq!(get(&server, "/v2/iris/manifests/mine").status, 404);
    assert_eq!(server.delete("/services/iris").0, 200);
    assert_eq!(get(&server, "/v2/iris/manifests/mine").body, bytes);
}

#[test]
fn a_bundle_is_copied_by_mounting_its_blobs() {
    let server = Server::start(&[]);
    create(&server, "iris");
    let (bundle, manifest) = bundle(&server, "iris", "latest");
    let contents = bundle.files().iter().map(|file| file.digest).chain([bundle.config().digest]);
    for digest in contents.collect::<BTreeSet<_>>() {
        let path = format!("/v2/copies/iris/blobs/uploads/?mount={digest}&from=iris");
        assert_eq!(call(&server, "POST", &path, &[], b"").status, 201);
    }
    assert_eq!(put_manifest(&server, "copies/iris", "v1", &manifest).status, 201);
    assert_eq!(server.delete("/services/iris?clear=dir").0, 200);
    for file in bundle.files() {
        let blob = get(&server, &format!("/v2/copies/iris/blobs/{}", file.digest));
        assert_eq!(Digest::of(&blob.body), file.digest, "{}", file.name);
    }
    let absent = call(&server, "POST", &format!("/v2/b/blobs/uploads/?mount={NOTHING}&from=iris"), &[], b"");
    assert_eq!(absent.status, 202);
}

#[test]
fn what_the_server_says_about_a_bundle_are_its_referrers() {
    let server = Server::start(&[]);
    create(&server, "iris");
    let (bundle, manifest) = bundle(&server, "iris", "latest");
    let subject = bundle.manifest_digest();
    let path = format!("/v2/iris/referrers/{subject}");
    let found = get(&server, &path).json().unwrap();
    let entries = found["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{found}");
    assert_eq!(entries[0]["artifactType"], "application/vnd.dede.engine.v1+json");
    let artifact = get(&server, &format!("/v2/iris/manifests/{}", entries[0]["digest"].as_str().unwrap()));
    assert_eq!(Digest::of(&artifact.body).to_string(), entries[0]["digest"].as_str().unwrap());
    let artifact = artifact.json().unwrap();
    assert_eq!(artifact["subject"]["digest"], subject.to_string());
    assert_eq!(artifact["subject"]["size"], manifest.len());
    let layer = artifact["layers"][0]["digest"].as_str().unwrap();
    let record: Value = get(&server, &format!("/v2/iris/blobs/{layer}")).json().unwrap();
    assert_eq!(record["architecture"], std::env::consts::ARCH);
    let config = artifact["config"]["digest"].as_str().unwrap();
    assert_eq!(get(&server, &format!("/v2/iris/blobs/{config}")).body, b"{}");
    let other = get(&server, &format!("{path}?artifactType=x/y")).json().unwrap();
    assert_eq!(other["manifests"], json!([]));
    assert_eq!(get(&server, &format!("/v2/iris/referrers/{NOTHING}")).json().unwrap()["manifests"], json!([]));
}

#[test]
fn certificate_and_golden_set_of_the_move_that_brought_a_service_are_referrers() {
    let source = Server::start(&[]);
    create(&source, "iris");
    let server = Server::start_with_peers(&[("dev", &source.url())], &[]);
    let (status, begun) = server.post("/moves", &json!({"service": "iris", "source": "dev"}));
    assert_eq!(status, 202, "{begun}");
    let id = begun["body"]["id"].as_str().unwrap();
    eventually("the move is done", || server.get(&format!("/moves/{id}")).1["body"]["phase"] == "done");
    let certificate = get(&server, &format!("/moves/{id}/certificate")).body;
    let subject = bundle(&server, "iris", "latest").0.manifest_digest();
    assert_eq!(subject, bundle(&source, "iris", "latest").0.manifest_digest(), "the same service is the same bundle");
    let content = |kind: &str| {
        let of_kind = format!("/v2/iris/referrers/{subject}?artifactType=application/vnd.dede.{kind}.v1%2Bjson");
        let found = get(&server, &of_kind).json().unwrap();
        assert_eq!(found["manifests"].as_array().unwrap().len(), 1, "{found}");
        let digest = found["manifests"][0]["digest"].as_str().unwrap();
        let artifact = get(&server, &format!("/v2/iris/manifests/{digest}")).json().unwrap();
        assert_eq!(artifact["subject"]["digest"], subject.to_string(), "{artifact}");
        let layer = artifact["layers"][0]["digest"].as_str().unwrap().to_owned();
        (get(&server, &format!("/v2/iris/blobs/{layer}")).body, layer)
    };
    assert!(content("certificate").0 == certificate);
    let (golden, digest) = content("golden");
    let report = &server.get(&format!("/moves/{id}")).1["body"]["report"];
    assert_eq!(report["golden"]["digest"], digest.as_str(), "{report}");
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    assert_eq!(golden["cases"].as_array().unwrap().len() as u64, report["golden"]["cases"].as_u64().unwrap());
    // A case is a predict that gives these predictions again.
    let mut request = golden["cases"][0]["request"].clone();
    request["service"] = "iris".into();
    assert_eq!(server.post("/predict", &request).1["body"]["predictions"], golden["cases"][0]["predictions"]);
}

#[test]
fn a_file_that_changed_on_disk_is_not_shown_as_what_was_loaded() {
    let server = Server::start(&[]);
    create(&server, "iris");
    let file = server.path().join("models/iris/iris/corresp.txt");
    std::fs::write(&file, "0 other\n").unwrap();
    let answer = get(&server, "/v2/iris/manifests/latest");
    assert_eq!(answer.status, 409);
    assert!(String::from_utf8_lossy(&answer.body).contains("changed on disk"), "{answer:?}");
}

#[test]
fn pushed_repositories_may_be_called_like_parts_of_services() {
    let server = Server::start(&[]);
    create(&server, "iris");
    push_blob(&server, "iris/extra", b"content");
    assert_eq!(get(&server, "/v2/_catalog").json().unwrap(), json!({"repositories": ["iris", "iris/extra"]}));
}
