//! The numbers: repositories that the original server trained answer here as they answered there.

use std::path::Path;

use dede_testing::fixtures;
use serde_json::{Value, json};

use super::transcript::{self, Answer, Exchange};
use crate::server::Server;

/// The same arithmetic in another order.
const TABLE: f64 = 1e-4;
/// The default decoder's pixels differ by a few levels; libjpeg-turbo's are the original's.
const IMAGE: f64 = if cfg!(feature = "turbojpeg") { 1e-4 } else { 1e-2 };

/// Recorded predicts of one repository.
struct Recorded {
    repository: &'static str,
    /// What the original served at that time.
    weights: &'static str,
    mllib: &'static str,
    transcript: &'static str,
    numbers: &'static [u32],
    tolerance: f64,
}

const RECORDED: [Recorded; 5] = [
    Recorded {
        repository: "iris",
        weights: "model_iter_300.caffemodel",
        mllib: r#"{"nclasses":3}"#,
        transcript: "02_csv_caffe_mlp",
        numbers: &[6, 8, 9, 10, 11, 12],
        tolerance: TABLE,
    },
    // All snapshots had been written within one second, and the original served the first.
    Recorded {
        repository: "mv_dev",
        weights: "model_iter_0.caffemodel",
        mllib: r#"{"nclasses":3}"#,
        transcript: "10_move_dev_to_prod",
        numbers: &[3, 6, 7, 12],
        tolerance: TABLE,
    },
    Recorded {
        repository: "imgconv",
        weights: "model_iter_120.caffemodel",
        mllib: r#"{"nclasses":3}"#,
        transcript: "05_image_classification",
        numbers: &[3, 13, 18, 19, 26, 30],
        tolerance: IMAGE,
    },
    Recorded {
        repository: "imgconv",
        weights: "model_iter_120.caffemodel",
        mllib: r#"{"nclasses":3}"#,
        transcript: "10_move_dev_to_prod",
        numbers: &[26, 29, 31],
        tolerance: IMAGE,
    },
    Recorded {
        repository: "imgsq",
        weights: "model_iter_4.caffemodel",
        mllib: r#"{"nclasses":3}"#,
        transcript: "05_image_classification",
        numbers: &[6],
        tolerance: IMAGE,
    },
];

#[test]
fn repositories_of_the_original_answer_as_recorded() {
    let server = Server::start(&[]);
    let mut complaints = Vec::new();
    for (index, recorded) in RECORDED.iter().enumerate() {
        let repository = fixtures::copy_model(recorded.repository, &server.path().join(index.to_string()));
        let repository = repository.expect("a copy");
        let text = std::fs::read_to_string(fixtures::transcript(&format!("{}.txt", recorded.transcript)));
        let exchanges = transcript::parse(&text.expect("a transcript"));
        for number in recorded.numbers {
            let exchange = exchanges.iter().find(|exchange| exchange.number == *number).expect("recorded");
            let name = format!("{}-{index}-{number}", recorded.repository);
            create(&server, &name, &repository, recorded.mllib, json!({"weights": recorded.weights}));
            if let Err(complaint) = compare(&server, &name, exchange, recorded.tolerance) {
                complaints.push(format!("{} {number}: {complaint}", recorded.transcript));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// `lreg` holds iterations 0, 100 and 200; its best_model.txt names one that is not the highest.
#[test]
fn without_weights_best_model_decides() {
    let server = Server::start(&[]);
    let repository = fixtures::copy_model("lreg", server.path()).expect("a copy");
    let best = std::fs::read_to_string(repository.join("best_model.txt")).expect("a record");
    let best = best.lines().next().and_then(|line| line.strip_prefix("iteration:")).expect("an iteration").to_owned();
    assert_ne!(best, "200", "the highest iteration is there too");
    create(&server, "default", &repository, r#"{"nclasses":3}"#, json!({}));
    let weights = |iteration: &str| json!({"weights": format!("model_iter_{iteration}.caffemodel")});
    create(&server, "best", &repository, r#"{"nclasses":3}"#, weights(&best));
    create(&server, "highest", &repository, r#"{"nclasses":3}"#, weights("200"));
    let ask = |service: &str| {
        let body = json!({"service": service, "parameters": {"output": {"best": 3}}, "data": ["0.1,0.5,0.2,0.9"]});
        let (status, answer) = server.post("/predict", &body);
        assert_eq!(status, 200, "{answer}");
        (answer["body"].clone(), server.served_by(&body).split_once('@').map(|(_, digest)| digest.to_owned()))
    };
    assert_eq!(ask("default"), ask("best"));
    assert_ne!(ask("default"), ask("highest"));
}

fn create(server: &Server, name: &str, repository: &Path, mllib: &str, model: Value) {
    let mllib: Value = serde_json::from_str(mllib).expect("JSON");
    let connector = if name.starts_with("img") { "image" } else { "csv" };
    let mut body = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": connector}, "mllib": mllib},
        "model": model,
    });
    body["model"]["repository"] = json!(repository);
    let (status, answer) = server.put(&format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{name}: {answer}");
}

fn compare(server: &Server, name: &str, exchange: &Exchange, tolerance: f64) -> Result<(), String> {
    let place = |text: &str| text.replace("/data/", &format!("{}/", fixtures::data("").display()));
    let mut body: Value =
        serde_json::from_str(&place(exchange.body.as_deref().ok_or("no body")?)).map_err(|error| error.to_string())?;
    body["service"] = json!(name);
    let (status, found) = server.post("/predict", &body);
    if status != 200 {
        return Err(found.to_string());
    }
    let Answer::Json(recorded) = &exchange.answer else { return Err("no recorded answer".into()) };
    let (recorded, found) = (scores(recorded), scores(&found));
    if recorded.len() != found.len() || recorded.is_empty() {
        return Err(format!("{} scores expected, found {}", recorded.len(), found.len()));
    }
    for (uri, category, probability) in &recorded {
        let uri = place(uri);
        let same = found.iter().find(|(other, cat, _)| *other == uri && cat == category);
        let (_, _, ours) = same.ok_or_else(|| format!("no {category} for {uri}"))?;
        if (ours - probability).abs() > tolerance {
            return Err(format!("{category} for {uri}: {probability} expected, found {ours}"));
        }
    }
    Ok(())
}

/// `(uri, cat, prob)` of every class of every prediction.
fn scores(answer: &Value) -> Vec<(String, String, f64)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let predictions = list(&answer["body"]["predictions"]);
    let of_one = |prediction: &Value| -> Vec<(String, String, f64)> {
        let uri = text(&prediction["uri"]);
        let classes = list(&prediction["classes"]);
        classes.iter().map(|c| (uri.clone(), text(&c["cat"]), c["prob"].as_f64().unwrap_or(f64::NAN))).collect()
    };
    predictions.iter().flat_map(of_one).collect()
}
