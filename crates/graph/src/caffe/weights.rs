//! Caffe's weights file (`NetParameter`): it owns which message is which layer, in the present form and in the one before, and
//! that each blob is the weight its layer wants. The parameters of layers that the file repeats are not read: the network's
//! text decides, as in Caffe.

use std::collections::BTreeMap;

use super::batch_norm;
use super::blob::{Blob, Fit};
use super::network::Network;
use super::storage::{MOST_BLOBS, SharedBlob, Storage};
use crate::error::{Error, Result};
use crate::formats;
use crate::graph::{Graph, Node};
use crate::inference::Parameter;
use crate::layer::{BatchNorm, Layer};
use crate::weights::Weight;
use crate::wire::Reader;

/// Fills the weights of a network from a caffemodel, by layer name, and checks that all are there. Layers that the network does
/// not have are passed over.
///
/// # Errors
/// Says where the file is broken, or names the layer whose weights are missing or do not fit.
pub(super) fn fill(network: Network, bytes: &[u8]) -> Result<Graph> {
    let Network { mut graph, storage } = network;
    let layers = read_layers(bytes)?;
    let shapes = graph.shapes()?;
    let mut filled = Vec::new();
    for node in &graph.nodes {
        let Some(layer) = layers.get(node.name.as_bytes()) else { continue };
        let parameters = graph.node_parameters(node, &shapes)?;
        let transposed = storage.transposed.contains(&node.name);
        let weights = layer_weights(node, &parameters, *layer, transposed);
        filled.extend(weights.map_err(|message| Error::layer(&node.name, message))?);
    }
    for (name, weight) in filled {
        graph.weights.insert(name, weight);
    }
    graph.check().map_err(|error| if bytes.is_empty() { nothing_in_it(&error) } else { error })?;
    check_shared(&storage, &layers)?;
    Ok(graph)
}

/// A caffemodel whose network is described elsewhere.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    file: String,
    bytes: Vec<u8>,
}

impl LayerWeights {
    /// Takes a file; `name` is for messages.
    ///
    /// # Errors
    /// Says what the file is instead.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<Self> {
        read_layers(&bytes).map_err(|error| error.in_file(name))?;
        Ok(Self { file: name.to_owned(), bytes })
    }

    /// Puts the weights into the layers of the same names. `head` is the layer that may differ: with one, it and layers that the file
    /// does not have keep the weights they have, and are returned by name.
    ///
    /// # Errors
    /// Names the file, and the layer whose weights are missing or do not fit.
    pub fn put_into(&self, graph: &mut Graph, head: Option<&str>) -> Result<Vec<String>> {
        let matched = self.matched(graph, head).map_err(|error| error.in_file(&self.file))?;
        for (name, weight) in matched.weights {
            graph.weights.insert(name, weight);
        }
        Ok(matched.left)
    }

    fn matched(&self, graph: &Graph, head: Option<&str>) -> Result<Matched> {
        let layers = read_layers(&self.bytes)?;
        let shapes = graph.shapes()?;
        let mut matched = Matched::default();
        for node in &graph.nodes {
            let parameters = graph.node_parameters(node, &shapes)?;
            let Some(first) = parameters.first() else { continue };
            let weights = layers.get(node.name.as_bytes()).map(|layer| layer_weights(node, &parameters, *layer, false));
            match weights.unwrap_or(Ok(Vec::new())) {
                Ok(weights) if !weights.is_empty() => matched.weights.extend(weights),
                Ok(_) if head.is_some() => matched.left.push(node.name.clone()),
                Err(_) if head == Some(&node.name) => matched.left.push(node.name.clone()),
                Ok(_) => return Err(Error::layer(&node.name, format!("weight {} is missing", first.name))),
                Err(message) => return Err(Error::layer(&node.name, message)),
            }
        }
        if matched.weights.is_empty() {
            let names = matched.left.join(", ");
            return Err(Error::Network(format!("expected weights of one of the layers {names}, found none")));
        }
        Ok(matched)
    }
}

/// What a file has for a network.
#[derive(Default)]
struct Matched {
    /// Weights that fit, by name.
    weights: Vec<(String, Weight)>,
    /// Layers that keep the weights they have.
    left: Vec<String>,
}

/// The layers of a caffemodel, or what the file is instead.
fn read_layers(bytes: &[u8]) -> Result<Layers<'_>> {
    let message = match formats::other(bytes) {
        Some(found) => format!("expected a NetParameter of Caffe, found {found}"),
        None => match index_layers(bytes) {
            Ok(layers) => return Ok(layers),
            Err(message) => message,
        },
    };
    Err(Error::Format(format!("not a caffemodel: {message}")))
}

fn nothing_in_it(error: &Error) -> Error {
    Error::Format(format!("not a caffemodel: expected a NetParameter of Caffe, found an empty file ({error})"))
}

/// A layer's message and the number of its field of blobs.
#[derive(Debug, Clone, Copy)]
struct LayerBytes<'a> {
    bytes: &'a [u8],
    blobs: u64,
}

/// By name.
type Layers<'a> = BTreeMap<&'a [u8], LayerBytes<'a>>;

/// `NetParameter.layer` (100) with name 1 and blobs 7; before 2014 `NetParameter.layers` (2) with name 4 and blobs 6, and
/// before that (V0) with all of it in its field 1.
fn index_layers(bytes: &[u8]) -> Result<Layers<'_>, String> {
    let mut layers = BTreeMap::new();
    let mut form = None;
    for field in Reader::new(bytes) {
        let (number, value) = field?;
        let (name_field, blobs) = match number {
            100 => (1, 7),
            2 => (4, 6),
            _ => continue,
        };
        if *form.get_or_insert(number) != number {
            return Err(
                "layer and layers are both there, which Caffe does not read as one network: expected one of them"
                    .to_owned(),
            );
        }
        let layer = LayerBytes { bytes: value.bytes()?, blobs };
        let mut name: &[u8] = &[];
        for field in Reader::new(layer.bytes) {
            match field? {
                (1, _) if number == 2 => {
                    let text =
                        "its layers have the format of 2013 (V0), which Caffe's upgrade_net_proto_binary rewrites";
                    return Err(text.to_owned());
                }
                (found, value) if found == name_field => name = value.bytes()?,
                _ => {}
            }
        }
        layers.insert(name, layer);
    }
    Ok(layers)
}

impl<'a> LayerBytes<'a> {
    /// Its blobs, as many as are enough to see that they are too many.
    fn blobs(self) -> Result<Vec<Blob<'a>>, String> {
        let mut blobs = Vec::new();
        for field in Reader::new(self.bytes) {
            let (number, value) = field?;
            if number == self.blobs && blobs.len() < MOST_BLOBS {
                blobs.push(Blob::read(value.bytes()?)?);
            }
        }
        Ok(blobs)
    }
}

fn layer_weights(
    node: &Node,
    parameters: &[Parameter],
    layer: LayerBytes<'_>,
    transposed: bool,
) -> Result<Vec<(String, Weight)>, String> {
    let blobs = layer.blobs()?;
    if blobs.is_empty() {
        return Ok(Vec::new());
    }
    let (fit, (blobs, factor)) = if let Layer::BatchNorm(BatchNorm { affine, .. }) = &node.layer {
        (Fit::WithOnes, batch_norm::arrange(blobs, *affine)?)
    } else {
        (Fit::Exact, (blobs, 1.0))
    };
    let (expected, found) = (parameters.len(), blobs.len());
    if found != expected {
        return Err(format!("a {} here has {expected} blobs, found {found}", node.layer.kind()));
    }
    let weight = |(parameter, blob): (&Parameter, &Blob<'_>)| {
        let transpose = transposed && parameter.shape.len() == 2;
        Ok((parameter.name.clone(), blob.weight(parameter, fit, transpose, factor)?))
    };
    parameters.iter().zip(&blobs).map(weight).collect()
}

/// That blobs of one name are one weight, as they are in Caffe: it writes them once for each layer. In a file where they
/// differ, Caffe uses the last one for all.
fn check_shared(storage: &Storage, layers: &Layers<'_>) -> Result<()> {
    for (name, blobs) in storage.named.iter().filter(|(_, blobs)| blobs.len() > 1) {
        let values = |blob: &SharedBlob| {
            let Some(layer) = layers.get(blob.layer.as_bytes()) else { return Ok(None) };
            let blobs = layer.blobs().map_err(|message| Error::layer(&blob.layer, message))?;
            let values = blobs.get(blob.index).map(Blob::to_vec).transpose();
            values.map_err(|message| Error::layer(&blob.layer, message))
        };
        let mut first: Option<(&SharedBlob, Vec<f32>)> = None;
        for blob in blobs {
            let Some(values) = values(blob)? else { continue };
            let Some((other, expected)) = &first else {
                first = Some((blob, values));
                continue;
            };
            if *expected != values {
                let (found, other) = (blob.index, &other.layer);
                let message = format!(
                    "its blob {found} is named {name:.64} and shared with layer {other:.64}, but the two differ"
                );
                return Err(Error::layer(&blob.layer, message));
            }
        }
    }
    Ok(())
}
