//! Calls and ends of a server that several topics share.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::server::Server;

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, &Value::Null)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.json("PUT", path, body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.json("POST", path, body)
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        self.json("PATCH", path, body)
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.json("DELETE", path, &Value::Null)
    }

    /// `X-Dede-Served-By` of a predict.
    pub(crate) fn served_by(&self, body: &Value) -> String {
        let response = self.send("POST", "/predict", &body.to_string());
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
        response.header("x-dede-served-by").expect("every predict says who answered").to_owned()
    }

    /// Predicts that this process answered 200, by its own counters.
    pub(crate) fn answered_predicts(&self) -> u64 {
        self.predicts().iter().filter(|((_, code), _)| code == "200").map(|(_, count)| count).sum()
    }

    /// Predicts that this process answered, by version and code, by its own counters.
    pub(crate) fn predicts(&self) -> BTreeMap<(String, String), u64> {
        let text = String::from_utf8(self.send("GET", "/metrics", "").body).expect("UTF-8");
        let mut counts = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("dede_predict_requests_total{")) {
            let label = |name: &str| {
                let value = line.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
                value.expect("a label").0.to_owned()
            };
            let count: u64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
            *counts.entry((label("version"), label("code"))).or_default() += count;
        }
        counts
    }

    /// `kill -9`, and a new process on the same state.
    pub(crate) fn kill_and_restart(self) -> Self {
        self.signal("KILL");
        let (_, directory) = self.wait();
        Self::start_in(directory, &[])
    }

    /// SIGTERM, a clean end, and a new process on the same state.
    pub(crate) fn stop_and_restart(self) -> Self {
        Self::start_in(self.stop(), &[])
    }

    /// SIGTERM and a clean end.
    pub(crate) fn stop(self) -> tempfile::TempDir {
        self.signal("TERM");
        let log = self.log();
        let (status, directory) = self.wait();
        assert!(status.success(), "{status}\n{log}");
        directory
    }
}
