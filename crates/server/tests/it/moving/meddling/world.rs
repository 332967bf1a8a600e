//! A source with `service2`, a target with `service1`, and requests that come when the test says so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use dede_testing::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::models::{Models, model, predict_body, put_service};
use crate::server::{Server, eventually};

/// What `service1` is on the target before the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Under {
    /// A plain service.
    Service,
    /// An alias for `old`.
    Alias,
    /// Nothing.
    Nothing,
}

/// What `service2` is on the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum New {
    /// Answers what the former service answers, otherwise.
    Other,
    /// Takes rows of more columns than clients send.
    Refusing,
}

pub(super) struct World {
    pub(super) source: Server,
    pub(super) target: Server,
    pub(super) models: &'static Models,
}

impl World {
    pub(super) fn new(under: Under) -> Self {
        Self::with(under, New::Other)
    }

    pub(super) fn with(under: Under, new: New) -> Self {
        let (models, source) = (Models::get(), Server::start(&[]));
        match new {
            New::Other => place(&source, "service2", &models.versions[1], &source.path().join("service2")),
            New::Refusing => train_on_more_columns(&source),
        }
        let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
        Self { source, target, models }.prepared(under)
    }

    /// `service2` has a file of more than 256 kB, which travels in chunks. The peers of the target, name and URL, are made of the address of the source.
    pub(super) fn through(under: Under, peers: impl FnOnce(SocketAddr) -> Vec<(String, String)>) -> Self {
        let (models, source) = (Models::get(), Server::start(&[]));
        let network = json!({"template": "mlp", "layers": [512, 512], "activation": "relu", "nclasses": 3});
        model(&source, "service2", &network, &models.inputs);
        let peers = peers(source.address);
        let named: Vec<(&str, &str)> = peers.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
        let target = Server::start_with_peers(&named, &[]);
        Self { source, target, models }.prepared(under)
    }

    fn prepared(self, under: Under) -> Self {
        match under {
            Under::Nothing => {}
            Under::Service => self.put("service1", 0),
            Under::Alias => {
                self.put("old", 0);
                self.point("service1", "old");
            }
        }
        self
    }

    /// A service of the target with one of the two versions, in a directory of its name.
    pub(super) fn put(&self, name: &str, version: usize) {
        place(&self.target, name, &self.models.versions[version], &self.target.path().join(name));
    }

    pub(super) fn point(&self, alias: &str, service: &str) {
        let (status, answer) = self.target.put(&format!("/aliases/{alias}"), &json!({"service": service}));
        assert_eq!(status, 200, "{answer}");
    }

    /// Where an alias points.
    pub(super) fn target_of(&self, alias: &str) -> Value {
        self.target.get(&format!("/aliases/{alias}")).1["body"]["service"].clone()
    }

    /// What a move of `service2` is asked for with these members besides.
    pub(super) fn request(members: Value) -> Value {
        let mut request = json!({"service": "service2", "source": "dev", "as": "service1"});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        request
    }

    pub(super) fn plan(&self, members: Value) -> Value {
        let (status, answer) = self.target.post("/moves/plan", &Self::request(members));
        assert_eq!(status, 200, "{answer}");
        answer["body"].clone()
    }

    pub(super) fn begin(&self, members: Value) -> String {
        let (status, answer) = self.target.post("/moves", &Self::request(members));
        assert_eq!(status, 202, "{answer}");
        answer["body"]["id"].as_str().unwrap().to_owned()
    }

    /// What a request to begin is refused with.
    pub(super) fn refused(&self, members: Value) -> (u16, String) {
        let (status, answer) = self.target.post("/moves", &Self::request(members));
        (status, answer.to_string())
    }

    pub(super) fn info(&self, id: &str) -> Value {
        let (status, answer) = self.target.get(&format!("/moves/{id}"));
        assert_eq!(status, 200, "{answer}");
        answer["body"].clone()
    }

    pub(super) fn until_phase(&self, id: &str, phase: &str) {
        eventually(phase, || {
            let info = self.info(id);
            assert!(info["phase"] == phase || !is_over(&info), "over before it is {phase}: {info}");
            info["phase"] == phase
        });
    }

    /// Waits for a person's word.
    pub(super) fn until_it_waits(&self, id: &str) {
        eventually("the move waits", || {
            let info = self.info(id);
            assert!(!is_over(&info), "{info}");
            info["waits_for"] == "promote"
        });
    }

    pub(super) fn act(&self, id: &str, action: &str) -> (u16, String) {
        let (status, answer) = self.target.post(&format!("/moves/{id}/{action}"), &json!({}));
        (status, answer.to_string())
    }

    /// Waits until it is over; what it came to.
    pub(super) fn outcome(&self, id: &str) -> Value {
        eventually("the move is over", || is_over(&self.info(id)));
        self.info(id)
    }

    pub(super) fn certificate(&self, id: &str) -> u16 {
        self.target.send("GET", &format!("/moves/{id}/certificate"), "").status
    }

    /// Names of the services of the target.
    pub(super) fn services(&self) -> Vec<String> {
        let info = self.target.get("/info").1;
        let services = info["head"]["services"].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn predict(&self, service: &str) -> u16 {
        self.target.post("/predict", &predict_body(service, &self.models.inputs[0])).0
    }

    /// The target's process ends and another begins.
    pub(super) fn restart(self, arguments: &[&str]) -> Self {
        let Self { source, target, models } = self;
        Self { source, target: Server::start_in(target.stop(), arguments), models }
    }

    /// As [`World::restart`]; `meanwhile` is done to the state directory.
    pub(super) fn restart_after(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { source, target, models } = self;
        let directory: TempDir = target.stop();
        meanwhile(&directory.path().join("state"));
        Self { source, target: Server::start_in(directory, &[]), models }
    }
}

pub(super) fn is_over(info: &Value) -> bool {
    ["done", "aborted", "rolled_back", "damaged"].contains(&info["phase"].as_str().unwrap())
}

/// Names and contents of everything in a directory.
pub(super) fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn place(server: &Server, name: &str, model: &crate::models::Model, directory: &Path) {
    model.write(directory);
    put_service(server, name, directory);
}

/// `service2` learns from columns that clients do not send.
fn train_on_more_columns(server: &Server) {
    let widened = |name: &str| {
        let text = std::fs::read_to_string(fixtures::data(name)).unwrap();
        let widen = |(number, line): (usize, &str)| {
            let cells: Vec<&str> = line.split(',').collect();
            let more = if number == 0 { ["e", "f", "g"] } else { ["1", "2", "3"] };
            [&cells[..2], &more, &cells[2..]].concat().join(",")
        };
        let lines: Vec<String> = text.lines().enumerate().map(widen).collect();
        let path = server.path().join(name);
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    };
    let body = json!({
        "mllib": "caffe",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"template": "lregression", "nclasses": 3}},
        "model": {"repository": server.path().join("service2"), "create_repository": true},
    });
    let (status, answer) = server.put("/services/service2", &body);
    assert_eq!(status, 201, "{answer}");
    let train = json!({
        "service": "service2", "async": false,
        "parameters": {
            "input": {"id": "id", "label": "target", "scale": true},
            "mllib": {"solver": {"iterations": 20, "base_lr": 0.05}, "net": {"batch_size": 30}, "seed": 1},
        },
        "data": [widened("iris_train.csv"), widened("iris_test.csv")],
    });
    let (status, answer) = server.post("/train", &train);
    assert_eq!(status, 201, "{answer}");
}

/// Clients that ask for `service1` again and again, whatever they are answered.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<u16, u64>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(world: &World, input: &str) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let (address, body) = (world.target.address, predict_body("service1", input).to_string());
        let client = |_| {
            let (stop, answers, body) = (Arc::clone(&stop), Arc::clone(&answers), body.clone());
            std::thread::spawn(move || {
                let mut connection = dede_testing::http::Connection::open(address).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.send("POST", "/predict", body.as_bytes()).unwrap();
                    *answers.lock().unwrap().entry(answer.status).or_default() += 1;
                }
            })
        };
        let threads = (0..2).map(client).collect();
        Self { stop, answers, threads }
    }

    /// Answers so far, by status.
    pub(super) fn answers(&self) -> BTreeMap<u16, u64> {
        self.answers.lock().unwrap().clone()
    }

    /// Waits until so many were answered with this status.
    pub(super) fn wait_for(&self, status: u16, count: u64) {
        eventually("answers", || self.answers().get(&status).copied().unwrap_or(0) >= count);
    }

    pub(super) fn stop(self) -> BTreeMap<u16, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let answers = self.answers.lock().unwrap();
        answers.clone()
    }
}
