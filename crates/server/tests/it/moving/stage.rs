//! A development server with `service2`, a production server with `service1` and its clients, and a person's command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dede_bundle::hash_file;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::share;
use crate::clients::Clients;
use crate::models::{Models, classes, put_service};
use crate::right::Version;
use crate::server::{Server, binary, eventually, write_peers};

/// Client threads.
const THREADS: usize = 8;
/// Requests that must be answered between two steps.
const BETWEEN: u64 = 200;

pub(super) struct Stage {
    source: Option<Server>,
    pub(super) target: Server,
    pub(super) clients: Clients,
    models: &'static Models,
    /// Where the command line has its configuration.
    home: TempDir,
    /// Predicts that the test itself sent to the target, by version.
    own: BTreeMap<Version, u64>,
}

impl Stage {
    /// `service1` is a plain service of the target.
    pub(super) fn with_service() -> Self {
        Self::start("service1", |_| ())
    }

    /// `service1` is an alias for `old`.
    pub(super) fn with_alias() -> Self {
        Self::start("old", |target| {
            let (status, answer) = target.put("/aliases/service1", &json!({"service": "old"}));
            assert_eq!(status, 200, "{answer}");
        })
    }

    fn start(name: &str, prepare: impl FnOnce(&Server)) -> Self {
        let models = Models::get();
        let source = Server::start(&[]);
        let target = Server::start_with_peers(&[("dev", &source.url())], &[]);
        for (server, service, model) in
            [(&target, name, &models.versions[0]), (&source, "service2", &models.versions[1])]
        {
            let repository = server.path().join(service);
            model.write(&repository);
            put_service(server, service, &repository);
        }
        prepare(&target);
        let home = tempfile::tempdir().unwrap();
        write_peers(home.path(), &[("dev", &source.url()), ("prod", &target.url())]);
        let clients = Clients::start(target.address, "service1", THREADS, models.answers("service1"));
        clients.wait_for(BETWEEN);
        Self { source: Some(source), target, clients, models, home, own: BTreeMap::new() }
    }

    pub(super) fn source(&self) -> &Server {
        self.source.as_ref().unwrap()
    }

    /// Where the source has its files.
    pub(super) fn source_repository(&self) -> PathBuf {
        self.source().path().join("service2")
    }

    /// First digits of a version.
    pub(super) fn short(&self, version: Version) -> &'static str {
        self.models.versions[version].short()
    }

    /// A command as a person gives it, to its end.
    pub(super) fn dede(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A file of that person.
    pub(super) fn file(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    /// Begins a move of `service2`, with these members besides; its id.
    pub(super) fn begin(&self, members: Value) -> String {
        let mut request = json!({"service": "service2", "source": "dev", "as": "service1"});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let (status, answer) = self.target.post("/moves", &request);
        assert_eq!(status, 202, "{answer}");
        answer["body"]["id"].as_str().unwrap().to_owned()
    }

    /// Files that a move would bring, largest first.
    pub(super) fn planned_files(&self) -> Vec<String> {
        let request = json!({"service": "service2", "source": "dev", "as": "service1"});
        let (status, answer) = self.target.post("/moves/plan", &request);
        assert_eq!(status, 200, "{answer}");
        let files = answer["body"]["files"].as_array().unwrap().iter();
        files.map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn info(&self, id: &str) -> Value {
        let (status, answer) = self.target.get(&format!("/moves/{id}"));
        assert_eq!(status, 200, "{answer}");
        answer["body"].clone()
    }

    /// Waits until a move is over; what it came to.
    pub(super) fn outcome(&self, id: &str) -> Value {
        eventually("the move is over", || {
            ["done", "aborted", "rolled_back"].contains(&self.info(id)["phase"].as_str().unwrap())
        });
        self.info(id)
    }

    /// Waits until a move waits for a promotion.
    pub(super) fn until_it_waits(&self, id: &str) {
        eventually("the move waits for a promotion", || self.info(id)["waits_for"] == "promote");
    }

    /// The source ends, its files go, and from here on every answer is by this version.
    pub(super) fn lose_source(&mut self) {
        let directory = self.source.take().unwrap().stop();
        let path = directory.path().to_owned();
        directory.close().unwrap();
        assert!(!path.exists());
    }

    /// Every turn was seen, and this version alone answers.
    pub(super) fn is_served_by(&self, version: Version) {
        self.clients.wait_for(BETWEEN);
        assert!(self.clients.have_turned());
        self.clients.allow(&[version]);
        self.clients.wait_for(BETWEEN);
    }

    /// A service answers every input as this version does.
    pub(super) fn check_answers(&mut self, service: &str, version: Version) {
        for (input, expected) in self.models.inputs.iter().zip(&self.models.versions[version].answers) {
            assert_eq!(&classes(&self.target, service, input), expected, "{service} for {input}");
            *self.own.entry(version).or_default() += 1;
        }
    }

    /// Everything of the target that a move could have changed: services, aliases, and files by digest.
    pub(super) fn state(&self) -> Value {
        let info = self.target.get("/info").1;
        let services: Vec<Value> = info["head"]["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|service| json!([service["name"], service["version"], service["repository"]]))
            .collect();
        let names = self.target.get("/aliases").1["body"].clone();
        let alias = |name: &Value| {
            let alias = self.target.get(&format!("/aliases/{}", name.as_str().unwrap())).1["body"].clone();
            json!([name, alias["service"], alias["canary"], alias["shadow"]])
        };
        let aliases: Vec<Value> = names.as_array().unwrap().iter().map(alias).collect();
        let mut files = BTreeMap::new();
        for place in ["service1", "old", "state/repositories", "state/blobs"] {
            digests(&self.target.path().join(place), &mut files);
        }
        json!({"services": services, "aliases": aliases, "files": files})
    }

    /// No request of the clients failed; those of the test itself may have.
    pub(super) fn end(self) {
        assert_eq!(self.clients.stop().failures, Vec::<String>::new());
        self.target.stop();
    }

    /// Answers what is left of this scenario's share; no request failed, and both sides counted the same.
    pub(super) fn finish(self) {
        self.clients.wait_until(share());
        let seen = self.clients.stop();
        assert_eq!(seen.failures, Vec::<String>::new());
        assert!(seen.answers.values().sum::<u64>() >= share(), "{seen:?}");
        let mut counted = BTreeMap::new();
        for (version, count) in seen.answers.iter().chain(&self.own) {
            let digest = self.models.versions[*version].digest.clone();
            *counted.entry((digest, "200".to_owned())).or_default() += count;
        }
        assert_eq!(self.target.predicts(), counted, "server and clients count the same");
        self.target.stop();
    }
}

/// Digests of all files below a place.
fn digests(place: &Path, found: &mut BTreeMap<String, String>) {
    if place.is_file() {
        found.insert(place.display().to_string(), hash_file(place).unwrap().1.to_string());
    }
    for entry in std::fs::read_dir(place).into_iter().flatten() {
        digests(&entry.unwrap().path(), found);
    }
}

/// What a command said, on both streams.
pub(super) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
