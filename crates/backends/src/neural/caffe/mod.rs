//! mllib `caffe`: repositories as the original server wrote them, and runs trained here.
//!
//! It owns what a creation request may ask of such a repository (contract.md 3.9 and decisions 8 to 11). Nothing is
//! ever written over.

mod answer;
mod files;
mod solver_file;
pub(super) mod template;

use std::borrow::Cow;
use std::sync::Arc;

use answer::{Answer, chosen_output, detections, of_value};
use dede_graph::onnx::ExportOptions;
use dede_graph::{Graph, Shape, Transform};
use dede_model::backend::{
    Backend, DecidingFile, ModelDescription, OpenRequest, Opened, OutputDescription, ServiceType, Task, TrainRequest,
    TrainingPlan, WeightFile,
};
use dede_model::data::{DataKind, SampleShape};
use dede_model::error::{Error, Result};
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::parameters::{Section, over};
use dede_model::repository::MODEL_KEYS;
use dede_model::tensor::Floats;
use files::{Files, Source};
use serde_json::Value;

use super::engine::{self, Network};
use super::head_trial::try_head;
use super::image_layout::asked_layout;
use super::keys::CAFFE_KEYS;
use super::loading::{Loaded, Loading, engine_name};
use super::model::NeuralModel;
use super::options::{CreationOptions, check_image_input};
use super::preparation::{
    Arithmetic, InputType, Layout, Mean, Preparation, WITHOUT_PLACE, beside_mean_image, prepare_for_training,
    usual_normalization,
};
use super::training::{self, Held};
use super::unchanged::Unchanged;

/// The backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caffe;

impl Backend for Caffe {
    fn name(&self) -> &'static str {
        "caffe"
    }

    fn accepts(&self, kind: DataKind, _service_type: ServiceType) -> bool {
        matches!(kind, DataKind::Images | DataKind::Table)
    }

    fn keys(&self) -> KeyTable {
        CAFFE_KEYS
    }

    fn model_keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&MODEL_KEYS, &[Key::applied("def", Moment::Each)]]);
        KEYS
    }

    fn check_creation(&self, mllib: &Section) -> Result<()> {
        training::check_creation(mllib)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        open(request)
    }

    fn plan(&self, request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        plan(request)
    }

    fn memory_needed(&self, weights: &[WeightFile<'_>], options: &dede_model::backend::EngineOptions) -> u64 {
        let size = weights.iter().map(|file| file.size).sum();
        engine::memory_needed(engine::Source::Graph, size, options.engine.as_deref())
    }

    fn is_library_file(&self, file_name: &str) -> bool {
        [".solverstate", ".caffemodel", ".json", ".dat"].iter().any(|suffix| file_name.ends_with(suffix))
    }
}

fn open(request: &OpenRequest<'_>) -> Result<Opened> {
    let options = CreationOptions::parse(request.mllib)?;
    let in_call = CreationOptions::parse(request.mllib_in_call)?;
    check_layout(request)?;
    check_factors(request.kind, &options, request.input)?;
    let files = Files::find(request.repository, request.model)?;
    let Some(source) = files.source() else {
        template::check_new(request, &options, files.has_weights())?;
        let task = options.task(request.service_type)?;
        in_call.check_other_count(task)?;
        return Ok(Opened { model: None, task: Some(task), files: Vec::new() });
    };
    let unread = Unchanged::of(source.files());
    let graph = source.read()?;
    template::check_existing(&in_call, request.mllib_stored, &files, &graph)?;
    let mean = mean_image(request.kind, &files, &graph)?;
    check_one_mean(request.input, mean.as_ref())?;
    let (model, task) = load(request, &options, (&source, unread), mean.as_ref(), graph)?;
    in_call.check_other_count(task)?;
    training::check_classes(request.mllib_in_call, task)?;
    let mut deciding = source.files();
    deciding.extend(mean);
    Ok(Opened { model: Some(Arc::new(model)), task: Some(task), files: deciding })
}

/// The mean image of a network that takes images.
///
/// # Errors
/// As [`Files::mean`]; [`Error::BadParameter`] for a network of rows whose data layer changes its data: nothing here would.
fn mean_image(kind: DataKind, files: &Files, graph: &Graph) -> Result<Option<DecidingFile>> {
    let Some(input) = graph.inputs.first() else { return Ok(None) };
    let Transform { mean_values, mean_file, scale, .. } = &input.transform;
    match kind {
        DataKind::Images => files.mean(&input.transform),
        DataKind::Table if mean_values.is_empty() && mean_file.is_none() && scale.is_none_or(|scale| scale == 1.0) => {
            Ok(None)
        }
        DataKind::Table => {
            let found = "transform_param with scale, mean_value or mean_file";
            let reason = format!("of rows nothing is subtracted and nothing multiplies them, found {found}");
            Err(Error::bad_parameter_at("transform_param", reason))
        }
    }
}

/// Networks of Caffe multiply pixels by `mllib.scale` and nothing else; rows are multiplied by nothing.
fn check_factors(kind: DataKind, options: &CreationOptions, input: &Section) -> Result<()> {
    let is_one = |value: &Value| value.as_f64() == Some(1.0);
    match kind {
        DataKind::Table if options.scale.is_some_and(|scale| scale != 1.0) => {
            let reason = "expected none with rows, which parameters.input.scale scales by bounds of each column";
            Err(Error::bad_parameter_at("parameters.mllib.scale", reason))
        }
        DataKind::Table => Ok(()),
        DataKind::Images => {
            let is_there = |value: &Value| match value {
                Value::Null => false,
                Value::Array(values) => !values.iter().all(is_one),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => !is_one(value),
            };
            let found = ["scale", "std"].into_iter().find(|key| input.get(*key).is_some_and(is_there));
            found.map_or(Ok(()), |key| Err(Error::bad_parameter_at(format!("parameters.input.{key}"), WITHOUT_PLACE)))
        }
    }
}

/// Refuses a mean of the request beside a mean image, which is subtracted alone. Zeros ask for nothing.
fn check_one_mean(input: &Section, file: Option<&DecidingFile>) -> Result<()> {
    let is_zero = |value: &Value| value.as_f64() == Some(0.0);
    let asked = match input.get("mean") {
        None | Some(Value::Null) => false,
        Some(Value::Array(values)) => !values.iter().all(is_zero),
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_))) => !is_zero(value),
    };
    match file.filter(|_| asked) {
        Some(file) => Err(beside_mean_image(&file.name)),
        None => Ok(()),
    }
}

/// Networks of Caffe have the channels of images first.
fn check_layout(request: &OpenRequest<'_>) -> Result<()> {
    let asked = if request.kind == DataKind::Images { asked_layout(request.input)? } else { None };
    match asked {
        None | Some(Layout::ChannelsFirst) => Ok(()),
        Some(Layout::ChannelsLast) => {
            Err(Error::bad_parameter_at("parameters.input.layout", "expected nchw for a network of Caffe, found nhwc"))
        }
    }
}

/// Loads a network whose graph was read.
fn load(
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    (source, unread): (&Source, Unchanged),
    mean: Option<&DecidingFile>,
    mut graph: Graph,
) -> Result<(NeuralModel, Task)> {
    let preparation = preparation(request, options, mean, &graph)?;
    let layer = options.extract_layer.as_ref().filter(|_| request.service_type == ServiceType::Unsupervised);
    let answer = match layer {
        Some(layer) => {
            options.output()?;
            let value = blob(&graph, layer).ok_or_else(|| unknown_layer(layer))?;
            of_value(&graph, options, request.service_type, source, value)?
        }
        None => match detections(&graph, options, request, source)? {
            Some(answer) => answer,
            None => {
                let value = chosen_output(&graph, options, request.service_type, source)?;
                of_value(&graph, options, request.service_type, source, value)?
            }
        },
    };
    let Answer { name: output, values, head } = answer;
    let (name, task) = (source.name(), head.task());
    let description = ModelDescription {
        task,
        output: OutputDescription { name: output.clone(), activation: head.activation() },
        shape: Some(preparation.shape),
        parameters: graph.parameter_count().map_err(|error| source.complaint(&error))? as u64,
        flops: graph.flops().map_err(|error| source.complaint(&error))?,
        engine: engine_name(request.engine)?,
        weights: name.clone(),
    };
    let weights = description.parameters.saturating_mul(size_of::<f32>() as u64);
    let another = engine::memory_of_another(engine::Source::Graph, weights, request.engine.engine.as_deref());
    graph.cut_to(values.clone());
    let network = exported(&graph, source)?;
    // The engine makes its own copies of the weights.
    drop(graph);
    let loading =
        Loading { network, again: None, outputs: values, preparation: &preparation, fixed_batch: None, file: &name };
    let (loaded, trial) = loading.load(request.engine)?;
    if let Task::Detection { .. } = task {
        try_head(head.as_ref(), &format!("output {output}"), &name, &trial)?;
    }
    let (source, engine, prepared) = (source.clone(), request.engine.clone(), preparation.clone());
    let layers = move |layer: &str| {
        unread.check()?;
        let found = layer_of(&source, layer, &prepared, &engine)?;
        unread.check().map(|()| found)
    };
    Ok((NeuralModel::new(description, head, preparation, loaded, (another, Box::new(layers))), task))
}

/// The network with the values of a layer as its output.
fn layer_of(
    source: &Source,
    layer: &str,
    preparation: &Preparation,
    engine: &dede_model::backend::EngineOptions,
) -> Result<Option<Loaded>> {
    let mut graph = source.read()?;
    let Some(value) = blob(&graph, layer) else { return Ok(None) };
    graph.cut_to(vec![value.clone()]);
    let network = exported(&graph, source)?;
    let name = source.name();
    let loading = Loading { network, again: None, outputs: vec![value], preparation, fixed_batch: None, file: &name };
    loading.load(engine).map(|(loaded, _)| Some(loaded))
}

fn unknown_layer(layer: &str) -> Error {
    Error::bad_parameter(format!("unknown extract layer {layer}"))
}

/// What a layer computes, before any later layer works on it in place: the original ran the network up to this layer.
fn blob(graph: &Graph, layer: &str) -> Option<String> {
    graph.nodes.iter().find(|node| node.name == layer)?.outputs.first().cloned()
}

/// The network whose outputs are to be computed.
fn exported(graph: &Graph, source: &Source) -> Result<Network> {
    let options = ExportOptions { batch: None, fold: true, extra_outputs: Vec::new() };
    let onnx = dede_graph::onnx::export(graph, &options).map_err(|error| source.complaint(&error))?;
    Ok(Network { onnx: onnx.into(), ..Network::default() })
}

/// How samples become what the network takes.
fn preparation(
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    mean: Option<&DecidingFile>,
    graph: &Graph,
) -> Result<Preparation> {
    let [input] = graph.inputs.as_slice() else {
        let names: Vec<_> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(Error::bad_parameter(format!("a network with one input expected, found {names:?}")));
    };
    let shape = match request.kind {
        DataKind::Images => {
            let Some((channels, height, width)) = input.shape.as_image() else {
                let reason = format!("the network takes samples of {}, not images", input.shape);
                return Err(Error::bad_parameter_at("parameters.input.connector", reason));
            };
            check_image_input(request, channels, Some(height), Some(width))?;
            SampleShape::Image { width: Some(width), height: Some(height), channels }
        }
        DataKind::Table => SampleShape::Row { columns: input.shape.elements().map_err(Error::bad_parameter)? },
    };
    Ok(Preparation {
        shape,
        row: input.shape.dims().to_vec(),
        layout: Layout::ChannelsFirst,
        input: InputType::F32,
        arithmetic: arithmetic(options, mean, &input.transform, Some(&input.shape))?,
        usual: usual_normalization(request.input),
    })
}

/// What happens to a sample's values, in a predict and in a training alike.
fn arithmetic(
    options: &CreationOptions,
    mean: Option<&DecidingFile>,
    transform: &Transform,
    input: Option<&Shape>,
) -> Result<Arithmetic> {
    let mean = match mean {
        Some(file) => files::read_mean(file, input)?.plus(&transform.mean_values),
        None if transform.mean_values.is_empty() => Mean::Absent,
        None => Mean::Channels(transform.mean_values.clone()),
    };
    Ok(Arithmetic::Caffe { mean, scale: options.scale.or(transform.scale).unwrap_or(1.0) })
}

/// A training on this repository. Samples are prepared as a predict prepares them.
fn plan(request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
    let options = CreationOptions::parse(request.mllib)?;
    check_factors(request.kind, &options, request.input)?;
    let files = Files::find(request.repository, request.model)?;
    let source = files.source();
    // A template draws the network anew, without what a deploy file does to its samples.
    let graph = if options.template.is_none() { source.as_ref().map(Source::read).transpose()? } else { None };
    let described = if options.template.is_none() { files.described_training(graph.as_ref())? } else { None };
    let mllib = match described {
        None => Cow::Borrowed(request.mllib),
        Some(solver) => Cow::Owned(with_solver_file(request.mllib, solver)),
    };
    let mean = match &graph {
        Some(graph) => mean_image(request.kind, &files, graph)?,
        None if request.kind == DataKind::Images => files.mean(&Transform::default())?,
        None => None,
    };
    check_one_mean(request.input, mean.as_ref())?;
    let input = graph.and_then(|graph| graph.inputs.into_iter().next());
    let (transform, shape) = input.map(|input| (input.transform, input.shape)).unzip();
    let arithmetic = arithmetic(&options, mean.as_ref(), &transform.unwrap_or_default(), shape.as_ref())?;
    let prepare = Arc::new(move |samples: &dede_model::data::Samples| -> Result<Floats> {
        prepare_for_training(samples, &arithmetic)
    });
    let existing = |alone: bool| -> Result<Option<Held>> {
        let Some(source) = source.as_ref().filter(|_| !alone) else {
            return Ok(files.lone_weights()?.map(Held::Weights));
        };
        let mut graph = source.read()?;
        graph.outputs = vec![chosen_output(&graph, &options, ServiceType::Supervised, source)?];
        Ok(Some(Held::Network(graph)))
    };
    training::plan(&TrainRequest { mllib: &mllib, ..*request }, prepare, &existing)
}

/// The parameters with what a solver's file says below them, and below that what Caffe takes where it says nothing. Of the file, what the
/// policy or the solver of the parameters does not use is left out.
fn with_solver_file(mllib: &Section, solver: Section) -> Section {
    let asked = mllib.get("solver").and_then(Value::as_object);
    let mut resolved = over(asked.unwrap_or(&Section::new()), &solver);
    // With `beta1` there is a `momentum` already, under its other name.
    for key in ["momentum", "weight_decay"] {
        if !(resolved.contains_key(key) || (key == "momentum" && resolved.contains_key("beta1"))) {
            resolved.insert(key.to_owned(), Value::from(0.0_f64));
        }
    }
    training::leave_out(&mut resolved, asked, "fixed");
    over(&Section::from_iter([("solver".to_owned(), Value::Object(resolved))]), mllib)
}

/// The number of columns or `[channels, height, width]` that a network takes, for templates that are compared with it.
fn input_shape(graph: &Graph) -> Option<&Shape> {
    graph.inputs.first().map(|input| &input.shape)
}
