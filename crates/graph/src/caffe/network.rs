//! A Caffe network's text as a [`Graph`] without weights. It owns phases, inputs in all their forms, and in-place layers,
//! which become values of their own: the blob's name goes to its last version, the one Caffe has after a forward pass.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{self, sample_shape};
use super::layers::{self, LayerContext, Role};
use super::schema;
use super::series::Series;
use super::storage::{MOST_BLOBS, SharedBlob, Storage};
use crate::error::{Error, Result};
use crate::formats;
use crate::graph::{Graph, Input, Node, Transform};
use crate::inference;
use crate::prototext::{Content, Message};
use crate::shape::Shape;

/// The top that Caffe gives a loss that has none.
const AUTOMATIC_TOP: &str = "(automatic)";

/// What the caller knows beyond the text.
#[derive(Debug, Clone, Default)]
pub struct NetworkOptions {
    /// Extents of one sample, for a network whose data layer does not say (`Data` without `crop_size`).
    pub input_shape: Option<Shape>,
}

/// A network without weights, and how a weights file stores them.
pub(super) struct Network {
    /// The network.
    pub(super) graph: Graph,
    /// How its weights are stored.
    pub(super) storage: Storage,
}

/// Reads a network as it is when predicting (phase TEST); losses and measures are left out, a softmax loss becomes its
/// softmax. The graph has no weights.
///
/// # Errors
/// Names the layer, or the line.
pub fn parse_network(text: &str, options: &NetworkOptions) -> Result<Graph> {
    read(text, options).map(|network| network.graph)
}

/// As [`parse_network`], with what filling in the weights needs to know.
pub(super) fn read(text: &str, options: &NetworkOptions) -> Result<Network> {
    if let Some(found) = formats::other(text.as_bytes()) {
        return Err(Error::Format(format!("not a network of Caffe: expected its text, found {found}")));
    }
    let tree = Message::parse(text)?;
    schema::check_network(&tree).map_err(Error::Network)?;
    if tree.has("layer") && tree.has("layers") {
        let message = "layer and layers are both there, which Caffe does not read as one network: expected one of them";
        return Err(Error::Network(message.to_owned()));
    }
    let stages: Vec<&str> = tree.message("state").texts("stage").collect();
    let mut layers = Vec::new();
    for message in tree.messages("layer").chain(tree.messages("layers")) {
        let layer = LayerText::new(message)?;
        let fail = |message| Error::layer(&layer.name, message);
        if layer.in_phase_test(&stages).map_err(fail)? {
            layer.check().map_err(fail)?;
            layers.push(layer);
        }
    }
    check_tops(&tree, &layers)?;
    let mut builder = Builder::new(&layers);
    builder.header(&tree)?;
    for layer in &layers {
        builder.layer(layer, options).map_err(|message| Error::layer(&layer.name, message))?;
    }
    builder.finish(tree.text("name").unwrap_or_default())
}

/// That each blob is made in one place, but for layers that work on it in place: their bottom of the same position is the top. Caffe
/// stops at others.
fn check_tops(tree: &Message, layers: &[LayerText<'_>]) -> Result<()> {
    let mut makers: BTreeMap<&str, String> = BTreeMap::new();
    for name in tree.texts("input") {
        if makers.insert(name, "the input of this name".to_owned()).is_some() {
            return Err(Error::Network(format!("input {name:.64} is there twice")));
        }
    }
    for layer in layers {
        for (position, &top) in layer.tops.iter().enumerate() {
            if top == AUTOMATIC_TOP || layer.bottoms.get(position) == Some(&top) {
                continue;
            }
            if let Some(maker) = makers.insert(top, format!("layer {:.64}", layer.name)) {
                let message = format!("its top {top:.64} is made by {maker} already, expected one of them");
                return Err(Error::layer(&layer.name, message));
            }
        }
    }
    Ok(())
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
        if message.has("layer") {
            let found = "layers { layer { … } }, the format of 2013 (V0)";
            let message = format!(
                "expected layer {{ … }} with a name and a type, found {found}: Caffe's \
                upgrade_net_proto_text and upgrade_net_proto_binary rewrite networks and weights"
            );
            return Err(Error::Network(message));
        }
        let Some(name) = message.text("name") else {
            return Err(Error::Network("a layer has no name".to_owned()));
        };
        let kind = message.text("type").ok_or_else(|| Error::layer(name, "it has no type"))?;
        let role = layers::role(kind).map_err(|message| Error::layer(name, message))?;
        let mut tops: Vec<&str> = message.texts("top").collect();
        if tops.is_empty() && matches!(role, Role::Loss(_)) {
            tops.push(AUTOMATIC_TOP);
        }
        Ok(Self { name: name.to_owned(), role, bottoms: message.texts("bottom").collect(), tops, message })
    }

    /// Caffe's `NetStateRule`s for phase TEST and level 0: any `include` that holds, or no `exclude` that holds.
    fn in_phase_test(&self, stages: &[&str]) -> Result<bool, String> {
        let holds = |rule: &Message| {
            let phase = match rule.text("phase") {
                None | Some("TEST" | "1") => true,
                Some("TRAIN" | "0") => false,
                Some(other) => return Err(format!("phase should be TRAIN or TEST, found {other:.64}")),
            };
            let low = rule.number::<i64>("min_level")?.is_none_or(|level| level <= 0);
            let high = rule.number::<i64>("max_level")?.is_none_or(|level| level >= 0);
            let all = rule.texts("stage").all(|stage| stages.contains(&stage));
            let none = rule.texts("not_stage").all(|stage| !stages.contains(&stage));
            Ok::<bool, String>(phase && low && high && all && none)
        };
        let any =
            |name| self.message.messages(name).map(holds).try_fold(false, |any, holds| Ok::<_, String>(any | holds?));
        match (self.message.has("include"), self.message.has("exclude")) {
            (true, true) => Err("include and exclude are both given, and Caffe takes one of them alone".to_owned()),
            (true, false) => any("include"),
            (false, _) => Ok(!any("exclude")?),
        }
    }

    /// That nothing in it changes a number and is not read. Layers for training or reporting change none.
    fn check(&self) -> Result<(), String> {
        match self.role {
            Role::Data(kind) | Role::Network(kind) | Role::Loss(kind) => schema::check_layer(self.message, kind),
            Role::Silence | Role::Skipped => Ok(()),
        }
    }

    /// The names that the layer gives its weights, by their places in the file; an empty name is none.
    fn weight_names(&self) -> Vec<&'a str> {
        let params = self.message.fields().iter().filter(|field| field.name == "param");
        let name = params.map(|field| match &field.content {
            Content::Message(param) => param.text("name").unwrap_or_default(),
            Content::Scalar(name) => name.as_str(),
        });
        name.collect()
    }
}

/// The graph while it grows.
struct Builder<'a> {
    /// How often each blob is still to be made; the last one keeps the name.
    remaining: BTreeMap<&'a str, usize>,
    /// The value each blob stands for at this point; `None` for what is no part of the network (labels).
    current: BTreeMap<&'a str, Option<String>>,
    shapes: BTreeMap<String, Shape>,
    /// How many samples the file's own inputs have.
    batches: BTreeSet<i64>,
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    /// Values that a `Silence` layer keeps from being outputs.
    silenced: BTreeSet<String>,
    series: Series<'a>,
    storage: Storage,
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
            batches: BTreeSet::new(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            silenced: BTreeSet::new(),
            series: Series::default(),
            storage: Storage::default(),
        }
    }

    /// Inputs declared before the layers: `input` with `input_shape`, or with four `input_dim`s each.
    fn header(&mut self, tree: &'a Message) -> Result<()> {
        let fail = Error::Network;
        let dims = tree.numbers::<usize>("input_dim").map_err(fail)?;
        let shapes: Vec<&Message> = tree.messages("input_shape").collect();
        let names = tree.texts("input").count();
        let fits = if shapes.is_empty() { dims.len() == 4 * names } else { shapes.len() == names && dims.is_empty() };
        if !fits {
            let found = format!("{} input_shape and {} input_dim", shapes.len(), dims.len());
            return Err(fail(format!(
                "{names} input should have one input_shape or four input_dim each, found {found}"
            )));
        }
        for (index, name) in tree.texts("input").enumerate() {
            let extents = match shapes.get(index) {
                Some(shape) => shape.numbers::<usize>("dim").map_err(fail)?,
                None => dims.get(4 * index..4 * index + 4).unwrap_or_default().to_vec(),
            };
            let shape = sample_shape(&extents).map_err(|message| fail(format!("input {name}: {message}")))?;
            self.batches.extend(extents.first().and_then(|&batch| i64::try_from(batch).ok()));
            let Some(shape) = shape else {
                self.current.insert(name, None);
                continue;
            };
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
            Role::Data(kind) => self.data(kind, text, options),
            Role::Network(kind) => self.node(kind, text, &text.bottoms),
            Role::Loss(kind) => self.node(kind, text, text.bottoms.get(..1).unwrap_or_default()),
            Role::Silence => {
                let values = text.bottoms.iter().filter_map(|bottom| self.current.get(bottom)?.clone());
                self.silenced.extend(values);
                Ok(())
            }
            Role::Skipped => Ok(()),
        }
    }

    fn data(&mut self, kind: &str, text: &LayerText<'a>, options: &NetworkOptions) -> Result<(), String> {
        let (shapes, transform) = data::inputs(kind, text.message, text.tops.len(), options.input_shape.as_ref())?;
        self.batches.extend(data::batches(kind, text.message)?);
        for (index, &top) in text.tops.iter().enumerate() {
            let value = self.version(top, &text.name);
            match shapes.get(index) {
                Some(Some(shape)) => self.input(top, value, shape.clone(), transform.clone()),
                Some(None) | None => {
                    self.current.insert(top, None);
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, kind: &'static str, text: &LayerText<'a>, bottoms: &[&'a str]) -> Result<(), String> {
        if kind == "ContinuationIndicator" {
            return self.beginning(text, bottoms);
        }
        let mut inputs = Vec::new();
        for &bottom in self.series.values(kind, bottoms)? {
            match self.current.get(bottom) {
                Some(Some(value)) => inputs.push(value.clone()),
                Some(None) => {
                    return Err(format!(
                        "its bottom {bottom:.64} is a label, or an input without an axis but the batch, \
                         which prediction does not have"
                    ));
                }
                None => return Err(format!("its bottom {bottom:.64} is made by no earlier layer")),
            }
        }
        let shapes: Vec<&Shape> = inputs.iter().filter_map(|input| self.shapes.get(input)).collect();
        let context = LayerContext { inputs: &shapes, tops: text.tops.len(), batches: &self.batches };
        let layer = layers::layer(kind, text.message, &context)?;
        let mut node = Node { name: text.name.clone(), layer, inputs, outputs: Vec::new() };
        // A second top of a loss repeats its first.
        let tops = if matches!(text.role, Role::Loss(_)) { &text.tops[..1] } else { &text.tops };
        node.outputs = tops.iter().map(|top| self.version(top, &text.name)).collect();
        let shapes: Vec<&Shape> = node.inputs.iter().filter_map(|input| self.shapes.get(input)).collect();
        if let Some(first) = shapes.first() {
            self.series.made((kind, text.message), &node, first)?;
        }
        for ((&top, output), shape) in tops.iter().zip(&node.outputs).zip(inference::output_shapes(&node, &shapes)?) {
            self.shapes.insert(output.clone(), shape);
            self.current.insert(top, Some(output.clone()));
        }
        self.stored(text);
        self.nodes.push(node);
        Ok(())
    }

    /// A layer whose top says where series begin: it is no value.
    fn beginning(&mut self, text: &LayerText<'a>, bottoms: &[&'a str]) -> Result<(), String> {
        let (&[bottom], &[top]) = (bottoms, text.tops.as_slice()) else {
            return Err(format!("expected one bottom and one top, found {} and {}", bottoms.len(), text.tops.len()));
        };
        let value = self.current.get(bottom).cloned().flatten();
        let Some((value, shape)) = value.and_then(|value| self.shapes.get(&value).map(|shape| (value, shape))) else {
            return Err(format!("its bottom {bottom:.64} is made by no earlier layer"));
        };
        self.series.begin(top, text.message.message("continuation_indicator_param"), (value.as_str(), shape))?;
        self.current.insert(top, None);
        Ok(())
    }

    /// What the text says of how the layer's weights are stored.
    fn stored(&mut self, text: &LayerText<'a>) {
        if text.message.message("inner_product_param").number("transpose") == Ok(Some(true)) {
            self.storage.transposed.insert(text.name.clone());
        }
        let names = text.weight_names().into_iter().take(MOST_BLOBS).enumerate();
        for (index, name) in names.filter(|(_, name)| !name.is_empty()) {
            let blob = SharedBlob { layer: text.name.clone(), index };
            self.storage.named.entry(name.to_owned()).or_default().push(blob);
        }
    }

    /// The outputs are the values that no layer reads, the last one first; inputs that no layer reads (labels) are dropped.
    fn finish(mut self, name: &str) -> Result<Network> {
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
        Ok(Network { graph, storage: self.storage })
    }
}
