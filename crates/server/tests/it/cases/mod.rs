//! Small inputs, most of them made after public bug reports: on each engine each one is answered right, or refused with the reason.
//!
//! A folder of `files` is one input. Its `case.json` has `what` it is, the `calls` (method, path and body) and what the last of them
//! has to answer; the other files are what the bodies name. `@D@` is the folder, `@S@` the service. It must not know kinds of
//! inputs: another one is a folder, and nothing here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dede_backends::neural::engine::{Availability, engines};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::Server;
use dede_testing::fixtures::copy_directory;

/// How far numbers may be from the right ones, as a share of those above 1.
const TOLERANCE: f64 = 2e-3;

/// What is right.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Right {
    /// Numbers of each item, in the order of their classes.
    Rows(Vec<Vec<f64>>),
    /// The first numbers of each item, and how far they may be from these.
    Beginnings(Vec<Vec<f64>>, f64),
    /// The first class of each item.
    Names(Vec<String>),
    /// One of the calls is refused in these words.
    Refused(Vec<String>),
    /// An answer with these words.
    Says(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "what")]
    _what: String,
    calls: Vec<(String, String, Value)>,
    right: Right,
    /// In place of `right` on this engine.
    rten: Option<Right>,
}

fn folders() -> Vec<PathBuf> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/files");
    let folders: BTreeSet<PathBuf> = std::fs::read_dir(files).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.into_iter().collect()
}

/// The text with the names of the folder and of the service.
fn named(text: &str, folder: &Path, service: &str) -> String {
    text.replace("@D@", folder.to_str().unwrap()).replace("@S@", service)
}

/// Numbers of an item: values, or scores in the order of the names of their classes.
fn numbers(prediction: &Value) -> Vec<f64> {
    let member = |entry: &Value, name: &str| entry[name].as_f64().unwrap_or(f64::NAN);
    if let Some(values) = prediction["vals"].as_array() {
        return values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect();
    }
    let vector =
        prediction["vector"].as_array().map(|entries| entries.iter().map(|entry| member(entry, "val")).collect());
    vector.unwrap_or_else(|| {
        let mut classes = prediction["classes"].as_array().cloned().unwrap_or_default();
        classes.sort_by_key(|class| class["cat"].as_str().and_then(|name| name.parse::<usize>().ok()));
        classes.iter().map(|class| member(class, "prob")).collect()
    })
}

fn are_close(found: &[f64], right: &[f64], tolerance: f64) -> bool {
    found.len() == right.len()
        && found.iter().zip(right).all(|(found, right)| (found - right).abs() <= tolerance * right.abs().max(1.0))
}

/// What is wrong with the answers to the calls; `None` where nothing is.
fn problem(right: &Right, answers: &[(u16, Value)]) -> Option<String> {
    let (status, last) = answers.last()?;
    let shown = || Some(format!("{status} {}", last.to_string().chars().take(600).collect::<String>()));
    let text = last.to_string();
    let missing = |words: &[String]| words.iter().any(|word| !text.contains(word.as_str()));
    let predictions = last["body"]["predictions"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<Vec<f64>> = predictions.iter().map(numbers).collect();
    let are_all = |right: &[Vec<f64>], is_right: &dyn Fn(&[f64], &[f64]) -> bool| {
        rows.len() == right.len() && rows.iter().zip(right).all(|(row, right)| is_right(row, right))
    };
    let fits = match right {
        Right::Refused(words) => return if (400..500).contains(status) && !missing(words) { None } else { shown() },
        _ if !(200..300).contains(status) => false,
        Right::Rows(right) => are_all(right, &|row, right| are_close(row, right, TOLERANCE)),
        Right::Beginnings(right, tolerance) => are_all(right, &|row, right| {
            let is_near = |(found, right): (&f64, &f64)| (found - right).abs() <= *tolerance;
            row.len() >= right.len() && row.iter().zip(right).all(is_near)
        }),
        Right::Names(names) => {
            predictions.len() == names.len()
                && predictions.iter().zip(names).all(|(item, name)| item["classes"][0]["cat"] == **name)
        }
        Right::Says(words) => !missing(words),
    };
    if fits { None } else { shown() }
}

/// Answers up to the first that is no success.
fn answers(server: &Server, folder: &Path, service: &str, calls: &[(String, String, Value)]) -> Vec<(u16, Value)> {
    let mut answers: Vec<(u16, Value)> = Vec::new();
    for (method, path, body) in calls {
        let body = match body {
            Value::Null => String::new(),
            // What is no JSON.
            Value::String(text) => named(text, folder, service),
            body @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                named(&body.to_string(), folder, service)
            }
        };
        let answer = server.send(method, &named(path, folder, service), &body);
        let said = answer.json().unwrap_or_else(|_| json!(String::from_utf8_lossy(&answer.body)));
        answers.push((answer.status, said));
        if !(200..300).contains(&answer.status) {
            break;
        }
    }
    answers
}

fn is_usable(name: &str) -> bool {
    let engine = engines().into_iter().find(|engine| engine.name() == name).unwrap();
    match engine.check() {
        Availability::Usable { .. } => true,
        Availability::Unusable { reason } => {
            assert!(std::env::var_os("CI").is_none(), "{name} must be there in CI: {reason}");
            eprintln!("skipped: {name}: {reason}");
            false
        }
    }
}

fn all_are_right(engine: &str) {
    if !is_usable(engine) {
        return;
    }
    let server = Server::start(&["--engine", engine]);
    let mut wrong = Vec::new();
    for (number, folder) in folders().iter().enumerate() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let case: Case = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let own = server.path().join("cases").join(name);
        copy_directory(folder, &own).unwrap();
        let service = format!("case{number}");
        let found = answers(&server, &own, &service, &case.calls);
        let right = if engine == "rten" { case.rten.as_ref().unwrap_or(&case.right) } else { &case.right };
        wrong.extend(problem(right, &found).map(|problem| format!("{name}: {problem}")));
        server.delete(&format!("/services/{service}"));
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), folders().len(), wrong.join("\n"));
}

#[test]
fn all_are_right_on_rten() {
    all_are_right("rten");
}

#[test]
fn all_are_right_on_onnxruntime() {
    all_are_right("onnxruntime");
}
