//! A reader of the manual: two servers with tokens, a configuration file as the manual shows it, and the commands that are typed.
//!
//! It knows how a command is run and how its end is waited for. It must not know which commands the manual has.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use dede_testing::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::is_over;
use crate::models::{Model, Models, predict_body};
use crate::server::{Server, binary, eventually};

/// Tokens of the two servers.
const DEV_TOKEN: &str = "token-of-the-development-server";
const PROD_TOKEN: &str = "token-of-the-production-server";

pub(super) struct Reader {
    dev: Server,
    prod: Option<Server>,
    /// `dede/` in it holds the configuration file, the tokens and what commands write: the directory that commands run in.
    home: TempDir,
    /// The configuration file of the manual.
    configuration: String,
    /// The move that the manual speaks of.
    pub(super) id: String,
}

impl Reader {
    /// `configuration` is the file that the manual shows.
    pub(super) fn new(configuration: &str) -> Self {
        // The servers of this test are on this machine, to which a token may go over plain HTTP.
        let configuration =
            configuration.lines().filter(|line| !line.starts_with("ca_file")).collect::<Vec<_>>().join("\n");
        let [former, new] = &Models::get().versions;
        let dev = start(DEV_TOKEN, |_| ());
        place(&dev, DEV_TOKEN, "service2", new);
        let prod = start(PROD_TOKEN, |directory| {
            write_configuration(&directory.join("config/dede"), &with_dev(&configuration, &dev));
        });
        place(&prod, PROD_TOKEN, "service1", former);
        let home = tempfile::tempdir().unwrap();
        let reader = Self { dev, prod: Some(prod), home, configuration, id: "m1".to_owned() };
        reader.configure();
        fixtures::copy_directory(&fixtures::model("lreg"), &reader.original()).unwrap();
        let put = json!({
            "mllib": "caffe", "description": "irises", "type": "supervised",
            "parameters": {
                "input": {"connector": "csv", "scale": true, "min_vals": [4.3, 2.0, 1.0, 0.1], "max_vals": [7.9, 4.4, 6.9, 2.5]},
                "mllib": {"nclasses": 3},
            },
            "model": {"repository": "/models/iris"},
        });
        std::fs::write(reader.file("put.json"), put.to_string()).unwrap();
        reader
    }

    pub(super) fn prod(&self) -> &Server {
        self.prod.as_ref().unwrap()
    }

    /// A repository directory of an original DeepDetect.
    pub(super) fn original(&self) -> PathBuf {
        self.home.path().join("iris")
    }

    /// A file in the directory that commands run in.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("dede").join(name)
    }

    pub(super) fn token() -> &'static str {
        PROD_TOKEN
    }

    /// A request of the test itself to the production server.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(self.prod(), PROD_TOKEN, method, path, body)
    }

    pub(super) fn info(&self) -> Value {
        self.ask("GET", &format!("/moves/{}", self.id), &Value::Null).1["body"].clone()
    }

    /// `service1` is a plain service of the production server again, and the only one.
    pub(super) fn reset(&self) {
        self.ask("DELETE", "/aliases/service1", &Value::Null);
        let info = self.ask("GET", "/info", &Value::Null).1;
        for service in info["head"]["services"].as_array().unwrap() {
            let name = service["name"].as_str().unwrap();
            // The files of the former service are created from again.
            let clear = if name.starts_with("service1") { "" } else { "?clear=dir" };
            let path = format!("/services/{name}{clear}");
            eventually("the service is deleted", || self.ask("DELETE", &path, &Value::Null).0 == 200);
        }
        place(self.prod(), PROD_TOKEN, "service1", &Models::get().versions[0]);
    }

    /// Begins a move that waits for its promotion.
    pub(super) fn waiting(&mut self) {
        self.reset();
        let request = json!({"service": "service2", "source": "dev", "as": "service1", "shadow_for_s": 0,
            "watch_for_s": 0});
        let (status, answer) = self.ask("POST", "/moves", &request);
        assert_eq!(status, 202, "{answer}");
        answer["body"]["id"].as_str().unwrap().clone_into(&mut self.id);
        eventually("the move waits", || self.info()["waits_for"] == "promote");
    }

    /// Waits until the move is done.
    pub(super) fn is_done(&self) {
        eventually("the move is over", || is_over(&self.info()));
        assert_eq!(self.info()["phase"], "done", "{}", self.info());
    }

    /// The process of the production server ends, and another begins, on another port.
    pub(super) fn restart(&mut self) {
        let directory = self.prod.take().unwrap().stop();
        let token = directory.path().join("token");
        self.prod = Some(Server::start_in(directory, &["--token-file", token.to_str().unwrap()]));
        self.configure();
        eventually("the move waits", || self.info()["waits_for"] == "resume");
    }

    fn configure(&self) {
        let text = with_dev(&self.configuration, &self.dev).replace("https://prod.example:8443", &self.prod().url());
        write_configuration(&self.file(""), &text);
    }

    /// A command that ends by itself, and well.
    pub(super) fn succeeds(&self, words: &[String]) {
        let output = self.spawn(words).wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }

    /// A command that waits for a promotion, is given it, and ends well.
    pub(super) fn succeeds_when_promoted(&mut self, words: &[String]) {
        let child = self.spawn_until_it_waits(words);
        let (status, answer) = self.ask("POST", &format!("/moves/{}/promote", self.id), &json!({}));
        assert_eq!(status, 200, "{answer}");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        assert_eq!(self.info()["phase"], "done");
    }

    /// A command whose terminal is closed while it waits for a promotion.
    pub(super) fn dies_while_it_waits(&mut self, words: &[String]) {
        let mut child = self.spawn_until_it_waits(words);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn spawn_until_it_waits(&mut self, words: &[String]) -> Child {
        let mut child = self.spawn(words);
        eventually("the move of the command waits", || {
            if child.try_wait().unwrap().is_some() {
                let mut text = String::new();
                child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
                child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
                panic!("{words:?} ended before it waited: {text}");
            }
            let moves = self.ask("GET", "/moves", &Value::Null).1;
            let waits = moves["body"].as_array().unwrap().iter().find(|info| info["waits_for"] == "promote");
            waits.is_some_and(|info| {
                info["id"].as_str().unwrap().clone_into(&mut self.id);
                true
            })
        });
        child
    }

    fn spawn(&self, words: &[String]) -> Child {
        assert_eq!(words[0], "dede", "{words:?}");
        let mut command = Command::new(binary());
        command.args(&words[1..]).current_dir(self.file("")).env("XDG_CONFIG_HOME", self.home.path());
        command.env_remove("DEDE_TOKEN_FILE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Writes the certificate of the move where `dede verify` looks for it.
    pub(super) fn save_certificate(&self) {
        let (status, answer) = self.ask("GET", &format!("/moves/{}/certificate", self.id), &Value::Null);
        assert_eq!(status, 200, "{answer}");
        std::fs::write(self.file("certificate.json"), answer.to_string()).unwrap();
    }

    /// A server that clients called before, with a `service1` of its own.
    pub(super) fn start_old(&self, arguments: &[String]) -> Server {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let old = Server::start(&arguments);
        place(&old, "", "service1", &Models::get().versions[0]);
        old
    }

    /// Both give the same answer under the stable name.
    pub(super) fn answers_as(&self, old: &Server) {
        let body = predict_body("service1", &Models::get().inputs[0]);
        let (status, answer) = old.post("/predict", &body);
        assert_eq!((status, &answer["body"]), (200, &self.prod().post("/predict", &body).1["body"]), "{answer}");
    }
}

/// Sends what `curl` would for these words and gives status and body; `directory` holds the files that they name.
pub(super) fn curl(words: &[String], directory: &Path) -> (u16, Vec<u8>) {
    assert_eq!(words[0], "curl", "{words:?}");
    let (mut method, mut url, mut headers, mut body, mut out) = (None, None, String::new(), String::new(), None);
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap().clone();
        match word.as_str() {
            "-X" => method = Some(value()),
            "-d" => body = value(),
            "-H" => headers.push_str(&format!("{}\r\n", value())),
            ">" => out = Some(value()),
            "-N" => {}
            other => url = Some(other.strip_prefix("http://").unwrap().to_owned()),
        }
    }
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let url = url.unwrap();
    let (address, path) = url.split_once('/').unwrap();
    headers.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
    let (status, content) = exchange(address, &method, &format!("/{path}"), &headers, &body);
    if let Some(out) = out {
        std::fs::write(directory.join(out), &content).unwrap();
    }
    (status, content)
}

fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let headers = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = exchange(&server.address.to_string(), method, path, &headers, &body);
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

fn start(token: &str, prepare: impl FnOnce(&Path)) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, token).unwrap();
    prepare(directory.path());
    Server::start_in(directory, &["--token-file", file.to_str().unwrap()])
}

/// Creates a service on a directory of its name.
fn place(server: &Server, token: &str, name: &str, model: &Model) {
    let repository = server.path().join(name);
    model.write(&repository);
    let body = json!({
        "mllib": "caffe", "description": "irises", "type": "supervised",
        "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 3}},
        "model": {"repository": repository},
    });
    let (status, answer) = ask(server, token, "PUT", &format!("/services/{name}"), &body);
    assert_eq!(status, 201, "{answer}");
}

fn with_dev(configuration: &str, dev: &Server) -> String {
    configuration.replace("https://dev.example:8443", &dev.url())
}

fn write_configuration(directory: &Path, text: &str) {
    std::fs::create_dir_all(directory).unwrap();
    for (name, content) in [("dede.toml", text), ("dev.token", DEV_TOKEN), ("prod.token", PROD_TOKEN)] {
        std::fs::write(directory.join(name), content).unwrap();
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
