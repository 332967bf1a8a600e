//! A Caffe network's text as a [`Graph`] without weights. It owns phases, inputs in all their forms, and in-place layers,
//! which become values of their own: the blob's name goes to its last version, the one Caffe has after a forward pass.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{self, Role};
use super::text::Message;
use crate::error::{Error, Result};
use crate::graph::{Graph, Input, Node, Transform};
use crate::inference;
use crate::shape::Shape;

/// What the caller knows beyond the text.
#[derive(Debug, Clone, Default)]
pub struct NetworkOptions {
    /// Extents of one sample, for a network whose data layer does not say (`Data` without `crop_size`).
    pub input_shape: Option<Shape>,
}

/// Reads a network as it is when predicting (phase TEST); losses and measures are left out, a softmax loss becomes its
/// softmax. Weights are to be filled by [`super::read_weights`].
///
/// # Errors
/// Names the layer, or the line.
pub fn parse_network(text: &str, options: &NetworkOptions) -> Result<Graph> {
    let tree = Message::parse(text)?;
    let mut layers = Vec::new();
    for message in tree.messages("layer").chain(tree.messages("layers")) {
        let layer = LayerText::new(message)?;
        if layer.in_phase_test().map_err(|message| Error::layer(&layer.name, message))? {
            layers.push(layer);
        }
    }
    let mut builder = Builder::new(&layers);
    builder.header(&tree)?;
    for layer in &layers {
        builder.layer(layer, options).map_err(|message| Error::layer(&layer.name, message))?;
    }
    builder.finish(tree.text("name").unwrap_or_default())
}

/// A layer's text with what every layer has.
struct LayerText<'a> {
    name: String,
    role: Role,
    bottoms: Vec<&'a str>,
    tops: Vec<&'a str>,
    message: &'a Message,
}

impl<'a> LayerText<'a> {
    fn new(message: &'a Message) -> Result<Self> {
        let Some(name) = message.text("name") else {
            return Err(Error::Network("a layer has no name".to_owned()));
        };
        let kind = message.text("type").ok_or_else(|| Error::layer(name, "it has no type"))?;
        Ok(Self {
            name: name.to_owned(),
            role: layers::role(kind).map_err(|message| Error::layer(name, message))?,
            bottoms: message.texts("bottom").collect(),
            tops: message.texts("top").collect(),
            message,
        })
    }

    /// Caffe's `NetStateRule`s for phase TEST, level 0, no stage: any `include` that holds, or no `exclude` that holds.
    fn in_phase_test(&self) -> Result<bool, String> {
        let holds = |rule: &Message| {
            let phase = rule.text("phase").is_none_or(|phase| matches!(phase, "TEST" | "1"));
            let low = rule.number::<i64>("min_level")?.is_none_or(|level| level <= 0);
            let high = rule.number::<i64>("max_level")?.is_none_or(|level| level >= 0);
            Ok::<bool, String>(phase && low && high && !rule.has("stage"))
        };
        let any =
            |name| self.message.messages(name).map(holds).try_fold(false, |any, holds| Ok::<_, String>(any | holds?));
        Ok(if self.message.has("include") { any("include")? } else { !any("exclude")? })
    }
}

/// The graph while it grows.
struct Builder<'a> {
    /// How often each blob is still to be made; the last one keeps the name.
    remaining: BTreeMap<&'a str, usize>,
    /// The value each blob stands for at this point; `None` for what is no part of the network (labels).
    current: BTreeMap<&'a str, Option<String>>,
    shapes: BTreeMap<String, Shape>,
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    /// Values that a `Silence` layer keeps from being outputs.
    silenced: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    fn new(layers: &[LayerText<'a>]) -> Self {
        let mut remaining = BTreeMap::new();
        for top in layers
            .iter()
            .filter(|layer| !matches!(layer.role, Role::Skipped | Role::Silence))
            .flat_map(|layer| &layer.tops)
        {
            *remaining.entry(*top).or_insert(0) += 1;
        }
        Self {
            remaining,
            current: BTreeMap::new(),
            shapes: BTreeMap::new(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            silenced: BTreeSet::new(),
        }
    }

    /// Inputs declared before the layers: `input` with `input_shape`, or with four `input_dim`s each.
    fn header(&mut self, tree: &'a Message) -> Result<()> {
        let fail = Error::Network;
        let dims = tree.numbers::<usize>("input_dim").map_err(fail)?;
        let shapes: Vec<&Message> = tree.messages("input_shape").collect();
        for (index, name) in tree.texts("input").enumerate() {
            let extents = match shapes.get(index) {
                Some(shape) => shape.numbers::<usize>("dim").map_err(fail)?,
                None => dims.get(4 * index..4 * index + 4).unwrap_or_default().to_vec(),
            };
            let shape = sample_shape(&extents).map_err(|message| fail(format!("input {name}: {message}")))?;
            let value = if self.remaining.contains_key(name) { format!("{name}@input") } else { name.to_owned() };
            self.input(name, value, shape, Transform::default());
        }
        Ok(())
    }

    fn input(&mut self, blob: &'a str, value: String, shape: Shape, transform: Transform) {
        self.shapes.insert(value.clone(), shape.clone());
        self.current.insert(blob, Some(value.clone()));
        self.inputs.push(Input { name: value, shape, transform });
    }

    /// The name of the value that a layer now makes of a blob.
    fn version(&mut self, blob: &'a str, layer: &str) -> String {
        let remaining = self.remaining.entry(blob).or_insert(1);
        *remaining = remaining.saturating_sub(1);
        if *remaining == 0 { blob.to_owned() } else { format!("{blob}@{layer}") }
    }

    fn layer(&mut self, text: &LayerText<'a>, options: &NetworkOptions) -> Result<(), String> {
        match text.role {
            Role::Data => self.data(text, options),
            Role::Network(kind) => self.node(kind, text),
            Role::Silence => {
                let values = text.bottoms.iter().filter_map(|bottom| self.current.get(bottom)?.clone());
                self.silenced.extend(values);
                Ok(())
            }
            Role::Skipped => Ok(()),
        }
    }

    fn data(&mut self, text: &LayerText<'a>, options: &NetworkOptions) -> Result<(), String> {
        let shapes = data_shapes(text, options)?;
        let transform = transform(text.message.message("transform_param"))?;
        for (index, &top) in text.tops.iter().enumerate() {
            let value = self.version(top, &text.name);
            match shapes.get(index) {
                Some(shape) => self.input(top, value, shape.clone(), transform.clone()),
                None => {
                    self.current.insert(top, None);
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, kind: &'static str, text: &LayerText<'a>) -> Result<(), String> {
        let mut inputs = Vec::new();
        for &bottom in &text.bottoms {
            match self.current.get(bottom) {
                Some(Some(value)) => inputs.push(value.clone()),
                Some(None) if kind == "Softmax" => {}
                Some(None) => return Err(format!("its bottom {bottom} is a label, which prediction does not have")),
                None => return Err(format!("its bottom {bottom} is made by no earlier layer")),
            }
        }
        let shapes: Vec<&Shape> = inputs.iter().filter_map(|input| self.shapes.get(input)).collect();
        let layer = layers::layer(kind, text.message, &shapes, text.tops.len())?;
        let mut node = Node { name: text.name.clone(), layer, inputs, outputs: Vec::new() };
        // A second top of a softmax loss repeats its first.
        let tops = if kind == "Softmax" { text.tops.get(..1).unwrap_or_default() } else { &text.tops };
        node.outputs = tops.iter().map(|top| self.version(top, &text.name)).collect();
        let shapes: Vec<&Shape> = node.inputs.iter().filter_map(|input| self.shapes.get(input)).collect();
        for ((&top, output), shape) in tops.iter().zip(&node.outputs).zip(inference::output_shapes(&node, &shapes)?) {
            self.shapes.insert(output.clone(), shape);
            self.current.insert(top, Some(output.clone()));
        }
        self.nodes.push(node);
        Ok(())
    }

    /// The outputs are the values that no layer reads, the last one first; inputs that no layer reads (labels) are dropped.
    fn finish(mut self, name: &str) -> Result<Graph> {
        let read: BTreeSet<&str> = self.nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
        let made = self.nodes.iter().flat_map(|node| &node.outputs);
        let is_output = |output: &&String| !read.contains(output.as_str()) && !self.silenced.contains(*output);
        let outputs: Vec<String> = made.rev().filter(is_output).cloned().collect();
        if outputs.is_empty() {
            return Err(Error::Network("no layer makes an output".to_owned()));
        }
        self.inputs.retain(|input| read.contains(input.name.as_str()));
        let graph = Graph {
            name: name.to_owned(),
            inputs: self.inputs,
            nodes: self.nodes,
            outputs,
            weights: crate::weights::Weights::new(),
        };
        graph.shapes()?;
        Ok(graph)
    }
}

/// Extents of one sample from extents that begin with the batch.
fn sample_shape(extents: &[usize]) -> Result<Shape, String> {
    let shape = Shape::new(extents.get(1..).unwrap_or_default());
    if shape.dims().is_empty() {
        return Err(format!("its shape should be the batch and at least one axis, found {extents:?}"));
    }
    shape.elements()?;
    Ok(shape)
}

/// Shapes of a data layer's tops that are inputs of the network; further tops are labels.
fn data_shapes(text: &LayerText<'_>, options: &NetworkOptions) -> Result<Vec<Shape>, String> {
    let message = text.message;
    if message.has("input_param") {
        let shapes: Vec<Shape> = message
            .message("input_param")
            .messages("shape")
            .map(|shape| sample_shape(&shape.numbers("dim")?))
            .collect::<Result<_, _>>()?;
        return match (shapes.as_slice(), text.tops.len()) {
            ([shape], tops) => Ok(vec![shape.clone(); tops]),
            (_, tops) if tops == shapes.len() => Ok(shapes),
            (_, tops) => Err(format!("it has {tops} tops but {} shapes", shapes.len())),
        };
    }
    let memory = message.message("memory_data_param");
    let image = message.message("image_data_param");
    let transform = message.message("transform_param");
    let crop = transform.number::<usize>("crop_size")?.filter(|&crop| crop > 0);
    let shape = if message.has("memory_data_param") {
        let extent = |name| memory.number::<usize>(name)?.ok_or_else(|| format!("memory_data_param has no {name}"));
        let [height, width] = match crop {
            Some(crop) => [crop; 2],
            None => [extent("height")?, extent("width")?],
        };
        Some(Shape::image(extent("channels")?, height, width))
    } else {
        let grey = image.number("is_color")? == Some(false) || transform.number("force_gray")? == Some(true);
        let size = crop.map_or([image.number("new_height")?, image.number("new_width")?], |crop| [Some(crop); 2]);
        match size {
            [Some(height), Some(width)] => Some(Shape::image(if grey { 1 } else { 3 }, height, width)),
            _ => options.input_shape.clone(),
        }
    };
    let shape = shape.ok_or("it does not say the shape of its data, and none was given")?;
    shape.elements()?;
    Ok(vec![shape])
}

fn transform(param: &Message) -> Result<Transform, String> {
    Ok(Transform {
        mean_values: param.numbers("mean_value")?,
        mean_file: param.text("mean_file").map(str::to_owned),
        scale: param.number("scale")?,
        crop_size: param.number("crop_size")?.filter(|&crop| crop > 0),
    })
}
