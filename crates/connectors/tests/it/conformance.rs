//! The standard cases for both connectors.

use dede_connectors::csv::CsvConnector;
use dede_connectors::image::ImageConnector;
use dede_testing::conformance::connector::{ConnectorCase, connector_suite};
use dede_testing::fixtures;
use serde_json::json;

#[test]
fn csv() {
    let parameters = json!({"connector": "csv", "label": "target", "id": "id", "scale": true,
        "columns": ["id", "sl", "sw", "pl", "pw", "target"],
        "min_vals": [1, 4.3, 2, 1, 0.1, 0], "max_vals": [150, 7.9, 4.4, 6.9, 2.5, 2]});
    connector_suite(&ConnectorCase {
        connector: &CsvConnector,
        parameters: parameters.as_object().cloned().expect("an object"),
        shape: None,
        items: ["5.1,3.5,1.4,0.2", "6.3,3.3,6.0,2.5", "5.8,2.7,4.1,1.0"].map(str::to_owned).to_vec(),
        refused: vec![("5.1,abc,1.4,0.2".to_owned(), "not a number")],
        wrong_parameter: ("label_offset", json!({})),
        training: Some(vec![fixtures::data("iris.csv").display().to_string()]),
    });
}

#[test]
fn image() {
    let shape = |name: &str| fixtures::data(&format!("shapes_test/{name}/{name}00.jpg")).display().to_string();
    let parameters = json!({"connector": "image", "width": 32, "height": 24});
    connector_suite(&ConnectorCase {
        connector: &ImageConnector,
        parameters: parameters.as_object().cloned().expect("an object"),
        shape: None,
        items: ["circle", "square", "triangle"].map(shape).to_vec(),
        refused: vec![("/no/such/image.jpg".to_owned(), "could not be read")],
        wrong_parameter: ("width", json!("wide")),
        training: Some(vec![fixtures::data("shapes").display().to_string()]),
    });
}
