//! Request bodies, parsed: PUT /services, POST /train, POST /predict, PUT /aliases, PATCH /services.
//!
//! Structure is checked here: members that must be there, and their types. The three parameter sections stay raw JSON, because only
//! their owners know the keys. An object and a list with that one object are the same thing; `null` and an empty list
//! are absent.

mod alias;

use serde_json::Value;

pub use crate::malformed::Malformed;
pub use alias::{PutAlias, ShareRequest};

use crate::{Object, json};

/// The three sections, as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestParameters {
    /// For the connector.
    pub input: Object,
    /// For the mllib.
    pub mllib: Object,
    /// For the rendering of the answer.
    pub output: Object,
}

/// Body of PUT and POST /services/{name}.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRequest {
    /// Name of the model library.
    pub mllib: String,
    /// Free text.
    pub description: String,
    /// `type` as written; `supervised` when absent.
    pub service_type: String,
    /// `parameters.input.connector`, which must be there.
    pub connector: String,
    /// The sections; `input` still holds `connector`.
    pub parameters: RequestParameters,
    /// `model`: `repository`, `create_repository`, `weights`, `templates`, … Empty when absent.
    pub model: Object,
    /// The body as it came.
    pub body: String,
    /// Dotted paths of unknown members, outside the sections and `model`.
    pub unknown: Vec<String>,
}

/// Body of POST and PUT /train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// Which service, as written.
    pub service: String,
    /// `async`; true when absent.
    pub asynchronous: bool,
    /// The sections.
    pub parameters: RequestParameters,
    /// Training data, then test data.
    pub data: Vec<String>,
    /// The body as it came, for model.json.
    pub body: String,
    /// Dotted paths of unknown members, outside the sections and `model`.
    pub unknown: Vec<String>,
}

/// Body of POST /predict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PredictRequest {
    /// Which service or alias, as written.
    pub service: String,
    /// The sections.
    pub parameters: RequestParameters,
    /// Paths, URLs, or the items themselves.
    pub data: Vec<String>,
    /// Names that replace the `uri` of each item; empty when none were sent.
    pub ids: Vec<String>,
    /// Dotted paths of unknown members, outside the sections and `model`.
    pub unknown: Vec<String>,
}

impl CreateRequest {
    /// Reads a body whose text was parsed to `object`.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that is missing or of another type.
    pub fn read(mut object: Object, body: &str) -> Result<Self, Malformed> {
        let mllib = text(&mut object, "mllib")?.ok_or_else(|| missing("mllib"))?;
        let (parameters, in_parameters) = RequestParameters::take(&mut object)?;
        let connector = match parameters.input.get("connector") {
            Some(Value::String(name)) => name.clone(),
            Some(other) => return Err(wrong("parameters.input.connector", "a string", other)),
            None => return Err(missing("parameters.input.connector")),
        };
        Ok(Self {
            mllib,
            connector,
            description: text(&mut object, "description")?.unwrap_or_default(),
            service_type: text(&mut object, "type")?.unwrap_or_else(|| "supervised".to_owned()),
            parameters,
            model: section(&mut object, "model", "model")?,
            unknown: unknown(object, in_parameters),
            body: body.to_owned(),
        })
    }
}

impl TrainRequest {
    /// Reads a body whose text was parsed to `object`.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that is missing or of another type.
    pub fn read(mut object: Object, body: &str) -> Result<Self, Malformed> {
        let (parameters, in_parameters) = RequestParameters::take(&mut object)?;
        Ok(Self {
            service: text(&mut object, "service")?.ok_or_else(|| missing("service"))?,
            asynchronous: boolean(&mut object, "async")?.unwrap_or(true),
            parameters,
            data: texts(&mut object, "data")?,
            unknown: unknown(object, in_parameters),
            body: body.to_owned(),
        })
    }
}

impl PredictRequest {
    /// Reads a parsed body.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that is missing or of another type.
    pub fn read(mut object: Object) -> Result<Self, Malformed> {
        let (parameters, in_parameters) = RequestParameters::take(&mut object)?;
        Ok(Self {
            service: text(&mut object, "service")?.ok_or_else(|| missing("service"))?,
            parameters,
            data: texts(&mut object, "data")?,
            ids: texts(&mut object, "ids")?,
            unknown: unknown(object, in_parameters),
        })
    }
}

/// Reads the body of PATCH /services/{name}: the new name.
///
/// # Errors
/// [`Malformed`] when `name` is missing or no string, or something else is there.
pub fn read_rename(mut object: Object) -> Result<String, Malformed> {
    let name = text(&mut object, "name")?.ok_or_else(|| missing("name"))?;
    nothing_else(&object, "").map(|()| name)
}

impl RequestParameters {
    /// The sections, and what else stands among them.
    pub(crate) fn take(object: &mut Object) -> Result<(Self, Object), Malformed> {
        let mut parameters = section(object, "parameters", "parameters")?;
        let sections = Self {
            input: section(&mut parameters, "input", "parameters.input")?,
            mllib: section(&mut parameters, "mllib", "parameters.mllib")?,
            output: section(&mut parameters, "output", "parameters.output")?,
        };
        Ok((sections, parameters))
    }
}

/// Paths of what is left of a request when everything known was taken out.
pub(crate) fn unknown(rest: Object, in_parameters: Object) -> Vec<String> {
    let inside = in_parameters.into_iter().map(|(key, _)| format!("parameters.{key}"));
    rest.into_iter().map(|(key, _)| key).chain(inside).collect()
}

/// Refuses what is left of an object when everything known was taken out; `path` is that of its members.
pub(crate) fn nothing_else(rest: &Object, path: &str) -> Result<(), Malformed> {
    let Some(key) = rest.keys().next() else { return Ok(()) };
    let at = format!("{path}{key}");
    let reason = format!("unknown member {at:?}");
    Err(Malformed::new(at, reason))
}

fn missing(at: &str) -> Malformed {
    Malformed::new(at, format!("missing member {at:?}"))
}

pub(crate) fn wrong(at: &str, expected: &str, found: &Value) -> Malformed {
    Malformed::new(at, format!("expected {expected}, found {}", json::kind(found)))
}

pub(crate) fn text(object: &mut Object, key: &str) -> Result<Option<String>, Malformed> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(key, "a string", &other)),
    }
}

fn boolean(object: &mut Object, key: &str) -> Result<Option<bool>, Malformed> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(other) => Err(wrong(key, "a boolean", &other)),
    }
}

pub(crate) fn section(object: &mut Object, key: &str, at: &str) -> Result<Object, Malformed> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(Object::new()),
        Some(Value::Object(section)) => Ok(section),
        Some(Value::Array(mut items)) if items.len() <= 1 => match items.pop() {
            None => Ok(Object::new()),
            Some(Value::Object(section)) => Ok(section),
            Some(other) => Err(wrong(at, "an object", &other)),
        },
        Some(other) => Err(wrong(at, "an object", &other)),
    }
}

/// The object that stands at a path.
pub(crate) fn object_at(value: Value, at: &str) -> Result<Object, Malformed> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(wrong(at, "an object", &value))
        }
    }
}

pub(crate) fn texts(object: &mut Object, key: &str) -> Result<Vec<String>, Malformed> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                if let Value::String(text) = item {
                    return Ok(text);
                }
                Err(wrong(&format!("{key}[{index}]"), "a string", &item))
            })
            .collect(),
        Some(other) => Err(wrong(key, "an array of strings", &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        json::parse_object(text).expect("JSON").expect("an object")
    }

    #[test]
    fn a_creation_is_read_with_its_defaults() {
        let body = r#"{"mllib":"caffe","parameters":{"input":[{"connector":"csv","id":null}],"mllib":[]}}"#;
        let request = CreateRequest::read(object(body), body).expect("well-formed");
        assert_eq!((request.mllib.as_str(), request.connector.as_str()), ("caffe", "csv"));
        assert_eq!((request.description.as_str(), request.service_type.as_str()), ("", "supervised"));
        assert_eq!(request.parameters.input.len(), 1);
        assert!(request.parameters.mllib.is_empty() && request.model.is_empty());
        assert_eq!(request.body, body);
        assert!(request.unknown.is_empty());
    }

    #[test]
    fn unknown_members_are_listed() {
        let body = r#"{"service":"a","dta":["x"],"parameters":{"input":{"x":1},"ouput":{}}}"#;
        assert_eq!(PredictRequest::read(object(body)).expect("well-formed").unknown, ["dta", "parameters.ouput"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, message) in [
            (r#"{}"#, r#"missing member "mllib" (mllib)"#),
            (r#"{"mllib":1}"#, "expected a string, found a number (mllib)"),
            (r#"{"mllib":"caffe"}"#, r#"missing member "parameters.input.connector" (parameters.input.connector)"#),
            (r#"{"mllib":"caffe","parameters":3}"#, "expected an object, found a number (parameters)"),
            (
                r#"{"mllib":"caffe","parameters":{"input":[1]}}"#,
                "expected an object, found a number (parameters.input)",
            ),
            (
                r#"{"mllib":"caffe","parameters":{"input":[{},{}]}}"#,
                "expected an object, found an array (parameters.input)",
            ),
        ] {
            let malformed = CreateRequest::read(object(body), body).expect_err(body);
            assert_eq!(malformed.to_string(), message, "{body}");
        }
    }

    #[test]
    fn data_is_a_list_of_strings_or_one_string() {
        let read = |body: &str| PredictRequest::read(object(body));
        assert_eq!(read(r#"{"service":"a","data":["x","y"]}"#).expect("well-formed").data, ["x", "y"]);
        assert_eq!(read(r#"{"service":"a","data":"x"}"#).expect("well-formed").data, ["x"]);
        assert!(read(r#"{"service":"a"}"#).expect("well-formed").data.is_empty());
        let malformed = read(r#"{"service":"a","data":["x",["y"]]}"#).expect_err("a list in a list");
        assert_eq!(malformed.to_string(), "expected a string, found an array (data[1])");
    }

    #[test]
    fn training_is_asynchronous_unless_told_otherwise() {
        let read = |body: &str| TrainRequest::read(object(body), body).expect("well-formed").asynchronous;
        assert!(read(r#"{"service":"a"}"#));
        assert!(!read(r#"{"service":"a","async":false}"#));
    }
}
