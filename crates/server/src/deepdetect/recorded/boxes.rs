//! Recorded boxes, read beside new ones.
//!
//! Which boxes an answer lists depends on their scores. A box whose score is next to the threshold may be listed once and not the next
//! time, so such boxes are left out on both sides.

use dede_comparison::Tolerance;
use dede_model::error::Result;
use dede_model::labels::Labels;
use dede_model::outputs::{Corners, Detection, Detections, Outputs};
use serde_json::Value;

use super::{Recorded, refused};

/// The recorded boxes and the new ones, as far as they can be compared.
pub(super) fn beside(recorded: &Recorded<'_>, found: &Detections) -> Result<(Outputs, Outputs)> {
    let options = recorded.options;
    if options.best_bbox == Some(0) {
        return Err(refused("its request asks for no box (best_bbox: 0), so that there is nothing to compare".into()));
    }
    let least = match options.confidence_threshold {
        0.0 => 0.0,
        threshold => threshold + Tolerance::numerical().tie as f32,
    };
    let compared = |boxes: Vec<Detection>| -> Vec<Detection> {
        let sure = boxes.into_iter().filter(|found| found.score >= least);
        sure.take(options.best_bbox.unwrap_or(usize::MAX)).collect()
    };
    let listed = recorded.predictions.iter().map(|prediction| Ok(compared(boxes(prediction, recorded.labels)?)));
    let listed = Detections::new(listed.collect::<Result<_>>()?).map_err(|error| refused(error.to_string()))?;
    let found = found.samples().map(|boxes| compared(boxes.to_vec())).collect();
    let found = Detections::new(found).map_err(|error| refused(error.to_string()))?;
    Ok((Outputs::Detection(listed), Outputs::Detection(found)))
}

/// The boxes that a prediction lists.
fn boxes(prediction: &Value, labels: &Labels) -> Result<Vec<Detection>> {
    let listed = prediction.get("classes").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| refused("a prediction with a list classes expected".into()))?;
    listed.iter().map(|item| detection(item, labels)).collect()
}

fn detection(item: &Value, labels: &Labels) -> Result<Detection> {
    let wrong = || refused("cat, prob and bbox with xmin, ymin, xmax and ymax expected in each of classes".into());
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).map(|number| number as f32);
    let name = item.get("cat").and_then(Value::as_str).ok_or_else(wrong)?;
    let bbox = item.get("bbox").ok_or_else(wrong)?;
    let corner = |key: &str| number(bbox.get(key)).ok_or_else(wrong);
    let corners =
        Corners { xmin: corner("xmin")?, ymin: corner("ymin")?, xmax: corner("xmax")?, ymax: corner("ymax")? };
    // A class without a name is listed by its number.
    let class = labels.id(name).or_else(|| name.parse().ok());
    let class = class.ok_or_else(|| refused(format!("it lists {name:?}, which is no class of this service")))?;
    Ok(Detection { class, score: number(item.get("prob")).ok_or_else(wrong)?, corners })
}

#[cfg(test)]
mod tests {
    use dede_comparison::compare;
    use dede_engine::output::OutputOptions;
    use serde_json::json;

    use super::*;
    use crate::deepdetect::predictions::predictions;

    fn at(class: usize, score: f32, xmin: f32) -> Detection {
        Detection { class, score, corners: Corners { xmin, ymin: 0.0, xmax: xmin + 8.0, ymax: 8.0 } }
    }

    fn judged(section: &Value, recorded: &[Detection], answered: &[Detection]) -> Result<bool> {
        let labels = Labels::from_names(["a", "b"]);
        let options = OutputOptions::parse(section.as_object().unwrap())?;
        let outputs = Outputs::Detection(Detections::new(vec![recorded.to_vec()]).unwrap());
        let written: Vec<Value> = predictions(&outputs, vec!["1".into()], &labels, &options)
            .iter()
            .map(|one| serde_json::to_value(one).unwrap())
            .collect();
        let case = Recorded { predictions: &written, labels: &labels, options: &options };
        let (expected, found) = beside(&case, &Detections::new(vec![answered.to_vec()]).unwrap())?;
        Ok(compare(&expected, &found, &Tolerance::numerical()).unwrap().iter().all(|one| one.agrees))
    }

    #[test]
    fn boxes_are_read_under_the_options_of_their_request() {
        let recorded = [at(0, 0.9, 0.0), at(7, 0.5, 50.0), at(1, 0.2, 90.0)];
        for (section, answered, agrees) in [
            (json!({}), recorded.to_vec(), true),
            (json!({}), recorded[..2].to_vec(), false),
            (json!({"confidence_threshold": 0.4}), recorded[..2].to_vec(), true),
            (json!({"confidence_threshold": 0.4}), recorded[..1].to_vec(), false),
            // Next to the threshold a box may come or go.
            (json!({"confidence_threshold": 0.5}), recorded[..1].to_vec(), true),
            (json!({"best_bbox": 1}), recorded[..1].to_vec(), true),
            (json!({"best_bbox": 1}), vec![at(1, 0.9, 0.0)], false),
            (json!({}), vec![at(0, 0.9, 1.0), recorded[1], recorded[2]], false),
        ] {
            assert_eq!(judged(&section, &recorded, &answered).unwrap(), agrees, "{section} {answered:?}");
        }
        assert!(judged(&json!({"best_bbox": 0}), &recorded, &recorded).is_err());
    }
}
