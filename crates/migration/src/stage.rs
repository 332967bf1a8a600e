//! For tests: a catalogue whose services answer with the number they are asked, and a move that stands between two of them.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dede_bundle::Digest;
use dede_bundle::store::BlobStore;
use dede_engine::catalogue::{Catalogue, Creation};
use dede_engine::environment::Environment;
use dede_engine::limiter::{Bounds, Limiter};
use dede_engine::move_id::MoveId;
use dede_engine::name::ServiceName;
use dede_engine::protocol::Plain;
use dede_engine::service::{CreationRequest, PredictCall, Service, Serving};
use dede_model::backend::{
    Backend, EngineOptions, Model, ModelDescription, OpenRequest, Opened, OutputDescription, PredictOptions,
    ServiceType, Task, TrainRequest, TrainingPlan,
};
use dede_model::connector::{Connector, Fetched, Fitted, InputLimits, Reader, ReaderContext, RetainedItems};
use dede_model::data::{Batch, DataKind, SampleShape, Samples};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::parameters::keys::KeyTable;
use dede_model::request_memory::MemoryShare;
use dede_model::tensor::{Floats, NamedTensor};
use dede_storage::Roots;
use serde_json::{Value, json};

use crate::clock::controlled::ControlledClock;
use crate::clock::{Clock, SystemClock};
use crate::execution::Execution;
use crate::handle::Move;
use crate::handle::company::Company;
use crate::record::{Former, MoveRecord, Replaced};
use crate::served::Served;
use crate::{
    GoldenCase, HostDescription, ModelSource, MoveContext, Object, Peers, RecordedCase, ServiceApi, TransferRate,
};

/// A target whose alias `a` leads to the service `old`, and a move that brought the service `new` for it.
pub(crate) struct Stage {
    pub(crate) clock: Arc<ControlledClock>,
    pub(crate) context: MoveContext,
    pub(crate) this: Arc<Move>,
    pub(crate) old: Arc<Service>,
    pub(crate) new: Arc<Service>,
    served: Served,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// `request`: members of the request of the move besides its names.
    pub(crate) fn new(request: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ControlledClock::new();
        let context = context(directory.path(), Arc::<ControlledClock>::clone(&clock));
        let request = with_names(request, "new", "a");
        let member = Member::new(&context, (directory.path(), "old"), MoveId(1), request, None);
        let Member { this, old, new, served } = member;
        Self { clock, context, this, old, new, served, _directory: directory }
    }

    /// The move as it is carried out.
    pub(crate) fn run(&self) -> Execution<'_> {
        Execution { this: &self.this, context: &self.context, served: &self.served }
    }
}

/// A target whose aliases `a` and `b` lead to the services `old-a` and `old-b`, and two moves that switch together, which brought `new-a` and
/// `new-b` for them. Time is that of the machine.
pub(crate) struct Pair {
    pub(crate) context: MoveContext,
    pub(crate) members: [Member; 2],
    _directory: tempfile::TempDir,
}

/// One move of several.
pub(crate) struct Member {
    pub(crate) this: Arc<Move>,
    pub(crate) old: Arc<Service>,
    pub(crate) new: Arc<Service>,
    served: Served,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let context = context(directory.path(), Arc::new(SystemClock));
        let company = Company::of(vec![MoveId(1), MoveId(2)]);
        let member = |id: u64, alias: &str| {
            let times = json!({"shadow_for_s": 0, "watch_for_s": 0, "drain_for_s": 0});
            let request = with_names(times, &format!("new-{alias}"), alias);
            let former = format!("old-{alias}");
            Member::new(&context, (directory.path(), &former), MoveId(id), request, Some(Arc::clone(&company)))
        };
        let members = [member(1, "a"), member(2, "b")];
        Self { context, members, _directory: directory }
    }
}

impl Member {
    fn new(
        context: &MoveContext,
        (directory, former): (&Path, &str),
        id: MoveId,
        request: Value,
        company: Option<Arc<Company>>,
    ) -> Self {
        let mut record = MoveRecord::new(id, serde_json::from_value(request).unwrap(), "ab".into());
        let alias = record.spec.alias().unwrap().clone();
        let old = create(&context.catalogue, directory, former, None);
        let led_there = dede_engine::catalogue::SwitchRequest::to(old.id);
        context.catalogue.switch(alias.as_str(), led_there).unwrap();
        let new = create(&context.catalogue, directory, &record.spec.service, Some(id));
        record.former = Some(Former::of(&old));
        let replaced = Replaced { service: former.into(), version: old.version().to_string(), takeover: false };
        record.report.former = Some(replaced);
        record.report.version = new.version().to_string();
        record.together = company.iter().flat_map(|_| [MoveId(1), MoveId(2)]).collect();
        let served = Served::begin(&record, &context.catalogue);
        let moves = context.directory.join("moves");
        std::fs::create_dir_all(&moves).unwrap();
        let this = Move::begun(record, moves, None, company, Arc::clone(&context.clock));
        Self { this, old, new, served }
    }

    /// The move as it is carried out.
    pub(crate) fn run<'a>(&'a self, context: &'a MoveContext) -> Execution<'a> {
        Execution { this: &self.this, context, served: &self.served }
    }
}

fn with_names(members: Value, service: &str, alias: &str) -> Value {
    let mut request = json!({"service": service, "source": "dev", "as": alias, "auto": true});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

fn context(directory: &Path, clock: Arc<dyn Clock>) -> MoveContext {
    let state = directory.join("state");
    MoveContext {
        catalogue: catalogue(&state),
        store: Arc::new(BlobStore::open(&state.join("store")).unwrap()),
        peers: Arc::new(NoPeers),
        api: Arc::new(NoApi),
        host: HostDescription {
            dede: "0".into(),
            engine: "none".into(),
            architecture: "none".into(),
            cpu_features: Vec::new(),
            threads: 1,
        },
        directory: state,
        rate: TransferRate::default(),
        clock,
    }
}

fn catalogue(state: &Path) -> Arc<Catalogue> {
    let environment = Environment {
        connectors: &[&Numbers],
        backends: &[&Echo],
        engine: EngineOptions { threads: 2, concurrency: 2, engine: None },
        limits: Arc::new(InputLimits::default()),
        guest_limits: None,
        limiter: Limiter::new(Bounds::of_machine(64, 2)),
        queue_limit: 16,
        strict: false,
        capture_bytes: 1 << 20,
        repository_roots: Roots::default(),
        state_directory: state.to_owned(),
        protocol: &Plain,
        trial: None,
    };
    Catalogue::start(environment).unwrap()
}

fn create(catalogue: &Catalogue, directory: &Path, name: &str, by: Option<MoveId>) -> Arc<Service> {
    let body = json!({
        "mllib": "echo",
        "parameters": {"input": {"connector": "numbers"}},
        "model": {"repository": directory.join(name), "create_repository": true},
    });
    let request = CreationRequest::from_record(&body.to_string()).unwrap();
    catalogue.create_as(name, request, Creation { by, ..Creation::default() }).unwrap()
}

struct NoPeers;

impl Peers for NoPeers {
    fn peer(&self, name: &str) -> Result<Arc<dyn ModelSource>> {
        Err(Error::Forbidden(format!("{name} is no peer")))
    }
}

/// No request travels.
struct NoApi;

impl ServiceApi for NoApi {
    fn predict_request(&self, _: &PredictCall, _: &Serving) -> Object {
        Object::new()
    }

    fn read_case<'a>(&self, _: &'a GoldenCase, _: &'a Serving) -> Result<Box<dyn RecordedCase + 'a>> {
        Err(Error::bad_parameter("no case is recorded"))
    }

    fn create(&self, _: &Catalogue, name: &ServiceName, _: &Object, _: &Path, _: Creation) -> Result<Arc<Service>> {
        Err(Error::ServiceNotFound(name.to_string()))
    }
}

/// A source that cannot be reached until it is back.
#[derive(Default)]
pub(crate) struct AwaySource {
    pub(crate) is_back: AtomicBool,
}

impl AwaySource {
    fn answer<T>(&self, answer: T) -> Result<T> {
        let is_back = self.is_back.load(Ordering::Relaxed);
        if is_back { Ok(answer) } else { Err(Error::PeerAway("it is away".into())) }
    }
}

impl ModelSource for AwaySource {
    fn address(&self) -> String {
        "dev".into()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.answer(None)
    }

    fn bundle(&self, _: &str, _: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        self.answer((Vec::new(), Vec::new()))
    }

    fn blob(&self, _: &str, _: &Digest, _: Range<u64>) -> Result<Box<dyn Read + Send>> {
        self.answer(Box::new(std::io::empty()))
    }

    fn chunks(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>> {
        self.answer(None)
    }

    fn predict(&self, _: &str, _: &Object) -> Result<Vec<Value>> {
        self.answer(Vec::new())
    }

    fn captured(&self, _: &str) -> Result<Vec<GoldenCase>> {
        self.answer(Vec::new())
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

struct Echo;

impl Backend for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn accepts(&self, _: DataKind, _: ServiceType) -> bool {
        true
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[])
    }

    fn open(&self, _: &OpenRequest<'_>) -> Result<Opened> {
        let description = ModelDescription {
            task: Task::Regression { targets: 1 },
            output: OutputDescription::default(),
            shape: Some(SampleShape::Row { columns: 1 }),
            parameters: 0,
            flops: 0,
            engine: "none".into(),
            weights: String::new(),
        };
        Ok(Opened {
            model: Some(Arc::new(EchoModel(description))),
            task: Some(Task::Regression { targets: 1 }),
            files: Vec::new(),
        })
    }

    fn plan(&self, _: &TrainRequest<'_>) -> Result<Box<dyn TrainingPlan>> {
        Err(Error::bad_parameter("an echo is not trained"))
    }

    fn is_library_file(&self, _: &str) -> bool {
        false
    }
}

struct EchoModel(ModelDescription);

impl Model for EchoModel {
    fn description(&self) -> &ModelDescription {
        &self.0
    }

    fn predict(&self, samples: &Samples, _: &PredictOptions, _: &MemoryShare) -> Result<Outputs> {
        let Samples::Table(table) = samples else { return Err(Error::bad_input("no table")) };
        Ok(Outputs::Regression(table.clone()))
    }

    fn run(&self, inputs: Vec<NamedTensor>, _: &MemoryShare) -> Result<Vec<NamedTensor>> {
        Ok(inputs)
    }
}
