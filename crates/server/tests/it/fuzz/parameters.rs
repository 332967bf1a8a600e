//! Parameters and items of predicts.

use serde_json::{Value, json};

use super::{Random, run};
use crate::models::{Models, put_service};
use crate::server::Server;

const KEYS: &[(&str, &[&str])] = &[
    (
        "input",
        &[
            "connector",
            "id",
            "label",
            "ignore",
            "separator",
            "quote",
            "scale",
            "scale_type",
            "min_vals",
            "max_vals",
            "mean_vals",
            "variance_vals",
            "categoricals",
            "categoricals_mapping",
            "label_offset",
            "timeout",
            "test_split",
            "columns",
            "width",
            "height",
            "bw",
        ],
    ),
    ("mllib", &["extract_layer", "net", "nclasses", "gpu", "regression", "template", "test_batch_size"]),
    (
        "output",
        &[
            "best",
            "confidence_threshold",
            "measure",
            "template",
            "binarized",
            "bool_binarized",
            "string_binarized",
            "index",
            "search_nn",
            "bbox",
        ],
    ),
];

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => (random.below(2) == 0).into(),
        2 => json!(*random.of(&[0, 1, -1, 3, 255, i64::MAX, i64::MIN])),
        3 => json!(*random.of(&[0.0, -0.5, 1e308, 1e-308, 0.1])),
        4 => "x".repeat(random.below(200)).into(),
        5 => {
            json!(*random.of(&["acc", "f1", "sepal_length", "id", ",", "\"", "{{#body}}", "minmax", "znorm", "", "é"]))
        }
        6 => json!([0.1, 1.0, 2.0, 3.0]),
        7 => json!(["acc", "sepal_width"]),
        8 => Value::Array((0..random.below(5)).map(|_| value(random, depth - 1)).collect()),
        _ => {
            let keys = ["a", "sepal_length", "test_batch_size", "url", ""];
            (0..random.below(4)).map(|_| ((*random.of(&keys)).to_owned(), value(random, depth - 1))).collect()
        }
    }
}

#[test]
fn parameters_of_any_kind_are_answered() {
    let (server, models) = (Server::start(&[]), Models::get());
    models.versions[0].write(&server.path().join("iris"));
    put_service(&server, "iris", &server.path().join("iris"));
    let good: Vec<Vec<u8>> = models.inputs.iter().map(|input| input.as_bytes().to_vec()).collect();
    run("parameters", &server, |random| {
        let mut parameters = json!({});
        for (section, keys) in KEYS {
            for _ in 0..random.below(4) {
                parameters[section][*random.of(keys)] = value(random, 3);
            }
        }
        let item = |random: &mut Random| match random.below(3) {
            0 => String::from_utf8_lossy(&random.mutant(&good)).into_owned(),
            _ => random.of(&models.inputs).clone(),
        };
        let data: Vec<String> = (0..random.below(4)).map(|_| item(random)).collect();
        let mut body = json!({"service": "iris", "data": data, "parameters": parameters});
        if random.below(10) == 0 {
            body[*random.of(&["service", "data", "ids", "parameters", "x"])] = value(random, 3);
        }
        // A template answers any text.
        let answer = server.send("POST", "/predict", &body.to_string());
        let shown = String::from_utf8_lossy(&answer.body);
        assert!([200, 400, 403, 404, 413].contains(&answer.status), "{}: {shown}\n{body}", answer.status);
    });
}
