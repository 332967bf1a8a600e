use Confidence::{Best, Class};
use dede_model::parameters::Section;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use serde_json::json;

use super::*;

const IMAGE: ImageSizes = ImageSizes { width: 4, height: 2, original_width: 8, original_height: 6, frame: None };

fn head(form: Form, activation: Option<OutputActivation>, classes: Option<usize>) -> MaskHead {
    MaskHead { output: "y".into(), form, activation, classes }
}

fn answered(head: &MaskHead, shape: &[usize], values: &[f32], confidences: Confidences) -> Result<Mask> {
    let run = Floats::new([&[1], shape].concat(), values.to_vec()).expect("fits");
    let options = PredictOptions { confidences, ..PredictOptions::default() };
    let asked = Asked { images: &[IMAGE], options: &options, memory: &MemoryShare::unbounded() };
    let outputs = head.outputs(vec![Batches::new(vec![run])], &asked)?;
    let Outputs::Segmentation(masks) = outputs else { panic!("masks expected, found {outputs:?}") };
    Ok(masks.into_samples().remove(0))
}

#[test]
fn the_highest_score_wins_and_the_lowest_number_of_equal_ones() {
    let scores = head(Form::Scores, None, Some(3));
    let values = [0.0, 1.0, 5.0, -1.0, 0.0, 2.0, 5.0, f32::NEG_INFINITY, 1.0, 2.0, 5.0, -1.0];
    let mask = answered(&scores, &[3, 2, 2], &values, Confidences::default()).expect("a mask");
    assert_eq!(mask.classes, [2, 1, 0, 0]);
    assert_eq!((mask.extent, mask.original), (Extent { width: 2, height: 2 }, Extent { width: 8, height: 6 }));
    let numbers = head(Form::Number, None, Some(3));
    assert_eq!(answered(&numbers, &[1, 2], &[2.0, 0.0], Confidences::default()).expect("a mask").classes, [2, 0]);
    let one = head(Form::OneScore, Some(OutputActivation::Sigmoid), Some(2));
    assert_eq!(answered(&one, &[1, 1, 2], &[0.5, 0.49], Confidences::default()).expect("a mask").classes, [1, 0]);
    let one = head(Form::OneScore, Some(OutputActivation::Logits), Some(2));
    assert_eq!(answered(&one, &[1, 2], &[0.0, -0.1], Confidences::default()).expect("a mask").classes, [1, 0]);
}

/// More pixels than are looked at together.
#[test]
fn large_masks_are_the_same_as_pixel_by_pixel() {
    let (pixels, classes) = (3 * 4099, 5);
    let values: Vec<f32> = (0..pixels * classes).map(|place| ((place * 7919) % 1009) as f32 / 100.0).collect();
    let scores = head(Form::Scores, Some(OutputActivation::Logits), Some(classes));
    let mask = answered(&scores, &[classes, 3, 4099], &values, Confidences::All { with_best: true }).expect("a mask");
    let of: Vec<Confidence> = mask.confidences.iter().map(|map| map.of).collect();
    assert_eq!(of, [Best, Class(0), Class(1), Class(2), Class(3), Class(4)]);
    for pixel in 0..pixels {
        let each: Vec<f32> = (0..classes).map(|class| values[class * pixels + pixel]).collect();
        let best = (0..classes).fold(0, |best, class| if each[class] > each[best] { class } else { best });
        assert_eq!(usize::from(mask.classes[pixel]), best);
        let sum: f32 = each.iter().map(|score| score.exp()).sum();
        assert!((mask.confidences[0].values[pixel] - each[best].exp() / sum).abs() < 1e-5);
        assert!((mask.confidences[4].values[pixel] - each[3].exp() / sum).abs() < 1e-5);
    }
}

#[test]
fn confidences_are_probabilities_whatever_the_scores_went_through() {
    use OutputActivation::{LogSoftmax, Logits, Sigmoid, Softmax};
    let logarithms = [0.25_f32.ln(), 0.75_f32.ln()];
    for (form, activation, values, best, second) in [
        (Form::Scores, Softmax, vec![0.25, 0.75], 0.75, 0.75),
        (Form::Scores, LogSoftmax, logarithms.to_vec(), 0.75, 0.75),
        (Form::Scores, Logits, vec![logarithms[0] + 3.0, logarithms[1] + 3.0], 0.75, 0.75),
        (Form::Scores, Sigmoid, vec![0.9, 0.75], 0.9, 0.75),
        (Form::OneScore, Sigmoid, vec![0.25], 0.75, 0.25),
        (Form::OneScore, Logits, vec![-(3.0_f32.ln())], 0.75, 0.25),
    ] {
        let shape = [values.len(), 1, 1];
        let asked = Confidences::Of(vec![Best, Class(1)]);
        let mask = answered(&head(form, Some(activation), Some(2)), &shape, &values, asked).expect("a mask");
        let found: Vec<f32> = mask.confidences.iter().map(|map| map.values[0]).collect();
        assert!((found[0] - best).abs() < 1e-6 && (found[1] - second).abs() < 1e-6, "{activation:?}: {found:?}");
    }
}

#[test]
fn what_is_no_mask_is_named() {
    use OutputActivation::{Sigmoid, Softmax};
    let (none, best) = (Confidences::default, || Confidences::Of(vec![Best]));
    let softmax = || head(Form::Scores, Some(Softmax), Some(2));
    for (head, shape, values, asked, text) in [
        (softmax(), vec![2, 1, 1], vec![0.5, f32::NAN], none(), "found NaN (item 1, output y)"),
        (softmax(), vec![3, 1, 1], vec![0.5; 3], none(), "found shape [3, 1, 1]"),
        (softmax(), vec![2, 0, 1], vec![], none(), "found shape [2, 0, 1]"),
        (softmax(), vec![2, 1, 1], vec![0.5, 0.9], best(), "sum to 1 over the classes, found a sum of 1.4"),
        (
            softmax(),
            vec![2, 1, 1],
            vec![0.5, 0.5],
            Confidences::Of(vec![Class(2)]),
            "classes from 0 to 1, found 2 (parameters.output.confidences)",
        ),
        (
            head(Form::Scores, None, Some(2)),
            vec![2, 1, 1],
            vec![0.5, 0.5],
            best(),
            "(parameters.mllib.output_activation)",
        ),
        (head(Form::Number, None, Some(2)), vec![1, 1], vec![1.0], best(), "classes without scores"),
        (head(Form::Number, None, Some(2)), vec![1, 1], vec![2.0], none(), "classes from 0 to 1, found 2"),
        (head(Form::Number, None, None), vec![1, 1], vec![-1.0], none(), "classes from 0 to 65535, found -1"),
        (head(Form::Number, None, None), vec![1, 1], vec![0.5], none(), "found 0.5"),
        (
            head(Form::OneScore, Some(Sigmoid), Some(2)),
            vec![1, 1],
            vec![1.5],
            none(),
            "probabilities from 0 to 1, found 1.5",
        ),
    ] {
        let error = answered(&head, &shape, &values, asked).expect_err("no mask").to_string();
        assert!(error.contains(text), "{error}");
    }
}

/// What is claimed of a network with one output of this shape.
#[test]
fn networks_are_claimed_where_it_is_certain_or_asked_for() {
    use OutputActivation::{Logits, Softmax};
    let (three, values) = (json!({"nclasses": 3}), json!({"regression": true}));
    let plain = json!({});
    for (shape, activation, is_label, parameters, is_asked, expected) in [
        (Some(vec![3, 8, 8]), Some(Softmax), false, &three, false, true),
        (Some(vec![4, 8, 8]), Some(Softmax), false, &three, false, false),
        // Scores that were not averaged over the image, perhaps.
        (Some(vec![3, 8, 8]), Some(Logits), false, &three, false, false),
        (Some(vec![3, 8, 8]), None, false, &three, false, false),
        (Some(vec![4, 8, 8]), None, false, &three, false, false),
        (Some(vec![3, 8, 8]), Some(Softmax), false, &plain, false, true),
        // Values, an image, or scores of classes.
        (Some(vec![3, 8, 8]), Some(Logits), false, &plain, false, false),
        (Some(vec![3, 8, 8]), Some(Softmax), false, &values, false, false),
        (Some(vec![3, 1, 1]), Some(Softmax), false, &three, false, false),
        (Some(vec![3]), Some(Softmax), false, &three, false, false),
        (Some(vec![8, 8]), None, true, &plain, false, true),
        (Some(vec![1, 8, 8]), None, true, &plain, false, true),
        (Some(vec![8, 8]), None, false, &plain, false, false),
        (Some(vec![8, 8]), None, false, &plain, true, true),
        (Some(vec![3, 8, 8]), Some(Logits), false, &plain, true, true),
        (Some(vec![1, 8, 8]), None, false, &plain, true, false),
        (None, None, false, &plain, false, false),
        (None, None, false, &plain, true, true),
    ] {
        let parameters: Section = parameters.as_object().cloned().expect("an object");
        let outputs = vec![OfferedOutput { name: "y".into(), shape: shape.clone(), activation, is_label }];
        let service_type = ServiceType::Supervised;
        let network = OfferedNetwork { outputs, parameters: &parameters, service_type, is_asked };
        let claimed = MaskKind.claim(&network).expect("no error");
        assert_eq!(claimed.is_some(), expected, "{shape:?} {activation:?} {is_label} {parameters:?} {is_asked}");
        let network = OfferedNetwork { service_type: ServiceType::Unsupervised, ..network };
        assert_eq!(MaskKind.claim(&network).expect("no error"), None);
    }
}

#[test]
fn of_several_outputs_one_has_to_be_named() {
    let parameters: Section = json!({"nclasses": 3}).as_object().cloned().expect("an object");
    let output =
        |name: &str| OfferedOutput { name: name.into(), shape: Some(vec![3, 8, 8]), activation: None, is_label: false };
    let network = |names: [&str; 2]| OfferedNetwork {
        outputs: names.map(output).to_vec(),
        parameters: &parameters,
        service_type: ServiceType::Supervised,
        is_asked: true,
    };
    assert_eq!(MaskKind.claim(&network(["aux", "out"])).expect("out"), Some(vec!["out".to_owned()]));
    let error = MaskKind.claim(&network(["a", "b"])).expect_err("two").to_string();
    assert!(error.contains("parameters.mllib.output"), "{error}");
}

#[test]
fn one_score_for_each_pixel_needs_its_activation() {
    let parameters = Section::new();
    for (shape, activation, fits) in [
        (vec![1, 4, 4], Some(OutputActivation::Sigmoid), true),
        (vec![4, 4], Some(OutputActivation::Logits), true),
        (vec![1, 4, 4], None, false),
        (vec![1, 4, 4], Some(OutputActivation::Softmax), false),
        (vec![2, 4, 4], Some(OutputActivation::Sigmoid), false),
    ] {
        let outputs = vec![OfferedOutput { name: "y".into(), shape: Some(shape), activation, is_label: false }];
        let network =
            OfferedNetwork { outputs, parameters: &parameters, service_type: ServiceType::Supervised, is_asked: true };
        assert_eq!(BinaryMaskKind.head(&network).is_ok(), fits, "{network:?}");
        let network = OfferedNetwork { is_asked: false, ..network };
        assert_eq!(BinaryMaskKind.claim(&network).expect("no error"), None, "only where it is asked for");
    }
}
