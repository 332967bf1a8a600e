//! A client of the REST API, no more than the demo needs.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use super::Failure;
use super::digits::Digits;

/// One server, spoken to over kept-alive connections.
pub(super) struct Api {
    agent: Agent,
    url: String,
}

impl Api {
    pub(super) fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.agent.get(format!("{}{path}", self.url)).call()?;
        read(path, answer)
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.agent.put(format!("{}{path}", self.url)).send(body.to_string())?;
        read(path, answer)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.agent.post(format!("{}{path}", self.url)).send(body.to_string())?;
        read(path, answer)
    }

    /// The call of the manual procedure: mllib, connector, repository, and no template parameters.
    pub(super) fn put_service(&self, name: &str, repository: &Path) -> Result<(), Failure> {
        let body = json!({
            "mllib": "caffe",
            "description": "handwritten digits",
            "type": "supervised",
            "parameters": {"input": {"connector": "csv"}, "mllib": {"nclasses": 10}},
            "model": {"repository": repository},
        });
        self.put(&format!("/services/{name}"), &body).map(drop)
    }

    /// The class of every test digit, in one request.
    pub(super) fn classify(&self, service: &str, digits: &Digits) -> Result<Vec<String>, Failure> {
        let answer = self.post("/predict", &json!({"service": service, "data": digits.rows}))?;
        let predictions = answer["body"]["predictions"].as_array().ok_or("an answer without predictions")?;
        let class = |prediction: &Value| Some(prediction["classes"][0]["cat"].as_str()?.to_owned());
        let classes: Option<Vec<String>> = predictions.iter().map(class).collect();
        classes.filter(|classes| classes.len() == digits.rows.len()).ok_or_else(|| "an incomplete answer".into())
    }
}

fn read(path: &str, mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, Failure> {
    let text = answer.body_mut().read_to_string()?;
    if !answer.status().is_success() {
        return Err(format!("{path} was answered {}", text.trim_end()).into());
    }
    Ok(serde_json::from_str(&text)?)
}
