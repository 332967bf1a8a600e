//! A detector of four boxes and two classes beside the background.

use dede_graph::operations::{BoxCode, DetectionOutput};
use dede_model::backend::PredictOptions;
use dede_model::request_memory::RequestMemory;
use dede_model::tensor::Floats;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Squares of a half of the image; each but the last overlaps the next by three quarters of its width.
const PRIORS: [[f32; 4]; 4] =
    [[0.0, 0.0, 0.5, 0.5], [0.125, 0.0, 0.625, 0.5], [0.25, 0.0, 0.75, 0.5], [0.5, 0.5, 1.0, 1.0]];
/// Of the background, and both classes.
const SCORES: [[f32; 3]; 4] = [[0.1, 0.7, 0.2], [0.1, 0.6, 0.3], [0.1, 0.5, 0.4], [0.0, 0.5, 0.5]];

fn options() -> DetectionOutput {
    DetectionOutput {
        classes: 3,
        share_location: true,
        background: Some(0),
        code: BoxCode::Corner,
        variance_in_offsets: true,
        confidence_threshold: Some(0.25),
        overlap_threshold: 0.5,
        overlap_decay: 1.0,
        most_of_a_class: None,
        most: None,
        refinement: None,
    }
}

fn head(options: DetectionOutput) -> DetectionOutputHead {
    let values = ["loc", "conf", "arm_conf", "arm_loc"].map(str::to_owned);
    let values = values.into_iter().take(if options.refinement.is_some() { 4 } else { 2 }).collect();
    let (priors, variances) = (PRIORS.to_vec(), vec![[0.5; 4]; 4]);
    let decoding = Decoding { layer: "found".to_owned(), options, values, priors, variances };
    DetectionOutputHead::new("found".to_owned(), decoding)
}

/// 9 × 9 pixels, of which the network sees 4 × 4.
fn image() -> ImageSizes {
    ImageSizes { width: 4, height: 4, original_width: 9, original_height: 9, frame: None }
}

fn asked_of(
    head: &DetectionOutputHead,
    values: &[Vec<f32>],
    boxes: BoxOptions,
    memory: &MemoryShare,
) -> Result<Vec<Detection>> {
    let found = values
        .iter()
        .map(|values| Batches::new(vec![Floats::new(vec![1, values.len()], values.clone()).expect("fits")]));
    let options = PredictOptions { boxes, ..PredictOptions::default() };
    let images = [image()];
    let found = head.outputs(found.collect(), &Asked { images: &images, options: &options, memory })?;
    let Outputs::Detection(found) = found else { panic!("expected boxes, found {found:?}") };
    Ok(found.of(0).to_vec())
}

/// Class and place of each box, whose offsets are 0.
fn found(options: DetectionOutput, boxes: BoxOptions) -> Vec<(usize, usize)> {
    let values = [vec![0.0; 16], SCORES.as_flattened().to_vec()];
    let found = asked_of(&head(options), &values, boxes, &MemoryShare::unbounded()).expect("answers");
    let place = |one: &Detection| match one.corners.xmin {
        0.0 => 0,
        1.0 => 1,
        2.0 => 2,
        other => {
            assert_eq!(other, 4.0);
            3
        }
    };
    found.iter().map(|one| (one.class, place(one))).collect()
}

#[test]
fn the_layers_own_numbers_say_which_boxes_stay() {
    // Of class 1 the second and the third overlap the first by 0.6 and 0.33, and each other by 0.6.
    let all = [(1, 0), (1, 1), (1, 2), (1, 3), (2, 3), (2, 2), (2, 1)];
    for (options, expected) in [
        (options(), vec![(1, 0), (1, 2), (1, 3), (2, 3), (2, 2)]),
        (DetectionOutput { overlap_threshold: 0.7, ..options() }, all.to_vec()),
        (DetectionOutput { overlap_threshold: 0.3, ..options() }, vec![(1, 0), (1, 3), (2, 3), (2, 2)]),
        // 0.7 after the first box is 0.56.
        (
            DetectionOutput { overlap_threshold: 0.7, overlap_decay: 0.8, ..options() },
            vec![(1, 0), (1, 2), (1, 3), (2, 3), (2, 2)],
        ),
        // One that is at most a half stays what it is.
        (DetectionOutput { overlap_decay: 0.1, ..options() }, vec![(1, 0), (1, 2), (1, 3), (2, 3), (2, 2)]),
        (DetectionOutput { confidence_threshold: Some(0.5), ..options() }, vec![(1, 0)]),
        (
            DetectionOutput { confidence_threshold: None, overlap_threshold: 1.0, ..options() },
            [&all[..], &[(2, 0)]].concat(),
        ),
        (DetectionOutput { most_of_a_class: Some(2), ..options() }, vec![(1, 0), (2, 3), (2, 2)]),
        (DetectionOutput { most: Some(3), ..options() }, vec![(1, 0), (1, 2), (1, 3)]),
        (
            DetectionOutput {
                background: None,
                confidence_threshold: Some(0.0),
                overlap_threshold: 1.0,
                most: Some(20),
                ..options()
            },
            [&all[..], &[(2, 0), (0, 0), (0, 1), (0, 2)]].concat(),
        ),
    ] {
        assert_eq!(found(options.clone(), BoxOptions::default()), expected, "{options:?}");
    }
}

#[test]
fn a_request_leaves_out_more_and_gives_another_overlap() {
    let all = [(1, 0), (1, 1), (1, 2), (1, 3), (2, 3), (2, 2), (2, 1)];
    for (boxes, expected) in [
        (BoxOptions { most_overlap: Some(0.7), ..BoxOptions::default() }, &all[..]),
        (BoxOptions { most_overlap: Some(1.0), least_score: 0.5, ..BoxOptions::default() }, &all[..5]),
        // What the layer leaves out stays out.
        (BoxOptions { most_overlap: Some(1.0), least_score: 0.1, ..BoxOptions::default() }, &all[..]),
        // They are counted before they are compared: of the best two one stays.
        (BoxOptions { candidates: Some(2), ..BoxOptions::default() }, &all[..1]),
        (BoxOptions { most_overlap: Some(1.0), candidates: Some(6), ..BoxOptions::default() }, &all[..6]),
        (BoxOptions { candidates: Some(0), ..BoxOptions::default() }, &all[..0]),
    ] {
        assert_eq!(found(options(), boxes), expected, "{boxes:?}");
    }
}

#[test]
fn boxes_are_cut_to_the_image_whose_last_pixel_is_one() {
    // Offsets of each class: class 1 is moved by a half to the right and below, class 2 to the left.
    let apart =
        DetectionOutput { share_location: false, variance_in_offsets: false, overlap_threshold: 1.0, ..options() };
    let offsets: Vec<f32> = [[0.0; 4], [1.0; 4], [-1.0, 0.0, -1.0, 0.0]].as_flattened().repeat(4);
    let values = [offsets, SCORES.as_flattened().to_vec()];
    let found = asked_of(&head(apart), &values, BoxOptions::default(), &MemoryShare::unbounded()).expect("answers");
    let corners = |one: &Detection| [one.corners.xmin, one.corners.ymin, one.corners.xmax, one.corners.ymax];
    let shown: Vec<_> = found.iter().map(|one| (one.class, one.score, corners(one))).collect();
    assert_eq!(
        shown,
        [
            (1, 0.7, [4.0, 4.0, 8.0, 8.0]),
            (1, 0.6, [5.0, 4.0, 8.0, 8.0]),
            (1, 0.5, [6.0, 4.0, 8.0, 8.0]),
            (1, 0.5, [8.0, 8.0, 8.0, 8.0]),
            (2, 0.5, [0.0, 4.0, 4.0, 8.0]),
            (2, 0.4, [0.0, 0.0, 2.0, 4.0]),
            (2, 0.3, [0.0, 0.0, 1.0, 4.0]),
        ]
    );
}

#[test]
fn boxes_of_two_steps_are_those_in_which_there_is_something() {
    let refined = DetectionOutput { refinement: Some(0.5), overlap_threshold: 1.0, ..options() };
    // Nothing is in the first box. The others are moved to the right twice.
    let first_scores = vec![0.9, 0.1, 0.5, 0.5, 0.2, 0.8, 0.4, 0.6];
    let step = [0.125, 0.0, 0.125, 0.0].repeat(4);
    let values = [step.clone(), SCORES.as_flattened().to_vec(), first_scores, step];
    let found = asked_of(&head(refined), &values, BoxOptions::default(), &MemoryShare::unbounded()).expect("answers");
    let shown: Vec<_> = found.iter().map(|one| (one.class, one.score, one.corners.xmin)).collect();
    assert_eq!(shown, [(1, 0.6, 3.0), (1, 0.5, 4.0), (1, 0.5, 6.0), (2, 0.5, 6.0), (2, 0.4, 4.0), (2, 0.3, 3.0)]);
}

#[test]
fn numbers_that_are_none_and_values_of_other_sizes_are_refused() {
    let scores = || SCORES.as_flattened().to_vec();
    let changed = |place: usize, number: f32| {
        let mut scores = scores();
        scores[place] = number;
        scores
    };
    let over = [0.5_f32, 0.0, 0.0, 0.0].repeat(4).iter().map(|offset| offset * 4.0).collect::<Vec<f32>>();
    for (values, expected) in [
        (
            [vec![0.0; 16], changed(4, f32::NAN)],
            "item 1, output found",
            "expected finite numbers in conf, found NaN for box 2",
        ),
        (
            [vec![f32::INFINITY; 16], scores()],
            "item 1, output found",
            "expected finite numbers in loc, found inf for box 1",
        ),
        ([vec![0.0; 12], scores()], "item 1, output found", "expected 4 numbers for each of 4 boxes in loc, found 12"),
        ([vec![0.0; 16], changed(4, 7.0)], "item 1, output found", "expected scores from 0 to 1, found 7"),
        ([over, scores()], "item 1, output found", "expected boxes of finite numbers, the left upper corner first"),
    ]
    .map(|(values, place, reason)| (values, [place, reason]))
    {
        let error = asked_of(&head(options()), &values, BoxOptions::default(), &MemoryShare::unbounded());
        let error = error.expect_err("no boxes").to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}, expected {expected:?}");
    }
}

#[test]
fn memory_is_taken_before_and_what_stays_is_kept() {
    let boxes = 10_000;
    let many = DetectionOutput { most: Some(1), overlap_threshold: 1.0, most_of_a_class: Some(10), ..options() };
    let decoding =
        Decoding { priors: vec![[0.0, 0.0, 1.0, 1.0]; boxes], variances: vec![[1.0; 4]; boxes], ..head(many).decoding };
    let head = DetectionOutputHead::new("found".to_owned(), decoding);
    let values = [vec![0.0; 4 * boxes], [0.0, 0.5, 0.5].repeat(boxes)];
    let small = RequestMemory::new(256 << 10);
    let error = asked_of(&head, &values, BoxOptions::default(), &small.share()).expect_err("more than there is");
    assert!(matches!(error, Error::TooLarge(_)), "{error}");
    let large = RequestMemory::new(4 << 20);
    let share = large.share();
    for _ in 0..50 {
        assert_eq!(asked_of(&head, &values, BoxOptions::default(), &share).expect("given back each time").len(), 1);
    }
}

/// So many of these numbers, again and again.
fn of(numbers: &[f32], count: usize) -> Vec<f32> {
    numbers.iter().copied().cycle().take(count).collect()
}

proptest! {
    #[test]
    fn any_layer_answers_boxes_of_its_image_or_says_why_not(
        (classes, boxes) in (1..4_usize, 0..6_usize),
        (share_location, variance_in_offsets) in (any::<bool>(), any::<bool>()),
        background in option::of(0..4_usize),
        code in select(vec![BoxCode::Corner, BoxCode::CenterSize, BoxCode::CornerSize]),
        (confidence_threshold, refinement) in (option::of(any::<f32>()), option::of(any::<f32>())),
        (overlap_threshold, overlap_decay) in (any::<f32>(), 0.0_f32..=1.0),
        (most_of_a_class, most) in (option::of(1..9_usize), option::of(1..9_usize)),
        (offsets, scores) in (vec(any::<f32>(), 1..40), vec(-0.1_f32..1.1, 1..20)),
        asked in (0.0_f32..=1.0, option::of(0.0_f32..=1.0), option::of(0..9_usize)),
    ) {
        let options = DetectionOutput {
            classes, share_location, background, code, variance_in_offsets, confidence_threshold, overlap_threshold,
            overlap_decay, most_of_a_class, most, refinement,
        };
        let threshold = options.confidence_threshold;
        let decoding = head(options).decoding;
        let (priors, variances) = (of(&scores, 4 * boxes), of(&offsets, 4 * boxes));
        let [priors, variances] = [priors, variances].map(|numbers| numbers.as_chunks::<4>().0.to_vec());
        let head = DetectionOutputHead::new("found".to_owned(), Decoding { priors, variances, ..decoding });
        let of_offsets = if share_location { 4 } else { 4 * classes };
        let mut values = vec![of(&offsets, boxes * of_offsets), of(&scores, boxes * classes)];
        if refinement.is_some() {
            values.extend([of(&scores, boxes * 2), of(&offsets, boxes * 4)]);
        }
        let (least_score, most_overlap, candidates) = asked;
        let asked = BoxOptions { least_score, most_overlap, candidates };
        if let Ok(found) = asked_of(&head, &values, asked, &MemoryShare::unbounded()) {
            prop_assert!(found.len() <= most.unwrap_or(usize::MAX).min(boxes * classes));
            prop_assert!(found.len() <= candidates.unwrap_or(usize::MAX));
            prop_assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
            for Detection { class, score, corners } in found {
                prop_assert!(class < classes && Some(class) != background);
                prop_assert!(score >= least_score && threshold.is_none_or(|threshold| score > threshold));
                let Corners { xmin, ymin, xmax, ymax } = corners;
                prop_assert!([xmin, ymin, xmax, ymax].iter().all(|corner| (0.0..=8.0).contains(corner)));
                prop_assert!(xmin <= xmax && ymin <= ymax);
            }
        }
    }
}
