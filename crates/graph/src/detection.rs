//! A detector without its last layer: what an engine computes, and what is left to decode. It owns where a graph is cut and the
//! boxes that are known before any image is; decoding is done where answers are made.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::layer::Layer;
use crate::operations::{DetectionOutput, Operation};
use crate::shape::Shape;

/// What a network's [`DetectionOutput`] makes of the values that it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoding {
    /// The layer's name, for messages.
    pub layer: String,
    /// What it asks for.
    pub options: DetectionOutput,
    /// The boxes that offsets refer to: `4 * boxes` corners `left, top, right, bottom` in shares of the image, then as many
    /// variances.
    pub priors: Vec<f32>,
}

impl Graph {
    /// The network up to a detector's last layer, and what that layer asks for; `None` where the first output is made by another
    /// layer. Outputs of the network returned: offsets and scores, where they are refined then the first scores and offsets.
    ///
    /// # Errors
    /// As [`Graph::shapes`]; names the layer whose boxes depend on more than extents.
    pub fn without_detection_output(&self) -> Result<Option<(Self, Decoding)>> {
        let Some(node) = self.producer(self.output()) else { return Ok(None) };
        let Layer::Operation(Operation::DetectionOutput(options)) = &node.layer else { return Ok(None) };
        let shapes = self.shapes()?;
        let [offsets, scores, boxes, first @ ..] = node.inputs.as_slice() else {
            return Err(Error::layer(&node.name, "offsets, scores and boxes expected"));
        };
        let priors = self.known_boxes(boxes, &shapes)?;
        let outputs = [offsets, scores].into_iter().chain(first).cloned().collect();
        let decoding = Decoding { layer: node.name.clone(), options: options.clone(), priors };
        Ok(Some((self.up_to(outputs), decoding)))
    }

    /// The values that `outputs` depend on, and the inputs and weights that these need.
    fn up_to(&self, outputs: Vec<String>) -> Self {
        let mut wanted: BTreeSet<String> = outputs.iter().cloned().collect();
        let mut nodes: Vec<Node> = Vec::new();
        for node in self.nodes.iter().rev().filter(|node| !node.outputs.is_empty()) {
            if node.outputs.iter().any(|output| wanted.contains(output)) {
                wanted.extend(node.inputs.iter().cloned());
                nodes.push(node.clone());
            }
        }
        nodes.reverse();
        let inputs = self.inputs.iter().filter(|input| wanted.contains(&input.name)).cloned().collect();
        Self { name: self.name.clone(), inputs, nodes, outputs, weights: self.weights.clone() }
    }

    /// Corners, then variances, of a value that is made of PriorBox layers side by side.
    fn known_boxes(&self, value: &str, shapes: &BTreeMap<String, Shape>) -> Result<Vec<f32>> {
        let (mut corners, mut variances) = (Vec::new(), Vec::new());
        // The values that are still to be joined, the next one last.
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            let Some(node) = self.producer(value) else {
                return Err(Error::Network(format!("{value:.64} should be boxes, and is an input")));
            };
            if let Layer::Operation(Operation::PriorBox(layer)) = &node.layer {
                let map = node.inputs.first().and_then(|map| shapes.get(map)).and_then(Shape::as_image);
                let Some((_, height, width)) = map else {
                    return Err(Error::layer(&node.name, "its first input should be an image"));
                };
                let mut boxes = layer.boxes([height, width]).map_err(|message| Error::layer(&node.name, message))?;
                variances.extend(boxes.split_off(boxes.len() / 2));
                corners.append(&mut boxes);
            } else if let Layer::Concat { axis: 2 } | Layer::Split = &node.layer {
                left.extend(node.inputs.iter().rev().map(String::as_str));
            } else {
                let message = format!("boxes made by a {} are not known before an image is", node.layer.kind());
                return Err(Error::layer(&node.name, message));
            }
        }
        corners.append(&mut variances);
        Ok(corners)
    }
}

#[cfg(test)]
mod tests {
    use crate::caffe::{NetworkOptions, parse_network};
    use crate::onnx::{ExportOptions, export};

    /// A detector of two feature maps, with this in place of the joined boxes.
    fn detector(boxes: &str, beside: &str) -> String {
        let mut text = "input: 'data' input_shape { dim: [1, 3, 8, 8] }".to_owned();
        for (name, stride) in [("a", 2), ("b", 4)] {
            text += &format!(
                "layer {{ name: '{name}' type: 'Pooling' bottom: 'data' top: '{name}' pooling_param {{ kernel_size: {stride} stride: {stride} }} }}"
            );
            for (what, outputs) in [("loc", 4), ("conf", 3)] {
                let value = format!("{name}_{what}");
                text += &format!(
                    "layer {{ name: '{value}' type: 'Convolution' bottom: '{name}' top: '{value}' convolution_param {{ num_output: {outputs} kernel_size: 1 }} }}
                     layer {{ name: '{value}_perm' type: 'Permute' bottom: '{value}' top: '{value}_perm' permute_param {{ order: [0, 2, 3, 1] }} }}
                     layer {{ name: '{value}_flat' type: 'Flatten' bottom: '{value}_perm' top: '{value}_flat' }}"
                );
            }
            text += &format!(
                "layer {{ name: '{name}_box' type: 'PriorBox' bottom: '{name}' bottom: 'data' top: '{name}_box' prior_box_param {{ min_size: {stride} }} }}"
            );
        }
        for what in ["loc", "conf"] {
            text += &format!(
                "layer {{ name: '{what}' type: 'Concat' bottom: 'a_{what}_flat' bottom: 'b_{what}_flat' top: '{what}' }}"
            );
        }
        format!(
            "{text} {boxes} layer {{ name: 'found' type: 'DetectionOutput' bottom: 'loc' bottom: 'conf' bottom: 'boxes' top: 'found'
             detection_output_param {{ num_classes: 3 keep_top_k: 10 {beside} }} }}"
        )
    }

    const JOINED: &str =
        "layer { name: 'boxes' type: 'Concat' bottom: 'a_box' bottom: 'b_box' top: 'boxes' concat_param { axis: 2 } }";

    #[test]
    fn a_detector_is_cut_before_its_last_layer() {
        let mut graph = parse_network(&detector(JOINED, ""), &NetworkOptions::default()).unwrap();
        graph.initialize(|| 0.5).unwrap();
        assert_eq!(graph.shapes().unwrap()["found"].dims(), [10, 7]);
        let whole = export(&graph, &ExportOptions::default()).unwrap_err().to_string();
        assert!(whole.contains("layer a_box") && whole.contains("where detections are decoded"), "{whole}");
        let (network, decoding) = graph.without_detection_output().unwrap().expect("a detector");
        assert_eq!(network.outputs, ["loc", "conf"]);
        assert!(network.nodes.iter().all(|node| !["PriorBox", "DetectionOutput"].contains(&node.layer.kind())));
        export(&network, &ExportOptions::default()).unwrap();
        assert_eq!((decoding.layer.as_str(), decoding.options.most), ("found", Some(10)));
        // 16 places of the first map, then 4 of the second.
        let (corners, variances) = decoding.priors.split_at(20 * 4);
        assert_eq!((&corners[..4], &corners[64..68]), (&[0.0, 0.0, 0.25, 0.25][..], &[0.0, 0.0, 0.5, 0.5][..]));
        assert!(variances.len() == 80 && variances.iter().all(|&variance| variance == 0.1));
        assert_eq!(network.without_detection_output(), Ok(None));
    }

    #[test]
    fn boxes_that_depend_on_the_image_and_wrong_counts_are_refused() {
        let boxes = "layer { name: 'joined' type: 'Concat' bottom: 'a_box' bottom: 'b_box' top: 'joined' concat_param { axis: 2 } }
            layer { name: 'boxes' type: 'Power' bottom: 'joined' top: 'boxes' power_param { scale: 2 } }";
        let graph = parse_network(&detector(boxes, ""), &NetworkOptions::default()).unwrap();
        let error = graph.without_detection_output().unwrap_err().to_string();
        assert_eq!(error, "layer boxes: boxes made by a Power are not known before an image is");
        let one = "layer { name: 'boxes' type: 'Split' bottom: 'a_box' top: 'boxes' }";
        let cases = [
            (one, "", "first input, offsets, should have 4 values for each of 16 boxes"),
            (JOINED, "share_location: false", "first input, offsets, should have 12 values for each of 20 boxes"),
            (JOINED, "background_label_id: 3", "background_label_id should be -1 or one of 3 classes, found 3"),
            (JOINED, "objectness_score: 0.1", "objectness_score is for boxes refined in two steps"),
            (JOINED, "nms_param { nms_threshold: -1 }", "nms_threshold should be 0 or more"),
            (JOINED, "nms_param { eta: 2 }", "eta should be above 0 and at most 1"),
            (JOINED, "nms_param { top_k: 0 }", "top_k should be -1 or from 1 to"),
            (JOINED, "code_type: CENTRE", "code_type should be CORNER, CENTER_SIZE or CORNER_SIZE, found CENTRE"),
        ];
        for (boxes, beside, expected) in cases {
            let error = parse_network(&detector(boxes, beside), &NetworkOptions::default()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("layer found"), "{error}\nexpected {expected}");
        }
        let all = detector(JOINED, "").replace("keep_top_k: 10", "keep_top_k: -1");
        let graph = parse_network(&all, &NetworkOptions::default()).unwrap();
        assert_eq!(graph.shapes().unwrap()["found"].dims(), [60, 7]);
    }

    #[test]
    fn a_detector_of_two_steps_gives_the_values_of_both() {
        let first = "layer { name: 'arm_loc' type: 'Power' bottom: 'loc' top: 'arm_loc' }
            layer { name: 'arm_conf' type: 'InnerProduct' bottom: 'loc' top: 'arm_conf' inner_product_param { num_output: 40 } }";
        let five = "bottom: 'boxes' bottom: 'arm_conf' bottom: 'arm_loc' top: 'found'";
        let text = detector(&format!("{JOINED} {first}"), "objectness_score: 0.25")
            .replace("bottom: 'boxes' top: 'found'", five);
        let graph = parse_network(&text, &NetworkOptions::default()).unwrap();
        let (network, decoding) = graph.without_detection_output().unwrap().expect("a detector");
        assert_eq!(network.outputs, ["loc", "conf", "arm_conf", "arm_loc"]);
        assert_eq!(decoding.options.refinement, Some(0.25));
        let exchanged = text.replace("bottom: 'arm_conf' bottom: 'arm_loc'", "bottom: 'arm_loc' bottom: 'arm_conf'");
        let error = parse_network(&exchanged, &NetworkOptions::default()).unwrap_err().to_string();
        assert!(error.contains("fourth input, first scores, should have 2 values for each of 20 boxes"), "{error}");
    }
}
