//! The life of a predict: read, compute, render.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dede_model::backend::{Model, PredictOptions, Task};
use dede_model::connector::{Fetched, ReadStep, Reader, ReaderContext, StepItems};
use dede_model::data::{Batch, Targets};
use dede_model::error::{Error, Result};
use dede_model::measure::{MeasureSpec, MeasureValues, evaluate};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::Call;
use dede_model::parameters::{Section, over};
use dede_model::picture::KeptPicture;
use dede_model::request_memory::MemoryShare;
use serde_json::Value;

use super::Service;
use super::serving::{Serving, predict_options};
use crate::answered::{Answered, Timings};
use crate::call::PredictCall;
use crate::capture::Capture;
use crate::output::{OutputOptions, rendered_bytes};

/// An answer, and what gave it.
#[derive(Debug)]
pub struct Predicted {
    /// The answer.
    pub answered: Answered,
    /// Version of the service: `sha256:…`.
    pub version: Arc<str>,
    /// Number of items.
    pub items: usize,
}

/// A model's answer to a call that no client waits for (a dry run).
#[derive(Debug)]
pub struct DryRun {
    /// Before rendering.
    pub outputs: Outputs,
    /// Version of the service that answered: `sha256:…`.
    pub version: Arc<str>,
    /// Time for reading and for all.
    pub took: Timings,
}

/// The reader of the last call that brought input parameters: clients send the same ones again and again.
pub(super) struct RecentReader {
    /// Not held: what left memory must not stay for it.
    serving: Weak<Serving>,
    is_guest: bool,
    written: Section,
    reader: Arc<dyn Reader>,
}

impl Service {
    /// Answers one request. Blocks while it computes. What it takes is counted in `memory`, which is to be kept until the answer is gone.
    ///
    /// # Errors
    /// [`Error::NotTrainedYet`], [`Error::BadInput`], [`Error::BadParameter`], [`Error::Internal`], [`Error::TooLarge`],
    /// [`Error::Overloaded`].
    pub fn predict(&self, call: &PredictCall, memory: &MemoryShare) -> Result<Predicted> {
        let fetched = self.fetch(call, memory)?;
        self.predict_fetched(call, &fetched, memory)
    }

    /// Fetches what the items of a request name by URL: it waits for other machines, and computes nothing.
    ///
    /// # Errors
    /// As [`Service::predict`].
    pub fn fetch(&self, call: &PredictCall, memory: &MemoryShare) -> Result<Fetched> {
        let serving = self.ready()?;
        let checked = self.check_keys(&call.parameters, &serving.parameters, &serving.known, Call::Predict);
        let fetched =
            checked.and_then(|()| self.reader(&serving, call)).and_then(|reader| reader.fetch(&call.data, memory));
        if fetched.is_err() {
            self.statistics.predicted(false, Duration::ZERO);
        }
        fetched
    }

    /// As [`Service::predict`], with what was fetched before.
    ///
    /// # Errors
    /// As [`Service::predict`].
    pub fn predict_fetched(&self, call: &PredictCall, fetched: &Fetched, memory: &MemoryShare) -> Result<Predicted> {
        let started = Instant::now();
        let serving = self.ready()?;
        // A bug in a model is a failure of this service: counted, and compared with what another service answers.
        let result = catch_unwind(AssertUnwindSafe(|| self.predict_on(&serving, (call, fetched), started, memory)))
            .unwrap_or_else(|_| Err(Error::Internal("the server made a mistake, see its log".into())));
        self.statistics.predicted(result.is_ok(), started.elapsed());
        if result.as_ref().is_err_and(Error::is_fault) {
            self.statistics.faulted();
        }
        result
    }

    /// Computes what a call would be answered, for [`rehearse`](crate::rehearsal::rehearse): it is neither counted nor captured nor sent
    /// on. It is refused what a client would be refused, measures and templates included.
    ///
    /// # Errors
    /// As [`Service::predict`].
    pub(crate) fn dry_run(&self, call: &PredictCall) -> Result<DryRun> {
        let started = Instant::now();
        let serving = self.ready()?;
        let model = self.model(&serving)?;
        let output = self.output(&serving, call, &**model)?;
        if !call.tensors.is_empty() {
            let predicted = run(&serving, &**model, call, output, started, &MemoryShare::unbounded())?;
            let Answered { outputs, took, .. } = predicted.answered;
            return Ok(DryRun { outputs, version: predicted.version, took });
        }
        let options = options_of(&serving, &call.parameters.mllib, &output)?;
        let reader = self.reader(&serving, call)?;
        let memory = MemoryShare::unbounded();
        let fetched = reader.fetch(&call.data, &memory)?;
        let ReadStep { batch, .. } = read(&*reader, call, (&fetched, false), 0, &memory)?;
        check_ids(call, &batch)?;
        let transform = started.elapsed();
        let outputs = compute(&**model, &batch, &options, &memory)?;
        let took = Timings { transform, total: started.elapsed() };
        let mut answered = answered(outputs, (batch, Vec::new()), &call.ids, &serving, output)?;
        answered.took = took;
        if answered.output.template.is_some() {
            self.environment.protocol.rehearse(&self.name(), &answered)?;
        }
        Ok(DryRun { outputs: answered.outputs, version: serving.version(), took: answered.took })
    }

    /// The network and reader that answer now.
    fn ready(&self) -> Result<Arc<Serving>> {
        let serving = self.serving()?;
        if serving.model.is_none() && self.jobs.is_busy() {
            return Err(Error::NotTrainedYet(self.name().to_string()));
        }
        Ok(serving)
    }

    fn predict_on(
        &self,
        serving: &Arc<Serving>,
        (call, fetched): (&PredictCall, &Fetched),
        started: Instant,
        memory: &MemoryShare,
    ) -> Result<Predicted> {
        let model = self.model(serving)?;
        let output = self.output(serving, call, &**model)?;
        let capture = self.ring.begin(started, &call.parameters);
        if !call.tensors.is_empty() {
            let predicted = run(serving, &**model, call, output, started, memory)?;
            if let Some(capture) = capture {
                self.ring.finish_tensors(capture, &call.tensors);
            }
            return Ok(predicted);
        }
        let options = options_of(serving, &call.parameters.mllib, &output)?;
        let reader = self.reader(serving, call)?;
        let most_bytes = capture.as_ref().map_or(0, Capture::most_bytes);
        let ReadStep { batch, retained, pictures } =
            read(&*reader, call, (fetched, call.keeps_pictures), most_bytes, memory)?;
        check_ids(call, &batch)?;
        let transform = started.elapsed();
        let items = batch.samples.len();
        self.statistics.transformed(items, transform);
        let outputs = compute(&**model, &batch, &options, memory)?;
        memory.grow(rendered_bytes(&outputs, &output))?;
        let mut answered = answered(outputs, (batch, pictures), &call.ids, serving, output)?;
        answered.took = Timings { transform, total: started.elapsed() };
        if let Some(capture) = capture {
            self.ring.finish(capture, retained, &call.data);
        }
        Ok(Predicted { answered, version: serving.version(), items })
    }

    fn model<'a>(&self, serving: &'a Serving) -> Result<&'a Arc<dyn Model>> {
        serving.model.as_ref().ok_or_else(|| self.no_model(serving))
    }

    /// What a predict without a network is told (contract.md 3.9, rule 6).
    fn no_model(&self, serving: &Serving) -> Error {
        let place = self.definition.repository_as_sent();
        let root = self.definition.repository.root();
        let described = serving.parameters.mllib.get("template").and_then(Value::as_str).is_some_and(|t| !t.is_empty())
            || root.join("deploy.prototxt").exists();
        let what = if described { "model" } else { "deploy file" };
        Error::bad_parameter(format!("no {what} in {place} for initializing the net"))
    }

    /// What is to be answered: checks every key of the call, and that the network can give what it asks for.
    fn output(&self, serving: &Serving, call: &PredictCall, model: &dyn Model) -> Result<OutputOptions> {
        self.check_keys(&call.parameters, &serving.parameters, &serving.known, Call::Predict)?;
        let output = OutputOptions::parse(&over(&call.parameters.output, &serving.parameters.output))?;
        output.check_task(model.description().task)?;
        let answered = match options(serving, &call.parameters.mllib)?.extract_layer {
            None => model.description().task,
            Some(_) => Task::Features,
        };
        output.measures.check_task(answered)?;
        self.note(&output.without_effect(answered))?;
        Ok(output)
    }

    /// The service's own reader, or one for the parameters of the call.
    fn reader(&self, serving: &Arc<Serving>, call: &PredictCall) -> Result<Arc<dyn Reader>> {
        let written = &call.parameters.input;
        if written.keys().all(|key| key == "connector") {
            return Ok(Arc::clone(if call.is_guest { &serving.guest_reader } else { &serving.reader }));
        }
        if let Some(recent) = &*self.recent_reader.load()
            && std::ptr::eq(recent.serving.as_ptr(), &raw const **serving)
            && recent.is_guest == call.is_guest
            && recent.written == *written
        {
            return Ok(Arc::clone(&recent.reader));
        }
        let guest = self.environment.guest_limits.as_ref().filter(|_| call.is_guest);
        let mut input = written.clone();
        input.remove("connector");
        let reader: Arc<dyn Reader> = self
            .definition
            .connector
            .open(&ReaderContext {
                parameters: &over(&input, &serving.parameters.input),
                own: &input,
                created: &self.definition.parameters.input,
                stored: &serving.stored.input,
                parameters_in_call: true,
                shape: serving.shape(),
                labels: &serving.labels,
                regression: serving.regression(),
                limits: Arc::clone(guest.unwrap_or(&self.environment.limits)),
            })?
            .into();
        let recent = RecentReader {
            serving: Arc::downgrade(serving),
            is_guest: call.is_guest,
            written: written.clone(),
            reader: Arc::clone(&reader),
        };
        self.recent_reader.store(Some(Arc::new(recent)));
        Ok(reader)
    }
}

/// Reads the items of a call: those that were sent, or pictures that an action of a chain made.
fn read(
    reader: &dyn Reader,
    call: &PredictCall,
    (fetched, keeps_pictures): (&Fetched, bool),
    most_bytes: usize,
    memory: &MemoryShare,
) -> Result<ReadStep> {
    match (call.pictures.is_empty(), keeps_pictures) {
        (true, false) => {
            let (batch, retained) = reader.read_fetched(&call.data, fetched, most_bytes, memory)?;
            Ok(ReadStep { batch, retained, pictures: Vec::new() })
        }
        (true, true) => reader.read_step(StepItems::Sent { data: &call.data, fetched }, true, most_bytes, memory),
        (false, _) => reader.read_step(StepItems::Made(&call.pictures), keeps_pictures, 0, memory),
    }
}

/// Checks that each item has an id of its own, where there are ids: with fewer, or more, it is unclear which id belongs
/// to which item.
fn check_ids(call: &PredictCall, batch: &Batch) -> Result<()> {
    let (items, ids) = (batch.samples.len(), call.ids.len());
    if ids == 0 || ids == items {
        return Ok(());
    }
    Err(Error::bad_parameter_at("ids", format!("expected {items}, one for each item, found {ids}")))
}

/// The service's own options, or those of the call.
fn options<'a>(serving: &'a Serving, mllib: &Section) -> Result<Cow<'a, PredictOptions>> {
    if mllib.is_empty() {
        return Ok(Cow::Borrowed(&serving.predict_options));
    }
    predict_options(&over(mllib, &serving.parameters.mllib)).map(Cow::Owned)
}

/// The same, with the boxes and confidences that the call wants.
fn options_of<'a>(serving: &'a Serving, mllib: &Section, output: &OutputOptions) -> Result<Cow<'a, PredictOptions>> {
    let (mut options, boxes) = (options(serving, mllib)?, output.boxes());
    if options.boxes != boxes {
        options.to_mut().boxes = boxes;
    }
    if options.confidences != output.confidences {
        options.to_mut().confidences = output.confidences.clone();
    }
    Ok(options)
}

/// Answers a call of tensors.
fn run(
    serving: &Serving,
    model: &dyn Model,
    call: &PredictCall,
    output: OutputOptions,
    started: Instant,
    memory: &MemoryShare,
) -> Result<Predicted> {
    if !call.data.is_empty() {
        return Err(Error::bad_input("expected items or tensors, found both"));
    }
    let bytes = call.tensors.iter().map(|named| named.tensor.values().bytes()).sum();
    let _inputs = memory.borrow(bytes)?;
    let outputs = Outputs::Tensors(model.run(call.tensors.clone(), memory)?);
    let took = Timings { transform: Duration::ZERO, total: started.elapsed() };
    let (uris, labels) = (Vec::new(), Arc::clone(&serving.labels));
    let answered = Answered { outputs, pictures: Vec::new(), uris, labels, measures: None, output, took };
    Ok(Predicted { answered, version: serving.version(), items: 1 })
}

fn compute(model: &dyn Model, batch: &Batch, options: &PredictOptions, memory: &MemoryShare) -> Result<Outputs> {
    let outputs = model.predict(&batch.samples, options, memory)?;
    // Numbers of an item that are finite, and beyond what the network can compute with, are no fault of the service.
    match outputs.first_not_finite() {
        None => Ok(outputs),
        Some((number, value)) => {
            let what = if value.is_nan() { "no number (NaN)" } else { "infinite" };
            let text =
                format!("the network's answer is {what}: this item, or the network's weights, are beyond its range");
            let uri = batch.uris.get(number).map(|uri| format!(", {uri}")).unwrap_or_default();
            Err(Error::bad_input_at(format!("item {}{uri}", number + 1), text))
        }
    }
}

fn answered(
    outputs: Outputs,
    (batch, pictures): (Batch, Vec<KeptPicture>),
    ids: &[String],
    serving: &Serving,
    output: OutputOptions,
) -> Result<Answered> {
    let measures = match output.measures.is_empty() {
        true => None,
        false => Some(measured(&output.measures, &outputs, batch.targets.as_ref(), serving)?),
    };
    let mut uris = batch.uris;
    for (uri, id) in uris.iter_mut().zip(ids) {
        uri.clone_from(id);
    }
    let (labels, took) = (Arc::clone(&serving.labels), Timings::default());
    Ok(Answered { outputs, pictures, uris, labels, measures, output, took })
}

fn measured(
    spec: &MeasureSpec,
    outputs: &Outputs,
    targets: Option<&Targets>,
    serving: &Serving,
) -> Result<MeasureValues> {
    let targets = targets.ok_or_else(|| {
        Error::bad_input_at("parameters.output.measure", "measures need labelled data, found no labels")
    })?;
    evaluate(spec, outputs, targets, &serving.labels)
}
