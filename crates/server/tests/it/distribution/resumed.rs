//! `dede pull` and `dede push` over connections that break: inside of blobs, in both directions, several times, and for ever.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use dede_bundle::Digest;
use dede_testing::fixtures;
use serde_json::{Value, json};

use super::breaking::{Breaking, GOOD, Plan};
use super::transfer::{command, dede};
use super::{get, push};
use crate::server::{Server, eventually};

/// Bytes behind which connections break: several times within the network.
const PIECE: usize = 200_000;

/// A server with the service `net`, a registry with the same as `models/net:v1`, and its largest file.
struct Stage {
    dev: Server,
    registry: Server,
    name: String,
    digest: Digest,
    content: Vec<u8>,
}

impl Stage {
    fn new() -> Self {
        let (dev, registry) = (Server::start(&[]), Server::start(&[]));
        let network = json!({"template": "mlp", "layers": [450, 450], "activation": "relu", "nclasses": 3});
        let (status, answer) = dev.put(
            "/services/net",
            &json!({
                "mllib": "caffe",
                "parameters": {"input": {"connector": "csv"}, "mllib": network},
                "model": {"repository": dev.path().join("net"), "create_repository": true},
            }),
        );
        assert_eq!(status, 201, "{answer}");
        let (status, answer) = dev.post(
            "/train",
            &json!({
                "service": "net",
                "async": false,
                "parameters": {
                    "input": {"id": "id", "label": "target", "scale": true},
                    "mllib": {"solver": {"iterations": 1, "base_lr": 0.05}, "net": {"batch_size": 30}},
                },
                "data": [fixtures::data("iris_train.csv")],
            }),
        );
        assert_eq!(status, 201, "{answer}");
        let manifest = get(&dev, "/v2/net/manifests/latest").json().unwrap();
        let size = |layer: &&Value| layer["size"].as_u64().unwrap();
        let largest = manifest["layers"].as_array().unwrap().iter().max_by_key(size).unwrap();
        let name = largest["annotations"]["org.cncf.model.filepath"].as_str().unwrap().to_owned();
        let digest: Digest = largest["digest"].as_str().unwrap().parse().unwrap();
        let content = get(&dev, &format!("/v2/net/blobs/{digest}")).body;
        assert!(content.len() > 3 * PIECE, "{} bytes", content.len());
        let work = tempfile::tempdir().unwrap();
        let reference = format!("{}/models/net:v1", registry.address);
        let (success, text) = dede(work.path(), &["push", &reference, "--on", &dev.url(), "--service", "net"]);
        assert!(success, "{text}");
        Self { dev, registry, name, digest, content }
    }

    /// What the pulled directory must hold.
    fn check_pulled(&self, directory: &Path) {
        assert!(std::fs::read(directory.join(&self.name)).unwrap() == self.content);
    }

    /// What the registry must have.
    fn check_pushed(&self, registry: &Server) {
        assert!(get(registry, &format!("/v2/models/net/blobs/{}", self.digest)).body == self.content);
        let pushed = get(registry, "/v2/models/net/manifests/v1");
        assert!(pushed.body == get(&self.dev, "/v2/net/manifests/latest").body);
    }
}

fn reference(proxy: &Breaking) -> String {
    format!("{}/models/net:v1", proxy.address)
}

/// The first numbers of `bytes=10-` and `10-99`. The same twice is one: a server that has not noticed yet that a connection broke has
/// its client come again.
fn starts(ranges: &[String]) -> Vec<u64> {
    let number = |range: &String| range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap();
    let mut numbers: Vec<u64> = ranges.iter().map(number).collect();
    numbers.dedup();
    numbers
}

fn is_rising(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn a_pull_goes_on_inside_of_a_blob_however_often_the_connection_breaks() {
    let stage = Stage::new();
    let proxy = Breaking::start(stage.registry.address, Plan { answers: PIECE, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("pulled"));
    let starts = starts(&proxy.asked(&format!("/blobs/{}", stage.digest), "range"));
    assert!(starts.len() >= 3 && is_rising(&starts), "{starts:?}");
    assert!(proxy.broken() >= 3 && text.contains("; attempt 2 in "), "{text}");
    let named = format!("http://{}: blob {}: downloading: broke off after ", proxy.address, stage.digest.short());
    assert!(text.contains(&named), "{text}");
}

#[test]
fn a_push_goes_on_inside_of_a_blob_however_often_the_connection_breaks() {
    let (stage, registry) = (Stage::new(), Server::start(&[]));
    let proxy = Breaking::start(registry.address, Plan { requests: PIECE, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &reference(&proxy), "--on", &stage.dev.url()]);
    assert!(success, "{text}");
    stage.check_pushed(&registry);
    let mut ranges = proxy.asked("PATCH ", "content-range");
    ranges.retain(|range| range.ends_with(&format!("-{}", stage.content.len() - 1)));
    assert!(ranges.len() >= 3 && starts(&ranges)[0] > 0 && is_rising(&starts(&ranges)), "{ranges:?}");
    assert!(proxy.broken() >= 3, "{text}");
    let named = format!("http://{}: blob {}: uploading: ", proxy.address, stage.digest.short());
    assert!(text.contains(&named), "{text}");
    assert_eq!(std::fs::read_dir(registry.path().join("state/blobs/uploads")).unwrap().count(), 0, "none is left");
}

#[test]
fn a_push_goes_on_when_both_connections_break() {
    let (stage, registry) = (Stage::new(), Server::start(&[]));
    let source = Breaking::start(stage.dev.address, Plan { answers: PIECE / 2, ..GOOD });
    let target = Breaking::start(registry.address, Plan { requests: PIECE, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &reference(&target), "--on", &source.url()]);
    assert!(success, "{text}");
    stage.check_pushed(&registry);
    assert!(source.broken() >= 3 && target.broken() >= 2, "{text}");
}

#[test]
fn what_is_left_of_a_large_blob_travels_in_chunks() {
    const MIB: usize = 1 << 20;
    let (source, registry) = (Server::start(&[]), Server::start(&[]));
    let content: Vec<u8> = (0..40 * MIB as u32).map(|number| (number / 251 + number) as u8).collect();
    push(&source, "big", "latest", &content);
    // The first connection breaks in the middle of everything, the second in the middle of a chunk.
    let proxy = Breaking::start(registry.address, Plan { requests: 3 * MIB, times: 2, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &format!("{}/big:v1", proxy.address), "--on", &source.url()]);
    assert!(success && proxy.broken() == 2, "{text}");
    assert!(get(&registry, &format!("/v2/big/blobs/{}", Digest::of(&content))).body == content);
    let ranges = proxy.asked("PATCH ", "content-range");
    let starts = starts(&ranges);
    let [.., first, second, last] = starts[..] else { panic!("{ranges:?}") };
    assert!(starts[0] > 0 && is_rising(&starts), "{ranges:?}");
    assert_eq!((second - first, last - second), (16 * MIB as u64, 16 * MIB as u64), "{ranges:?}");
}

#[test]
fn an_answer_that_is_lost_is_not_taken_for_a_failure() {
    let stage = Stage::new();
    for (requests, loses) in [
        (usize::MAX, "GET "),
        (usize::MAX, "HEAD "),
        (usize::MAX, "POST "),
        (usize::MAX, "PUT "),
        (PIECE, "PATCH "),
        (PIECE, "GET "),
    ] {
        let registry = Server::start(&[]);
        let proxy = Breaking::start(registry.address, Plan { requests, loses: Some(loses), times: 5, ..GOOD });
        let work = tempfile::tempdir().unwrap();
        let (success, text) = dede(work.path(), &["push", &reference(&proxy), "--on", &stage.dev.url()]);
        assert!(success && proxy.broken() > 0, "{loses}: {text}");
        stage.check_pushed(&registry);
    }
}

#[test]
fn a_registry_without_ranges_is_asked_from_the_beginning() {
    let stage = Stage::new();
    // It hears of none, answers 416, or answers another part than that which was asked for.
    for range in ["", "bytes=99999999999-", "bytes=1-"] {
        let plan = Plan { answers: PIECE, times: 2, range: Some(range), ..GOOD };
        let proxy = Breaking::start(stage.registry.address, plan);
        let work = tempfile::tempdir().unwrap();
        let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
        assert!(success, "{range:?}: {text}");
        stage.check_pulled(&work.path().join("pulled"));
        assert_eq!(proxy.broken(), 2, "{range:?}: {text}");
    }
}

#[test]
fn a_registry_that_forgets_uploads_gets_new_ones() {
    let (stage, registry) = (Stage::new(), Server::start(&[]));
    let proxy = Breaking::start(registry.address, Plan { requests: PIECE, times: 2, forgets: true, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let (success, text) = dede(work.path(), &["push", &reference(&proxy), "--on", &stage.dev.url()]);
    assert!(success, "{text}");
    stage.check_pushed(&registry);
    assert_eq!(proxy.broken(), 2, "{text}");
}

#[test]
fn what_never_comes_through_ends_with_the_truth() {
    let (stage, registry) = (Stage::new(), Server::start(&[]));
    let work = tempfile::tempdir().unwrap();
    let dev = stage.dev.url();
    let blob = format!("blob {}: ", stage.digest.short());
    // Nothing at all; the same beginning of the network each time, which is no progress; the same into a registry that forgets.
    let without_ranges = Plan { answers: PIECE, range: Some(""), ..GOOD };
    for (plan, command, expected) in [
        (Plan { requests: 0, ..GOOD }, "pull", "GET /v2/: "),
        (Plan { requests: 0, ..GOOD }, "push", "GET /v2/: "),
        (without_ranges, "pull", &*format!("{blob}downloading: broke off after ")),
        (Plan { requests: PIECE, forgets: true, ..GOOD }, "push", &*format!("{blob}uploading: ")),
    ] {
        let to = if command == "pull" { stage.registry.address } else { registry.address };
        let proxy = Breaking::start(to, plan);
        let reference = reference(&proxy);
        let arguments = match command {
            "pull" => vec!["pull", &reference, "pulled", "--attempts", "3"],
            _ => vec!["push", &reference, "--on", &dev, "--attempts", "3"],
        };
        let began = Instant::now();
        let (success, text) = dede(work.path(), &arguments);
        let last = text.lines().last().unwrap();
        assert!(!success && last.contains(&format!("http://{}: {expected}", proxy.address)), "{command}: {text}");
        assert!(last.contains(" attempts"), "{last}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
    // What came is not lost.
    let proxy = Breaking::start(stage.registry.address, GOOD);
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("pulled"));
    let starts = starts(&proxy.asked(&format!("/blobs/{}", stage.digest), "range"));
    assert!(matches!(starts[..], [start] if start > 0), "{starts:?}");
}

/// The partial file of the stage's network below a directory that is pulled to.
fn partial(work: &Path, digest: &Digest) -> PathBuf {
    work.join("pulled.partial/blobs/partial").join(digest.hex())
}

#[test]
fn a_pull_that_is_killed_is_gone_on_with() {
    let stage = Stage::new();
    let proxy = Breaking::start(stage.registry.address, Plan { answers: PIECE, stalls: true, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let mut killed = command(work.path(), &["pull", &reference(&proxy), "pulled"]);
    let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let file = partial(work.path(), &stage.digest);
    let length = || std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    eventually("a part of the network comes", || proxy.broken() > 0 && length() > 0);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let there = length();

    let proxy = Breaking::start(stage.registry.address, GOOD);
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("pulled"));
    assert_eq!(starts(&proxy.asked(&format!("/blobs/{}", stage.digest), "range")), [there]);
}

#[test]
fn a_second_pull_into_the_same_directory_is_refused_and_harms_nothing() {
    let stage = Stage::new();
    let proxy = Breaking::start(stage.registry.address, Plan { answers: PIECE, times: 1, stalls: true, ..GOOD });
    let work = tempfile::tempdir().unwrap();
    let mut first = command(work.path(), &["pull", &reference(&proxy), "pulled"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let length = || std::fs::metadata(partial(work.path(), &stage.digest)).map_or(0, |metadata| metadata.len());
    eventually("a part of the network comes", || proxy.broken() > 0 && length() > 0);
    let there = length();
    for what in [reference(&proxy), format!("{}/net", stage.dev.address)] {
        let (success, text) = dede(work.path(), &["pull", &what, "pulled"]);
        assert!(!success && text.contains(&format!("pulled.partial: process {} ", first.id())), "{text}");
    }
    // The first may still write what came before the silence.
    assert!(length() >= there && work.path().join("pulled.partial/content").is_dir(), "{} of {there}", length());
    // Another directory is another matter.
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "other"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("other"));
    first.kill().unwrap();
    first.wait().unwrap();
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("pulled"));
}

#[test]
fn what_a_killed_pull_left_is_not_believed() {
    let stage = Stage::new();
    let work = tempfile::tempdir().unwrap();
    let file = partial(work.path(), &stage.digest);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, vec![7; PIECE]).unwrap();
    let proxy = Breaking::start(stage.registry.address, GOOD);
    let (success, text) = dede(work.path(), &["pull", &reference(&proxy), "pulled"]);
    assert!(success, "{text}");
    stage.check_pulled(&work.path().join("pulled"));
    let asked = proxy.asked(&format!("/blobs/{}", stage.digest), "host");
    assert_eq!(asked.len(), 2, "behind what is there, and from the beginning");
}
