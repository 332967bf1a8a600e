//! What `dede pull` and `dede push` do about answers that are no success: which are tried again, when, and what is said in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dede_bundle::Digest;

use super::hostile_registry::{Hostile, MANIFEST_TYPE, answers, reply};
use super::transfer::dede;
use super::{get, services};
use crate::server::Server;

/// Pulls `iris`; gives whether it succeeded and what it said.
fn pull(registry: &Hostile, attempts: &str) -> (bool, String) {
    let work = tempfile::tempdir().unwrap();
    dede(work.path(), &["pull", &format!("{}/iris", registry.address), "pulled", "--attempts", attempts])
}

/// The path of a blob that is no configuration, what a registry answers of it, and everything else that is answered.
fn one_blob() -> (String, BTreeMap<String, Vec<u8>>) {
    let found = answers(|_, _| {});
    let manifest = String::from_utf8(found["/v2/iris/manifests/latest"].clone()).unwrap();
    let layers = &manifest[manifest.find("\"layers\"").unwrap()..];
    let is_layer = |path: &&String| layers.contains(path.rsplit('/').next().unwrap()) && found[*path].len() > 1000;
    let path = found.keys().find(is_layer).unwrap().clone();
    (path, found)
}

fn asked(registry: &Hostile, path: &str) -> usize {
    registry.asked().iter().filter(|request| request.contains(path)).count()
}

#[test]
fn what_cannot_change_is_asked_for_once_and_named() {
    let (path, found) = one_blob();
    let digest: Digest = path.rsplit('/').next().unwrap().parse().unwrap();
    let size = found[&path].len() - found[&path].windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4;
    let other = format!("Docker-Content-Digest: {}", Digest::of(b"other"));
    for (answer, expected) in [
        (reply("401 Unauthorized", &[], b"{}"), "it answers 401"),
        (reply("403 Forbidden", &[], b"{}"), "it answers 403"),
        (reply("404 Not Found", &[], b"{}"), "it answers 404"),
        (reply("416 Range Not Satisfiable", &[], b"{}"), "it answers 416"),
        (reply("200 OK", &[], &vec![7; size + 1]), "bytes instead of"),
        (reply("200 OK", &[], &vec![7; size - 1]), "bytes instead of"),
        (reply("200 OK", &[], &vec![7; size]), "expected, found sha256:"),
        (reply("200 OK", &[&other], &vec![7; size]), "it is something else there"),
        (reply("206 Partial Content", &["Content-Range: bytes 1-2/3"], &[7; 2]), "Content-Range \"bytes 1-2/3\""),
        (reply("206 Partial Content", &[], &[7; 2]), "Content-Range \"\""),
    ] {
        let registry = Hostile::start(BTreeMap::from_iter(
            [(path.clone(), answer)].into_iter().chain(found.clone().into_iter().filter(|(other, _)| *other != path)),
        ));
        let (success, text) = pull(&registry, "5");
        let named = format!("http://{}: blob {}: downloading: ", registry.address, digest.short());
        assert!(!success && text.contains(&named) && text.contains(expected), "{expected}: {text}");
        assert_eq!(asked(&registry, &path), 1, "{expected}");
    }
}

#[test]
fn a_push_is_done_when_the_registry_has_all_of_it() {
    let dev = Server::start(&[]);
    services::create(&dev, "iris");
    let other = format!("Docker-Content-Digest: {}", Digest::of(b"other"));
    let created = ("201 Created", &[][..]);
    type Answer<'a> = (&'static str, &'a [String]);
    let cases: [(Answer<'_>, bool, Answer<'_>, Option<&str>); 6] = [
        (created, false, created, None),
        (("200 OK", &[]), true, created, None),
        (("202 Accepted", &[]), false, created, Some("found 202, and the blob is not there")),
        (created, false, ("201 Created", &[other]), Some("it stored something else")),
        (created, true, ("200 OK", &[]), None),
        (created, false, ("202 Accepted", &[]), Some("found 202, and the manifest is not there")),
    ];
    for (blob, is_shown, manifest, expected) in cases {
        let (blob, manifest) = ((blob.0, blob.1.to_vec()), (manifest.0, manifest.1.to_vec()));
        let mut is_stored = BTreeSet::new();
        let registry = Hostile::start_with(move |path, head| {
            let lines = |headers: &[String]| headers.iter().map(String::as_str).collect::<Vec<_>>().join("\r\n");
            let answer = |(status, headers): &(&str, Vec<String>)| match headers.is_empty() {
                true => reply(status, &[], b""),
                false => reply(status, &[&lines(headers)], b""),
            };
            let (method, name) = (head.split(' ').next()?, path.rsplit(['/', '=']).next()?.replace("%3A", ":"));
            match method {
                "POST" => Some(reply("202 Accepted", &["Location: /v2/iris/blobs/uploads/1"], b"")),
                "PUT" if path.contains("/manifests/") => {
                    is_stored.insert("manifest".to_owned());
                    Some(answer(&manifest))
                }
                "PUT" => {
                    is_stored.insert(name);
                    Some(answer(&blob))
                }
                "HEAD" if path.contains("/manifests/") && is_shown => Some(reply("200 OK", &[], b"")),
                "HEAD" if is_stored.contains(&name) && is_shown => Some(reply("200 OK", &[], b"")),
                _ => None,
            }
        });
        let work = tempfile::tempdir().unwrap();
        let (success, text) = dede(work.path(), &["push", &format!("{}/iris", registry.address), "--on", &dev.url()]);
        assert_eq!(success, expected.is_none(), "{expected:?}: {text}");
        assert!(expected.is_none_or(|expected| text.contains(expected)), "{expected:?}: {text}");
    }
}

#[test]
fn a_registry_with_too_much_to_do_is_asked_again_when_it_says_so() {
    for status in ["429 Too Many Requests", "503 Service Unavailable", "500 Internal Server Error", "502 Bad Gateway"] {
        let (path, found) = one_blob();
        let (wanted, mut refusals) = (path.clone(), 2);
        let registry = Hostile::start_with(move |path, _| {
            if path == wanted && refusals > 0 {
                refusals -= 1;
                return Some(reply(status, &["Retry-After: 1"], b"{}"));
            }
            found.get(path).cloned()
        });
        let began = Instant::now();
        let (success, text) = pull(&registry, "3");
        assert!(success && text.contains(&status[..3]), "{text}");
        assert_eq!(asked(&registry, &path), 3);
        let waited = began.elapsed() >= Duration::from_secs(2);
        assert!(waited || !matches!(&status[..3], "429" | "503"), "{status}: {:?}", began.elapsed());
    }
}

#[test]
fn a_token_that_runs_out_is_renewed_once() {
    for is_good in [true, false] {
        let (path, found) = one_blob();
        let (wanted, mut given) = (path.clone(), 0);
        let registry = Hostile::start_with(move |path, head| {
            let host =
                head.lines().find_map(|line| line.strip_prefix("host: ").or(line.strip_prefix("Host: "))).unwrap();
            let realm = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"x\"");
            let token = |number: usize| head.contains(&format!("Bearer token-{number}\r\n"));
            if path.starts_with("/token?") {
                given += 1;
                return Some(reply("200 OK", &[], format!("{{\"token\": \"token-{given}\"}}").as_bytes()));
            }
            // The first token lasts until this blob; those after it are good, or never are.
            let is_served = if path == wanted { is_good && token(2) } else { token(1) || token(2) };
            if is_served { found.get(path).cloned() } else { Some(reply("401 Unauthorized", &[&realm], b"{}")) }
        });
        let (success, text) = pull(&registry, "5");
        assert_eq!(success, is_good, "{text}");
        assert_eq!(asked(&registry, "/token?"), 2, "{text}");
        assert!(is_good || text.contains("it answers 401"), "{text}");
    }
}

#[test]
fn a_list_of_referrers_is_read_on_all_its_pages() {
    let (server, target) = (Server::start(&[]), Server::start(&[]));
    services::create(&server, "iris");
    let manifest = get(&server, "/v2/iris/manifests/latest").body;
    let list = format!("/v2/iris/referrers/{}", Digest::of(&manifest));
    let listed = get(&server, &list).body;
    let address = server.address;
    let hostile = Hostile::start_with(move |path, _| {
        if path == list {
            let link = format!("Link: <{list}?page=2>; rel=\"next\"");
            let empty = br#"{"schemaVersion": 2, "manifests": []}"#;
            return Some(reply("200 OK", &[&link], empty));
        }
        if path == format!("{list}?page=2") {
            return Some(reply("200 OK", &[], &listed));
        }
        let mut connection = dede_testing::http::Connection::open(address).unwrap();
        let answer = connection.send("GET", path, b"").unwrap();
        let headers: &[&str] = if path.contains("/manifests/") { &[MANIFEST_TYPE] } else { &[] };
        (answer.status == 200).then(|| reply("200 OK", headers, &answer.body))
    });
    let work = tempfile::tempdir().unwrap();
    let (reference, on) = (format!("{}/models/iris:v1", target.address), format!("http://{}", hostile.address));
    let (success, text) = dede(work.path(), &["push", &reference, "--on", &on, "--service", "iris"]);
    assert!(success && text.contains("1 statements about it"), "{text}");
}

#[test]
fn a_list_of_referrers_without_end_or_elsewhere_is_refused() {
    let elsewhere = Hostile::start(BTreeMap::new());
    let place = format!("http://{}/more", elsewhere.address);
    for (next, expected) in [("?again", "at most 100 pages"), (place.as_str(), "goes on elsewhere")] {
        let (found, target) = (answers(|_, _| {}), Server::start(&[]));
        let link = format!("Link: <{next}>; rel=\"next\"");
        let registry = Hostile::start_with(move |path, _| {
            let is_list = path.contains("/referrers/");
            let empty = br#"{"schemaVersion": 2, "manifests": []}"#;
            if is_list { Some(reply("200 OK", &[&link], empty)) } else { found.get(path).cloned() }
        });
        let work = tempfile::tempdir().unwrap();
        let (reference, on) = (format!("{}/models/iris:v1", target.address), format!("http://{}", registry.address));
        let (success, text) = dede(work.path(), &["push", &reference, "--on", &on, "--service", "iris"]);
        assert!(!success && text.contains(expected), "{text}");
    }
    assert_eq!(elsewhere.asked(), [] as [String; 0]);
}
