//! A source, a target that knows no peers, and a person's command line that reaches both.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::models::{Model, inputs, model, put_service};
use crate::server::{Server, binary, eventually, write_peers};

/// Files from this size on travel in chunks, bytes.
const CHUNKED: u64 = 256 << 10;

/// What makes a move short where no client sends requests.
pub(super) const SHORT: [&str; 5] = ["--auto", "--shadow-for", "0", "--watch-for", "0"];

/// Services of a target, and files that a move could have brought.
pub(super) type State = (Value, BTreeSet<PathBuf>);

/// A model with one large file.
fn large() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let server = Server::start(&[]);
        let network = json!({"template": "mlp", "layers": [512, 512], "activation": "relu", "nclasses": 3});
        let trained = model(&server, "large", &network, &inputs());
        drop(server.stop());
        trained
    })
}

pub(super) struct Stage {
    pub(super) source: Server,
    pub(super) target: Server,
    /// Where the command line has its configuration.
    home: TempDir,
    source_url: String,
}

impl Stage {
    /// `service2` on the source; nothing on the target.
    pub(super) fn new() -> Self {
        Self::through(|source| format!("http://{source}"))
    }

    /// As [`Stage::new`]; the command reaches the source under the URL that `place` makes of its address.
    pub(super) fn through(place: impl FnOnce(SocketAddr) -> String) -> Self {
        let (source, target) = (Server::start(&[]), Server::start(&[]));
        let repository = source.path().join("service2");
        large().write(&repository);
        put_service(&source, "service2", &repository);
        let home = tempfile::tempdir().unwrap();
        let source_url = place(source.address);
        let stage = Self { source, target, home, source_url };
        stage.write_peers();
        stage
    }

    /// As [`Stage::new`]; the target has `service1`, of which `service2` is a retrained head.
    pub(super) fn with_former() -> Self {
        let stage = Self::new();
        let repository = stage.target.path().join("service1");
        large().write(&repository);
        for file in files(&repository) {
            let mut bytes = std::fs::read(&file).unwrap();
            if bytes.len() as u64 >= CHUNKED {
                let place = bytes.len() * 3 / 4;
                bytes[place] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
        }
        put_service(&stage.target, "service1", &repository);
        stage
    }

    fn write_peers(&self) {
        write_peers(self.home.path(), &[("dev", &self.source_url), ("prod", &self.target.url())]);
    }

    /// The target is killed with `kill -9`, and there again.
    pub(super) fn kill_target(mut self) -> Self {
        self.target = self.target.kill_and_restart();
        self.write_peers();
        self
    }

    pub(super) fn dede(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(super) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("XDG_CONFIG_HOME", self.home.path().join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `dede move service2 --relay`, without a name that is switched.
    pub(super) fn bring(&self) -> Vec<&'static str> {
        [&["move", "service2", "--from", "dev", "--to", "prod", "--relay"][..], &SHORT].concat()
    }

    /// A file of that person.
    pub(super) fn file(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn info(&self, id: &str) -> Value {
        let (status, answer) = self.target.get(&format!("/moves/{id}"));
        assert_eq!(status, 200, "{answer}");
        answer["body"].clone()
    }

    /// Waits until a move needs its source and no command relays it.
    pub(super) fn until_it_waits_for_the_source(&self, id: &str) {
        eventually("the move waits for whoever relays", || {
            self.info(id)["activity"].as_str().unwrap_or_default().contains("--relay")
        });
    }

    /// Everything of the target that a move could have changed: services, and files of repositories and of the store.
    pub(super) fn state(&self) -> State {
        let services = self.target.get("/info").1["head"]["services"].clone();
        let places = ["state/repositories", "state/blobs"].map(|place| self.target.path().join(place));
        (services, places.iter().flat_map(|place| files(place)).collect())
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What a command said, on both streams.
pub(super) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
