//! Recorded masks, read beside new ones at the size of the image: recorded answers say no other.
//!
//! Confidences are left out on both sides: they move with the scores, and classes are what is compared.

use dede_model::error::Result;
use dede_model::outputs::{Extent, Mask, Masks, Outputs, nearest};
use serde_json::Value;

use super::{Recorded, refused};

/// The recorded masks and the new ones.
pub(super) fn beside(recorded: &Recorded<'_>, found: Masks) -> Result<(Outputs, Outputs)> {
    let listed = recorded.predictions.iter().map(mask).collect::<Result<_>>()?;
    let found = found.into_samples().into_iter().map(at_original).collect();
    let masks = |masks: Vec<Mask>| Masks::new(masks).map_err(|error| refused(error.to_string()));
    Ok((Outputs::Segmentation(masks(listed)?), Outputs::Segmentation(masks(found)?)))
}

/// As it is answered.
fn at_original(mask: Mask) -> Mask {
    let classes = nearest(&mask.classes, mask.extent, mask.original);
    Mask { extent: mask.original, original: mask.original, classes, confidences: Vec::new() }
}

/// The mask that a prediction holds.
fn mask(prediction: &Value) -> Result<Mask> {
    let wrong =
        || refused("a prediction with the classes of pixels in vals, and width and height in imgsize, expected".into());
    let side = |key: &str| {
        let side = prediction.get("imgsize").and_then(|size| size.get(key)).and_then(Value::as_f64);
        side.filter(|side| side.fract() == 0.0 && *side >= 1.0).map(|side| side as usize).ok_or_else(wrong)
    };
    let extent = Extent { width: side("width")?, height: side("height")? };
    // The original writes 3.0 for class 3.
    let class = |value: &Value| {
        let number =
            value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(number));
        number.map(|number| number as u16).ok_or_else(wrong)
    };
    let classes = prediction.get("vals").and_then(Value::as_array).ok_or_else(wrong)?;
    let classes = classes.iter().map(class).collect::<Result<_>>()?;
    Ok(Mask { extent, original: extent, classes, confidences: Vec::new() })
}

#[cfg(test)]
mod tests {
    use dede_comparison::{Tolerance, compare};
    use dede_engine::output::OutputOptions;
    use dede_model::labels::Labels;
    use serde_json::json;

    use super::*;
    use crate::deepdetect::predictions::predictions;

    fn judged(recorded: &[Value], answered: &[u16]) -> Result<(bool, bool)> {
        let (labels, options) = (Labels::default(), OutputOptions::parse(&dede_model::parameters::Section::new())?);
        let (extent, original) = (Extent { width: 2, height: 1 }, Extent { width: 4, height: 1 });
        let mask = Mask { extent, original, classes: answered.to_vec(), confidences: Vec::new() };
        let case = Recorded { predictions: recorded, labels: &labels, options: &options };
        let (expected, found) = beside(&case, Masks::new(vec![mask]).unwrap())?;
        let differences = compare(&expected, &found, &Tolerance::numerical()).unwrap();
        Ok((differences.iter().all(|one| one.bit_equal), differences.iter().all(|one| one.agrees)))
    }

    #[test]
    fn masks_are_compared_at_the_size_of_the_image() {
        let (labels, options) =
            (Labels::default(), OutputOptions::parse(&dede_model::parameters::Section::new()).unwrap());
        let (extent, original) = (Extent { width: 2, height: 1 }, Extent { width: 4, height: 1 });
        let mask = Mask { extent, original, classes: vec![3, 0], confidences: Vec::new() };
        let outputs = Outputs::Segmentation(Masks::new(vec![mask]).unwrap());
        let written = predictions(&outputs, vec!["1".into()], &labels, &options);
        let written = [serde_json::to_value(&written[0]).unwrap()];
        let of_the_original = [json!({"vals": [3.0, 3.0, 0.0, 0.0], "imgsize": {"width": 4, "height": 1}})];
        for recorded in [&written, &of_the_original] {
            assert_eq!(judged(recorded, &[3, 0]).unwrap(), (true, true));
            assert_eq!(judged(recorded, &[3, 3]).unwrap(), (false, false));
        }
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let size = json!({"width": 4, "height": 1});
        for (prediction, text) in [
            (json!({"vals": [0, 0, 0, 0]}), "width and height in imgsize"),
            (json!({"imgsize": size}), "in vals"),
            (json!({"vals": [0, 0, 0.5, 0], "imgsize": size}), "in vals"),
            (json!({"vals": [0, 0, 70000, 0], "imgsize": size}), "in vals"),
            (json!({"vals": [0, 0, 0], "imgsize": size}), "expected 4 classes (4 x 1), found 3 in item 1"),
            (json!({"vals": [0], "imgsize": {"width": 1e300, "height": 1e300}}), "found 18446744073709551615 x"),
        ] {
            let error = judged(&[prediction], &[0, 0]).expect_err("no mask").to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
