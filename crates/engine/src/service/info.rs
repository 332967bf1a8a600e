//! The description of a service (contract.md 1.1).

use dede_api::defaults::creation_parameters;
use dede_api::services::{ModelStats, ServiceInfo, ServiceStats};
use dede_api::training::{JobStatus, JobView as WireJob};
use dede_model::backend::OutputActivation;
use dede_model::data::SampleShape;

use super::Service;
use crate::job::{JobState, JobView, measure_object};

/// What to include.
#[derive(Debug, Clone, Copy, Default)]
pub struct InfoOptions {
    /// Jobs.
    pub status: bool,
    /// Class names.
    pub labels: bool,
}

impl Service {
    /// What GET /services/{name} shows.
    pub fn info(&self, options: InfoOptions) -> ServiceInfo {
        let serving = self.serving().ok();
        let training = self.jobs.is_busy();
        let request = &self.definition.request;
        let description = serving.as_ref().and_then(|serving| serving.model.as_ref()).map(|model| model.description());
        let model_stats = description.map_or_else(ModelStats::default, |description| ModelStats {
            params: description.parameters,
            flops: description.flops,
            ..ModelStats::default()
        });
        let shape = serving.as_ref().and_then(|serving| serving.shape().or_else(|| serving.reader.shape()));
        let (width, height) = if training { (None, None) } else { size(shape) };
        let task = serving.as_ref().and_then(|serving| serving.task);
        ServiceInfo {
            name: self.name().to_string(),
            description: request.description.clone(),
            mllib: request.mllib.clone(),
            mltype: task.map_or("", |task| task.mltype()).to_owned(),
            output: description.map(|description| description.output.name.clone()).filter(|name| !name.is_empty()),
            output_activation: description
                .and_then(|description| description.output.activation)
                .map(OutputActivation::name),
            parameters: creation_parameters(&request.parameters),
            service_type: request.service_type.clone(),
            predict: !training,
            training,
            stats: model_stats,
            model_stats,
            jobs: options.status.then(|| self.wire_jobs()),
            labels: options.labels.then(|| match &serving {
                Some(serving) => serving.labels.names().map(str::to_owned).collect(),
                None => Vec::new(),
            }),
            repository: self.definition.repository_as_sent().to_owned(),
            version: serving.as_ref().and_then(|serving| serving.digest).map(|digest| digest.to_string()),
            width,
            height,
            service_stats: self.service_stats(),
        }
    }

    fn service_stats(&self) -> ServiceStats {
        let counters = self.statistics.snapshot();
        ServiceStats {
            inference_count: counters.items,
            predict_success: counters.successes,
            predict_failure: counters.failures,
            total_predict_duration_ms: counters.predict.as_secs_f64() * 1000.0,
            total_transform_duration_ms: counters.transform.as_secs_f64() * 1000.0,
        }
    }

    /// Jobs that go on, as the original lists them: a job whose end was answered is not listed there any more, and
    /// ours stay answerable, so those that are over are left out.
    fn wire_jobs(&self) -> Vec<WireJob> {
        self.jobs.going_on().iter().map(|job| wire_job(&job.view())).collect()
    }
}

fn wire_job(view: &JobView) -> WireJob {
    WireJob {
        job: view.id,
        status: wire_status(view.status.state),
        measure: Some(measure_object(&view.figures)),
        time: Some(view.seconds as u64),
    }
}

/// The state of a job on the wire.
pub fn wire_status(state: JobState) -> JobStatus {
    match state {
        JobState::Running => JobStatus::Running,
        JobState::Terminating => JobStatus::Terminating,
        JobState::Finished => JobStatus::Finished,
        JobState::Terminated => JobStatus::Terminated,
        JobState::Error => JobStatus::Error,
    }
}

/// Columns and rows; 1 and 1 for a service that has no image and no network, as recorded.
fn size(shape: Option<SampleShape>) -> (Option<i64>, Option<i64>) {
    let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    match shape {
        Some(SampleShape::Image { width, height, .. }) => {
            (Some(width.map_or(-1, number)), Some(height.map_or(-1, number)))
        }
        Some(SampleShape::Row { columns }) => (Some(number(columns)), Some(1)),
        None => (Some(1), Some(1)),
    }
}
