//! What DeepDetect has and this version has not: one table, answered with 1006 "not supported yet: …".
//!
//! An honest no, instead of a 404 or of silently doing something else.

use dede_api::Object;
use dede_api::requests::RequestParameters;
use dede_core::error::Error;
use serde_json::Value;

/// Names of `parameters.input.connector`.
const CONNECTORS: &[&str] = &["csvts", "csv_ts", "txt", "svm", "video"];
/// Section and key of parameters that may not be true or otherwise set.
const PARAMETERS: &[(Section, &str)] = &[
    (Section::Input, "bbox"),
    (Section::Input, "segmentation"),
    (Section::Input, "ctc"),
    (Section::Input, "multi_label"),
    (Section::Mllib, "bbox"),
    (Section::Mllib, "segmentation"),
    (Section::Mllib, "ctc"),
    (Section::Mllib, "multi_label"),
    (Section::Mllib, "autoencoder"),
    (Section::Mllib, "from_repository"),
    (Section::Output, "bbox"),
    (Section::Output, "segmentation"),
    (Section::Output, "ctc"),
    (Section::Output, "rois"),
    (Section::Output, "image"),
    (Section::Output, "index"),
    (Section::Output, "build_index"),
    (Section::Output, "search"),
    (Section::Output, "target_repository"),
];
/// Keys of `model`.
const MODEL: &[&str] = &["init"];

#[derive(Debug, Clone, Copy)]
enum Section {
    Input,
    Mllib,
    Output,
}

impl Section {
    fn of(self, parameters: &RequestParameters) -> (&Object, &'static str) {
        match self {
            Self::Input => (&parameters.input, "input"),
            Self::Mllib => (&parameters.mllib, "mllib"),
            Self::Output => (&parameters.output, "output"),
        }
    }
}

/// The answer for one thing of the table.
pub(crate) fn refusal(what: &str) -> Error {
    Error::bad_parameter(format!("not supported yet: {what}"))
}

/// Refuses a connector of the table.
///
/// # Errors
/// Row 1006.
pub(crate) fn check_connector(name: &str) -> Result<(), Error> {
    if CONNECTORS.contains(&name) { Err(refusal(&format!("connector {name}"))) } else { Ok(()) }
}

/// Refuses parameters of the table that are set to anything but false, 0 or "".
///
/// # Errors
/// Row 1006, naming the first one.
pub(crate) fn check_parameters(parameters: &RequestParameters) -> Result<(), Error> {
    for (section, key) in PARAMETERS {
        let (object, name) = section.of(parameters);
        if object.get(*key).is_some_and(asked_for) {
            return Err(refusal(&format!("parameters.{name}.{key}")));
        }
    }
    Ok(())
}

/// Refuses keys of `model` that are in the table.
///
/// # Errors
/// Row 1006, naming the first one.
pub(crate) fn check_model(model: &Object) -> Result<(), Error> {
    match MODEL.iter().find(|key| model.get(**key).is_some_and(asked_for)) {
        Some(key) => Err(refusal(&format!("model.{key}"))),
        None => Ok(()),
    }
}

fn asked_for(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn output(section: Value) -> RequestParameters {
        RequestParameters { output: section.as_object().cloned().expect("an object"), ..RequestParameters::default() }
    }

    #[test]
    fn only_what_is_asked_for_is_refused() {
        assert!(check_parameters(&output(json!({"bbox": false, "best": 3, "rois": "", "index": 0}))).is_ok());
        let error = check_parameters(&output(json!({"bbox": true}))).expect_err("in the table");
        assert_eq!(error.to_string(), "not supported yet: parameters.output.bbox");
        let error = check_connector("svm").expect_err("in the table");
        assert_eq!(error.to_string(), "not supported yet: connector svm");
        assert!(check_connector("csv").is_ok() && check_connector("foo").is_ok());
    }
}
