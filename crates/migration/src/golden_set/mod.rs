//! Golden sets as they are kept and travel, in one of two formats. Format 1 is an array of cases in the words of an API, which this crate
//! hands on and never reads. Format 2 is this one, in the types of models:
//!
//! ```text
//! {"version":2,"origin":"…","cases":[
//! {"call":{"items":["1,2"]},"answer":{"classification":{"shape":[1,2],"values":[0.75,0.25]}}},
//! {"call":{"tensors":[{"name":"x","shape":[1],"values":{"int64":[1]}}]},"answer":{"tensors":[…]}}
//! ]}
//! ```
//!
//! It must not know where cases come from, nor how answers are compared.

mod detections;
mod masks;
mod numbers;
mod tensors;

use dede_engine::service::PredictCall;
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::{Parameters, Section};
use dede_model::tensor::NamedTensor;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use self::detections::WrittenDetections;
use self::masks::WrittenMasks;
use self::tensors::{WrittenFloats, WrittenTensor};
use crate::record::GoldenCase;

/// The version of the format.
const VERSION: u32 = 2;

/// Inputs, and the answers that a service has to reproduce.
#[derive(Debug, Clone)]
pub enum GoldenSet {
    /// In the words of the API (format 1).
    OfApi(Vec<GoldenCase>),
    /// In the types of models (format 2).
    OfModel(Vec<ModelCase>),
}

/// A call, and what a model answered: all of it, before rendering.
#[derive(Debug, Clone)]
pub struct ModelCase {
    /// What was asked.
    pub call: PredictCall,
    /// The answer.
    pub answer: Outputs,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetText {
    /// Before the others, so that a set of another version is told by it.
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    cases: Vec<CaseText>,
}

#[derive(Serialize)]
struct Version(u32);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self(VERSION)),
            found => {
                Err(D::Error::custom(format!("a golden set of version {VERSION} expected, found version {found}")))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    call: CallText,
    answer: AnswerText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallText {
    #[serde(default, skip_serializing_if = "Section::is_empty")]
    input: Section,
    #[serde(default, skip_serializing_if = "Section::is_empty")]
    mllib: Section,
    #[serde(default, skip_serializing_if = "Section::is_empty")]
    output: Section,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<WrittenTensor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerText {
    Classification(WrittenFloats),
    Regression(WrittenFloats),
    Detection(WrittenDetections),
    Segmentation(WrittenMasks),
    Features(WrittenFloats),
    Tensors(Vec<WrittenTensor>),
}

impl GoldenSet {
    /// Reads a set in either format.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with the line, and what was expected there.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = |error: serde_json::Error| Error::bad_parameter_at("golden", error.to_string());
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(text).map(Self::OfApi).map_err(wrong);
        }
        let set: SetText = serde_json::from_str(text).map_err(wrong)?;
        Ok(Self::OfModel(set.cases.into_iter().map(ModelCase::from).collect()))
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        match self {
            Self::OfApi(cases) => cases.len(),
            Self::OfModel(cases) => cases.len(),
        }
    }

    /// True without cases.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the cases behind the first `most`.
    pub(crate) fn truncate(&mut self, most: usize) {
        match self {
            Self::OfApi(cases) => cases.truncate(most),
            Self::OfModel(cases) => cases.truncate(most),
        }
    }
}

/// Cases in format 2, one in each line.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn write_cases(origin: Option<&str>, cases: &[ModelCase]) -> Result<String> {
    let internal = |error: serde_json::Error| Error::Internal(error.to_string());
    let empty = SetText { version: Version(VERSION), origin: origin.map(str::to_owned), cases: Vec::new() };
    let mut text = serde_json::to_string(&empty).map_err(internal)?;
    // Opened again at its end.
    text.truncate(text.len() - END.len());
    for (number, case) in cases.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(&CaseText::from(case.clone())).map_err(internal)?);
    }
    text.push('\n');
    text.push_str(END);
    Ok(text)
}

/// The version of the format that a set was written in by this program.
pub(crate) fn version_of(text: &str) -> u32 {
    if text.starts_with(&format!("{{\"version\":{VERSION},")) { VERSION } else { 1 }
}

/// What a set ends with.
const END: &str = "]}";

impl From<ModelCase> for CaseText {
    fn from(case: ModelCase) -> Self {
        let ModelCase { call, answer } = case;
        // The server that asks again does so with its own rights. Calls of chains with pictures are not captured.
        let PredictCall { is_guest: _, parameters, data, pictures: _, keeps_pictures: _, tensors, ids } = call;
        let Parameters { input, mllib, output } = parameters;
        let call = CallText { input, mllib, output, items: data, ids, tensors: wrapped(tensors) };
        let answer = match answer {
            Outputs::Classification(rows) => AnswerText::Classification(WrittenFloats(rows)),
            Outputs::Regression(rows) => AnswerText::Regression(WrittenFloats(rows)),
            Outputs::Detection(found) => AnswerText::Detection(WrittenDetections(found)),
            Outputs::Segmentation(masks) => AnswerText::Segmentation(WrittenMasks(masks)),
            Outputs::Features(rows) => AnswerText::Features(WrittenFloats(rows)),
            Outputs::Tensors(tensors) => AnswerText::Tensors(wrapped(tensors)),
        };
        Self { call, answer }
    }
}

impl From<CaseText> for ModelCase {
    fn from(text: CaseText) -> Self {
        let CallText { input, mllib, output, items, ids, tensors } = text.call;
        let parameters = Parameters { input, mllib, output };
        let call = PredictCall { parameters, data: items, tensors: unwrapped(tensors), ids, ..PredictCall::default() };
        let answer = match text.answer {
            AnswerText::Classification(rows) => Outputs::Classification(rows.0),
            AnswerText::Regression(rows) => Outputs::Regression(rows.0),
            AnswerText::Detection(found) => Outputs::Detection(found.0),
            AnswerText::Segmentation(masks) => Outputs::Segmentation(masks.0),
            AnswerText::Features(rows) => Outputs::Features(rows.0),
            AnswerText::Tensors(tensors) => Outputs::Tensors(unwrapped(tensors)),
        };
        Self { call, answer }
    }
}

fn wrapped(tensors: Vec<NamedTensor>) -> Vec<WrittenTensor> {
    tensors.into_iter().map(WrittenTensor).collect()
}

fn unwrapped(tensors: Vec<WrittenTensor>) -> Vec<NamedTensor> {
    tensors.into_iter().map(|written| written.0).collect()
}

#[cfg(test)]
mod tests {
    use dede_model::outputs::{Confidence, ConfidenceMap, Corners, Detection, Detections, Extent, Mask, Masks};
    use dede_model::tensor::{Floats, Tensor, Values};
    use half::{bf16, f16};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Numbers of all kinds by their bits, among them subnormal ones, zeros, and what JSON has not.
    fn single() -> impl Strategy<Value = f32> {
        let bits =
            prop_oneof![any::<u32>(), Just(0x8000_0000), 1..0x0080_0000_u32, Just(0x7fc0_0001), Just(0xff80_0000)];
        bits.prop_map(f32::from_bits)
    }

    fn floats() -> impl Strategy<Value = Floats> {
        (0..4_usize, 1..4_usize).prop_flat_map(|(rows, columns)| {
            vec(single(), rows * columns).prop_map(move |values| Floats::new(vec![rows, columns], values).unwrap())
        })
    }

    fn values() -> impl Strategy<Value = Values> {
        prop_oneof![
            vec(any::<u16>().prop_map(f16::from_bits), 0..4).prop_map(Values::F16),
            vec(any::<u16>().prop_map(bf16::from_bits), 0..4).prop_map(Values::Bf16),
            vec(single(), 0..4).prop_map(Values::F32),
            vec(any::<u64>().prop_map(f64::from_bits), 0..4).prop_map(Values::F64),
            vec(any::<i8>(), 0..4).prop_map(Values::I8),
            vec(any::<i16>(), 0..4).prop_map(Values::I16),
            vec(any::<i32>(), 0..4).prop_map(Values::I32),
            vec(any::<i64>(), 0..4).prop_map(Values::I64),
            vec(any::<u8>(), 0..4).prop_map(Values::U8),
            vec(any::<u16>(), 0..4).prop_map(Values::U16),
            vec(any::<u32>(), 0..4).prop_map(Values::U32),
            vec(any::<u64>(), 0..4).prop_map(Values::U64),
            vec(any::<bool>(), 0..4).prop_map(Values::Bool),
            vec(vec(any::<u8>(), 0..4), 0..4).prop_map(Values::Bytes),
        ]
    }

    fn tensors() -> impl Strategy<Value = Vec<NamedTensor>> {
        let named = (".{0,4}", values()).prop_map(|(name, values)| NamedTensor {
            name,
            tensor: Tensor::new(vec![1, values.len()], values).unwrap(),
        });
        vec(named, 0..3)
    }

    fn finite() -> impl Strategy<Value = f32> {
        single().prop_filter("a finite number", |number| number.is_finite())
    }

    fn boxes() -> impl Strategy<Value = Detection> {
        (any::<usize>(), [finite(), finite(), finite(), finite(), finite()]).prop_map(|(class, [score, a, b, c, d])| {
            let corners = Corners { xmin: a.min(b), ymin: c.min(d), xmax: a.max(b), ymax: c.max(d) };
            Detection { class, score, corners }
        })
    }

    fn masks() -> impl Strategy<Value = Mask> {
        let class = || prop_oneof![Just(Confidence::Best), any::<usize>().prop_map(Confidence::Class)];
        (1..3_usize, 1..3_usize).prop_flat_map(move |(width, height)| {
            let maps = vec((class(), vec(finite(), width * height)), 0..2);
            (vec(any::<u16>(), width * height), maps).prop_map(move |(classes, maps)| {
                let confidences = maps.into_iter().map(|(of, values)| ConfidenceMap { of, values }).collect();
                let original = Extent { width: 9, height: 8 };
                Mask { extent: Extent { width, height }, original, classes, confidences }
            })
        })
    }

    fn outputs() -> impl Strategy<Value = Outputs> {
        prop_oneof![
            floats().prop_map(Outputs::Classification),
            floats().prop_map(Outputs::Regression),
            floats().prop_map(Outputs::Features),
            vec(vec(boxes(), 0..3), 0..3).prop_map(|found| Outputs::Detection(Detections::new(found).unwrap())),
            vec(masks(), 0..3).prop_map(|masks| Outputs::Segmentation(Masks::new(masks).unwrap())),
            tensors().prop_map(Outputs::Tensors),
        ]
    }

    fn calls() -> impl Strategy<Value = PredictCall> {
        (vec(".{0,5}", 0..3), vec(".{0,3}", 0..2), tensors(), any::<i64>()).prop_map(|(data, ids, tensors, number)| {
            let section = |key: &str| json!({key: [number, null, "x"]}).as_object().cloned().unwrap();
            let parameters = Parameters { input: section("a"), mllib: Section::new(), output: section("b") };
            PredictCall { parameters, data, tensors, ids, ..PredictCall::default() }
        })
    }

    /// All numbers by their bits: NaN is no other NaN.
    fn bits(values: &Values) -> Vec<u64> {
        match values {
            Values::F16(values) => values.iter().map(|value| value.to_bits().into()).collect(),
            Values::Bf16(values) => values.iter().map(|value| value.to_bits().into()).collect(),
            Values::F32(values) => values.iter().map(|value| value.to_bits().into()).collect(),
            Values::F64(values) => values.iter().map(|value| value.to_bits()).collect(),
            Values::I8(_)
            | Values::I16(_)
            | Values::I32(_)
            | Values::I64(_)
            | Values::U8(_)
            | Values::U16(_)
            | Values::U32(_)
            | Values::U64(_)
            | Values::Bool(_)
            | Values::Bytes(_) => Vec::new(),
        }
    }

    /// Equal, with numbers told apart by their bits.
    fn shown(outputs: &Outputs) -> String {
        let of_tensors = |tensors: &[NamedTensor]| -> String {
            tensors.iter().map(|named| format!("{named:?} {:?};", bits(named.tensor.values()))).collect()
        };
        match outputs {
            Outputs::Classification(rows) | Outputs::Regression(rows) | Outputs::Features(rows) => {
                format!("{outputs:?} {:?}", bits(&Values::F32(rows.values().to_vec())))
            }
            Outputs::Detection(found) => {
                let bits = |found: &Detection| {
                    let Corners { xmin, ymin, xmax, ymax } = found.corners;
                    (found.class, [found.score, xmin, ymin, xmax, ymax].map(f32::to_bits))
                };
                found.samples().map(|boxes| format!("{:?};", boxes.iter().map(bits).collect::<Vec<_>>())).collect()
            }
            Outputs::Segmentation(masks) => {
                let bits = |map: &ConfidenceMap| bits(&Values::F32(map.values.clone()));
                let maps = |mask: &Mask| mask.confidences.iter().map(bits).collect::<Vec<_>>();
                masks.samples().iter().map(|mask| format!("{mask:?} {:?};", maps(mask))).collect()
            }
            Outputs::Tensors(tensors) => of_tensors(tensors),
        }
    }

    fn read(text: &str) -> Vec<ModelCase> {
        match GoldenSet::read(text).unwrap_or_else(|error| panic!("{error}: {text}")) {
            GoldenSet::OfModel(cases) => cases,
            GoldenSet::OfApi(_) => panic!("in the words of an API: {text}"),
        }
    }

    #[test]
    fn a_set_is_written_as_documented_and_read_again() {
        let case =
            |answer| ModelCase { call: PredictCall { data: vec!["1,2".into()], ..PredictCall::default() }, answer };
        let rows = Floats::new(vec![1, 2], vec![0.75, -0.0]).unwrap();
        let named =
            NamedTensor { name: "y".into(), tensor: Tensor::new(vec![], Values::Bytes(vec![vec![1, 255]])).unwrap() };
        let cases = [case(Outputs::Classification(rows)), case(Outputs::Tensors(vec![named]))];
        let text = write_cases(Some("here"), &cases).unwrap();
        let lines = [
            r#"{"version":2,"origin":"here","cases":["#,
            r#"{"call":{"items":["1,2"]},"answer":{"classification":{"shape":[1,2],"values":[0.75,-0.0]}}},"#,
            r#"{"call":{"items":["1,2"]},"answer":{"tensors":[{"name":"y","shape":[],"values":{"bytes":["01ff"]}}]}}"#,
            "]}",
        ];
        assert_eq!(text, lines.join("\n"));
        assert_eq!((read(&text).len(), version_of(&text)), (2, 2));
        assert!(read(&write_cases(None, &[]).unwrap()).is_empty());
    }

    #[test]
    fn sets_in_the_words_of_the_api_are_still_read() {
        let kept: serde_json::Value = serde_json::from_str(include_str!("../record/fixtures/golden.json")).unwrap();
        let text = kept["cases"].to_string();
        let GoldenSet::OfApi(cases) = GoldenSet::read(&text).unwrap() else { panic!("of a model") };
        assert_eq!((serde_json::to_string(&cases).unwrap(), version_of(&text)), (text, 1));
    }

    #[test]
    fn a_damaged_set_is_refused_with_the_line_and_what_was_expected() {
        let case = ModelCase {
            call: PredictCall { data: vec!["1".into()], ..PredictCall::default() },
            answer: Outputs::Regression(Floats::new(vec![1, 1], vec![0.5]).unwrap()),
        };
        let text = write_cases(None, &[case.clone(), case]).unwrap();
        for (from, to, expected) in [
            ("\"version\":2", "\"version\":3", "a golden set of version 2 expected, found version 3 at line 1"),
            ("\"version\":2", "\"version\":\"2\"", "expected u32 at line 1"),
            ("\"version\":2,", "", "missing field `version` at line 4"),
            ("[0.5]", "[0.1]", "a number of fp32 expected, found 0.1 at line 2"),
            ("[0.5]", "[0.5,0.5]", "shape [1, 1] does not hold 2 values at line 2"),
            ("[1,1]", "[-1,1]", "expected usize at line 2"),
            ("\"regression\"", "\"boxes\"", "unknown variant `boxes`, expected one of `classification`"),
            ("\"items\"", "\"data\"", "unknown field `data`, expected one of `input`"),
            ("\"answer\"", "\"call\"", "duplicate field `call` at line 2"),
            ("\n]}", "", "EOF while parsing a list at line 3"),
        ] {
            let damaged = text.replacen(from, to, 1);
            let error = GoldenSet::read(&damaged).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
        let bytes = r#"{"version":2,"cases":[{"call":{},"answer":{"tensors":[{"name":"x","shape":[1],"values":{"bytes":["0"]}}]}}]}"#;
        assert!(
            GoldenSet::read(bytes).unwrap_err().to_string().contains("bytes in hex expected, found \"0\" at line 1")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_case_comes_back_bit_by_bit(cases in vec((calls(), outputs()), 0..4)) {
            let cases: Vec<ModelCase> = cases.into_iter().map(|(call, answer)| ModelCase { call, answer }).collect();
            let again = read(&write_cases(Some("here"), &cases).unwrap());
            prop_assert_eq!(again.len(), cases.len());
            for (again, case) in again.iter().zip(&cases) {
                prop_assert_eq!(shown(&again.answer), shown(&case.answer));
                let asked = |call: &PredictCall| {
                    let PredictCall { is_guest, parameters, data, pictures: _, keeps_pictures: _, tensors, ids } = call;
                    format!("{is_guest} {parameters:?} {data:?} {ids:?} {}", shown(&Outputs::Tensors(tensors.clone())))
                };
                prop_assert_eq!(asked(&again.call), asked(&case.call));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", inner in "[\\[\\]{}\",:0-9a-z\n]{0,60}") {
            let _ = GoldenSet::read(&text);
            let _ = GoldenSet::read(&format!("{{\"version\":2,\"cases\":[{inner}]}}"));
        }
    }
}
