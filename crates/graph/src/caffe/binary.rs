//! Caffe's binary files: weights (`NetParameter`) and a mean image (`BlobProto`). It owns the field numbers and the legacy
//! forms; every size is checked against the file and against what the network wants before anything is allocated.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::inference::Parameter;
use crate::layer::Layer;
use crate::shape::{Shape, element_count};
use crate::weights::Weight;
use crate::wire::{Reader, Value, floats};

/// A mean image, to be subtracted from each image before the network.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanImage {
    /// `[channels, height, width]`.
    pub shape: Shape,
    /// Row major; channels in the order the images had, blue first as a rule.
    pub data: Vec<f32>,
}

impl MeanImage {
    /// Mean of each channel.
    #[must_use]
    pub fn channel_means(&self) -> Vec<f32> {
        let channels = self.shape.dims().first().copied().unwrap_or(1).max(1);
        let size = (self.data.len() / channels).max(1);
        let mean = |plane: &[f32]| plane.iter().map(|&value| f64::from(value)).sum::<f64>() / plane.len() as f64;
        self.data.chunks(size).map(|plane| mean(plane) as f32).collect()
    }
}

/// Reads a mean image (`mean.binaryproto`).
///
/// # Errors
/// Says where the file is broken, or that it is no image.
pub fn read_mean(bytes: &[u8]) -> Result<MeanImage> {
    let read = || {
        let blob = Blob::read(bytes)?;
        let shape = match blob.dims.as_slice() {
            [dims @ .., channels, height, width] if dims.iter().all(|&dim| dim == 1) => {
                Shape::image(*channels, *height, *width)
            }
            other => {
                return Err(format!("a mean image should have shape [1, channels, height, width], found {other:?}"));
            }
        };
        let count = shape.elements()?;
        if blob.values.len() != count {
            return Err(format!("shape {shape} wants {count} values, found {}", blob.values.len()));
        }
        Ok(MeanImage { shape, data: blob.values.to_vec()? })
    };
    read().map_err(|message| Error::Format(format!("not a Caffe mean image: {message}")))
}

/// Fills the weights of `graph` from a caffemodel, by layer name. Layers the graph does not have are passed over; weights
/// the file lacks stay missing ([`Graph::check`] finds them).
///
/// # Errors
/// Says where the file is broken, or names the layer whose weights do not fit.
pub fn read_weights(graph: &mut Graph, bytes: &[u8]) -> Result<()> {
    let layers = index_layers(bytes).map_err(|message| Error::Format(format!("not a caffemodel: {message}")))?;
    let shapes = graph.shapes()?;
    let mut filled = Vec::new();
    for node in &graph.nodes {
        let Some(layer) = layers.get(node.name.as_bytes()) else { continue };
        let parameters = graph.node_parameters(node, &shapes)?;
        let weights = layer_weights(node, &parameters, *layer).map_err(|message| Error::layer(&node.name, message))?;
        filled.extend(weights);
    }
    for (name, weight) in filled {
        graph.weights.insert(name, weight);
    }
    Ok(())
}

/// A layer's message and the number of its field of blobs.
#[derive(Debug, Clone, Copy)]
struct LayerBytes<'a> {
    bytes: &'a [u8],
    blobs: u64,
}

/// `NetParameter.layer` (100) with name 1 and blobs 7; before 2014 `NetParameter.layers` (2) with name 4 and blobs 6.
fn index_layers(bytes: &[u8]) -> Result<BTreeMap<&[u8], LayerBytes<'_>>, String> {
    let mut layers = BTreeMap::new();
    for field in Reader::new(bytes) {
        let (number, value) = field?;
        let (name_field, blobs) = match number {
            100 => (1, 7),
            2 => (4, 6),
            _ => continue,
        };
        let layer = LayerBytes { bytes: value.bytes()?, blobs };
        let mut name: &[u8] = &[];
        for field in Reader::new(layer.bytes) {
            let (number, value) = field?;
            if number == name_field {
                name = value.bytes()?;
            }
        }
        layers.insert(name, layer);
    }
    Ok(layers)
}

fn layer_weights(
    node: &Node,
    parameters: &[Parameter],
    layer: LayerBytes<'_>,
) -> Result<Vec<(String, Weight)>, String> {
    let mut blobs = Vec::new();
    for field in Reader::new(layer.bytes) {
        let (number, value) = field?;
        if number == layer.blobs {
            // One more than any layer has is enough to see that they are too many.
            if blobs.len() > 4 {
                break;
            }
            blobs.push(Blob::read(value.bytes()?)?);
        }
    }
    if blobs.is_empty() {
        return Ok(Vec::new());
    }
    let expected = parameters.len() + usize::from(matches!(node.layer, Layer::BatchNorm(_)));
    if blobs.len() != expected {
        return Err(format!("a {} here has {expected} blobs, found {}", node.layer.kind(), blobs.len()));
    }
    let mut factor = 1.0;
    if matches!(node.layer, Layer::BatchNorm(_))
        && let Some(blob) = blobs.pop()
    {
        factor = statistics_factor(&blob)?;
    }
    let transposed = matches!(node.layer, Layer::InnerProduct(_)) && layer.transposed()?;
    let weight = |(parameter, blob): (&Parameter, &Blob<'_>)| {
        let transpose = transposed && parameter.shape.len() == 2;
        Ok((parameter.name.clone(), blob.weight(parameter, transpose, factor)?))
    };
    parameters.iter().zip(&blobs).map(weight).collect()
}

impl LayerBytes<'_> {
    /// `inner_product_param` (117) `.transpose` (6): the weight is stored `[inputs, outputs]`.
    fn transposed(self) -> Result<bool, String> {
        let mut transposed = false;
        for field in Reader::new(self.bytes) {
            if let (117, value) = field? {
                for field in Reader::new(value.bytes()?) {
                    if let (6, value) = field? {
                        transposed = value.integer()? != 0;
                    }
                }
            }
        }
        Ok(transposed)
    }
}

/// Caffe keeps sums of means and variances and, in a third blob, by what to divide them; 0 means nothing was summed.
fn statistics_factor(blob: &Blob<'_>) -> Result<f32, String> {
    match blob.values.to_vec()?.as_slice() {
        [0.0] => Ok(0.0),
        &[scale] => Ok(1.0 / scale),
        other => Err(format!("the third blob of a BatchNorm should be one number, found {}", other.len())),
    }
}

/// A `BlobProto`: shape 7 (dim 1), or num 1, channels 2, height 3, width 4; data 5 or double_data 8.
struct Blob<'a> {
    dims: Vec<usize>,
    values: Values<'a>,
}

/// The values where they lie in the file.
enum Values<'a> {
    Floats(&'a [u8]),
    Doubles(&'a [u8]),
    /// Written one by one; bounded by the file, of which each took five bytes.
    Single(Vec<f32>),
}

impl<'a> Blob<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut legacy = [None::<i64>; 4];
        let mut shape = None;
        let mut values = Values::Single(Vec::new());
        for field in Reader::new(bytes) {
            match field? {
                (number @ 1..=4, value) => legacy[number as usize - 1] = Some(value.integer()?),
                (5, Value::Bytes(bytes)) => values = Values::Floats(bytes),
                (5, Value::Fixed32(bytes)) => values.push(f32::from_le_bytes(bytes)),
                (8, Value::Bytes(bytes)) => values = Values::Doubles(bytes),
                (8, Value::Fixed64(bytes)) => values.push(f64::from_le_bytes(bytes) as f32),
                (7, value) => shape = Some(blob_shape(value.bytes()?)?),
                _ => {}
            }
        }
        let dims = shape.unwrap_or_else(|| match legacy {
            [None, None, None, None] => Vec::new(),
            legacy => legacy.iter().map(|dim| dim.unwrap_or(1)).collect(),
        });
        let extent = |dim: i64| usize::try_from(dim).map_err(|_| format!("a blob has the extent {dim}"));
        Ok(Self { dims: dims.into_iter().map(extent).collect::<Result<_, _>>()?, values })
    }

    /// The blob as the weight a layer wants. Caffe's old files pad shapes to four axes with ones, so ones are not compared.
    fn weight(&self, parameter: &Parameter, transpose: bool, factor: f32) -> Result<Weight, String> {
        let mut wanted = parameter.shape.clone();
        if transpose {
            wanted.reverse();
        }
        let without_ones = |dims: &[usize]| dims.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        let name = &parameter.name;
        if without_ones(&self.dims) != without_ones(&wanted) {
            return Err(format!("blob for {name} should have shape {wanted:?}, found {:?}", self.dims));
        }
        let (count, found) = (element_count(&wanted)?, self.values.len());
        if count != found {
            return Err(format!("blob for {name} should have {count} values, found {found}"));
        }
        let data: Arc<[f32]> = match (&self.values, transpose || factor != 1.0) {
            (Values::Floats(bytes), false) => floats(bytes)?.collect(),
            _ => {
                let values = self.values.to_vec()?;
                let columns = wanted.last().copied().unwrap_or(1);
                let rows = count / columns;
                let place = |index: usize| if transpose { index % rows * columns + index / rows } else { index };
                (0..count).map(|index| values[place(index)] * factor).collect()
            }
        };
        Weight::new(parameter.shape.clone(), data)
    }
}

impl Values<'_> {
    fn push(&mut self, value: f32) {
        match self {
            Self::Single(values) => values.push(value),
            Self::Floats(_) | Self::Doubles(_) => *self = Self::Single(vec![value]),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(bytes) => bytes.len() / 4,
            Self::Doubles(bytes) => bytes.len() / 8,
            Self::Single(values) => values.len(),
        }
    }

    fn to_vec(&self) -> Result<Vec<f32>, String> {
        match self {
            Self::Floats(bytes) => Ok(floats(bytes)?.collect()),
            Self::Doubles(bytes) => match bytes.as_chunks::<8>() {
                (chunks, []) => Ok(chunks.iter().map(|&chunk| f64::from_le_bytes(chunk) as f32).collect()),
                _ => Err(format!("{} bytes are not whole doubles", bytes.len())),
            },
            Self::Single(values) => Ok(values.clone()),
        }
    }
}

/// `BlobShape.dim` (1).
fn blob_shape(bytes: &[u8]) -> Result<Vec<i64>, String> {
    let mut dims = Vec::new();
    for field in Reader::new(bytes) {
        if let (1, value) = field? {
            value.append_integers(&mut dims)?;
        }
    }
    Ok(dims)
}
