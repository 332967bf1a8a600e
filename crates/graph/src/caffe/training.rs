//! What Caffe's texts say of a training beyond the network itself: rates of single layers, losses, layers that are there in training
//! alone. A training that trains the network for prediction, all layers alike, follows none of it, so that each is refused by name.

use std::collections::BTreeMap;

use super::layers::{Role, role};
use super::network::{NetworkOptions, parse_network};
use super::text::{Message, Number};
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Checks that the text of a network for prediction freezes no layer: trained further, all of them would change.
///
/// # Errors
/// Names the layer and the line.
pub fn check_nothing_frozen(text: &str) -> Result<()> {
    each_layer(&Message::parse(text)?, |layer| {
        check_numbers(layer, "lr_mult", |rate| rate != 0.0)?;
        check_flags(layer)
    })
}

/// Checks that a text for training describes the training of `served` that there is: the same network, all layers alike, with the loss
/// of its outputs.
///
/// # Errors
/// Names the layer, and the line of a field.
pub fn check_training_network(text: &str, served: &Graph) -> Result<()> {
    let tree = Message::parse(text)?;
    each_layer(&tree, |layer| {
        check_numbers(layer, "lr_mult", |rate| rate == 1.0)?;
        check_numbers(layer, "decay_mult", |rate| rate == 1.0)?;
        check_flags(layer)?;
        check_kind(layer)
    })?;
    let options = NetworkOptions { input_shape: served.inputs.first().map(|input| input.shape.clone()) };
    let found = parse_network(text, &options)?;
    difference(&found, served).map_or(Ok(()), |difference| Err(Error::Network(difference)))
}

fn each_layer(tree: &Message, check: impl Fn(&Message) -> std::result::Result<(), String>) -> Result<()> {
    for layer in tree.messages("layer").chain(tree.messages("layers")) {
        check(layer).map_err(|message| Error::layer(layer.text("name").unwrap_or_default(), message))?;
    }
    Ok(())
}

/// The factors of a layer's weights: `param { lr_mult }` and `param { decay_mult }`, before 2014 `blobs_lr` and `weight_decay`.
fn check_numbers(layer: &Message, name: &str, fits: impl Fn(f32) -> bool) -> std::result::Result<(), String> {
    let older = if name == "lr_mult" { "blobs_lr" } else { "weight_decay" };
    let of_params = layer.messages("param").map(|param| param.numbers::<f32>(name));
    for factor in of_params.chain([layer.numbers(older)]) {
        if let Some(factor) = factor?.into_iter().find(|&factor| !fits(factor)) {
            return Err(format!("it is trained with {name} {factor}, and all layers are trained alike here"));
        }
    }
    Ok(())
}

/// `propagate_down: false` keeps what is before a layer as it is.
fn check_flags(layer: &Message) -> std::result::Result<(), String> {
    match layer.texts("propagate_down").any(|flag| bool::parse(flag) == Some(false)) {
        true => Err("propagate_down false is not supported, as all layers are trained alike here".to_owned()),
        false => Ok(()),
    }
}

/// That the loss is the usual one of classes or values, and that a layer is not for training alone.
fn check_kind(layer: &Message) -> std::result::Result<(), String> {
    let kind = layer.text("type").unwrap_or_default();
    match kind {
        "SoftmaxWithLoss" | "SOFTMAX_LOSS" | "EuclideanLoss" | "EUCLIDEAN_LOSS" => {
            if let Some(weight) = layer.numbers::<f32>("loss_weight")?.into_iter().find(|&weight| weight != 1.0) {
                return Err(format!("loss_weight should be 1, found {weight}"));
            }
            match layer.has("loss_param") {
                true => Err("loss_param is not supported in a training".to_owned()),
                false => Ok(()),
            }
        }
        "Accuracy" | "ACCURACY" => Ok(()),
        _ => match role(kind)? {
            Role::Skipped => Err(format!("a loss of type {kind:.64} is not supported in a training")),
            Role::Network(_) if in_training_alone(layer) => {
                Err("it is there in training alone, which is not supported".to_owned())
            }
            Role::Network(_) | Role::Data(_) | Role::Loss(_) | Role::Silence => Ok(()),
        },
    }
}

fn in_training_alone(layer: &Message) -> bool {
    let named = |rules: &str, phase: [&str; 2]| {
        layer.messages(rules).any(|rule| rule.text("phase").is_some_and(|found| phase.contains(&found)))
    };
    let (train, test) = (["TRAIN", "0"], ["TEST", "1"]);
    (named("include", train) && !named("include", test)) || named("exclude", test)
}

/// The first layer in which `found` computes something else than `served`. Names of layers and values do not count.
fn difference(found: &Graph, served: &Graph) -> Option<String> {
    let shape = |graph: &Graph| graph.inputs.first().map(|input| input.shape.clone());
    if shape(found) != shape(served) {
        return Some("it takes samples of other extents than the network for prediction".to_owned());
    }
    let (places, served_places) = (places(found), places(served));
    let is_same = |index: usize| {
        let (Some(one), Some(other)) = (found.nodes.get(index), served.nodes.get(index)) else { return false };
        let inputs = one.inputs.iter().map(|input| places.get(input.as_str()));
        let served_inputs = other.inputs.iter().map(|input| served_places.get(input.as_str()));
        one.layer == other.layer && inputs.eq(served_inputs)
    };
    let index = (0..found.nodes.len().max(served.nodes.len())).find(|&index| !is_same(index))?;
    let described = |graph: &Graph| {
        let node = graph.nodes.get(index);
        node.map_or_else(|| "nothing".to_owned(), |node| format!("{:.64} ({})", node.name, node.layer.kind()))
    };
    Some(format!(
        "layer {} is {} and {} in the network for prediction, which is the one that is trained here",
        index + 1,
        described(found),
        described(served)
    ))
}

/// The values of a network by the order in which they come.
fn places(graph: &Graph) -> BTreeMap<&str, usize> {
    let inputs = graph.inputs.iter().map(|input| input.name.as_str());
    let made = graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
    inputs.chain(made).enumerate().map(|(place, name)| (name, place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "input: 'data' input_shape { dim: [1, 4] }";

    fn inner(more: &str) -> String {
        format!(
            "layer {{ name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' \
             inner_product_param {{ num_output: 3 }} {more} }}"
        )
    }

    fn served() -> String {
        format!("{HEAD} {} layer {{ name: 'p' type: 'Softmax' bottom: 'ip' top: 'p' }}", inner(""))
    }

    #[test]
    fn frozen_layers_are_named() {
        for (more, expected) in [
            ("", None),
            ("param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }", None),
            ("param { lr_mult: 0 }", Some("layer ip: it is trained with lr_mult 0")),
            ("blobs_lr: 1 blobs_lr: 0", Some("layer ip: it is trained with lr_mult 0")),
            ("propagate_down: false", Some("layer ip: propagate_down false")),
        ] {
            let found = check_nothing_frozen(&format!("{HEAD} {}", inner(more))).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{more}"),
                Some(expected) => assert!(found.as_ref().is_err_and(|found| found.starts_with(expected)), "{found:?}"),
            }
        }
    }

    #[test]
    fn another_training_than_there_is_is_named() {
        let served = parse_network(&served(), &NetworkOptions::default()).unwrap();
        let head = "layer { name: 'd' type: 'Data' top: 'data' top: 'label' }";
        let loss = "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' }";
        let drop = "layer { name: 'drop' type: 'Dropout' bottom: 'ip' top: 'ip' }";
        for (text, expected) in [
            (format!("{head} {} {loss}", inner("")), None),
            (
                format!("{head} {} {}", inner(""), loss.replace("'label' }", "'label' loss_weight: 7 }")),
                Some("layer loss: loss_weight should be 1, found 7"),
            ),
            (
                format!("{head} {} {}", inner(""), loss.replace("SoftmaxWithLoss", "HingeLoss")),
                Some("layer loss: a loss of type HingeLoss"),
            ),
            (
                format!("{head} {} {loss}", inner("param { lr_mult: 2 }")),
                Some("layer ip: it is trained with lr_mult 2"),
            ),
            (format!("{head} {} {drop} {loss}", inner("")), Some("network: layer 2 is drop (Dropout) and p (Softmax)")),
            (
                format!(
                    "{head} {} {} {loss}",
                    inner(""),
                    drop.replace("top: 'ip'", "top: 'ip' include { phase: TRAIN }")
                ),
                Some("layer drop: it is there in training alone"),
            ),
            (
                format!("{head} {} {loss}", inner("").replace("num_output: 3", "num_output: 4")),
                Some("network: layer 1 is ip (InnerProduct) and ip (InnerProduct)"),
            ),
            (format!("{head} {}", inner("")), Some("network: layer 2 is nothing and p (Softmax)")),
        ] {
            let found = check_training_network(&text, &served).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{text}"),
                Some(expected) => assert!(found.as_ref().is_err_and(|found| found.starts_with(expected)), "{found:?}"),
            }
        }
    }
}
