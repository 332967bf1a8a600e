//! A catalogue for tests, with a connector that reads numbers and a backend that answers, fails, panics or blocks as its
//! parameters say. `mllib.answer`: what to add to the input; `mllib.classes`: the sum is the score of a class; `mllib.behaviour`: `fail`, `panic`, or `block` until the gate named
//! `mllib.gate` opens.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use dede_model::backend::{
    Backend, EngineOptions, Model, ModelDescription, OpenRequest, Opened, OutputDescription, PredictOptions,
    ServiceType, Task, TrainRequest, TrainingPlan,
};
use dede_model::connector::{
    Connector, Fetched, Fitted, InputLimits, ReadStep, Reader, ReaderContext, RetainedItems, StepItems,
};
use dede_model::data::{Batch, DataKind, ImageSizes, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::picture::{KeptPicture, Picture};
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::Floats;
use dede_storage::Roots;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::catalogue::Catalogue;
use crate::dispatch::{Call, Dispatcher, Door, Inferred, Record, RemoteTarget, Target};
use crate::environment::Environment;
use crate::limiter::{Bounds, Forwarded, Limiter};
use crate::name::ServiceName;
use crate::protocol::Plain;
use crate::service::{CreationRequest, PredictCall, Service, ServiceId};
use crate::trial::Trial;

/// A server without HTTP. The state is in `directory`, below `state`.
pub(crate) fn catalogue(directory: &Path) -> Arc<Catalogue> {
    catalogue_that_tries(directory, None)
}

/// The same, with a trial of the files of networks.
pub(crate) fn catalogue_that_tries(directory: &Path, trial: Option<Arc<dyn Trial>>) -> Arc<Catalogue> {
    Catalogue::start(environment(directory, trial)).unwrap()
}

/// What it is started with.
pub(crate) fn environment(directory: &Path, trial: Option<Arc<dyn Trial>>) -> Environment {
    Environment {
        connectors: &[&Numbers],
        backends: &[&Adder],
        engine: EngineOptions { threads: 2, concurrency: 2, engine: None },
        limits: Arc::new(InputLimits::default()),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(64, 2)),
        queue_limit: 16,
        strict: false,
        capture_bytes: 0,
        repository_roots: Roots::default(),
        state_directory: directory.join("state"),
        protocol: &Plain,
        trial,
    }
}

/// Creates a service with these mllib parameters.
pub(crate) fn create(catalogue: &Catalogue, directory: &Path, name: &str, mllib: &Value) -> Arc<Service> {
    let repository = directory.join(format!("model-{name}"));
    let body = json!({
        "mllib": "adder",
        "parameters": {"input": {"connector": "numbers"}, "mllib": mllib},
        "model": {"repository": repository, "create_repository": true},
    });
    let text = body.to_string();
    let request = CreationRequest::from_record(&text).unwrap();
    catalogue.create(name, request).unwrap();
    catalogue.resolve(name).unwrap().service
}

/// The identity of a service.
pub(crate) fn id(catalogue: &Catalogue, name: &str) -> ServiceId {
    catalogue.resolve(name).unwrap().service.id
}

/// A call with one number.
pub(crate) fn call(number: f32) -> PredictCall {
    PredictCall { data: vec![number.to_string()], ..PredictCall::default() }
}

/// Who was asked, the items that were answered, and the refusal.
pub(crate) type Recorded = (String, usize, Option<String>);

/// How long a call is on its way to a peer and back.
pub(crate) const FORWARDING_TAKES: Duration = Duration::from_millis(10);

/// What happens while a call is forwarded: a reply, or none, and whether it may be made again then.
pub(crate) type Forwarding = Box<dyn FnMut(&RemoteTarget) -> (Result<f32>, bool) + Send>;

/// A protocol whose replies are numbers.
#[derive(Clone, Default)]
pub(crate) struct NumberDoor {
    /// How forwarded calls end; each is answered with -1 where nothing is said.
    pub(crate) forwarding: Arc<Mutex<Option<Forwarding>>>,
    /// Whether the last one may be made again.
    pub(crate) may_be_repeated: bool,
    /// What became of each call.
    pub(crate) records: Arc<Mutex<Vec<Recorded>>>,
    /// Why no answer can be rendered.
    pub(crate) unrendered: Option<&'static str>,
}

impl Door for NumberDoor {
    type Reply = f32;
    type Failure = Error;

    fn check(&mut self, asked: &ServiceName) -> Result<()> {
        if asked.as_str() == "refused" { Err(Error::Forbidden("not by this door".into())) } else { Ok(()) }
    }

    fn take_memory(&mut self) -> MemoryShare {
        MemoryShare::unbounded()
    }

    fn render(&self, inferred: Inferred<'_>) -> Result<f32> {
        let Outputs::Regression(tensor) = inferred.outputs else { panic!("values are predicted") };
        self.unrendered.map_or(Ok(tensor.values()[0]), |reason| Err(Error::bad_input(reason)))
    }

    fn reason(&self, _: &PredictCall, failure: &Error) -> Option<String> {
        Some(failure.to_string())
    }

    async fn forward(&mut self, to: RemoteTarget, _: Forwarded) -> Result<f32> {
        let found = self.forwarding.lock().unwrap().as_mut().map(|forwarding| forwarding(&to));
        let Some((outcome, may_be_repeated)) = found else { return Ok(-1.0) };
        tokio::time::sleep(FORWARDING_TAKES).await;
        self.may_be_repeated = may_be_repeated;
        outcome
    }

    fn may_be_repeated(&self) -> bool {
        self.may_be_repeated
    }

    async fn read_again(&mut self) -> Result<Box<PredictCall>> {
        Ok(Box::new(call(10.0)))
    }

    fn queued(&self, _: Duration) {}

    fn record(&self, record: &Record<'_>, outcome: Result<&f32, &Error>) {
        let to = match &record.to.target {
            Target::Unknown => "unknown".to_owned(),
            Target::Here(service) => service.name().to_string(),
            Target::There(target) => format!("{}/{}", target.peer, target.service),
        };
        self.records.lock().unwrap().push((to, record.items, outcome.err().map(ToString::to_string)));
    }
}

/// Asks a name for a number, as a client does.
pub(crate) fn ask(catalogue: &Arc<Catalogue>, name: &str, number: f32) -> Result<f32> {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap());
    let dispatcher = Dispatcher::new(Arc::clone(catalogue));
    RUNTIME.block_on(dispatcher.infer(NumberDoor::default(), to(name, number)))
}

/// A call with one number.
pub(crate) fn to(name: &str, number: f32) -> Call {
    Call { name: name.to_owned(), request: Box::new(call(number)), received: Instant::now(), deadline: None }
}

/// What models wait at.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// The gate of that name, closed at first.
    pub(crate) fn named(name: &str) -> Arc<Self> {
        static GATES: LazyLock<Mutex<HashMap<String, Arc<Gate>>>> = LazyLock::new(Mutex::default);
        Arc::clone(GATES.lock().unwrap().entry(name.to_owned()).or_default())
    }

    /// Lets all models through from now on.
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Waits until a model waits at the gate.
    pub(crate) fn until_reached(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| state.waiting == 0).unwrap());
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| !state.open).unwrap();
        state.waiting -= 1;
    }
}

struct Numbers;

impl Connector for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn kind(&self) -> DataKind {
        DataKind::Table
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[])
    }

    fn open(&self, _: &ReaderContext<'_>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Self))
    }
}

impl Reader for Numbers {
    fn fetch(&self, _: &[String], _: &MemoryShare) -> Result<Fetched> {
        Ok(Fetched::default())
    }

    fn read_fetched(&self, data: &[String], _: &Fetched, _: usize, _: &MemoryShare) -> Result<(Batch, RetainedItems)> {
        let number = |item: &String| item.parse().map_err(|_| Error::bad_input(format!("no number: {item}")));
        let values: Vec<f32> = data.iter().map(number).collect::<Result<_>>()?;
        let samples = Samples::Table(Floats::new(vec![values.len(), 1], values).unwrap());
        Ok((Batch { samples, uris: data.to_vec(), targets: None }, RetainedItems::AsSent))
    }

    /// A picture is the number of its first pixel, and a number is kept as a picture of one pixel.
    fn read_step(
        &self,
        items: StepItems<'_>,
        keeps_pictures: bool,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<ReadStep> {
        let data: Vec<String> = match items {
            StepItems::Sent { data, .. } => data.to_vec(),
            StepItems::Made(pictures) => pictures.iter().map(|picture| picture.pixels()[0].to_string()).collect(),
        };
        let (batch, retained) = self.read_fetched(&data, &Fetched::default(), most_bytes, memory)?;
        let sizes = ImageSizes { width: 1, height: 1, original_width: 1, original_height: 1, frame: None };
        let kept = |number: &String| {
            let pixel = number.parse::<f32>().unwrap_or_default() as u8;
            KeptPicture { picture: Picture::new(1, 1, 1, vec![pixel]).unwrap(), sizes }
        };
        let pictures = if keeps_pictures { data.iter().map(kept).collect() } else { Vec::new() };
        Ok(ReadStep { batch, retained, pictures })
    }

    fn example(&self, seed: u64) -> Result<String> {
        Ok((seed % 100).to_string())
    }

    fn fit(&self, _: &[String]) -> Result<Fitted> {
        Err(Error::bad_input("numbers are not trained on"))
    }

    fn shape(&self) -> Option<SampleShape> {
        None
    }
}

struct Adder;

impl Backend for Adder {
    fn name(&self) -> &'static str {
        "adder"
    }

    fn accepts(&self, _: DataKind, _: ServiceType) -> bool {
        true
    }

    fn keys(&self) -> KeyTable {
        const KEYS: KeyTable = KeyTable(&[&[
            Key::applied("answer", Moment::Each),
            Key::applied("classes", Moment::Each),
            Key::applied("behaviour", Moment::Each),
            Key::applied("gate", Moment::Each),
        ]]);
        KEYS
    }

    fn open(&self, request: &OpenRequest<'_>) -> Result<Opened> {
        let text = |key| request.mllib.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let has_classes = request.mllib.get("classes") == Some(&Value::Bool(true));
        let model = AddingModel {
            answer: request.mllib.get("answer").and_then(Value::as_f64).unwrap_or(0.0) as f32,
            behaviour: text("behaviour"),
            gate: Gate::named(&text("gate")),
            description: ModelDescription {
                task: match has_classes {
                    true => Task::Classification { classes: 1 },
                    false => Task::Regression { targets: 1 },
                },
                output: OutputDescription::default(),
                shape: Some(SampleShape::Row { columns: 1 }),
                parameters: 0,
                flops: 0,
                engine: "none".into(),
                weights: String::new(),
            },
        };
        Ok(Opened { model: Some(Arc::new(model)), task: None, files: Vec::new() })
    }

    fn plan(&self, _: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("an adder is not trained"))
    }

    fn is_library_file(&self, _: &str) -> bool {
        false
    }
}

struct AddingModel {
    answer: f32,
    behaviour: String,
    gate: Arc<Gate>,
    description: ModelDescription,
}

impl Model for AddingModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(&self, samples: &Samples, _: &PredictOptions, _: &MemoryShare) -> Result<Outputs> {
        match self.behaviour.as_str() {
            "fail" => return Err(Error::Internal("told to fail".into())),
            "panic" => panic!("told to panic"),
            "block" => self.gate.pass(),
            _ => {}
        }
        let Samples::Table(table) = samples else { return Err(Error::bad_input("no table")) };
        let values = table.values().iter().map(|value| value + self.answer).collect();
        let values = Floats::new(table.shape().to_vec(), values).unwrap();
        let has_classes = matches!(self.description.task, Task::Classification { .. });
        Ok(if has_classes { Outputs::Classification(values) } else { Outputs::Regression(values) })
    }
}
