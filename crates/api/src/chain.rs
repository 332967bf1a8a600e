//! What PUT and POST /chain/{name} take and answer (contract.md 1.9 and 6).

use serde::{Serialize, Serializer};

use crate::Object;
use crate::malformed::Malformed;
use crate::predictions::{
    ClassScore, Confidences, ImageSize, Prediction, TargetValue, Values, confidences_by_name, is_false,
};
use crate::requests::{RequestParameters, nothing_else, object_at, section, text, texts, unknown};

/// Body of a chain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChainRequest {
    /// What the log calls it, where the client says so.
    pub name: Option<String>,
    /// At least one.
    pub calls: Vec<ChainCall>,
    /// Dotted paths of unknown members.
    pub unknown: Vec<String>,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainCall {
    /// What others refer to it by.
    pub id: Option<String>,
    /// What it works on.
    pub parent_id: Option<String>,
    /// What it asks for.
    pub what: ChainWhat,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum ChainWhat {
    /// A predict.
    Service {
        /// Which service or alias, as written.
        service: String,
        /// The sections.
        parameters: RequestParameters,
        /// Paths, URLs, or the items themselves.
        data: Vec<String>,
        /// Names that replace the `uri` of each item.
        ids: Vec<String>,
    },
    /// An action.
    Action {
        /// `action.type`.
        kind: String,
        /// `action.parameters`.
        parameters: Object,
    },
    /// A service and an action at once, which DeepDetect answers with an error of its own.
    Both,
    /// Neither, which it does, too.
    Neither,
}

/// `head` of a chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainHead {
    /// `/chain`.
    pub method: &'static str,
    /// Milliseconds.
    pub time: f64,
}

/// `body` of a chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChainBody {
    /// Those of the first service, in the order of `data`.
    pub predictions: Vec<ChainPrediction>,
}

/// The answer for one item, with those of other services in it. Only the outermost has a `uri`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChainPrediction {
    #[serde(skip_serializing_if = "is_false")]
    last: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// Classes by decreasing probability, those that a filter leaves out excepted.
    pub classes: Vec<ChainClass>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vector: Vec<TargetValue>,
    /// Values of a layer, the class of each pixel, or the pixels of a drawn image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vals: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imgsize: Option<ImageSize>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "confidences_by_name")]
    confidences: Vec<Confidences>,
    images: Vec<String>,
    /// What was made of the whole item.
    #[serde(flatten)]
    pub nested: Nested,
}

/// One class, with what was made of its box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainClass {
    /// The class.
    #[serde(flatten)]
    pub score: ClassScore,
    /// What was made of its box.
    #[serde(flatten)]
    pub nested: Nested,
}

/// Answers within an answer, by the name of the service or the id of the action.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nested(pub Vec<(String, ChainPrediction)>);

/// Members of [`ChainPrediction`] of DeepDetect's: no answer within it has one of these names.
pub const MEMBERS_OF_ITEMS: &[&str] = &[
    "last",
    "uri",
    "classes",
    "vector",
    "vals",
    "imgsize",
    "confidences",
    "images",
    "losses",
    "series",
    "nns",
    "rois",
    "indexed",
    "index_uri",
    "loss",
];

/// The same of [`ChainClass`].
pub const MEMBERS_OF_CLASSES: &[&str] =
    &["prob", "cat", "bbox", "last", "mask", "keypoints", "class_id", "vals", "nns"];

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, answer)| (name, answer)))
    }
}

impl ChainPrediction {
    /// A prediction of the first service.
    pub fn outermost(prediction: Prediction) -> Self {
        let uri = prediction.uri.clone();
        Self { uri: Some(uri), ..Self::within(prediction) }
    }

    /// A prediction in another one.
    pub fn within(prediction: Prediction) -> Self {
        let Prediction { last, uri: _, classes, vector, vals, imgsize, confidences, images } = prediction;
        let class = |score| ChainClass { score, nested: Nested::default() };
        let classes = classes.into_iter().map(class).collect();
        Self { last, uri: None, classes, vector, vals, imgsize, confidences, images, nested: Nested::default() }
    }
}

impl ChainRequest {
    /// Reads a parsed body.
    ///
    /// # Errors
    /// [`Malformed`] naming the member that is missing or of another type.
    pub fn read(mut object: Object) -> Result<Self, Malformed> {
        let Some(chain) = object.remove("chain") else {
            return Err(Malformed::new("chain", "missing member \"chain\""));
        };
        let mut chain = object_at(chain, "chain")?;
        let name = text(&mut chain, "name").map_err(|malformed| malformed.within("chain"))?;
        let calls = match chain.remove("calls") {
            Some(serde_json::Value::Array(calls)) if !calls.is_empty() => calls,
            Some(serde_json::Value::Array(_)) | None => {
                return Err(Malformed::new("chain.calls", "expected at least one call, found none"));
            }
            Some(other) => return Err(crate::requests::wrong("chain.calls", "an array of objects", &other)),
        };
        let mut left: Vec<String> = object.into_iter().map(|(key, _)| key).collect();
        left.extend(chain.into_iter().map(|(key, _)| format!("chain.{key}")));
        let mut read = Vec::with_capacity(calls.len());
        for (number, call) in calls.into_iter().enumerate() {
            let at = format!("chain.calls[{number}]");
            let call = object_at(call, &at)?;
            let (call, unknown) = ChainCall::read(call).map_err(|malformed| malformed.within(&at))?;
            left.extend(unknown.into_iter().map(|path| format!("{at}.{path}")));
            read.push(call);
        }
        Ok(Self { name, calls: read, unknown: left })
    }
}

impl ChainCall {
    /// Reads one call, and gives the paths of its unknown members.
    fn read(mut object: Object) -> Result<(Self, Vec<String>), Malformed> {
        let (id, parent_id) = (text(&mut object, "id")?, text(&mut object, "parent_id")?);
        let service = text(&mut object, "service")?;
        let has_action = object.get("action").is_some_and(|action| !action.is_null());
        let call = |what| Self { id, parent_id, what };
        match (service, has_action) {
            (Some(_), true) => Ok((call(ChainWhat::Both), Vec::new())),
            (Some(service), false) => {
                let (parameters, in_parameters) = RequestParameters::take(&mut object)?;
                let (data, ids) = (texts(&mut object, "data")?, texts(&mut object, "ids")?);
                let what = ChainWhat::Service { service, parameters, data, ids };
                object.remove("action");
                Ok((call(what), unknown(object, in_parameters)))
            }
            (None, true) => {
                let mut action = section(&mut object, "action", "action")?;
                let kind = text(&mut action, "type").map_err(|malformed| malformed.within("action"))?;
                let kind = kind.ok_or_else(|| Malformed::new("action.type", "missing member \"action.type\""))?;
                let parameters = section(&mut action, "parameters", "action.parameters")?;
                nothing_else(&action, "action.")?;
                object.remove("service");
                Ok((call(ChainWhat::Action { kind, parameters }), object.into_iter().map(|(key, _)| key).collect()))
            }
            (None, false) => Ok((call(ChainWhat::Neither), Vec::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::predictions::BoundingBox;

    fn read(text: &str) -> Result<ChainRequest, String> {
        ChainRequest::read(json::parse_object(text).expect("JSON").expect("an object"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn calls_are_services_and_actions() {
        let request = read(
            r#"{"chain":{"name":"c","calls":[
                {"service":"a","parameters":{"input":{"keep_orig":true}},"data":["x","y"],"extra":1},
                {"id":"crop","action":{"type":"crop","parameters":{"padding_ratio":0.1}}},
                {"service":"b","parent_id":"crop","action":null,"parameters":{"ouput":{}}},
                {"action":{"type":"filter"},"data":[]}]},"more":2}"#,
        )
        .expect("well-formed");
        assert_eq!(request.name.as_deref(), Some("c"));
        let unknown = ["more", "chain.calls[0].extra", "chain.calls[2].parameters.ouput", "chain.calls[3].data"];
        assert_eq!(request.unknown, unknown);
        let ids: Vec<_> = request.calls.iter().map(|call| (call.id.as_deref(), call.parent_id.as_deref())).collect();
        assert_eq!(ids, [(None, None), (Some("crop"), None), (None, Some("crop")), (None, None)]);
        let ChainWhat::Service { service, parameters, data, .. } = &request.calls[0].what else { panic!("a service") };
        assert_eq!((service.as_str(), data.len(), parameters.input.len()), ("a", 2, 1));
        let ChainWhat::Action { kind, parameters } = &request.calls[1].what else { panic!("an action") };
        assert_eq!((kind.as_str(), parameters.len()), ("crop", 1));
        let both = read(r#"{"chain":{"calls":[{"service":"a","action":{"type":"crop"}}]}}"#).expect("well-formed");
        assert_eq!(both.calls[0].what, ChainWhat::Both);
        let neither = read(r#"{"chain":{"calls":[{"id":"a"}]}}"#).expect("well-formed");
        assert_eq!(neither.calls[0].what, ChainWhat::Neither);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (r#"{"calls":[]}"#, r#"missing member "chain" (chain)"#),
            (r#"{"chain":3}"#, "expected an object, found a number (chain)"),
            (r#"{"chain":{}}"#, "expected at least one call, found none (chain.calls)"),
            (r#"{"chain":{"calls":[]}}"#, "expected at least one call, found none (chain.calls)"),
            (r#"{"chain":{"calls":{}}}"#, "expected an array of objects, found an object (chain.calls)"),
            (r#"{"chain":{"calls":["a"]}}"#, "expected an object, found a string (chain.calls[0])"),
            (r#"{"chain":{"calls":[{"service":1}]}}"#, "expected a string, found a number (chain.calls[0].service)"),
            (
                r#"{"chain":{"calls":[{"service":"a","data":[1]}]}}"#,
                "expected a string, found a number (chain.calls[0].data[0])",
            ),
            (
                r#"{"chain":{"calls":[{"service":"a"},{"action":{}}]}}"#,
                r#"missing member "action.type" (chain.calls[1].action.type)"#,
            ),
            (
                r#"{"chain":{"calls":[{"action":{"type":"crop","padding_ratio":1}}]}}"#,
                r#"unknown member "action.padding_ratio" (chain.calls[0].action.padding_ratio)"#,
            ),
            (r#"{"chain":{"name":1,"calls":[]}}"#, "expected a string, found a number (chain.name)"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn answers_stand_in_answers() {
        let bbox = Some(BoundingBox { xmin: 0.0, ymin: 1.0, xmax: 2.0, ymax: 3.0 });
        let score = |cat: &str, bbox| ClassScore { prob: 0.5, cat: cat.into(), bbox, last: true };
        let prediction = |classes| Prediction { uri: "x".into(), classes, ..Prediction::default() };
        let mut outer = ChainPrediction::outermost(prediction(vec![score("dog", bbox)]));
        let inner = ChainPrediction::within(prediction(vec![score("poodle", None)]));
        outer.classes[0].nested.0.push(("breeds".into(), inner.clone()));
        outer.nested.0.push(("scene".into(), inner));
        let nested = r#"{"classes":[{"prob":0.5,"cat":"poodle","last":true}],"images":[]}"#;
        let expected = format!(
            r#"{{"uri":"x","classes":[{{"prob":0.5,"cat":"dog","bbox":{{"xmin":0.0,"ymin":1.0,"xmax":2.0,"ymax":3.0}},"last":true,"breeds":{nested}}}],"images":[],"scene":{nested}}}"#
        );
        assert_eq!(serde_json::to_string(&outer).expect("serialises"), expected);
    }
}
