//! Every key of `parameters.output` (contract.md 4 to 6).

use dede_model::parameters::keys::{Key, KeyTable, Moment, Neutral};

/// What renders answers and measures them, and what outputs of later versions will.
pub const KEYS: KeyTable = KeyTable(&[&APPLIED, &DETECTION, &OTHER_TASKS, &SIMILARITY, &FILES]);

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

/// Boxes.
const DETECTION: [Key; 8] = [
    Key::not_yet("bbox"),
    Key::not_yet("best_bbox").unless(&[Neutral::Off, Neutral::Number(-1.0)]),
    Key::not_yet("nms_threshold").unless(&[Neutral::Number(0.45), Neutral::Number(NMS_THRESHOLD)]),
    Key::not_yet("top_k").unless(&[Neutral::Off, Neutral::Number(-1.0)]),
    Key::not_yet("mask"),
    Key::not_yet("keypoints"),
    Key::not_yet("rois"),
    Key::not_yet("multibox_rois"),
];

/// The default as the original shows it: a number of single precision.
const NMS_THRESHOLD: f64 = 0.45_f32 as f64;

/// Segments, texts, images, raw scores.
const OTHER_TASKS: [Key; 8] = [
    Key::not_yet("segmentation"),
    Key::not_yet("confidences"),
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
