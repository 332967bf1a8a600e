//! Predictions from outputs.

use dede_api::predictions::{BoundingBox, ClassScore, Confidences, ImageSize, Prediction, TargetValue, Values};
use dede_engine::output::{Binarized, Listed, OutputOptions, listed};
use dede_model::labels::Labels;
use dede_model::outputs::{Confidence, Corners, Mask, Outputs, bilinear, nearest};

/// One prediction per output, in order. `uris` has one name per output.
pub(crate) fn predictions(
    outputs: &Outputs,
    uris: Vec<String>,
    labels: &Labels,
    options: &OutputOptions,
) -> Vec<Prediction> {
    let named = |fill: &dyn Fn(usize) -> Prediction| -> Vec<Prediction> {
        uris.into_iter().enumerate().map(|(index, uri)| Prediction { uri, ..fill(index) }).collect()
    };
    match outputs {
        Outputs::Classification(_) | Outputs::Detection(_) => named(&|index| Prediction {
            classes: scores(&listed(outputs, index, options), labels),
            ..Prediction::default()
        }),
        Outputs::Regression(tensor) => {
            named(&|index| Prediction { vector: targets(tensor.row(index), labels), ..Prediction::default() })
        }
        Outputs::Segmentation(masks) => named(&|index| {
            let last = index + 1 == masks.len();
            masks.samples().get(index).map_or_else(Prediction::default, |found| Prediction { last, ..mask(found) })
        }),
        Outputs::Features(tensor) => named(&|index| Prediction {
            vals: Some(values(tensor.row(index), options.binarized)),
            last: index + 1 == tensor.rows(),
            ..Prediction::default()
        }),
        // A call in items has no such answer.
        Outputs::Tensors(_) => Vec::new(),
    }
}

/// What is listed of an answer.
fn scores(listed: &[Listed], labels: &Labels) -> Vec<ClassScore> {
    let last = listed.len().saturating_sub(1);
    let score = |(rank, one): (usize, &Listed)| ClassScore {
        prob: f64::from(one.score),
        cat: one.name(labels),
        bbox: one.corners.map(bounding_box),
        last: rank == last,
    };
    listed.iter().enumerate().map(score).collect()
}

/// A mask at the size of the image as it was sent (contract.md 5.6).
fn mask(mask: &Mask) -> Prediction {
    let (from, to) = (mask.extent, mask.original);
    let confidences = mask.confidences.iter().map(|map| Confidences {
        name: match map.of {
            Confidence::Best => "best".to_owned(),
            Confidence::Class(class) => class.to_string(),
        },
        values: bilinear(&map.values, from, to),
    });
    Prediction {
        vals: Some(Values::Classes(nearest(&mask.classes, from, to))),
        imgsize: Some(ImageSize { height: to.height, width: to.width }),
        confidences: confidences.collect(),
        ..Prediction::default()
    }
}

fn bounding_box(corners: Corners) -> BoundingBox {
    let Corners { xmin, ymin, xmax, ymax } = corners;
    BoundingBox { xmin: xmin.into(), ymin: ymin.into(), xmax: xmax.into(), ymax: ymax.into() }
}

/// Targets by decreasing value, as the original sorts them (contract.md 5.3).
fn targets(values: &[f32], labels: &Labels) -> Vec<TargetValue> {
    let mut ranked: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let last = ranked.len().saturating_sub(1);
    let target = |(rank, (id, value)): (usize, (usize, f32))| TargetValue {
        cat: labels.name(id),
        val: f64::from(value),
        last: rank == last,
    };
    ranked.into_iter().enumerate().map(target).collect()
}

fn values(values: &[f32], form: Binarized) -> Values {
    let bits = || values.iter().map(|value| *value > 0.0);
    match form {
        Binarized::No => Values::Numbers(values.to_vec()),
        Binarized::Numbers => Values::Numbers(bits().map(|bit| if bit { 1.0 } else { 0.0 }).collect()),
        Binarized::Booleans => Values::Booleans(bits().collect()),
        Binarized::Text => Values::Bits(bits().map(|bit| if bit { '1' } else { '0' }).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use dede_model::outputs::{ConfidenceMap, Detection, Detections, Extent, Masks};
    use dede_model::tensor::Floats;

    fn options(section: serde_json::Value) -> OutputOptions {
        OutputOptions::parse(section.as_object().unwrap()).unwrap()
    }

    #[test]
    fn classes_are_sorted_cut_and_marked() {
        let outputs = Outputs::Classification(Floats::new(vec![1, 4], vec![0.1, 0.4, 0.4, 0.1]).unwrap());
        let labels = Labels::from_names(["a", "b"]);
        let cases = [
            (json!({}), vec![("b", 0.4)]),
            (json!({"best": 3}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1)]),
            (json!({"best": -1}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1), ("3", 0.1)]),
            (json!({"best": 99}), vec![("b", 0.4), ("2", 0.4), ("a", 0.1), ("3", 0.1)]),
            (json!({"confidence_threshold": 0.3}), vec![("b", 0.4), ("2", 0.4)]),
            (json!({"best": 1, "confidence_threshold": 0.3}), vec![("b", 0.4)]),
            (json!({"best": 0}), vec![]),
        ];
        for (section, expected) in cases {
            let rendered = predictions(&outputs, vec!["x".into()], &labels, &options(section.clone()));
            let found: Vec<(&str, f64)> = rendered[0].classes.iter().map(|c| (c.cat.as_str(), c.prob)).collect();
            let expected: Vec<(&str, f64)> =
                expected.iter().map(|(cat, prob)| (*cat, f64::from(*prob as f32))).collect();
            assert_eq!(found, expected, "{section}");
            let marks: Vec<bool> = rendered[0].classes.iter().map(|c| c.last).collect();
            assert!(marks.iter().rev().skip(1).all(|last| !last) && marks.last().is_none_or(|last| *last));
        }
    }

    #[test]
    fn boxes_come_by_score_as_many_as_are_asked_for() {
        let at = |class, score| {
            let corners = Corners { xmin: 0.5, ymin: 1.0, xmax: 7.25, ymax: 9.0 };
            Detection { class, score, corners }
        };
        let found = Detections::new(vec![vec![at(0, 0.25), at(1, 0.75), at(2, 0.5)], vec![]]).unwrap();
        let (outputs, labels) = (Outputs::Detection(found), Labels::from_names(["a", "b"]));
        for (section, expected) in [
            (json!({}), vec!["b", "2", "a"]),
            (json!({"best": 1}), vec!["b", "2", "a"]),
            (json!({"best_bbox": 2}), vec!["b", "2"]),
            (json!({"best_bbox": -1, "confidence_threshold": 0.5}), vec!["b", "2"]),
            (json!({"confidence_threshold": 0.8}), vec![]),
        ] {
            let rendered = predictions(&outputs, vec!["x".into(), "y".into()], &labels, &options(section.clone()));
            let cats: Vec<&str> = rendered[0].classes.iter().map(|class| class.cat.as_str()).collect();
            assert_eq!((cats, rendered[1].classes.len()), (expected, 0), "{section}");
        }
        let rendered = predictions(&outputs, vec!["x".into(), "y".into()], &labels, &options(json!({"best_bbox": 1})));
        assert_eq!(
            serde_json::to_value(&rendered).unwrap(),
            json!([
                {"uri": "x", "classes": [{"prob": 0.75, "cat": "b", "last": true,
                  "bbox": {"xmin": 0.5, "ymin": 1.0, "xmax": 7.25, "ymax": 9.0}}], "images": []},
                {"uri": "y", "classes": [], "images": []},
            ])
        );
    }

    #[test]
    fn masks_have_the_size_of_the_image_that_was_sent() {
        let best = ConfidenceMap { of: Confidence::Best, values: vec![0.5, 1.0] };
        let third = ConfidenceMap { of: Confidence::Class(2), values: vec![0.0, 1.0] };
        let mask = Mask {
            extent: Extent { width: 2, height: 1 },
            original: Extent { width: 4, height: 2 },
            classes: vec![1, 2],
            confidences: vec![best, third],
        };
        let outputs = Outputs::Segmentation(Masks::new(vec![mask.clone(), mask]).unwrap());
        let uris = vec!["x".into(), "y".into()];
        let rendered = predictions(&outputs, uris, &Labels::from_names(["a", "b"]), &options(json!({})));
        let expected = |uri: &str| {
            json!({
                "uri": uri, "classes": [], "images": [], "vals": [1, 1, 2, 2, 1, 1, 2, 2], "imgsize": {"width": 4, "height": 2},
                "confidences": {"best": [0.5, 0.625, 0.875, 1.0, 0.5, 0.625, 0.875, 1.0], "2": [0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]},
            })
        };
        let mut last = expected("y");
        last["last"] = json!(true);
        assert_eq!(serde_json::to_value(&rendered).unwrap(), json!([expected("x"), last]));
    }

    #[test]
    fn targets_come_by_value_and_keep_their_number() {
        let outputs = Outputs::Regression(Floats::new(vec![1, 3], vec![1.0, 3.0, 2.0]).unwrap());
        let rendered = predictions(&outputs, vec!["7".into()], &Labels::default(), &options(json!({})));
        let cats: Vec<&str> = rendered[0].vector.iter().map(|target| target.cat.as_str()).collect();
        assert_eq!(cats, ["1", "2", "0"]);
    }

    #[test]
    fn features_mark_the_last_prediction() {
        let outputs = Outputs::Features(Floats::new(vec![2, 2], vec![0.5, -1.0, 0.0, 2.0]).unwrap());
        let names = || vec!["a".to_owned(), "b".to_owned()];
        let rendered = predictions(&outputs, names(), &Labels::default(), &options(json!({"string_binarized": true})));
        assert_eq!(rendered[0].vals, Some(Values::Bits("10".into())));
        assert_eq!((rendered[0].last, rendered[1].last), (false, true));
        let rendered = predictions(&outputs, names(), &Labels::default(), &options(json!({"binarized": true})));
        assert_eq!(rendered[1].vals, Some(Values::Numbers(vec![0.0, 1.0])));
    }

    #[test]
    fn wrong_types_are_named() {
        let section = json!({"best": "three"});
        let error = OutputOptions::parse(section.as_object().unwrap()).unwrap_err();
        assert!(error.to_string().contains("parameters.output.best"), "{error}");
    }
}
