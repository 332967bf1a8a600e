//! mllib `onnx`: any ONNX file, whoever wrote it.
//!
//! It owns what is concluded from such a file: layout, outputs, number of classes, and the head that answers. It must not know engines.

mod answer;
mod claim;
mod files;
mod graph_outputs;
mod numbers;

use std::sync::Arc;

use answer::{chosen_output, conclude, wanted_outputs, with_maps};
use claim::{Claim, Kinds, claimed};
use dede_graph::Graph;
use dede_graph::onnx::{ModelSummary, inspect};
use dede_model::backend::{
    Backend, DecidingFile, EngineOptions, ModelDescription, OpenRequest, Opened, OutputDescription, ServiceType, Task,
    TrainRequest, TrainingPlan, WeightFile,
};
use dede_model::data::{DataKind, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::KeyTable;
use files::{content, external_files, graph_error, network_file, with_external};
use graph_outputs::{GraphOutput, items_of_a_run};
use serde_json::Value;

use super::caffe::template;
use super::engine::{self, EngineError, LoadOptions, Network, Source};
use super::heads::HeadKind;
use super::heads::kinds::kinds;
use super::image_layout::{ImageInput, asked_layout, image_input};
use super::keys::KEYS;
use super::loading::{Loaded, Loading, engine_name};
use super::model::NeuralModel;
use super::onnx_view::OnnxView;
use super::options::{CreationOptions, MLLIB, TENSORS, check_image_input};
use super::preparation::{Arithmetic, InputType, Layout, Preparation, prepare_for_training, usual_normalization};
use super::sizes_by_value;
use super::tensors::TensorModel;
use super::training::{self, Held};
use super::unchanged::Unchanged;

/// What `dede` writes into its own files as their producer: their images have the channels first.
const OWN_PRODUCER: &str = "dede";

/// The backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Onnx {
    heads: &'static [&'static dyn HeadKind],
}

impl Onnx {
    /// With the heads that are built in.
    pub const fn new() -> Self {
        Self::with_heads(&[])
    }

    /// With further heads, which are offered each network before those that are built in, in this order.
    pub const fn with_heads(heads: &'static [&'static dyn HeadKind]) -> Self {
        Self { heads }
    }

    fn options(&self, section: &Section) -> Result<CreationOptions> {
        let names: Vec<_> = self.all_kinds().map(HeadKind::name).collect();
        CreationOptions::parse_with(section, &names)
    }

    fn kinds(&self, options: &CreationOptions) -> Kinds {
        let asked = options.output_format.as_deref();
        let asked = asked.and_then(|name| self.all_kinds().find(|kind| kind.name() == name));
        Kinds { all: self.all_kinds().collect(), asked }
    }

    fn all_kinds(&self) -> impl Iterator<Item = &'static dyn HeadKind> {
        self.heads.iter().copied().chain(kinds())
    }
}

impl Backend for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn accepts(&self, kind: DataKind, _service_type: ServiceType) -> bool {
        matches!(kind, DataKind::Images | DataKind::Table)
    }

    fn keys(&self) -> KeyTable {
        KEYS
    }

    fn check_creation(&self, mllib: &Section) -> Result<()> {
        training::check_creation(mllib)
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let options = self.options(request.mllib)?;
        let in_call = self.options(request.mllib_in_call)?;
        if request.kind == DataKind::Images {
            asked_layout(request.input)?;
        }
        let Some(file) = network_file(request.repository, request.model)? else {
            if options.output_format.is_some() {
                return Err(unfit_format("a network in the repository, found none"));
            }
            template::check_new(request, &options, false)?;
            let task = options.task(request.service_type)?;
            in_call.check_other_count(task)?;
            return Ok(Opened { model: None, task: Some(task), files: Vec::new() });
        };
        template::check_run(&in_call, request.mllib_stored, &file.name)?;
        if options.output_format.as_deref() == Some(TENSORS) {
            return load_for_tensors(request, &file);
        }
        let (model, task, files) = load(request, &options, self.kinds(&options), &file)?;
        in_call.check_other_count(task)?;
        training::check_classes(request.mllib_in_call, task)?;
        Ok(Opened { model: Some(Arc::new(model)), task: Some(task), files })
    }

    fn plan(&self, request: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        match self.options(request.mllib)?.output_format.as_deref() {
            None => {}
            Some(TENSORS) => return Err(unfit_format("no training of a service of tensors")),
            Some(head) => return Err(unfit_format(&format!("no training of a service with head {head}"))),
        }
        let prepare = Arc::new(|samples: &Samples| prepare_for_training(samples, &Arithmetic::Scaled));
        let file = network_file(request.repository, request.model)?;
        let read = |file: &DecidingFile| -> Result<Graph> {
            dede_graph::onnx::import(&content(&file.path, &file.name)?).map_err(|error| graph_error(file, error))
        };
        training::plan(request, prepare, &|alone| {
            let file = file.as_ref().filter(|_| !alone);
            Ok(file.map(read).transpose()?.map(Held::Network))
        })
    }

    fn memory_needed(&self, weights: &[WeightFile<'_>], options: &EngineOptions) -> u64 {
        let (network, beside): (Vec<_>, Vec<_>) = weights.iter().partition(|file| file.name.ends_with(".onnx"));
        let needed = |source, files: Vec<&WeightFile<'_>>| {
            engine::memory_needed(source, files.iter().map(|file| file.size).sum(), options.engine.as_deref())
        };
        needed(Source::Onnx, network).saturating_add(needed(Source::External, beside))
    }

    fn is_library_file(&self, file_name: &str) -> bool {
        file_name.ends_with(".json")
    }
}

/// The last extent of the output to answer: the one that a creation names, or the only one. `None` where the file does not say it, or where
/// there is no such output.
///
/// # Errors
/// [`Error::BadParameter`] where the file cannot be read, or which one it is cannot be told.
pub(super) fn columns(request: &OpenRequest<'_>) -> Result<Option<usize>> {
    let Some(file) = network_file(request.repository, request.model)? else { return Ok(None) };
    let summary = inspect(&content(&file.path, &file.name)?).map_err(|error| graph_error(&file, error))?;
    let named = ["output", "outputBlob"].into_iter().find_map(|key| request.mllib.get(key)?.as_str());
    let output = match named.filter(|name| !name.is_empty()) {
        Some(name) => summary.outputs.iter().find(|output| output.name == name),
        None => summary.outputs.first().filter(|_| summary.outputs.len() == 1),
    };
    Ok(output.and_then(|output| output.dims.as_ref()?.last().copied().flatten()))
}

/// Loads a file and concludes what it is.
fn load(
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    kinds: Kinds,
    file: &DecidingFile,
) -> Result<(NeuralModel, Task, Vec<DecidingFile>)> {
    let unread = Unchanged::of([file.clone()]);
    let onnx = content(&file.path, &file.name)?;
    let summary = inspect(&onnx).map_err(|error| graph_error(file, error))?;
    let external = Unchanged::of(external_files(file, &summary));
    let (preparation, fixed_batch) = preparation(request, file, &summary)?;
    let (claim, outputs) = wanted(request, options, kinds, &onnx, (file, &summary))?;
    let fixed_batch = fixed_batch.or_else(|| items_of_a_run(&outputs, file));
    let (network, files) = with_external(file, onnx, &summary)?;
    let another = memory_of_another(&network, request.engine);
    let values = outputs.iter().map(|output| output.candidate.value.clone()).collect();
    let again = || with_external(file, content(&file.path, &file.name)?, &summary).map(|(network, _)| network);
    let again: Option<&dyn Fn() -> Result<Network>> = Some(&again);
    let loading = Loading { network, again, outputs: values, preparation: &preparation, fixed_batch, file: &file.name };
    let behind_maps = outputs.iter().find(|output| output.is_behind_maps());
    let (loaded, trial) = loading.load(request.engine).map_err(|error| with_maps(error, behind_maps))?;
    let (loaded, name, head) = match claim {
        Some(claim) => {
            let names: Vec<_> = outputs.iter().map(|output| output.candidate.name.as_str()).collect();
            let name = names.join(", ");
            (loaded, name, claim.head(request, options, file, outputs, (&trial, fixed_batch))?)
        }
        None => {
            let are_several = outputs.len() > 1;
            let (place, output) = chosen_output(request.service_type, options, outputs, &trial)?;
            let loaded = match are_several {
                false => loaded,
                // The others are computed no more.
                true => {
                    drop(loaded);
                    let value = output.candidate.value.clone();
                    let loaded = load_value(file, value, &preparation, fixed_batch, request.engine)?;
                    unread.check().and_then(|()| external.check())?;
                    loaded
                }
            };
            let name = output.candidate.name.clone();
            (loaded, name, conclude(request.service_type, options, file, output, (&trial, place), fixed_batch)?)
        }
    };
    let task = head.task();
    let description = ModelDescription {
        task,
        output: OutputDescription { name, activation: head.activation() },
        shape: Some(preparation.shape),
        parameters: summary.parameter_count,
        flops: 0,
        engine: engine_name(request.engine)?,
        weights: file.name.clone(),
    };
    let (file, engine, prepared) = (file.clone(), request.engine.clone(), preparation.clone());
    let layers = move |layer: &str| {
        let is_same = || unread.check().and_then(|()| external.check());
        is_same()?;
        let found = layer_of(&file, layer, &prepared, fixed_batch, &engine)?;
        is_same().map(|()| found)
    };
    Ok((NeuralModel::new(description, head, preparation, loaded, (another, Box::new(layers))), task, files))
}

/// The outputs to load: a layer that is asked for, those that a kind of head claims, or those that the heads built in may answer.
fn wanted(
    request: &OpenRequest<'_>,
    options: &CreationOptions,
    kinds: Kinds,
    onnx: &[u8],
    (file, summary): (&DecidingFile, &ModelSummary),
) -> Result<(Option<Claim>, Vec<GraphOutput>)> {
    let is_unsupervised = request.service_type == ServiceType::Unsupervised;
    if let Some(layer) = options.extract_layer.as_ref().filter(|_| is_unsupervised) {
        options.output()?;
        if let Some(kind) = kinds.asked {
            let reason = format!("expected none with head {}, which answers outputs", kind.name());
            return Err(Error::bad_parameter_at(format!("{MLLIB}.extract_layer"), reason));
        }
        let value = value_of(onnx, file, layer)?.ok_or_else(|| unknown_layer(layer))?;
        return Ok((None, vec![GraphOutput::layer(onnx, file, layer, value)?]));
    }
    match claimed(kinds, request, options, onnx, (file, summary))? {
        Some((claim, outputs)) => Ok((Some(claim), outputs)),
        None => Ok((None, wanted_outputs(request.service_type, options, onnx, file, summary)?)),
    }
}

fn unfit_format(expected: &str) -> Error {
    Error::bad_parameter_at(format!("{MLLIB}.output_format"), format!("expected {expected}"))
}

/// Loads a file whose inputs and outputs are tensors to its callers, whatever they mean.
fn load_for_tensors(request: &OpenRequest<'_>, file: &DecidingFile) -> Result<Opened> {
    let onnx = content(&file.path, &file.name)?;
    let summary = inspect(&onnx).map_err(|error| graph_error(file, error))?;
    let (network, files) = with_external(file, onnx, &summary)?;
    let engine = engine::select(request.engine.engine.as_deref())?;
    let lanes = request.engine.concurrency.max(1);
    // Without items to compare answers on, the operators stay those of the file.
    let options = LoadOptions { threads: 1, lanes, outputs: Vec::new(), is_optimised: false };
    let refused = |error: EngineError| Error::bad_parameter_at(&file.name, error.to_string());
    sizes_by_value::check(&network.onnx).map_err(refused)?;
    let session = engine.load(network, &options).map_err(refused)?;
    let description = ModelDescription {
        task: Task::Tensors,
        output: OutputDescription::default(),
        shape: None,
        parameters: summary.parameter_count,
        flops: 0,
        engine: engine_name(request.engine)?,
        weights: file.name.clone(),
    };
    let model = TensorModel::new(description, session, lanes);
    Ok(Opened { model: Some(Arc::new(model)), task: Some(Task::Tensors), files })
}

/// Memory that another copy of the network takes.
fn memory_of_another(network: &Network, engine: &EngineOptions) -> u64 {
    let needed = |source, bytes: usize| engine::memory_of_another(source, bytes as u64, engine.engine.as_deref());
    let external = network.external.iter().map(|(_, content)| content.len()).sum();
    needed(Source::Onnx, network.onnx.len()).saturating_add(needed(Source::External, external))
}

fn unknown_layer(layer: &str) -> Error {
    Error::bad_parameter(format!("unknown extract layer {layer}"))
}

/// The network with the values of a layer as its output.
fn layer_of(
    file: &DecidingFile,
    layer: &str,
    preparation: &Preparation,
    fixed_batch: Option<usize>,
    engine: &EngineOptions,
) -> Result<Option<Loaded>> {
    let value = value_of(&content(&file.path, &file.name)?, file, layer)?;
    value.map(|value| load_value(file, value, preparation, fixed_batch, engine)).transpose()
}

/// The network with one value as its output.
fn load_value(
    file: &DecidingFile,
    value: String,
    preparation: &Preparation,
    fixed_batch: Option<usize>,
    engine: &EngineOptions,
) -> Result<Loaded> {
    let onnx = content(&file.path, &file.name)?;
    let summary = inspect(&onnx).map_err(|error| graph_error(file, error))?;
    let output = GraphOutput::layer(&onnx, file, &value, value.clone())?;
    let fixed_batch = fixed_batch.or_else(|| items_of_a_run(std::slice::from_ref(&output), file));
    let (network, _) = with_external(file, onnx, &summary)?;
    let again = || with_external(file, content(&file.path, &file.name)?, &summary).map(|(network, _)| network);
    let again: Option<&dyn Fn() -> Result<Network>> = Some(&again);
    let loading = Loading { network, again, outputs: vec![value], preparation, fixed_batch, file: &file.name };
    let (loaded, trial) = loading.load(engine)?;
    output.check_items(&file.name, &trial, fixed_batch)?;
    Ok(loaded)
}

/// The value that a client calls a layer: a node by its name, or a value by its own.
fn value_of(onnx: &[u8], file: &DecidingFile, layer: &str) -> Result<Option<String>> {
    let view = OnnxView::parse(onnx).map_err(|error| Error::bad_parameter_at(&file.name, error.to_string()))?;
    let nodes = &view.graph.nodes;
    let named = nodes.iter().find(|node| node.name == layer).and_then(|node| node.outputs.first().copied());
    let value = named.or_else(|| nodes.iter().flat_map(|node| &node.outputs).copied().find(|value| *value == layer));
    Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
}

/// How samples become the input, and the number of samples in a run where the file fixes it.
fn preparation(
    request: &OpenRequest<'_>,
    file: &DecidingFile,
    summary: &ModelSummary,
) -> Result<(Preparation, Option<usize>)> {
    let fail = |reason: String| Err(Error::bad_parameter_at(&file.name, reason));
    let [input] = summary.inputs.as_slice() else {
        let names: Vec<_> = summary.inputs.iter().map(|input| input.name.as_str()).collect();
        return fail(format!("a network with one input expected, found {names:?}: export it with all of them in one"));
    };
    let name = &input.name;
    let element = match input.element_type {
        1 => InputType::F32,
        2 => InputType::U8,
        other => {
            return fail(format!(
                "input {name} has ONNX type {other}; 1 (float) and 2 (uint8) are supported: export it for inputs of single \
                 precision"
            ));
        }
    };
    let Some([batch, extents @ ..]) = input.dims.as_deref() else {
        return fail(format!(
            "the shape of input {name} is not said: export it with the number of columns, or of channels and places"
        ));
    };
    let (shape, row, layout) = match request.kind {
        DataKind::Images => {
            let &[first, second, third] = extents else {
                return fail(format!("input {name} has {} dimensions, images have 4", extents.len() + 1));
            };
            let ImageInput { layout, channels, height, width } = match summary.producer.as_str() {
                OWN_PRODUCER => {
                    ImageInput { layout: Layout::ChannelsFirst, channels: first, height: second, width: third }
                }
                _ => image_input(request, [first, second, third], &file.name, name)?,
            };
            let grey = request.input.get("bw").and_then(Value::as_bool).unwrap_or(false);
            let channels = channels.unwrap_or(if grey { 1 } else { 3 });
            check_image_input(request, channels, height, width)?;
            (SampleShape::Image { width, height, channels }, Vec::new(), layout)
        }
        DataKind::Table => {
            let Some(row) = extents.iter().copied().collect::<Option<Vec<_>>>().filter(|row| !row.is_empty()) else {
                return fail(format!("input {name} has shape {:?}, the number of columns is not said", input.dims));
            };
            if element == InputType::U8 {
                return fail(format!("input {name} takes bytes, which a table is not made of"));
            }
            let Some(columns) = row.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent)) else {
                return fail(format!("input {name} has shape {:?}, more columns than there is memory for", input.dims));
            };
            (SampleShape::Row { columns }, row, Layout::ChannelsFirst)
        }
    };
    let fixed_batch = batch.filter(|&batch| batch > 0);
    let usual = usual_normalization(request.input);
    Ok((Preparation { shape, row, layout, input: element, arithmetic: Arithmetic::Scaled, usual }, fixed_batch))
}
