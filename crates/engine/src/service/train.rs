//! The life of a training: plan, fit, train, publish, load, swap.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dede_model::backend::{Backend, TrainRequest, Trained, TrainingPlan, TrainingRun};
use dede_model::connector::{Fitted, Reader, ReaderContext};
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::measure::MeasureSpec;
use dede_model::parameters::keys::Call;
use dede_model::parameters::{Parameters, Section, over};
use dede_model::progress::Progress;
use dede_model::quote::quote;
use dede_model::repository::{LABELS, NewRecord, Run, ServiceRecord, StoredParameters, TEXT_LIMIT};
use dede_storage::files::{read_text, write_atomically};

use super::Service;
use super::serving::{Serving, is_regression};
use crate::job;
use crate::job::{Job, JobResult};
use crate::output::OutputOptions;
use crate::protocol::ServiceIdentity;

/// A train request, without the name it was addressed to.
#[derive(Debug, Clone, Default)]
pub struct TrainCall {
    /// A client without the rights of the server's owner sent it.
    pub is_guest: bool,
    /// The sections of the call.
    pub parameters: Parameters,
    /// Training data, then test data.
    pub data: Vec<String>,
    /// The body as it came, for model.json.
    pub body: String,
}

/// Everything a training job needs, resolved before it is queued.
struct Training {
    service: Arc<Service>,
    plan: Box<dyn TrainingPlan>,
    reader: Box<dyn Reader>,
    /// Class names of the run that is resumed.
    classes: Option<Labels>,
    data: Vec<String>,
    measures: MeasureSpec,
    body: String,
}

impl Service {
    /// Checks a training and queues it. Data is read by the job; parameters are resolved here.
    ///
    /// # Errors
    /// [`Error::BadInput`], [`Error::BadParameter`], [`Error::Overloaded`].
    pub fn train(self: &Arc<Self>, call: TrainCall) -> Result<Arc<Job>> {
        let serving = self.serving()?;
        self.environment.check_repository(self.definition.repository.root())?;
        self.definition.repository.check_unmoved()?;
        if call.data.is_empty() {
            return Err(Error::bad_input("missing data"));
        }
        let own = &self.definition.parameters;
        // What an earlier version of this server accepted at creation is refused here.
        self.check_keys(&call.parameters.over(own), own, &Section::new(), Call::Train)?;
        let mut input = over(&call.parameters.input, &own.input);
        input.remove("connector");
        let mllib = over(&call.parameters.mllib, &over(&own.mllib, &serving.stored.mllib));
        let output = OutputOptions::parse(&over(&call.parameters.output, &own.output))?;
        let backend: &dyn Backend = self.definition.backend;
        let plan = backend.plan(&TrainRequest {
            repository: &self.definition.repository,
            mllib: &mllib,
            input: &input,
            model: &self.definition.request.model,
            kind: self.definition.connector.kind(),
            engine: &self.environment.engine,
        })?;
        let mut stored = Section::new();
        let resumed_run = plan.resumes_from().and_then(Path::parent);
        let mut classes = None;
        if let Some(directory) = resumed_run {
            // A resumed run goes on with the bounds, categories and classes that its weights were trained with.
            (stored, classes) = read_state(directory)?;
            input = over(&input, &stored);
        }
        output.check_task(plan.task())?;
        let progress = match resumed_run {
            Some(_) => Progress::with_histories(self.histories()),
            None => Progress::default(),
        };
        let guest = self.environment.guest_limits.as_ref().filter(|_| call.is_guest);
        let reader = self.definition.connector.open(&ReaderContext {
            parameters: &input,
            own: &call.parameters.input,
            created: &own.input,
            stored: &stored,
            parameters_in_call: true,
            shape: None,
            labels: classes.as_ref().unwrap_or(&serving.labels),
            regression: is_regression(None, &mllib),
            limits: Arc::clone(guest.unwrap_or(&self.environment.limits)),
        })?;
        let training = Training {
            service: Arc::clone(self),
            plan,
            reader,
            classes,
            data: call.data,
            measures: output.measures,
            body: call.body,
        };
        let service = self.name();
        let run = move |job: &Job| {
            let _in_span =
                tracing::error_span!(target: "spans", "training", service = %service, job = job.id).entered();
            tracing::info!(service = %service, job = job.id, "a training begins");
            training.run(job)
        };
        self.jobs.submit(progress, Box::new(run))
    }

    /// What records of its trainings say of it.
    pub fn identity(&self) -> ServiceIdentity {
        let mltype = self.serving().ok().and_then(|serving| serving.task).map_or("", |task| task.mltype());
        ServiceIdentity {
            name: self.name().to_string(),
            mltype: mltype.to_owned(),
            description: self.definition.request.description.clone(),
            repository: self.definition.repository_as_sent().to_owned(),
        }
    }

    /// Histories of the last training, from metrics.json, so that plots go on after a resume.
    fn histories(&self) -> BTreeMap<String, Vec<f64>> {
        let path = self.definition.repository.root().join("metrics.json");
        let text = read_text(&path, TEXT_LIMIT).ok().flatten();
        text.map(|text| self.environment.protocol.histories(&text)).unwrap_or_default()
    }
}

impl Training {
    fn run(self, job: &Job) -> Result<JobResult> {
        let Self { service, plan, reader, classes, data, measures, body } = self;
        let repository = &service.definition.repository;
        record(&service, "model.json", format!("{body}\n").as_bytes());
        let fitted = reader.fit(&data)?;
        check_names(&service, &fitted.labels)?;
        check_classes(classes.as_ref(), &fitted.labels)?;
        let run = repository.begin_run()?;
        write_state(run.directory(), &fitted)?;
        let trained = plan.run(TrainingRun {
            data: &fitted,
            directory: run.directory(),
            measures: &measures,
            progress: &job.progress,
            cancel: &job.cancel,
        })?;
        let result = result(job, &fitted, &trained);
        if keeps_former(&service, job) {
            return Ok(result);
        }
        // The new network is loaded and warmed before the pointer moves: one that cannot be served replaces nothing.
        complete(&service, &run, &fitted, &trained)?;
        let serving = Serving::open(&service.definition.previewing(&run), &service.environment)?;
        repository.publish(&run)?;
        service.serve(serving);
        write_records(&service, job, &fitted, &trained, &result);
        if service.definition.names_weights() {
            tracing::warn!(service = %service.name(), "created with model.weights: after a restart those are served again");
        }
        Ok(result)
    }
}

/// Checks that classes found in the data have the names that the service was asked to give them: a file that
/// `model.corresp` names goes on to name the classes of what is trained.
///
/// # Errors
/// [`Error::BadParameter`] where they have not.
fn check_names(service: &Service, found: &Labels) -> Result<()> {
    let definition = &service.definition;
    match definition.repository.asked_labels(&definition.request.model)? {
        Some((path, asked)) if !found.is_empty() && asked != *found => {
            let file = path.file_name().unwrap_or_default().display().to_string();
            let reason = format!(
                "the data have {} classes that are not those of {file}, in names or order: create the service without it, \
                 classes are named by the data then",
                found.len()
            );
            Err(Error::bad_parameter_at("model.corresp", reason))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks that a run goes on with the classes that its weights were trained for.
///
/// # Errors
/// [`Error::BadInput`] naming a class that is none of them.
fn check_classes(resumed: Option<&Labels>, found: &Labels) -> Result<()> {
    match resumed {
        Some(known) if !known.is_empty() && !found.is_empty() && known != found => {
            let reason = match found.names().find(|name| known.id(name).is_none()) {
                Some(class) => format!("class \"{}\" is none of the run's that is resumed", quote(class)),
                None => "the classes have other numbers than in the run that is resumed".to_owned(),
            };
            Err(Error::bad_input(reason))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a stopped training leaves what was served before it: always when it did not get through one iteration, and
/// when the server or the service was stopped rather than the training. Its checkpoint stays for `resume`.
fn keeps_former(service: &Service, job: &Job) -> bool {
    let untrained = job.progress.figures().iteration.is_none();
    let has_former = service.serving().is_ok_and(|serving| serving.model.is_some());
    job.cancel.is_cancelled() && (untrained || (job.is_abandoned() && has_former))
}

/// Connector state of a run, written before it trains, so that a killed run can be resumed.
const STATE: &str = "input.json";

/// Where the class names of a run stand in it.
const CLASSES: &str = "class_names";

fn write_state(directory: &Path, fitted: &Fitted) -> Result<()> {
    let internal = |error: serde_json::Error| Error::Internal(error.to_string());
    let mut state = fitted.state.clone();
    state.insert(CLASSES.to_owned(), serde_json::to_value(&fitted.labels).map_err(internal)?);
    write_atomically(&directory.join(STATE), &serde_json::to_vec(&state).map_err(internal)?).map_err(Error::from)
}

/// The state of a run and its class names, which runs of earlier versions lack.
fn read_state(directory: &Path) -> Result<(Section, Option<Labels>)> {
    let path = directory.join(STATE);
    let shown = path.display().to_string();
    let text = read_text(&path, TEXT_LIMIT)?;
    let text = text.ok_or_else(|| Error::bad_parameter_at(&shown, "the run to resume has no such file"))?;
    let unreadable = |error: serde_json::Error| Error::bad_parameter_at(&shown, error.to_string());
    let mut state: Section = serde_json::from_str(&text).map_err(unreadable)?;
    let classes = state.remove(CLASSES).map(serde_json::from_value).transpose().map_err(unreadable)?;
    Ok((state, classes))
}

fn complete(service: &Service, run: &Run, fitted: &Fitted, trained: &Trained) -> Result<()> {
    let definition = &service.definition;
    let record = ServiceRecord::new(NewRecord {
        mllib: definition.backend.name().to_owned(),
        connector: definition.connector.name().to_owned(),
        service_type: definition.service_type,
        parameters: StoredParameters { input: fitted.state.clone(), mllib: trained.state.clone() },
        task: trained.task,
        shape: fitted.shape,
        labels: trained.labels.clone().unwrap_or_else(|| fitted.labels.clone()),
        network: trained.network.clone(),
    });
    definition.repository.complete(run, &record)
}

fn result(job: &Job, fitted: &Fitted, trained: &Trained) -> JobResult {
    let (figures, input, mllib) = (job.progress.figures(), fitted.report.clone(), trained.report.clone());
    JobResult::Trained(Box::new(job::Training { figures, input, mllib }))
}

/// The files that people and other tools read. The network is published already, so a failure here is logged only.
fn write_records(service: &Service, job: &Job, fitted: &Fitted, trained: &Trained, result: &JobResult) {
    let labels = trained.labels.as_ref().unwrap_or(&fitted.labels);
    record(service, LABELS, labels.render().as_bytes());
    if let Some(best) = &trained.best {
        let text = format!("iteration:{}\n{}:{}\n", best.iteration, best.measure, best.value);
        record(service, "best_model.txt", text.as_bytes());
    }
    let mut view = job.view();
    view.status.result = Some(Arc::new(result.clone()));
    if let Some(metrics) = service.environment.protocol.metrics(&service.identity(), &view) {
        record(service, "metrics.json", metrics.as_bytes());
    }
}

fn record(service: &Service, name: &str, bytes: &[u8]) {
    if let Err(error) = service.definition.repository.write_record(name, bytes) {
        tracing::warn!(service = %service.name(), %error, "record not written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumed_runs_keep_their_classes() {
        let known = Labels::from_names(["cat", "dog"]);
        let check = |found: &[&str]| check_classes(Some(&known), &Labels::from_names(found.iter().copied()));
        assert!(check(&["cat", "dog"]).is_ok());
        assert!(check(&[]).is_ok(), "a list file has numbers");
        assert!(check_classes(None, &known).is_ok());
        let refused = check(&["bird", "dog"]).expect_err("another class").to_string();
        assert!(refused.contains("class \"bird\" is none of the run's that is resumed"), "{refused}");
        let refused = check(&["dog", "cat"]).expect_err("another order").to_string();
        assert!(refused.contains("other numbers"), "{refused}");
    }
}
