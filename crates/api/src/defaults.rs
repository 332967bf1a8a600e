//! Creation parameters as GET /services shows them: the members the original knows, its defaults filled in (contract.md 1.1).
//!
//! These defaults are what is shown, not what is used: what is used is known to connectors and backends alone.

use serde_json::{Value, json};

use crate::Object;
use crate::requests::RequestParameters;

/// Members of `parameters.input` that are shown when they were sent.
const INPUT: &[&str] = &[
    "width",
    "height",
    "crop_width",
    "crop_height",
    "bw",
    "rgb",
    "unchanged_data",
    "histogram_equalization",
    "mean",
    "std",
    "scale",
    "scaled",
    "scale_min",
    "scale_max",
    "interp",
    "keep_orig",
    "test_split",
    "shuffle",
    "seed",
    "label",
    "label_offset",
    "id",
    "separator",
    "quote",
    "ignore",
    "categoricals",
    "scale_type",
    "root_folder",
    "cuda",
    "layout",
];

/// Members of `parameters.mllib` that are shown when they were sent, besides those that are always shown.
const MLLIB: &[&str] = &[
    "class_weights",
    "ignore_label",
    "output",
    "outputBlob",
    "output_activation",
    "solver",
    "template_params",
    "loss_weight",
];

/// Members of `parameters.output` that are shown when they were sent, besides those that are always shown.
const OUTPUT: &[&str] = &["best", "search_nn", "template", "network", "encoding", "rois"];

/// The three sections of a creation, as they are shown.
pub fn creation_parameters(sent: &RequestParameters) -> Object {
    let mut shown = Object::new();
    shown.insert("input".into(), filled(&input_defaults(), &sent.input, INPUT));
    shown.insert("mllib".into(), filled(&mllib_defaults(), &sent.mllib, MLLIB));
    shown.insert("output".into(), filled(&output_defaults(), &sent.output, OUTPUT));
    shown
}

/// GET /info writes `gpuid` as a number where GET /services writes a list.
pub fn with_single_gpuid(parameters: &mut Object) {
    if let Some(Value::Object(mllib)) = parameters.get_mut("mllib")
        && let Some(gpuid) = mllib.get_mut("gpuid")
        && let Some(first) = gpuid.as_array().filter(|ids| ids.len() == 1).and_then(|ids| ids.first().cloned())
    {
        *gpuid = first;
    }
}

fn filled(defaults: &Value, sent: &Object, also: &[&str]) -> Value {
    let mut shown = defaults.as_object().cloned().unwrap_or_default();
    for (key, value) in sent {
        if key == "net" {
            let net = shown.entry("net").or_insert_with(|| Value::Object(Object::new()));
            merge(net, value);
        } else if key == "gpuid" && value.is_number() {
            shown.insert(key.clone(), Value::Array(vec![value.clone()]));
        } else if shown.contains_key(key) || also.contains(&key.as_str()) {
            shown.insert(key.clone(), value.clone());
        }
    }
    Value::Object(shown)
}

fn merge(below: &mut Value, above: &Value) {
    if let (Value::Object(below), Value::Object(above)) = (below, above) {
        below.extend(above.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

fn input_defaults() -> Value {
    json!({"connector": "", "timeout": -1, "continuation": false})
}

fn mllib_defaults() -> Value {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "nclasses": 0, "ntargets": 0, "segmentation": false, "ctc": false, "template": "", "gpu": false, "gpuid": [0],
        "finetuning": false, "datatype": "fp32", "extract_layer": "", "net": {"test_batch_size": 1}, "self_supervised": "",
        "embedding_size": 768, "freeze_traced": false, "loss": "", "timesteps": -1, "multi_label": false,
        "concurrent_predict": true, "forward_method": "", "calibration": false, "threads": threads, "lightmode": true,
        "inputBlob": "data",
    })
}

fn output_defaults() -> Value {
    json!({
        "store_config": false, "bbox": false, "ctc": false, "confidence_threshold": 0.0, "best_bbox": -1,
        "nms_threshold": f64::from(0.45_f32), "top_k": -1, "image": false, "measure": [], "binarized": false,
        "bool_binarized": false, "string_binarized": false, "index": false, "build_index": false, "search": false,
        "index_gpu": false, "blank_label": -1, "regression": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in_and_unknown_members_left_out() {
        let sent = RequestParameters {
            input: json!({"connector": "image", "width": 64, "db": true}).as_object().cloned().expect("an object"),
            mllib: json!({"nclasses": 3, "layers": [16], "net": {"batch_size": 4}, "gpuid": 1})
                .as_object()
                .cloned()
                .expect("an object"),
            output: Object::new(),
        };
        let mut shown = creation_parameters(&sent);
        assert_eq!(shown["input"], json!({"connector": "image", "timeout": -1, "continuation": false, "width": 64}));
        assert_eq!(shown["mllib"]["nclasses"], 3);
        assert_eq!(shown["mllib"]["net"], json!({"test_batch_size": 1, "batch_size": 4}));
        assert_eq!(shown["mllib"]["gpuid"], json!([1]));
        assert!(shown["mllib"].get("layers").is_none());
        assert_eq!(shown["output"]["measure"], json!([]));
        with_single_gpuid(&mut shown);
        assert_eq!(shown["mllib"]["gpuid"], json!(1));
    }
}
