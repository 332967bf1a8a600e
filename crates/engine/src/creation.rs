//! What a service is created with, as written, and the form in which that is recorded.
//!
//! It must not know how a protocol writes it, nor what the sections mean.

use dede_model::error::{Error, Fault, Result};
use dede_model::parameters::{Parameters, Section};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A creation, as far as structure goes: what its values mean is found out by [`crate::service::Definition`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreationRequest {
    /// Name of the model library.
    pub mllib: String,
    /// Free text.
    pub description: String,
    /// `supervised` or `unsupervised`.
    pub service_type: String,
    /// `parameters.input.connector`.
    pub connector: String,
    /// The sections; `input` still holds `connector`.
    pub parameters: Parameters,
    /// `model`: `repository`, `create_repository`, `weights`, `templates`, …
    pub model: Section,
    /// Dotted paths of members that are unknown, outside the sections and `model`.
    pub unknown: Vec<String>,
}

impl CreationRequest {
    /// The record of it, which config.json and the record of a server hold: the members that DeepDetect has, and no others. A directory
    /// may be one that other programs read files of this name in.
    pub fn to_record(&self) -> String {
        let Parameters { input, mllib, output } = &self.parameters;
        let mut parameters = Section::new();
        for (name, section) in [("input", input), ("mllib", mllib), ("output", output)] {
            if !section.is_empty() {
                parameters.insert(name.to_owned(), Value::Object(section.clone()));
            }
        }
        let record = json!({
            "mllib": self.mllib,
            "description": self.description,
            "type": self.service_type,
            "parameters": parameters,
            "model": self.model,
        });
        record.to_string()
    }

    /// Reads a record. Earlier versions recorded what the client had sent: an object and a list with that one object are the same thing,
    /// members that are `null`, at any depth, and empty lists are absent, and a byte order mark may stand before it all.
    ///
    /// # Errors
    /// [`Error::Malformed`] saying which member is missing or of another type.
    pub fn from_record(text: &str) -> Result<Self> {
        let malformed = |reason: String| Error::Malformed(Fault::new(reason));
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        drop_nulls(&mut value);
        let unknown = unknown(&value);
        let record = Record::deserialize(value).map_err(|error| malformed(error.to_string()))?;
        let Sections { input, mllib, output } = record.parameters;
        let connector = input.get("connector").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            mllib: record.mllib,
            description: record.description.unwrap_or_default(),
            service_type: record.service_type.unwrap_or_else(|| "supervised".to_owned()),
            connector: connector.ok_or_else(|| malformed("missing member \"parameters.input.connector\"".into()))?,
            parameters: Parameters { input, mllib, output },
            model: record.model,
            unknown,
        })
    }
}

/// What some programs write before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, member| !member.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Dotted paths of members that no record has.
fn unknown(record: &Value) -> Vec<String> {
    const MEMBERS: [&str; 5] = ["mllib", "description", "type", "parameters", "model"];
    const SECTIONS: [&str; 3] = ["input", "mllib", "output"];
    let members =
        |value: &Value| value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let parameters = record.get("parameters").map(|found| found.get(0).unwrap_or(found));
    let of_sections = parameters.map(members).unwrap_or_default().into_iter();
    let inside = of_sections.filter(|key| !SECTIONS.contains(&key.as_str())).map(|key| format!("parameters.{key}"));
    members(record).into_iter().filter(|key| !MEMBERS.contains(&key.as_str())).chain(inside).collect()
}

#[derive(Deserialize)]
struct Record {
    mllib: String,
    description: Option<String>,
    #[serde(rename = "type")]
    service_type: Option<String>,
    #[serde(default, deserialize_with = "one")]
    parameters: Sections,
    #[serde(default, deserialize_with = "one")]
    model: Section,
}

#[derive(Default, Deserialize)]
struct Sections {
    #[serde(default, deserialize_with = "one")]
    input: Section,
    #[serde(default, deserialize_with = "one")]
    mllib: Section,
    #[serde(default, deserialize_with = "one")]
    output: Section,
}

/// Reads `x`, `[x]`, `null` and `[]`.
fn one<'de, T: Default + serde::de::DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    use serde::de::Error as _;
    let mut value = Value::deserialize(deserializer)?;
    if let Value::Array(items) = &mut value
        && items.len() <= 1
    {
        value = items.pop().unwrap_or(Value::Null);
    }
    if value.is_null() {
        return Ok(T::default());
    }
    T::deserialize(value).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let section = |value: Value| value.as_object().cloned().expect("an object");
        let request = CreationRequest {
            mllib: "onnx".into(),
            description: "\"flowers\"".into(),
            service_type: "unsupervised".into(),
            connector: "image".into(),
            parameters: Parameters {
                input: section(json!({"connector": "image", "mean": [0.1, 1e-7]})),
                mllib: Section::new(),
                output: section(json!({"best": 3})),
            },
            model: section(json!({"repository": "/m"})),
            unknown: Vec::new(),
        };
        let text = request.to_record();
        assert_eq!(CreationRequest::from_record(&text).expect("read"), request);
        assert!(!text.contains("null") && !text.contains("\"mllib\":{"), "{text}");
    }

    #[test]
    fn what_a_client_sent_is_read_as_well() {
        let text = r#"{"mllib":"caffe","x":1,"type":null,"parameters":[{"input":[{"connector":"csv","id":null}],"mllib":[],"output":null}]}"#;
        let request = CreationRequest::from_record(&format!("\u{feff}{text}")).expect("read");
        assert_eq!((request.parameters.input.len(), request.unknown), (1, vec!["x".to_owned()]));
        assert_eq!((request.connector.as_str(), request.service_type.as_str()), ("csv", "supervised"));
        assert!(request.parameters.mllib.is_empty() && request.model.is_empty());
        let text = r#"{"mllib":"caffe","parameters":{"input":{"connector":"csv"},"ouput":{}},"modle":{}}"#;
        let unknown = CreationRequest::from_record(text).expect("read").unknown;
        assert_eq!(unknown, ["modle", "parameters.ouput"]);
        for (text, complaint) in [
            ("{", "EOF"),
            ("{}", "missing field `mllib`"),
            (r#"{"mllib":"caffe"}"#, "parameters.input.connector"),
            (r#"{"mllib":"caffe","model":[{},{}]}"#, "invalid type: sequence"),
        ] {
            let error = CreationRequest::from_record(text).expect_err(text).to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
