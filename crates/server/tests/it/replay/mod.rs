//! Replays what clients asked the original server, and compares what ours answers: status, codes and JSON shape.
//!
//! [`transcript`] reads the recordings, [`stage`] puts in place what stood on disk at each moment, [`exceptions`] lists every request that is
//! answered otherwise, with its reason. Any other difference fails.

mod exceptions;
mod numbers;
mod stage;
mod transcript;

use std::collections::BTreeMap;

use dede_testing::comparison::{Leaves, difference};
use dede_testing::fixtures;
use serde_json::{Value, json};

use crate::server::Server;
use exceptions::{Exception, Ours};
use stage::Stage;
use transcript::{Answer, Exchange};

/// Replays one transcript, and returns what was not as expected, one line per request.
fn replay(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(fixtures::transcript(&format!("{name}.txt"))).expect("a transcript");
    let exchanges = transcript::parse(&text);
    assert!(!exchanges.is_empty(), "nothing in {name}");
    let mut stage = Stage::new(name);
    let mut servers: BTreeMap<u16, Server> = BTreeMap::new();
    let mut complaints = Vec::new();
    for exchange in &exchanges {
        let server = servers.entry(exchange.port).or_insert_with(|| Server::start(&[]));
        stage.prepare(exchange.number, server);
        if let Err(complaint) = check(name, exchange, &stage, server) {
            complaints.push(format!("{name} {}. {}: {complaint}", exchange.number, exchange.title));
        }
    }
    let numbers: Vec<u32> = exchanges.iter().map(|exchange| exchange.number).collect();
    for number in
        exceptions::of(name).flat_map(|exception| exception.numbers).filter(|number| !numbers.contains(number))
    {
        complaints.push(format!("{name} {number}: an exception for a request that is not there"));
    }
    complaints
}

fn check(name: &str, exchange: &Exchange, stage: &Stage, server: &Server) -> Result<(), String> {
    let exception = exceptions::find(name, exchange.number);
    if matches!(exception, Some(Exception { ours: Ours::Later, .. })) {
        return Ok(());
    }
    let body = stage.place(exchange.body.as_deref().unwrap_or_default());
    let response = server.send(&exchange.method, &exchange.path, &body);
    let found = (response.status, response.json().ok());
    let result = match exception.map(|exception| &exception.ours) {
        Some(Ours::Answers(status, dd_code)) => answers(*status, *dd_code, &found),
        Some(Ours::Later) => Ok(()),
        Some(Ours::Shape(_)) | None => {
            let without: &[&str] = match exception {
                Some(Exception { ours: Ours::Shape(paths), .. }) => paths,
                _ => &[],
            };
            as_recorded(exchange, &found, without)
        }
    };
    if let Some(Exception { ours: Ours::Answers(..), reason, .. }) = exception
        && as_recorded(exchange, &found, &[]).is_ok()
    {
        return Err(format!("an exception that is not needed any more: {reason}"));
    }
    result
        .map_err(|complaint| format!("{complaint}\n    answer: {}", shorten(&String::from_utf8_lossy(&response.body))))
}

fn answers(status: u16, dd_code: Option<u16>, (found, body): &(u16, Option<Value>)) -> Result<(), String> {
    let code = body.as_ref().map_or(Value::Null, |body| body["status"]["dd_code"].clone());
    if *found == status && code == json!(dd_code) {
        return Ok(());
    }
    Err(format!("expected {status} and dd_code {dd_code:?}, found {found} and {code}"))
}

fn as_recorded(exchange: &Exchange, (found, body): &(u16, Option<Value>), without: &[&str]) -> Result<(), String> {
    let recorded = exchange.status.ok_or("the original gave no answer, so there must be an exception")?;
    if recorded != *found {
        return Err(format!("expected status {recorded}, found {found}"));
    }
    match (&exchange.answer, body) {
        (Answer::Json(expected), Some(body)) => {
            let everywhere = exceptions::EVERYWHERE.iter().filter(|(route, ..)| exchange.path.starts_with(route));
            let paths: Vec<&str> = everywhere.map(|(_, path, _)| *path).chain(without.iter().copied()).collect();
            alike(expected, body, &paths)
        }
        (Answer::Json(_), None) => Err("expected JSON".to_owned()),
        (Answer::Text | Answer::CutOff, _) => Ok(()),
        (Answer::Nothing, _) => Err("nothing was recorded".to_owned()),
    }
}

fn alike(expected: &Value, found: &Value, without: &[&str]) -> Result<(), String> {
    let (mut expected, mut found) = (expected.clone(), found.clone());
    match_services(&mut expected, &mut found);
    for path in without {
        remove(&mut expected, path);
        remove(&mut found, path);
    }
    for code in ["/status/code", "/status/dd_code"] {
        if expected.pointer(code) != found.pointer(code) {
            return Err(format!("{code}: expected {:?}, found {:?}", expected.pointer(code), found.pointer(code)));
        }
    }
    difference(&expected, &found, Leaves::Shape).map_or(Ok(()), |difference| Err(difference.to_string()))
}

/// The original lists services in the order of a hash table: both lists are sorted, and those that are left for later
/// taken out.
fn match_services(expected: &mut Value, found: &mut Value) {
    let path = "/head/services";
    let (Some(Value::Array(expected)), Some(Value::Array(found))) =
        (expected.pointer_mut(path), found.pointer_mut(path))
    else {
        return;
    };
    let name = |service: &Value| service["name"].as_str().unwrap_or_default().to_owned();
    expected.retain(|service| found.iter().any(|other| name(other) == name(service)));
    expected.sort_by_key(name);
    found.sort_by_key(name);
}

/// Removes the member at a dotted path; `*` stands for every element or member.
fn remove(value: &mut Value, path: &str) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let inside: Vec<&mut Value> = match (value, first, rest) {
        (Value::Object(object), key, None) if key != "*" => {
            object.remove(key);
            Vec::new()
        }
        (Value::Object(object), "*", Some(_)) => object.values_mut().collect(),
        (Value::Object(object), key, Some(_)) => object.get_mut(key).into_iter().collect(),
        (Value::Array(items), "*", Some(_)) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for value in inside {
        remove(value, rest.unwrap_or_default());
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(300).collect()
}

fn expect_no_complaints(name: &str) {
    let complaints = replay(name);
    assert!(complaints.is_empty(), "{} requests are answered otherwise:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn t01_info_and_services() {
    expect_no_complaints("01_info_services");
}

#[test]
fn t02_csv_mlp() {
    expect_no_complaints("02_csv_caffe_mlp");
}

#[test]
fn t02b_csv_categoricals() {
    expect_no_complaints("02b_csv_categoricals_predict");
}

#[test]
fn t04_regression() {
    expect_no_complaints("04_caffe_regression");
}

#[test]
fn t05_images() {
    expect_no_complaints("05_image_classification");
}

#[test]
fn t09_chains() {
    expect_no_complaints("09_chain");
}

#[test]
fn t10_move_from_development_to_production() {
    expect_no_complaints("10_move_dev_to_prod");
}

#[test]
fn t10b_template_over_an_existing_model() {
    expect_no_complaints("10b_template_over_existing_model");
}

/// What is left for later is counted, so that it cannot grow unnoticed.
#[test]
fn what_is_left_for_later_is_counted() {
    let later = exceptions::ALL.iter().filter(|exception| matches!(exception.ours, Ours::Later));
    assert_eq!(later.map(|exception| exception.numbers.len()).sum::<usize>(), exceptions::LATER);
}

#[test]
fn members_are_removed_by_path() {
    let mut value = json!({"a": [{"b": 1, "c": 2}, {"b": 3}], "d": {"b": 4}});
    remove(&mut value, "a.*.b");
    remove(&mut value, "d.b");
    remove(&mut value, "nosuch.b");
    assert_eq!(value, json!({"a": [{"c": 2}, {}], "d": {}}));
}
