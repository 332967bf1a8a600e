//! Every key of `parameters.output` (contract.md 4 to 6).

use dede_model::parameters::keys::{Key, KeyTable, Moment, Neutral};

/// What renders answers and measures them, and what outputs of later versions will.
pub const KEYS: KeyTable = KeyTable(&[&APPLIED, &BOXES, &MASKS, &DETECTION, &OTHER_TASKS, &SIMILARITY, &FILES]);

const APPLIED: [Key; 13] = [
    Key::applied("best", Moment::Predict),
    Key::applied("confidence_threshold", Moment::Predict),
    Key::applied("measure", Moment::Each),
    Key::applied("binarized", Moment::Predict),
    Key::applied("bool_binarized", Moment::Predict),
    Key::applied("string_binarized", Moment::Predict),
    Key::applied("template", Moment::Predict),
    Key::applied("network.url", Moment::Predict),
    Key::applied("network.http_method", Moment::Predict),
    Key::applied("network.content_type", Moment::Predict),
    Key::applied("regression", Moment::Each),
    Key::applied("measure_hist", Moment::Training),
    Key::applied("max_hist_points", Moment::Training),
];

/// Which boxes are answered.
const BOXES: [Key; 4] = [
    Key::applied("bbox", Moment::Each),
    Key::applied("best_bbox", Moment::Predict),
    Key::applied("nms_threshold", Moment::Predict),
    Key::applied("top_k", Moment::Predict),
];

/// What is answered of masks.
const MASKS: [Key; 2] = [Key::applied("segmentation", Moment::Each), Key::applied("confidences", Moment::Predict)];

/// What there is of boxes besides.
const DETECTION: [Key; 4] =
    [Key::not_yet("mask"), Key::not_yet("keypoints"), Key::not_yet("rois"), Key::not_yet("multibox_rois")];

/// Texts, images, raw scores.
const OTHER_TASKS: [Key; 6] = [
    Key::not_yet("ctc"),
    Key::not_yet("blank_label").unless(&[Neutral::Number(-1.0)]),
    Key::not_yet("image"),
    Key::not_yet("encoding").unless(&[Neutral::Off, Neutral::Text(".png")]),
    Key::not_yet("logits"),
    Key::not_yet("logits_blob"),
];

/// Search for similar items.
const SIMILARITY: [Key; 11] = [
    Key::not_yet("index"),
    Key::not_yet("build_index"),
    Key::not_yet("search"),
    Key::not_yet("search_nn"),
    Key::not_yet("index_type").unless(&[Neutral::Off, Neutral::Text("Flat")]),
    Key::not_yet("train_samples").unless(&[Neutral::Number(100_000.0)]),
    Key::not_yet("ondisk").unless(&[Neutral::On]),
    Key::not_yet("nprobe"),
    Key::not_yet("index_gpu"),
    Key::not_yet("index_gpuid").unless(&[Neutral::Off, Neutral::Number(0.0)]),
    Key::not_yet("index_uri"),
];

/// What is written besides.
const FILES: [Key; 3] = [
    Key::without_effect("store_config", "config.json is written in any case"),
    Key::not_yet("target_repository"),
    Key::not_yet("test_predictions"),
];
