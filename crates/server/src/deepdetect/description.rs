//! The description of a service (contract.md 1.1).

use dede_api::defaults::creation_parameters;
use dede_api::requests::RequestParameters;
use dede_api::services::{ModelStats, ServiceInfo, ServiceStats};
use dede_api::training::JobView as WireJob;
use dede_engine::job::JobView;
use dede_engine::service::Service;
use dede_model::backend::OutputActivation;
use dede_model::data::SampleShape;
use dede_model::parameters::Parameters;

use super::training::{job_status, live_measure};

/// What to include.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InfoOptions {
    /// Jobs.
    pub(crate) status: bool,
    /// Class names.
    pub(crate) labels: bool,
}

/// What GET /services/{name} shows.
pub(crate) fn service_info(service: &Service, options: InfoOptions) -> ServiceInfo {
    let serving = service.serving().ok();
    let training = service.jobs.is_busy();
    let request = &service.definition.request;
    let description = serving.as_ref().and_then(|serving| serving.model.as_ref()).map(|model| model.description());
    let model_stats = description.map_or_else(ModelStats::default, |description| ModelStats {
        params: description.parameters,
        flops: description.flops,
        ..ModelStats::default()
    });
    let shape = serving.as_ref().and_then(|serving| serving.shape().or_else(|| serving.reader.shape()));
    let (width, height) = if training { (None, None) } else { size(shape) };
    let task = serving.as_ref().and_then(|serving| serving.task);
    let Parameters { input, mllib, output } = request.parameters.clone();
    ServiceInfo {
        name: service.name().to_string(),
        description: request.description.clone(),
        mllib: request.mllib.clone(),
        mltype: task.map_or("", |task| task.mltype()).to_owned(),
        output: description.map(|description| description.output.name.clone()).filter(|name| !name.is_empty()),
        output_activation: description
            .and_then(|description| description.output.activation)
            .map(OutputActivation::name),
        parameters: creation_parameters(&RequestParameters { input, mllib, output }),
        service_type: request.service_type.clone(),
        predict: !training,
        training,
        stats: model_stats,
        model_stats,
        jobs: options.status.then(|| jobs(service)),
        labels: options.labels.then(|| match &serving {
            Some(serving) => serving.labels.names().map(str::to_owned).collect(),
            None => Vec::new(),
        }),
        repository: service.definition.repository_as_sent().to_owned(),
        version: serving.as_ref().and_then(|serving| serving.digest).map(|digest| digest.to_string()),
        width,
        height,
        service_stats: service_stats(service),
    }
}

fn service_stats(service: &Service) -> ServiceStats {
    let counters = service.statistics.snapshot();
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
fn jobs(service: &Service) -> Vec<WireJob> {
    service.jobs.going_on().iter().map(|job| wire_job(&job.view())).collect()
}

fn wire_job(view: &JobView) -> WireJob {
    WireJob {
        job: view.id,
        status: job_status(view.status.state),
        measure: Some(live_measure(&view.figures)),
        time: Some(view.seconds as u64),
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
