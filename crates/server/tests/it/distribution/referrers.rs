//! Listing referrers.

use dede_bundle::Digest;
use serde_json::{Value, json};

use super::{IMAGE, INDEX, NOTHING, call, descriptor, get, header, manifest, push, put_manifest, refusal};
use crate::server::Server;

/// Pushes an artifact about `subject` and gives its digest; `change` may do what it likes to it.
fn attach(server: &Server, subject: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut artifact = manifest(server, "a", b"statement");
    let about = get(server, &format!("/v2/a/manifests/{subject}"));
    let size = if about.status == 200 { about.body.len() } else { 5 };
    artifact["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": size});
    change(&mut artifact);
    let bytes = artifact.to_string();
    let content_type = artifact["mediaType"].as_str().unwrap();
    let digest = Digest::of(bytes.as_bytes()).to_string();
    let path = format!("/v2/a/manifests/{digest}");
    let pushed = call(server, "PUT", &path, &[("Content-Type", content_type)], bytes.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    digest
}

fn referrers(server: &Server, subject: &str) -> Vec<Value> {
    let answer = get(server, &format!("/v2/a/referrers/{subject}"));
    assert_eq!(answer.status, 200);
    answer.json().unwrap()["manifests"].as_array().unwrap().clone()
}

#[test]
fn must_list_referrers_as_an_image_index_with_200() {
    let server = Server::start(&[]);
    let (_, subject) = push(&server, "a", "v1", b"content");
    let digest = attach(&server, &subject, |_| {});
    let answer = get(&server, &format!("/v2/a/referrers/{subject}"));
    assert_eq!((answer.status, header(&answer, "content-type")), (200, INDEX));
    let index = answer.json().unwrap();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    assert_eq!(index["manifests"][0]["digest"], digest);
    assert_eq!(index["manifests"][0]["mediaType"], IMAGE);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn must_list_nothing_where_there_is_nothing_and_never_answer_404() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    for path in [format!("/v2/a/referrers/{NOTHING}"), format!("/v2/nosuch/referrers/{NOTHING}")] {
        let answer = get(&server, &path);
        assert_eq!(answer.status, 200, "{path}");
        let expected = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
        assert_eq!(answer.json().unwrap(), expected, "{path}");
    }
}

#[test]
fn must_refuse_an_invalid_digest_with_400() {
    let server = Server::start(&[]);
    push(&server, "a", "v1", b"content");
    for digest in ["x", "sha256:00", "v1", ""] {
        assert_eq!(refusal(&get(&server, &format!("/v2/a/referrers/{digest}"))), "400 DIGEST_INVALID", "{digest}");
    }
}

#[test]
fn must_give_the_artifact_type_of_each_referrer() {
    let server = Server::start(&[]);
    let own = attach(&server, NOTHING, |artifact| artifact["artifactType"] = json!("application/vnd.example.own"));
    assert_eq!(referrers(&server, NOTHING)[0]["artifactType"], "application/vnd.example.own");
    assert_eq!(call(&server, "DELETE", &format!("/v2/a/manifests/{own}"), &[], b"").status, 202);
    assert_eq!(referrers(&server, NOTHING), [] as [Value; 0]);
}

#[test]
fn must_give_the_type_of_the_configuration_where_an_image_has_no_artifact_type() {
    let server = Server::start(&[]);
    for absent in [Value::Null, json!("")] {
        let digest = attach(&server, NOTHING, |artifact| {
            artifact["artifactType"] = absent;
            artifact["config"] = descriptor("application/vnd.example.config", b"{}");
        });
        let found = referrers(&server, NOTHING);
        let found = found.iter().find(|found| found["digest"] == digest).unwrap();
        assert_eq!(found["artifactType"], "application/vnd.example.config");
    }
}

#[test]
fn must_omit_the_artifact_type_of_an_index_without_one() {
    let server = Server::start(&[]);
    for (kind, expected) in [(None, None), (Some("x/y"), Some("x/y"))] {
        let digest = attach(&server, NOTHING, |artifact| {
            let subject = artifact["subject"].take();
            *artifact = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": subject});
            if let Some(kind) = kind {
                artifact["artifactType"] = json!(kind);
            }
        });
        let found = referrers(&server, NOTHING);
        let found = found.iter().find(|found| found["digest"] == digest).unwrap();
        assert_eq!(found.get("artifactType").and_then(Value::as_str), expected);
        assert_eq!(found["mediaType"], INDEX);
    }
}

#[test]
fn must_give_the_annotations_of_each_referrer() {
    let server = Server::start(&[]);
    let annotations = json!({"org.example.format": "json", "a": ""});
    attach(&server, NOTHING, |artifact| artifact["annotations"] = annotations.clone());
    assert_eq!(referrers(&server, NOTHING)[0]["annotations"], annotations);
}

#[test]
fn must_say_which_filter_was_applied() {
    let server = Server::start(&[]);
    for kind in ["x/one", "x/two+json"] {
        attach(&server, NOTHING, |artifact| artifact["artifactType"] = json!(kind));
    }
    for (filter, count) in [("x/one", 1), ("x/two%2Bjson", 1), ("x/three", 0)] {
        let answer = get(&server, &format!("/v2/a/referrers/{NOTHING}?artifactType={filter}"));
        assert_eq!(header(&answer, "oci-filters-applied"), "artifactType", "{filter}");
        assert_eq!(answer.json().unwrap()["manifests"].as_array().unwrap().len(), count, "{filter}");
    }
    let all = get(&server, &format!("/v2/a/referrers/{NOTHING}"));
    assert_eq!(
        (all.header("oci-filters-applied"), all.json().unwrap()["manifests"].as_array().unwrap().len()),
        (None, 2)
    );
}

#[test]
fn must_link_to_the_rest_of_a_list_that_fits_no_manifest() {
    let server = Server::start(&[]);
    let mut pushed: Vec<String> = (0..3)
        .map(|index| {
            attach(&server, NOTHING, |artifact| {
                artifact["artifactType"] = json!("x/large+json");
                artifact["annotations"] = json!({"x": index.to_string().repeat(2 << 20)});
            })
        })
        .collect();
    pushed.sort();
    let mut path = format!("/v2/a/referrers/{NOTHING}?artifactType=x/large%2Bjson");
    let mut seen = Vec::new();
    loop {
        let answer = get(&server, &path);
        assert!(answer.body.len() <= 4 << 20, "a page is a manifest");
        assert_eq!(header(&answer, "oci-filters-applied"), "artifactType");
        let page = answer.json().unwrap();
        seen.extend(
            page["manifests"].as_array().unwrap().iter().map(|found| found["digest"].as_str().unwrap().to_owned()),
        );
        let Some(link) = answer.header("link") else { break };
        let (target, relation) = link.split_once(">; ").expect("a link");
        assert_eq!(relation, "rel=\"next\"");
        path = target.strip_prefix('<').expect("a link").to_owned();
    }
    assert_eq!(seen, pushed);
}

#[test]
fn must_list_what_was_pushed_by_the_tag_scheme_and_by_clients_of_the_referrers_api_alike() {
    let server = Server::start(&[]);
    let digest = attach(&server, NOTHING, |_| {});
    let entry = get(&server, &format!("/v2/a/manifests/{digest}"));
    // What a client does that knows only the tag scheme: an index under a tag made of the digest.
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(IMAGE, &entry.body)]}).to_string();
    let tag = NOTHING.replace(':', "-");
    let path = format!("/v2/a/manifests/{tag}");
    assert_eq!(call(&server, "PUT", &path, &[("Content-Type", INDEX)], index.as_bytes()).status, 201);
    let found = referrers(&server, NOTHING);
    assert_eq!(found.iter().map(|found| &found["digest"]).collect::<Vec<_>>(), [&json!(digest)]);
    assert_eq!(put_manifest(&server, "a", "v1", &entry.body).status, 201, "and under a tag of its own");
    assert_eq!(referrers(&server, NOTHING).len(), 1);
}
