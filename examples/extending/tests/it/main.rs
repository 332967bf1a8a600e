//! The examples keep the rules of what is built in, and work beside it.

mod head;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dede_engine::catalogue::Catalogue;
use dede_engine::dispatch::Dispatcher;
use dede_extending::{catalogue, centroids::Centroids, create, lines, readings::Readings};
use dede_model::backend::EngineOptions;
use dede_model::data::{SampleShape, Samples};
use dede_model::parameters::Section;
use dede_model::repository::Repository;
use dede_model::request_memory::RequestMemory;
use dede_model::tensor::Floats;
use dede_testing::conformance::backend::{BackendCase, backend_suite};
use dede_testing::conformance::connector::{ConnectorCase, connector_suite};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

const CENTRES: &str = "0 0\n4 0\n0 4\n";

fn repository(directory: &Path, centres: &str) -> std::path::PathBuf {
    let repository = directory.join("repository");
    fs::create_dir_all(&repository).expect("a directory");
    fs::write(repository.join("centroids.txt"), centres).expect("written");
    repository
}

#[test]
fn readings_keep_the_rules_of_connectors() {
    connector_suite(&ConnectorCase {
        connector: &Readings,
        parameters: Section::new(),
        shape: Some(SampleShape::Row { columns: 2 }),
        items: ["1 2", "3  4.5", "-1e3\t0"].map(str::to_owned).to_vec(),
        refused: [("1", "expected 2 numbers, found 1"), ("1 x", "found x"), ("1 inf", "found inf"), ("", "found 0")]
            .map(|(item, reason)| (item.to_owned(), reason))
            .to_vec(),
        wrong_parameter: ("scale", json!("much")),
        training: None,
    });
}

#[test]
fn centroids_keep_the_rules_of_backends() {
    let directory = tempfile::tempdir().expect("a directory");
    let repository = Repository::open(repository(directory.path(), CENTRES), false).expect("it is there");
    let rows = Floats::new(vec![3, 2], vec![0.0, 0.0, 3.0, 1.0, -1.0, 9.0]).expect("fits");
    backend_suite(&BackendCase {
        backend: &Centroids,
        repository: &repository,
        mllib: Section::new(),
        input: Section::new(),
        samples: Samples::Table(rows),
        engine: EngineOptions { threads: 2, concurrency: 2, engine: None },
        tolerance: 0.0,
    });
}

fn flowers(directory: &Path, centres: &str) -> dede_model::error::Result<Arc<Catalogue>> {
    let catalogue = catalogue(&directory.join("state"))?;
    let body = json!({
        "mllib": "centroids",
        "parameters": {"input": {"connector": "readings"}, "mllib": {"sharpness": 0.5}},
        "model": {"repository": repository(directory, centres)},
    });
    create(&catalogue, "flowers", &body)?;
    Ok(catalogue)
}

#[test]
fn files_that_are_not_right_are_refused_with_their_line() {
    for (centres, reason) in [
        ("", "expected one line of numbers for each class, found none"),
        ("1 2\n3\n", "expected 2 numbers as in line 1, found 1 (centroids.txt, line 2)"),
        ("1 2\n3 x\n", "expected numbers, found x (centroids.txt, line 2)"),
        ("1 NaN\n", "centroids.txt, line 1"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let error = flowers(directory.path(), centres).err().expect(centres).to_string();
        assert!(error.contains(reason), "{error} has no {reason}");
    }
}

#[tokio::test]
async fn a_client_asks_in_lines_and_is_answered_in_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let catalogue = flowers(directory.path(), CENTRES).expect("created");
    let service = catalogue.service("flowers").expect("it is there");
    assert!(service.version().starts_with("sha256:"), "its file decides its version");
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let dispatcher = Arc::new(Dispatcher::new(catalogue));
    tokio::spawn(lines::serve(listener, dispatcher, RequestMemory::new(1 << 20)));
    let (reader, mut writer) = UnixStream::connect(&socket).await.expect("connected").into_split();
    let mut answers = BufReader::new(reader).lines();
    for (question, expected) in [
        ("flowers 0 0", "flowers 0=0.9993 1=0.0003 2=0.0003"),
        ("flowers 4 0", "flowers 0=0.0003 1=0.9997 2=0.0000"),
        ("flowers 2 0", "flowers 0=0.4999 1=0.4999 2=0.0002"),
        ("flowers 1 2 3", "error: "),
        ("roses 1 2", "error: "),
        ("flowers", "error: expected the name of a service and an item"),
    ] {
        writer.write_all(format!("{question}\n").as_bytes()).await.expect("sent");
        let answer = answers.next_line().await.expect("read").expect("an answer");
        assert!(answer.starts_with(expected), "{question}: {answer}");
    }
}
