//! What Caffe's texts say of a training beyond the network itself: rates of single layers, losses, layers that are there in training
//! alone. A training that trains the network for prediction, all layers alike, follows none of it, so that each is refused by name.

use std::collections::BTreeMap;

use super::layers::{Role, role};
use super::network::{NetworkOptions, parse_network};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::prototext::{Message, Number};

/// Checks that the text of a network for prediction has all layers trained alike, as they are when it is trained further. The pair that
/// most networks have, a bias of twice the rate and without decay, is taken as such.
///
/// # Errors
/// Names the layer and the factor.
pub fn check_trained_alike(text: &str) -> Result<()> {
    each_layer(&Message::parse(text)?, |layer| {
        for (name, of_bias) in [("lr_mult", 2.0), ("decay_mult", 0.0)] {
            for (position, factor) in factors(layer, name)?.into_iter().enumerate() {
                let usual = factor == 1.0 || (position > 0 && factor == of_bias);
                // Statistics are measured and not trained, whatever their factor is.
                if !(usual || is_statistics(layer)) {
                    return Err(trained_apart(name, factor));
                }
            }
        }
        check_flags(layer)
    })
}

/// Whether the weights of a layer are statistics alone.
fn is_statistics(layer: &Message) -> bool {
    let param = layer.message("batch_norm_param");
    let learns = param.number("scale_bias") == Ok(Some(true)) || param.has("scale_filler") || param.has("bias_filler");
    layer.text("type") == Some("BatchNorm") && !learns
}

/// Checks that a text for training describes the training of `served` that there is: the same network, all layers alike, with the loss
/// of its outputs.
///
/// # Errors
/// Names the layer, and the line of a field.
pub fn check_training_network(text: &str, served: &Graph) -> Result<()> {
    let tree = Message::parse(text)?;
    each_layer(&tree, |layer| {
        check_ones(layer, "lr_mult")?;
        check_ones(layer, "decay_mult")?;
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

/// The factors of a layer's weights, by their order: `param { lr_mult }` and `param { decay_mult }`, before 2014 `blobs_lr` and
/// `weight_decay`.
fn factors(layer: &Message, name: &str) -> std::result::Result<Vec<f32>, String> {
    let older = if name == "lr_mult" { "blobs_lr" } else { "weight_decay" };
    let of_params = layer.messages("param").map(|param| Ok(param.number::<f32>(name)?.unwrap_or(1.0)));
    of_params.chain(layer.numbers(older)?.into_iter().map(Ok)).collect()
}

fn trained_apart(name: &str, factor: f32) -> String {
    format!("it is trained with {name} {factor}, and all layers are trained alike here")
}

/// That a factor of a layer's weights is 1 for each of them; statistics are not trained.
fn check_ones(layer: &Message, name: &str) -> std::result::Result<(), String> {
    let other = factors(layer, name)?.into_iter().find(|&factor| factor != 1.0 && !is_statistics(layer));
    other.map_or(Ok(()), |factor| Err(trained_apart(name, factor)))
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
    fn layers_with_factors_of_their_own_are_named() {
        let statistics = |more: &str| {
            format!(
                "layer {{ name: 'bn' type: 'BatchNorm' bottom: 'data' top: 'bn' param {{ lr_mult: 0 decay_mult: 0 }} \
                 param {{ lr_mult: 0 }} param {{ lr_mult: 0 }} {more} }}"
            )
        };
        for (layer, expected) in [
            (inner(""), None),
            (inner("param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 1 decay_mult: 1 }"), None),
            (inner("param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"), None),
            (inner("param { name: 'w' } param { lr_mult: 2 }"), None),
            (inner("blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0"), None),
            (statistics(""), None),
            (statistics("batch_norm_param { scale_bias: true }"), Some("layer bn: it is trained with lr_mult 0")),
            (inner("param { lr_mult: 0 }"), Some("layer ip: it is trained with lr_mult 0")),
            (inner("param { lr_mult: 2 }"), Some("layer ip: it is trained with lr_mult 2")),
            (inner("param { lr_mult: 10 } param { lr_mult: 20 }"), Some("layer ip: it is trained with lr_mult 10")),
            (inner("param { } param { lr_mult: 20 }"), Some("layer ip: it is trained with lr_mult 20")),
            (inner("param { decay_mult: 0 } param { }"), Some("layer ip: it is trained with decay_mult 0")),
            (inner("param { } param { decay_mult: 2 }"), Some("layer ip: it is trained with decay_mult 2")),
            (inner("blobs_lr: 1 blobs_lr: 0"), Some("layer ip: it is trained with lr_mult 0")),
            (inner("weight_decay: 0"), Some("layer ip: it is trained with decay_mult 0")),
            (inner("propagate_down: false"), Some("layer ip: propagate_down false")),
        ] {
            let found = check_trained_alike(&format!("{HEAD} {layer}")).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{layer}"),
                Some(expected) => {
                    assert!(found.as_ref().is_err_and(|found| found.starts_with(expected)), "{layer}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn statistics_of_a_training_have_any_factor() {
        let norm = "layer { name: 'n' type: 'BatchNorm' bottom: 'data' top: 'ip' param { lr_mult: 0 } }";
        let served = parse_network(&format!("{HEAD} {norm}"), &NetworkOptions::default()).unwrap();
        let head = "layer { name: 'd' type: 'Data' top: 'data' top: 'label' }";
        let trained = format!("{head} {norm} layer {{ name: 'l' type: 'EuclideanLoss' bottom: 'ip' bottom: 'label' }}");
        assert_eq!(check_training_network(&trained, &served), Ok(()));
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
