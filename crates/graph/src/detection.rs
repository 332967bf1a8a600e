//! A detector without its last layer: what an engine computes, and what is left to decode. It owns where a graph is cut and the
//! boxes that are known before any image is; decoding is done where answers are made.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::layer::Layer;
use crate::operations::{BoxCode, DetectionOutput, Operation};
use crate::shape::Shape;

/// Most values that the boxes of a detector are joined from; SSD has 6 or 7.
const MOST_PIECES: usize = 4096;

/// Four numbers for each box.
type Fours = Vec<[f32; 4]>;

/// What a network's [`DetectionOutput`] makes of the values that it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoding {
    /// The layer's name, for messages.
    pub layer: String,
    /// What it asks for.
    pub options: DetectionOutput,
    /// The values to compute: offsets and scores, where they are refined then the first scores and offsets.
    pub values: Vec<String>,
    /// The boxes that offsets refer to: corners `left, top, right, bottom` in shares of the image. Where extents count they are
    /// above 0.
    pub priors: Vec<[f32; 4]>,
    /// The four variances of each of them.
    pub variances: Vec<[f32; 4]>,
}

impl Graph {
    /// What is left to decode where a detector's last layer makes `value`; `None` where another layer makes it.
    ///
    /// # Errors
    /// As [`Graph::shapes`]; names the layer whose boxes depend on more than extents, or are none.
    pub fn decoding(&self, value: &str) -> Result<Option<Decoding>> {
        let Some(node) = self.producer(value) else { return Ok(None) };
        let Layer::Operation(Operation::DetectionOutput(options)) = &node.layer else { return Ok(None) };
        let shapes = self.shapes()?;
        let [offsets, scores, boxes, first @ ..] = node.inputs.as_slice() else {
            return Err(Error::layer(&node.name, "offsets, scores and boxes expected"));
        };
        let (priors, variances) = self.known_boxes(boxes, &shapes)?;
        check_boxes(&priors, options.code).map_err(|message| Error::layer(&node.name, message))?;
        let values: Vec<String> = [offsets, scores].into_iter().chain(first).cloned().collect();
        if let Some((_, twice)) = values.iter().enumerate().find(|(place, value)| values[..*place].contains(value)) {
            let message = format!("offsets and scores should be values of their own, found {twice:.64} twice");
            return Err(Error::layer(&node.name, message));
        }
        Ok(Some(Decoding { layer: node.name.clone(), options: options.clone(), values, priors, variances }))
    }

    /// Leaves of the network what makes `values`, which become its outputs.
    pub fn cut_to(&mut self, values: Vec<String>) {
        let mut wanted: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        let mut kept = BTreeSet::new();
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|output| wanted.contains(output.as_str())) {
                wanted.extend(node.inputs.iter().map(String::as_str));
                kept.insert(place);
            }
        }
        self.inputs.retain(|input| wanted.contains(input.name.as_str()));
        let nodes: Vec<Node> = std::mem::take(&mut self.nodes);
        let is_kept = |(place, node): (usize, Node)| kept.contains(&place).then_some(node);
        self.nodes = nodes.into_iter().enumerate().filter_map(is_kept).collect();
        self.outputs = values;
    }

    /// Corners and variances of a value that is made of PriorBox layers side by side.
    fn known_boxes(&self, value: &str, shapes: &BTreeMap<String, Shape>) -> Result<(Fours, Fours)> {
        let (mut corners, mut variances) = (Vec::new(), Vec::new());
        // The values that are still to be joined, the next one last.
        let (mut left, mut pieces) = (vec![value], 0);
        while let Some(value) = left.pop() {
            let Some(node) = self.producer(value) else {
                return Err(Error::Network(format!("{value:.64} should be boxes, and is an input")));
            };
            pieces += 1;
            if pieces > MOST_PIECES {
                return Err(Error::layer(
                    &node.name,
                    format!("boxes should be joined from at most {MOST_PIECES} values"),
                ));
            }
            if let Layer::Operation(Operation::PriorBox(layer)) = &node.layer {
                let map = node.inputs.first().and_then(|map| shapes.get(map)).and_then(Shape::as_image);
                let Some((_, height, width)) = map else {
                    return Err(Error::layer(&node.name, "its first input should be an image"));
                };
                let boxes = layer.boxes([height, width]).map_err(|message| Error::layer(&node.name, message))?;
                let (of_boxes, of_variances) = boxes.split_at(boxes.len() / 2);
                corners.extend_from_slice(of_boxes.as_chunks::<4>().0);
                variances.extend_from_slice(of_variances.as_chunks::<4>().0);
            } else if let Layer::Concat { axis: 2 } | Layer::Split = &node.layer {
                left.extend(node.inputs.iter().rev().map(String::as_str));
            } else {
                let message = format!("boxes made by a {} are not known before an image is", node.layer.kind());
                return Err(Error::layer(&node.name, message));
            }
        }
        Ok((corners, variances))
    }
}

/// That boxes are numbers and, where offsets are counted in their extents, have extents: Caffe stops at others.
fn check_boxes(priors: &[[f32; 4]], code: BoxCode) -> std::result::Result<(), String> {
    let counts_extents = match code {
        BoxCode::Corner => false,
        BoxCode::CenterSize | BoxCode::CornerSize => true,
    };
    let is_right = |[left, top, right, bottom]: &[f32; 4]| {
        let (width, height) = (right - left, bottom - top);
        let is_finite = width.is_finite() && height.is_finite();
        is_finite && (!counts_extents || (width > 0.0 && height > 0.0))
    };
    match priors.iter().position(|prior| !is_right(prior)) {
        None => Ok(()),
        Some(place) => {
            let found = priors.get(place).copied().unwrap_or_default();
            Err(format!(
                "box {} of its third input should be finite and wider and higher than 0, found {found:?}",
                place + 1
            ))
        }
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
        let decoding = graph.decoding("found").unwrap().expect("a detector");
        assert_eq!(decoding.values, ["loc", "conf"]);
        assert_eq!((decoding.layer.as_str(), decoding.options.most), ("found", Some(10)));
        // 16 places of the first map, then 4 of the second.
        let found = (decoding.priors.len(), decoding.priors[0], decoding.priors[16]);
        assert_eq!(found, (20, [0.0, 0.0, 0.25, 0.25], [0.0, 0.0, 0.5, 0.5]));
        assert_eq!(decoding.variances, [[0.1; 4]; 20]);
        assert_eq!(graph.decoding("loc"), Ok(None));
        graph.cut_to(decoding.values);
        assert_eq!(graph.outputs, ["loc", "conf"]);
        assert!(graph.nodes.iter().all(|node| !["PriorBox", "DetectionOutput"].contains(&node.layer.kind())));
        export(&graph, &ExportOptions::default()).unwrap();
        graph.cut_to(vec!["a_loc".to_owned()]);
        let kept: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!((kept, graph.inputs.len()), (vec!["a", "a_loc"], 1));
    }

    #[test]
    fn boxes_that_depend_on_the_image_and_wrong_counts_are_refused() {
        let boxes = "layer { name: 'joined' type: 'Concat' bottom: 'a_box' bottom: 'b_box' top: 'joined' concat_param { axis: 2 } }
            layer { name: 'boxes' type: 'Power' bottom: 'joined' top: 'boxes' power_param { scale: 2 } }";
        let graph = parse_network(&detector(boxes, ""), &NetworkOptions::default()).unwrap();
        let error = graph.decoding("found").unwrap_err().to_string();
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
        let decoding = graph.decoding("found").unwrap().expect("a detector");
        assert_eq!(decoding.values, ["loc", "conf", "arm_conf", "arm_loc"]);
        assert_eq!(decoding.options.refinement, Some(0.25));
        let exchanged = text.replace("bottom: 'arm_conf' bottom: 'arm_loc'", "bottom: 'arm_loc' bottom: 'arm_conf'");
        let error = parse_network(&exchanged, &NetworkOptions::default()).unwrap_err().to_string();
        assert!(error.contains("fourth input, first scores, should have 2 values for each of 20 boxes"), "{error}");
        let twice = text.replace("bottom: 'arm_loc' top: 'found'", "bottom: 'loc' top: 'found'");
        let graph = parse_network(&twice, &NetworkOptions::default()).unwrap();
        let error = graph.decoding("found").unwrap_err().to_string();
        assert_eq!(error, "layer found: offsets and scores should be values of their own, found loc twice");
        let apart = text.replace("objectness_score: 0.25", "share_location: false");
        let error = parse_network(&apart, &NetworkOptions::default()).unwrap_err().to_string();
        assert!(error.contains("share_location should be true"), "{error}");
    }

    /// Numbers of the first map's boxes, and of the last layer.
    fn of(prior_box: &str, detection_output: &str) -> crate::Result<Option<super::Decoding>> {
        let text = detector(JOINED, detection_output).replace("min_size: 2 }", &format!("min_size: 2 {prior_box} }}"));
        parse_network(&text, &NetworkOptions::default())?.decoding("found")
    }

    #[test]
    fn boxes_without_extents_are_refused_where_these_count() {
        // Their places are beyond the image, and what is beyond is cut off.
        for (code, is_read) in [("CORNER", true), ("CENTER_SIZE", false), ("CORNER_SIZE", false)] {
            let found = of("offset: 100 clip: true", &format!("code_type: {code}"));
            assert_eq!(found.is_ok(), is_read, "{code}: {found:?}");
            let error = found.err().map(|error| error.to_string()).unwrap_or_default();
            let expected = "layer found: box 1 of its third input should be finite and wider and higher than 0, found [1.0, 1.0, 1.0, 1.0]";
            assert!(is_read || error == expected, "{error}");
        }
        let error = of("offset: 3e38", "").unwrap_err().to_string();
        assert!(error.contains("should be finite"), "{error}");
    }

    #[test]
    fn more_work_than_an_image_is_worth_is_refused() {
        let many = |extent: usize, beside: &str| {
            let text =
                detector(JOINED, beside).replace("dim: [1, 3, 8, 8]", &format!("dim: [1, 3, {extent}, {extent}]"));
            parse_network(&text, &NetworkOptions::default()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(many(256, ""), Ok(()));
        let error = many(512, "").unwrap_err();
        let expected = "layer found: nms_param.top_k should be there: 2 classes of 81920 boxes each are compared in up to 6710804480 pairs, \
                        at most 2147483648 expected";
        assert_eq!(error, expected);
        assert_eq!(many(512, "nms_param { top_k: 400 }"), Ok(()));
        let error = many(8192, "nms_param { top_k: 400 }").unwrap_err();
        assert!(error.contains("at most 1048576 boxes, found 20971520"), "{error}");
        let error = many(65_536, "").unwrap_err();
        assert!(error.contains("elements") || error.contains("at most"), "{error}");
    }
}
