//! What /train answers (contract.md 1.5 to 1.7 and 4.2). The same structures are written to metrics.json.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Object;
use crate::answer::Status;

/// `status` of a job on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Waiting or computing.
    Running,
    /// Asked to stop, not yet stopped.
    Terminating,
    /// Stopped before its end; its network was kept.
    Terminated,
    /// Done.
    Finished,
    /// Failed.
    Error,
}

/// `head` of /train.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainHead {
    /// `/train`.
    pub method: &'static str,
    /// Left out for a blocking train.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// Left out for a blocking train and for a job that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<JobStatus>,
    /// Whole seconds since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

impl TrainHead {
    /// The name of the method, on every head.
    pub const METHOD: &'static str = "/train";

    /// Names the job alone: what an unknown job is answered with.
    pub fn job(job: u64) -> Self {
        Self { method: Self::METHOD, job: Some(job), status: None, time: None }
    }

    /// A job in a state.
    pub fn state(job: u64, status: JobStatus, time_s: Option<f64>) -> Self {
        Self { method: Self::METHOD, job: Some(job), status: Some(status), time: time_s }
    }

    /// A blocking train that is over.
    pub fn blocking(time_s: f64) -> Self {
        Self { method: Self::METHOD, job: None, status: None, time: Some(time_s) }
    }
}

/// `body` of /train: of a blocking one, of a job's status, and of metrics.json.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrainBody {
    /// Name of the service; only in a job's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sname: Option<String>,
    /// `classification`, …; only in a job's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mltype: Option<String>,
    /// Of the service; only in a job's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name with `_hist` → values, at most `max_hist_points` of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure_hist: Option<BTreeMap<String, Vec<f64>>>,
    /// Name with `_sampling` → one in how many values was kept; only those that were thinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure_sampling: Option<BTreeMap<String, u64>>,
    /// Where the model is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelPlace>,
    /// What a client may send back at predict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<TrainedParameters>,
    /// Measures of the first test set; live figures while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<Object>,
    /// Measures of every test set, when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measures: Option<Vec<Object>>,
    /// Why it failed; alone in the body then.
    #[serde(rename = "Error", skip_serializing_if = "Option::is_none")]
    pub error: Option<Status>,
}

/// `body.model`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelPlace {
    /// As sent at creation.
    pub repository: String,
}

/// `body.parameters` of a finished training.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TrainedParameters {
    /// Bounds, categories: what the connector learnt.
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub input: Object,
    /// What the mllib did otherwise than asked.
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub mllib: Object,
}

/// One entry of `jobs` in a service's description.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    /// Per service, from 1.
    pub job: u64,
    /// `running`, `terminating`, or `finished` for a job whose end no client has asked for yet.
    pub status: JobStatus,
    /// Live figures; left out when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<Object>,
    /// Whole seconds since the start; left out when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answer::Answer;
    use crate::errors::ErrorKind;

    #[test]
    fn an_unknown_job_is_named_in_the_head() {
        let answer: Answer<TrainHead> =
            Answer { status: ErrorKind::JobNotFound.status(""), head: Some(TrainHead::job(1)), body: None };
        assert_eq!(
            serde_json::to_value(answer).expect("serialises"),
            json!({"status": {"code": 404, "msg": "NotFound", "dd_code": 1003, "dd_msg": "Job Not Found"},
                   "head": {"method": "/train", "job": 1}})
        );
    }

    #[test]
    fn a_running_job_looks_as_recorded() {
        let body = TrainBody {
            sname: Some("iris2".into()),
            measure_hist: Some(BTreeMap::from([("train_loss_hist".into(), vec![1.0])])),
            model: Some(ModelPlace { repository: "/models/iris2".into() }),
            ..TrainBody::default()
        };
        let answer = Answer::whole(Status::ok(), TrainHead::state(1, JobStatus::Running, Some(2.0)), body);
        assert_eq!(
            serde_json::to_value(answer).expect("serialises"),
            json!({"status": {"code": 200, "msg": "OK"},
                   "head": {"method": "/train", "job": 1, "status": "running", "time": 2.0},
                   "body": {"sname": "iris2", "measure_hist": {"train_loss_hist": [1.0]},
                            "model": {"repository": "/models/iris2"}}})
        );
    }
}
