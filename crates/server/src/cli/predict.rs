//! `dede predict`: asks a service about files of this machine, and shows the answers as a table.
//!
//! It owns how files become items and answers become lines. It must not know what a model computes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::peers::ConfigOption;
use super::remote::Remote;
use super::report::{remark, say, say_json};
use crate::peer::path_part;

/// Largest file that is sent, bytes.
const LIMIT: u64 = 64 << 20;
/// Values of a layer that are shown; the others are counted.
const SHOWN_VALUES: usize = 8;
/// Columns of a terminal that the name of an item takes at most.
const NAME_COLUMNS: usize = 32;

/// `dede predict`.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct PredictOptions {
    /// Service or alias to ask.
    service: String,

    /// Files to ask about: images, or tables whose lines are sent.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Server: a peer in the configuration, or a URL [default: the only peer there is].
    #[arg(long, value_name = "PEER")]
    on: Option<String>,

    /// Classes or boxes to show of each item [default: 5 classes, or all boxes].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    best: Option<u32>,

    /// Lowest probability to show.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    confidence: Option<f64>,

    /// `parameters` of the request, as JSON, beside what the flags say.
    #[arg(long, value_name = "JSON", value_parser = object)]
    parameters: Option<Map<String, Value>>,

    /// The answer as it came, as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    config: ConfigOption,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a number from 0 to 1, found {text}"))
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(format!("expected an object, found {other}")),
        Err(error) => Err(error.to_string()),
    }
}

/// What the answers of a service are, as far as the request and the table depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Boxes,
    Masks,
    Others,
}

/// Asks, and shows the answers.
///
/// # Errors
/// What went wrong, in words.
pub(crate) fn run(options: &PredictOptions) -> Result<(), String> {
    let target = Remote::find(options.on.as_deref(), &options.config)?;
    let service = target.body(Method::GET, &format!("/services/{}", path_part(&options.service)), "");
    let service: Value = service.map_err(|reason| format!("{}: {reason}", options.service))?;
    let shown = match service["mltype"].as_str() {
        Some("detection") => Shown::Boxes,
        Some("segmentation") => Shown::Masks,
        Some(_) | None => Shown::Others,
    };
    let (data, names) = match service["parameters"]["input"]["connector"].as_str() {
        Some("csv") => (lines(&options.files)?, None),
        Some(_) | None => (images(&options.files)?, Some(options.files.as_slice())),
    };
    let request = json!({"service": options.service, "parameters": parameters(options, shown), "data": data});
    let (answer, served_by) = target.answer(Method::POST, "/predict", &request.to_string())?;
    if options.json {
        say_json(&answer);
        return Ok(());
    }
    if let Some(served_by) = served_by {
        remark(&format!("answered by {served_by}"));
    }
    table(&answer["body"], names);
    Ok(())
}

/// Each image, in base64.
fn images(files: &[PathBuf]) -> Result<Vec<String>, String> {
    files.iter().map(|file| content(file).map(|bytes| STANDARD.encode(bytes))).collect()
}

/// The lines of all tables.
fn lines(files: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for file in files {
        let text = String::from_utf8(content(file)?).map_err(|_| format!("{}: expected UTF-8", file.display()))?;
        lines.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Ok(lines)
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    if !file.metadata().map_err(|error| wrong(error.to_string()))?.is_file() {
        return Err(wrong("expected a file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    match bytes.len() as u64 > LIMIT {
        true => Err(wrong(format!("expected at most {LIMIT} bytes"))),
        false => Ok(bytes),
    }
}

/// The parameters of the request: those that were given, under what the flags say.
fn parameters(options: &PredictOptions, shown: Shown) -> Value {
    let mut parameters = Value::Object(options.parameters.clone().unwrap_or_default());
    let asked = options.parameters.as_ref().and_then(|parameters| parameters.get("output")).cloned();
    let mut output = Map::new();
    match shown {
        Shown::Boxes => {
            output.insert("bbox".to_owned(), true.into());
            output.extend(options.best.map(|best| ("best_bbox".to_owned(), best.into())));
        }
        Shown::Masks => {}
        Shown::Others => {
            output.insert("best".to_owned(), options.best.unwrap_or(5).into());
        }
    }
    output.extend(options.confidence.map(|share| ("confidence_threshold".to_owned(), share.into())));
    match asked {
        None => parameters["output"] = output.into(),
        Some(Value::Object(members)) => {
            let flags = output.clone();
            output.extend(members);
            // A flag that was given wins over the same key of the parameters.
            let is_given = |key: &str| match key {
                "best" | "best_bbox" => options.best.is_some(),
                "confidence_threshold" => options.confidence.is_some(),
                _ => false,
            };
            output.extend(flags.into_iter().filter(|(key, _)| is_given(key)));
            parameters["output"] = output.into();
        }
        // Not an object: the server says what is wrong with it.
        Some(_) => {}
    }
    parameters
}

/// Prints the answers: measures as they came, predictions as a table.
fn table(body: &Value, names: Option<&[PathBuf]>) {
    if let Some(measure) = body.get("measure") {
        say_json(measure);
        return;
    }
    for (place, prediction) in body["predictions"].as_array().into_iter().flatten().enumerate() {
        let name = match names.and_then(|names| names.get(place)) {
            Some(path) => path.display().to_string(),
            None => prediction["uri"].as_str().unwrap_or_default().to_owned(),
        };
        let mut name = shortened(&name);
        for row in rows(prediction) {
            say(&format!("{name:<NAME_COLUMNS$}  {row}"));
            name.clear();
        }
    }
}

/// The end of a name that is too long for its column.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    match count > NAME_COLUMNS {
        true => format!("…{}", name.chars().skip(count + 1 - NAME_COLUMNS).collect::<String>()),
        false => name.to_owned(),
    }
}

/// The lines of one answer.
fn rows(prediction: &Value) -> Vec<String> {
    let listed = |key: &str| prediction[key].as_array().into_iter().flatten();
    let mut rows: Vec<String> = listed("classes").map(class).collect();
    rows.extend(listed("vector").map(|one| format!("{:<12} {}", number(&one["val"]), word(&one["cat"]))));
    match (prediction["vals"].as_array(), prediction.get("imgsize")) {
        (Some(vals), Some(size)) => rows.extend(pixels(vals, size)),
        (Some(vals), None) => rows.push(values(vals)),
        (None, _) => {}
    }
    if rows.is_empty() {
        rows.push("nothing found".to_owned());
    }
    rows
}

fn class(one: &Value) -> String {
    let place = |key: &str| one["bbox"][key].as_f64().unwrap_or_default();
    let class = format!("{:.4}  {}", one["prob"].as_f64().unwrap_or_default(), word(&one["cat"]));
    match one.get("bbox") {
        None => class,
        Some(_) => {
            let [xmin, ymin, xmax, ymax] = ["xmin", "ymin", "xmax", "ymax"].map(place);
            format!("{class:<32}  x {xmin:.1} to {xmax:.1}, y {ymin:.1} to {ymax:.1}")
        }
    }
}

/// The share of each class in a mask, largest first.
fn pixels(vals: &[Value], size: &Value) -> Vec<String> {
    let mut counts: Vec<(u64, usize)> = Vec::new();
    for class in vals.iter().filter_map(Value::as_u64) {
        match counts.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => counts.push((class, 1)),
        }
    }
    counts.sort_by_key(|(class, count)| (usize::MAX - count, *class));
    let share = |count: usize| 100.0 * count as f64 / vals.len().max(1) as f64;
    let row = |(class, count): (u64, usize)| {
        format!("{:>5.1} %  class {class} of {}x{} pixels", share(count), size["width"], size["height"])
    };
    counts.into_iter().map(row).collect()
}

fn values(vals: &[Value]) -> String {
    let first: Vec<_> = vals.iter().take(SHOWN_VALUES).map(number).collect();
    let dots = if vals.len() > SHOWN_VALUES { ", …" } else { "" };
    format!("{} values: {}{dots}", vals.len(), first.join(", "))
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| format!("{:.6}", number as f32))
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(parameters: Option<Value>, best: Option<u32>, confidence: Option<f64>) -> PredictOptions {
        PredictOptions {
            service: "service1".to_owned(),
            files: Vec::new(),
            on: None,
            best,
            confidence,
            parameters: parameters.and_then(|value| value.as_object().cloned()),
            json: false,
            config: ConfigOption { config: None },
        }
    }

    #[test]
    fn answers_become_lines() {
        let cases = [
            (
                json!({"classes": [{"prob": 0.75, "cat": "cat"}, {"prob": 0.25, "cat": "dog"}]}),
                vec!["0.7500  cat", "0.2500  dog"],
            ),
            (
                json!({"classes": [{"prob": 0.5, "cat": "cat", "bbox": {"xmin": 1.0, "ymin": 2.0, "xmax": 3.5, "ymax": 4.0}}]}),
                vec!["0.5000  cat                       x 1.0 to 3.5, y 2.0 to 4.0"],
            ),
            (json!({"classes": [], "vector": [{"cat": "0", "val": 1.5}]}), vec!["1.500000     0"]),
            (
                json!({"classes": [], "vals": [0, 2, 2, 2], "imgsize": {"width": 2, "height": 2}}),
                vec![" 75.0 %  class 2 of 2x2 pixels", " 25.0 %  class 0 of 2x2 pixels"],
            ),
            (json!({"classes": [], "vals": [0.5, 1.0]}), vec!["2 values: 0.500000, 1.000000"]),
            (json!({"classes": []}), vec!["nothing found"]),
        ];
        for (prediction, expected) in cases {
            assert_eq!(rows(&prediction), expected, "{prediction}");
        }
    }

    #[test]
    fn flags_win_over_parameters_and_those_over_what_is_usual() {
        let mine = json!({"output": {"best": 2}, "input": {"rgb": true}});
        let cases = [
            (options(None, None, None), Shown::Others, json!({"output": {"best": 5}})),
            (
                options(None, None, Some(0.5)),
                Shown::Boxes,
                json!({"output": {"bbox": true, "confidence_threshold": 0.5}}),
            ),
            (options(None, Some(3), None), Shown::Boxes, json!({"output": {"bbox": true, "best_bbox": 3}})),
            (options(None, Some(3), None), Shown::Masks, json!({"output": {}})),
            (options(Some(mine.clone()), None, None), Shown::Others, mine.clone()),
            (options(Some(mine), Some(4), None), Shown::Others, json!({"output": {"best": 4}, "input": {"rgb": true}})),
        ];
        for (options, shown, expected) in cases {
            assert_eq!(parameters(&options, shown), expected);
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(shortened("cat.jpg"), "cat.jpg");
        let long = format!("/data/{}/cat.jpg", "x".repeat(60));
        let short = shortened(&long);
        assert_eq!((short.chars().count(), short.ends_with("/cat.jpg")), (NAME_COLUMNS, true), "{short}");
    }
}
