//! What POST /predict answers (contract.md 1.8 and 5).

use serde::{Serialize, Serializer};

use crate::Object;

/// `body` of a predict.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PredictBody {
    /// One per item, in the order of `data`; empty when measures were asked for.
    pub predictions: Vec<Prediction>,
    /// Milliseconds; only with `measure`, where it stands here instead of in the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// Results of the measures asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<Object>,
}

/// The answer for one item. `classes` and `images` are always there, as the original has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Prediction {
    /// True on the last prediction of a features answer.
    #[serde(skip_serializing_if = "is_false")]
    pub last: bool,
    /// Which item.
    pub uri: String,
    /// Classes by decreasing probability.
    pub classes: Vec<ClassScore>,
    /// Regression targets by decreasing value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vector: Vec<TargetValue>,
    /// Values of a layer, or the class of each pixel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vals: Option<Values>,
    /// The size of the image as it was sent, of `vals` that are pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imgsize: Option<ImageSize>,
    /// Confidences of each pixel, where some were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "confidences_by_name")]
    pub confidences: Vec<Confidences>,
    /// Encoded images.
    pub images: Vec<String>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScore {
    /// Probability, a single-precision number widened.
    pub prob: f64,
    /// Name, or number where it has none.
    pub cat: String,
    /// Where it is, in pixels of the image that was sent; only of detections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bbox: Option<BoundingBox>,
    /// True on the last one of a prediction, left out elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub last: bool,
}

/// The size of an image, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Confidences of the pixels of an image, row by row: a member of `confidences`.
#[derive(Debug, Clone, PartialEq)]
pub struct Confidences {
    /// `best`, or the number of a class.
    pub name: String,
    /// Single-precision numbers, which are widened.
    pub values: Vec<f32>,
}

/// The corners of a box, single-precision numbers widened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BoundingBox {
    /// Left.
    pub xmin: f64,
    /// Upper.
    pub ymin: f64,
    /// Right.
    pub xmax: f64,
    /// Lower.
    pub ymax: f64,
}

/// One regression target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetValue {
    /// Number or name of the target.
    pub cat: String,
    /// Value, a single-precision number widened.
    pub val: f64,
    /// True on the last one of a prediction, left out elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub last: bool,
}

/// The values of a layer, in the form asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// As computed, or 0.0 and 1.0 with `binarized`.
    Numbers(#[serde(serialize_with = "widened")] Vec<f32>),
    /// The class of each pixel.
    Classes(Vec<u16>),
    /// The pixels of an image, row by row, blue, green and red.
    Pixels(Vec<u8>),
    /// With `bool_binarized`.
    Booleans(Vec<bool>),
    /// With `string_binarized`: a string of 0 and 1.
    Bits(String),
}

/// `head` of a predict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictHead {
    /// `/predict`.
    pub method: &'static str,
    /// The name the client asked for, in lower case.
    pub service: String,
    /// Milliseconds; left out with `measure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

pub(crate) fn confidences_by_name<S: Serializer>(
    confidences: &[Confidences],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(confidences.iter().map(|each| (&each.name, Widened(&each.values))))
}

/// Single-precision numbers as doubles.
struct Widened<'a>(&'a [f32]);

impl Serialize for Widened<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        widened(self.0, serializer)
    }
}

fn widened<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| f64::from(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_looks_as_recorded() {
        let classes = vec![
            ClassScore { prob: 0.75, cat: "0".into(), bbox: None, last: false },
            ClassScore { prob: 0.25, cat: "1".into(), bbox: None, last: true },
        ];
        let prediction = Prediction { uri: "121".into(), classes, ..Prediction::default() };
        assert_eq!(
            serde_json::to_string(&prediction).expect("serialises"),
            r#"{"uri":"121","classes":[{"prob":0.75,"cat":"0"},{"prob":0.25,"cat":"1","last":true}],"images":[]}"#
        );
    }

    #[test]
    fn a_mask_looks_as_documented() {
        let confidences = vec![
            Confidences { name: "best".into(), values: vec![0.5, 0.75] },
            Confidences { name: "2".into(), values: vec![0.0, 1.0] },
        ];
        let (vals, imgsize) = (Some(Values::Classes(vec![0, 21])), Some(ImageSize { height: 1, width: 2 }));
        let prediction = Prediction { uri: "1".into(), vals, imgsize, confidences, ..Prediction::default() };
        assert_eq!(
            serde_json::to_string(&prediction).expect("serialises"),
            r#"{"uri":"1","classes":[],"vals":[0,21],"imgsize":{"height":1,"width":2},"confidences":{"best":[0.5,0.75],"2":[0.0,1.0]},"images":[]}"#
        );
    }

    #[test]
    fn features_come_in_three_forms() {
        let json = |values| serde_json::to_string(&values).expect("serialises");
        assert_eq!(json(Values::Numbers(vec![0.1, 1.0])), "[0.10000000149011612,1.0]");
        assert_eq!(json(Values::Booleans(vec![true])), "[true]");
        assert_eq!(json(Values::Bits("01".into())), "\"01\"");
    }
}
