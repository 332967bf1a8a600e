//! What services remember of their requests, and inputs made up for those that have nothing to remember.

use std::sync::Arc;

use dede_connectors::csv::CsvConnector;
use dede_connectors::image::ImageConnector;
use dede_engine::dispatch::rehearse;
use dede_engine::service::{PredictCall, Service};
use dede_model::connector::Connector;
use dede_model::outputs::Outputs;
use dede_model::parameters::{Parameters, Section};
use dede_model::request_memory::MemoryShare;
use dede_testing::{fixtures, services};
use serde_json::{Value, json};

const CONNECTORS: &[&dyn Connector] = &[&CsvConnector, &ImageConnector];

fn section(value: Value) -> Section {
    value.as_object().cloned().expect("an object")
}

fn service(directory: &std::path::Path, connector: &str, input: Value, mllib: Value, bytes: usize) -> Arc<Service> {
    let catalogue = services::catalogue(directory, CONNECTORS, bytes);
    services::create(&catalogue, directory, "tested", connector, section(input), section(mllib));
    catalogue.service("tested").expect("was created")
}

fn call(items: &[&str]) -> PredictCall {
    PredictCall { data: items.iter().map(|item| (*item).to_owned()).collect(), ..PredictCall::default() }
}

fn answer(service: &Service, call: &PredictCall) -> Outputs {
    rehearse(service, call).expect("answered").outputs
}

#[test]
fn rows_are_remembered_as_they_came_and_refused_ones_are_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = service(directory.path(), "csv", json!({}), json!({"columns": 2}), 1 << 20);
    for items in [["1,2", "3,4"], ["5,6", "7,8"]] {
        service.predict(&call(&items), &MemoryShare::unbounded()).expect("answered");
    }
    service.predict(&call(&["1,2,3"]), &MemoryShare::unbounded()).expect_err("three columns");
    rehearse(&service, &call(&["9,9"])).expect("answered");
    let captured = service.captured();
    let data: Vec<Vec<String>> = captured.iter().map(|captured| captured.call.data.clone()).collect();
    assert_eq!(data, [["1,2", "3,4"], ["5,6", "7,8"]], "the oldest first; rehearsals are no requests");
    assert_eq!(answer(&service, &captured[1].call), answer(&service, &call(&["5,6", "7,8"])));
}

#[test]
fn images_are_remembered_as_content() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = service(directory.path(), "image", json!({"width": 16, "height": 16}), json!({}), 1 << 24);
    let image = directory.path().join("secret-name.jpg");
    std::fs::copy(fixtures::data("shapes_test/circle/circle00.jpg"), &image).expect("copied");
    let path = image.display().to_string();
    let mut parameters = Parameters::default();
    parameters.input.insert("rgb".to_owned(), true.into());
    parameters.output.insert("best".to_owned(), 1.into());
    let sent =
        PredictCall { parameters, data: vec![path.clone()], ids: vec!["mine".to_owned()], ..PredictCall::default() };
    let expected = answer(&service, &sent);
    service.predict(&sent, &MemoryShare::unbounded()).expect("answered");
    std::fs::remove_file(&image).expect("removed");

    let captured = service.captured();
    assert_eq!(captured.len(), 1);
    let again = captured[0].call.clone();
    assert_eq!(answer(&service, &again), expected, "without the file");
    let text = format!("{again:?}");
    assert!(!text.contains("secret-name") && !text.contains("somebody"), "neither path nor names are kept");
    assert!(!format!("{captured:?}").contains(&again.data[0]), "content is not shown");
}

#[test]
fn a_service_told_not_to_remembers_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = service(directory.path(), "csv", json!({}), json!({"columns": 2}), 0);
    service.predict(&call(&["1,2"]), &MemoryShare::unbounded()).expect("answered");
    assert!(service.captured().is_empty());
}

#[test]
fn generated_calls_are_answered_and_the_same_every_time() {
    for (connector, input, mllib) in [
        ("csv", json!({}), json!({"columns": 3})),
        ("csv", json!({"scale": true, "min_vals": [0, 5, 2], "max_vals": [1, 5, 4]}), json!({"columns": 3})),
        ("image", json!({"width": 20, "height": 10, "bw": true}), json!({})),
        ("image", json!({"width": -1, "height": 300}), json!({})),
        ("image", json!({"unchanged_data": true}), json!({})),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let service = service(directory.path(), connector, input.clone(), mllib, 0);
        let calls = service.generated_calls(20).expect("made up");
        let again = service.generated_calls(20).expect("made up");
        let answers: Vec<Outputs> = calls.iter().map(|call| answer(&service, call)).collect();
        assert_eq!(answers.len(), 20, "{connector} {input}");
        assert_ne!(answers[0], answers[1], "{connector} {input}");
        assert!(calls.iter().zip(&again).all(|(call, again)| call.data == again.data));
    }
}

#[test]
fn nothing_is_made_up_where_the_columns_are_not_known() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = service(directory.path(), "csv", json!({}), json!({}), 0);
    let refused = service.generated_calls(1).expect_err("no columns are known");
    assert!(refused.to_string().contains("columns are not known"), "{refused}");
}
