//! Cases 17 to 21, 34 and 35 of the reference on other servers, for `dede pull` and `dede push`: registries that mean harm.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use dede_bundle::Digest;
use dede_bundle::modelpack::Bundle;
use serde_json::{Value, json};

use super::transfer::dede;
use super::{get, services};
use crate::server::Server;

/// A registry that answers what it was told to, and remembers what it was asked.
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hostile {
    /// Answers by the path; `/v2/` is `200` where it is not among the answers.
    pub(super) fn start(answers: BTreeMap<String, Vec<u8>>) -> Self {
        Self::start_with(move |path, _| answers.get(path).cloned())
    }

    /// Answers by the path and the whole head of the request; otherwise as [`Self::start`].
    pub(super) fn start_with(mut answer: impl FnMut(&str, &str) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    let mut piece = [0; 4096];
                    match stream.read(&mut piece) {
                        Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
                        _ => break,
                    }
                }
                read_body(&mut stream, &request);
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let answer = match answer(path, &request) {
                    Some(answer) => answer,
                    None if path == "/v2/" => reply("200 OK", &[], b"{}"),
                    None => reply("404 Not Found", &[], b"{}"),
                };
                seen.lock().unwrap().push(request);
                // A client that has seen enough leaves.
                let _ = stream.write_all(&answer);
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads what a request still sends behind its head, of which a part came with it: a connection that is closed before may lose the answer.
fn read_body(stream: &mut TcpStream, request: &[u8]) {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let head = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(request.len(), |end| end + 4);
    let left = length.unwrap_or(0).saturating_sub(request.len() - head);
    // A client that leaves has sent all that it will.
    let _ = std::io::copy(&mut stream.take(left as u64), &mut std::io::sink());
}

pub(super) fn reply(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub(super) const MANIFEST_TYPE: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json";

/// Manifest, configuration and blobs of a bundle of ours, as a registry would answer them; `change` spoils the manifest.
pub(super) fn answers(change: impl FnOnce(&mut Value, &mut Value)) -> BTreeMap<String, Vec<u8>> {
    let server = Server::start(&[]);
    services::create(&server, "iris");
    let manifest = get(&server, "/v2/iris/manifests/latest").body;
    let config = get(&server, &format!("/v2/iris/blobs/{}", Bundle::config_of(&manifest).unwrap().digest)).body;
    let bundle = Bundle::parse(&manifest, &config).unwrap();
    let mut found = BTreeMap::new();
    for file in bundle.files() {
        let content = get(&server, &format!("/v2/iris/blobs/{}", file.digest)).body;
        found.insert(format!("/v2/iris/blobs/{}", file.digest), reply("200 OK", &[], &content));
    }
    let (mut manifest, mut config): (Value, Value) =
        (serde_json::from_slice(&manifest).unwrap(), serde_json::from_slice(&config).unwrap());
    change(&mut manifest, &mut config);
    let config = config.to_string();
    let digest = Digest::of(config.as_bytes()).to_string();
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(config.len());
    found.insert(format!("/v2/iris/blobs/{digest}"), reply("200 OK", &[], config.as_bytes()));
    let manifest = manifest.to_string();
    found.insert("/v2/iris/manifests/latest".into(), reply("200 OK", &[MANIFEST_TYPE], manifest.as_bytes()));
    found
}

/// Pulls from a hostile registry, which must fail and leave nothing but what it may go on with.
fn refused(hostile: &Hostile, arguments: &[&str]) -> String {
    let work = tempfile::tempdir().unwrap();
    let inside = work.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let reference = format!("{}/iris", hostile.address);
    let (success, text) = dede(&inside, &[&["pull", &reference, "pulled"][..], arguments].concat());
    assert!(!success, "{text}");
    let left: Vec<_> = std::fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "pulled.partial"), "{left:?}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 1, "nothing outside");
    text
}

#[test]
fn what_a_hostile_registry_could_send_is_what_an_honest_one_does() {
    let hostile = Hostile::start(answers(|_, _| {}));
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["pull", &format!("{}/iris", hostile.address), "pulled"]);
    assert!(success, "{text}");
}

#[test]
fn cases_21_34_and_35_names_are_confined_and_part_of_what_is_checked() {
    for name in ["../escaped", "/tmp/escaped", "a/../../escaped", "a\\..\\b", "", ".", "a\nb"] {
        let hostile = Hostile::start(answers(|manifest, _| {
            manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] = json!(name);
        }));
        let text = refused(&hostile, &[]);
        assert!(text.contains("is no service"), "{name:?}: {text}");
        let fetched = hostile.asked().iter().filter(|request| request.contains("/blobs/")).count();
        assert!(fetched <= 1, "no file was fetched before the names were checked");
    }
    for media_type in ["application/vnd.cncf.model.weight.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip"] {
        let hostile = Hostile::start(answers(|manifest, _| manifest["layers"][0]["mediaType"] = json!(media_type)));
        assert!(refused(&hostile, &[]).contains("raw"), "archives are not taken");
    }
    // Two files swapped, one twice, one missing.
    for change in [
        (|manifest: &mut Value| {
            let other = manifest["layers"][1]["digest"].take();
            manifest["layers"][1]["digest"] = std::mem::replace(&mut manifest["layers"][0]["digest"], other);
        }) as fn(&mut Value),
        |manifest| {
            let layer = manifest["layers"][0].clone();
            manifest["layers"].as_array_mut().unwrap().push(layer);
        },
        |manifest| drop(manifest["layers"].as_array_mut().unwrap().pop()),
    ] {
        let hostile = Hostile::start(answers(|manifest, _| change(manifest)));
        assert!(refused(&hostile, &[]).contains("is no service"));
    }
}

#[test]
fn content_that_is_not_what_its_digest_says_is_refused() {
    let mut spoiled = answers(|_, _| {});
    let blob = spoiled.keys().find(|path| path.contains("/blobs/")).unwrap().clone();
    spoiled.insert(blob, reply("200 OK", &[], b"something else"));
    let text = refused(&Hostile::start(spoiled), &[]);
    assert!(text.contains("expected, found sha256:") || text.contains("something else there"), "{text}");
}

#[test]
fn case_19_answers_are_bounded_after_inflating() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let packed = reply("200 OK", &[MANIFEST_TYPE, "Content-Encoding: gzip"], &bomb);
    let hostile = Hostile::start(BTreeMap::from([("/v2/iris/manifests/latest".to_owned(), packed)]));
    assert!(refused(&hostile, &[]).contains("at most 4194304 bytes"));
}

#[test]
fn case_20_credentials_go_to_no_other_host_than_the_registry() {
    let elsewhere = Hostile::start(BTreeMap::new());
    let work = tempfile::tempdir().unwrap();
    let password = work.path().join("password");
    std::fs::write(&password, "a-secret-of-this-client").unwrap();
    let given = ["--user", "me", "--password-file", password.to_str().unwrap()];
    let realm = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"x\"", elsewhere.address);
    let asks = BTreeMap::from([("/v2/".to_owned(), reply("401 Unauthorized", &[&realm], b"{}"))]);
    let hostile = Hostile::start(asks);
    assert!(refused(&hostile, &given).contains("the registry itself only"));
    assert_eq!(elsewhere.asked(), [] as [String; 0]);

    // A registry that leads elsewhere once it has the password.
    let place = format!("Location: http://{}/v2/", elsewhere.address);
    let leads = BTreeMap::from([("/v2/".to_owned(), reply("307 Temporary Redirect", &[&place], b""))]);
    refused(&Hostile::start(leads), &given);
    assert_eq!(elsewhere.asked(), [] as [String; 0]);
}

#[test]
fn an_upload_that_leads_elsewhere_is_refused() {
    let server = Server::start(&[]);
    services::create(&server, "iris");
    let elsewhere = Hostile::start(BTreeMap::new());
    let place = format!("Location: http://{}/upload", elsewhere.address);
    let begins = BTreeMap::from([("/v2/iris/blobs/uploads/".to_owned(), reply("202 Accepted", &[&place], b""))]);
    let hostile = Hostile::start(begins);
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &format!("{}/iris", hostile.address), "--on", &server.url()]);
    assert!(!success && text.contains("takes uploads elsewhere"), "{text}");
    assert_eq!(elsewhere.asked(), [] as [String; 0]);
}

#[test]
fn a_broken_pull_is_gone_on_with() {
    let server = Server::start(&[]);
    services::create(&server, "iris");
    let whole = answers(|_, _| {});
    let mut broken = whole.clone();
    let manifest = get(&server, "/v2/iris/manifests/latest").json().unwrap();
    let last = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned();
    broken.insert(format!("/v2/iris/blobs/{last}"), reply("500 Internal Server Error", &[], b"{}"));
    let work = tempfile::tempdir().unwrap();
    let first = Hostile::start(broken);
    let reference = format!("{}/iris", first.address);
    let (success, text) = dede(work.path(), &["pull", &reference, "pulled", "--attempts", "2"]);
    assert!(!success && text.contains("answers 500") && text.contains("(2 attempts)"), "{text}");
    let second = Hostile::start(whole);
    let (success, text) = dede(work.path(), &["pull", &format!("{}/iris", second.address), "pulled"]);
    assert!(success, "{text}");
    let fetched = second.asked().iter().filter(|request| request.contains("/blobs/")).count();
    assert_eq!(fetched, 2, "the configuration and the last file");
}
