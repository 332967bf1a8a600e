//! Classifiers of `ai.onnx.ml`: how many scores they make, and trees that end in shares of votes (forests of scikit-learn, which no
//! `post_transform` marks).
//!
//! It owns the arithmetic that makes that certain. It must not know graphs.

use std::collections::{HashMap, HashSet};

use crate::neural::onnx_view::NodeView;

/// What rounding of shares leaves, for one tree; their weights are 32-bit floats.
const TOLERANCE: f64 = 1e-4;

/// Number of classes of a classifier, by the names it gives them.
pub(super) fn classes(node: &NodeView<'_>) -> Option<usize> {
    let numbers = node.attribute("classlabels_int64s").or_else(|| node.attribute("classlabels_ints"));
    let texts = node.attribute("classlabels_strings").map_or(0, |names| names.texts);
    let count = numbers.map_or(0, |numbers| numbers.integers.len()).max(texts);
    (count > 0).then_some(count)
}

/// Whether a classifier makes a score for each class, so that its `post_transform` is that of all of them. A single score of two classes
/// is answered beside its negative, or beside what it lacks to 1, and no softmax is taken then.
pub(super) fn has_score_of_each(node: &NodeView<'_>) -> bool {
    let count = |name: &str| node.attribute(name).map_or(0, |attribute| attribute.floats.len());
    match (node.op, classes(node)) {
        (_, None) => false,
        ("LinearClassifier", Some(classes)) => count("intercepts") == classes,
        ("SVMClassifier", Some(2)) => count("prob_a") > 0 && count("prob_b") > 0,
        ("TreeEnsembleClassifier", Some(2)) => scores_second_class(node),
        (_, Some(_)) => true,
    }
}

/// Whether a machine of support vectors makes no score for each class, but one for each two of several.
pub(super) fn scores_pairs(node: &NodeView<'_>) -> bool {
    let has = |name: &str| node.attribute(name).is_some_and(|attribute| !attribute.floats.is_empty());
    classes(node) != Some(2) && !(has("prob_a") && has("prob_b"))
}

/// Whether there is a tree each leaf of which has a weight for the second class: without one the first is the only score.
fn scores_second_class(node: &NodeView<'_>) -> bool {
    let integers = |name: &str| node.attribute(name).map_or(&[][..], |attribute| attribute.integers.as_slice());
    let (trees, leaves, of_classes) = (integers("class_treeids"), integers("class_nodeids"), integers("class_ids"));
    let mut scored: HashMap<i64, HashSet<i64>> = HashMap::new();
    for ((&tree, &leaf), _) in trees.iter().zip(leaves).zip(of_classes).filter(|(_, class)| **class == 1) {
        scored.entry(tree).or_default().insert(leaf);
    }
    let mut nodes: HashMap<i64, usize> = HashMap::new();
    integers("nodes_treeids").iter().for_each(|&tree| *nodes.entry(tree).or_default() += 1);
    // Each node that is no leaf has two others below it.
    scored.iter().any(|(tree, scored)| nodes.get(tree).is_some_and(|&nodes| 2 * scored.len() == nodes + 1))
}

/// Whether whatever leaf each tree ends in, the weights of all classes sum to 1 and none is negative. Of two classes one may be left
/// out: then its weight is what lacks to 1.
pub(super) fn are_votes(node: &NodeView<'_>) -> bool {
    let integers = |name: &str| node.attribute(name).map_or(&[][..], |attribute| attribute.integers.as_slice());
    let floats = |name: &str| node.attribute(name).map_or(&[][..], |attribute| attribute.floats.as_slice());
    let (trees, leaves, weights) = (integers("class_treeids"), integers("class_nodeids"), floats("class_weights"));
    if weights.is_empty() || trees.len() != weights.len() || leaves.len() != weights.len() {
        return false;
    }
    let starts_from = |name: &str| node.attribute(name).is_some_and(|attribute| attribute.tensor.is_some());
    // Votes begin at these; weights in double precision are instead of those read here.
    if starts_from("base_values_as_tensor") || starts_from("class_weights_as_tensor") {
        return false;
    }
    if !floats("base_values").is_empty() || weights.iter().any(|weight| weight.is_nan() || *weight < 0.0) {
        return false;
    }
    let is_partial = classes(node) == Some(2) && !integers("class_ids").is_empty();
    let mut of_leaves: HashMap<(i64, i64), f64> = HashMap::new();
    for ((&tree, &leaf), &weight) in trees.iter().zip(leaves).zip(weights) {
        *of_leaves.entry((tree, leaf)).or_default() += f64::from(weight);
    }
    let of_classes = integers("class_ids");
    let is_one = of_classes.len() == weights.len() && of_classes.iter().all(|&class| class == 0);
    if classes(node) == Some(2) && is_one {
        let mut largest: HashMap<i64, f64> = HashMap::new();
        for (&(tree, _), &sum) in &of_leaves {
            let largest = largest.entry(tree).or_insert(sum);
            *largest = largest.max(sum);
        }
        return largest.values().sum::<f64>() <= 1.0 + TOLERANCE * largest.len() as f64;
    }
    if is_partial && !scores_second_class(node) {
        return false;
    }
    let mut of_trees: HashMap<i64, f64> = HashMap::new();
    for (&(tree, _), &sum) in &of_leaves {
        let first = *of_trees.entry(tree).or_insert(sum);
        if (sum - first).abs() > TOLERANCE {
            return false;
        }
    }
    (of_trees.values().sum::<f64>() - 1.0).abs() <= TOLERANCE * of_trees.len() as f64
}
