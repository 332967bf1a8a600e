//! A `dede serve` as a process of its own, on a port the system chooses.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running server. Killed when dropped, whatever the test does.
pub(crate) struct Process {
    child: Child,
    agent: ureq::Agent,
    pub(crate) url: String,
}

impl Process {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(state: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dede"))
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--state-dir"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("listening on ")?.1.trim().to_owned()));
        let url = format!("http://{}", address.expect("the server says where it listens"));
        std::thread::spawn(move || lines.for_each(drop));
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let process = Self { child, agent: config.into(), url };
        while process.get("/readyz").0 != 200 {
            std::thread::yield_now();
        }
        process
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(mut self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}{path}", self.url)).call().unwrap())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.agent.put(format!("{}{path}", self.url)).send(body.to_string()).unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.agent.post(format!("{}{path}", self.url)).send(body.to_string()).unwrap())
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        read(self.agent.delete(format!("{}{path}", self.url)).call().unwrap())
    }

    /// `X-Dede-Served-By` of a predict.
    pub(crate) fn served_by(&self, body: &Value) -> String {
        let answer = self.agent.post(format!("{}/predict", self.url)).send(body.to_string()).unwrap();
        answer.headers()["x-dede-served-by"].to_str().unwrap().to_owned()
    }

    /// Predicts that this process answered 200, by its own counters.
    pub(crate) fn answered_predicts(&self) -> u64 {
        let mut answer = self.agent.get(format!("{}/metrics", self.url)).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let counts = text
            .lines()
            .filter(|line| line.starts_with("dede_predict_requests_total{") && line.contains("code=\"200\""))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
        counts.sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
