//! What a service answers with at one moment: model, reader, names, digest. Replaced whole, never changed.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dede_bundle::{Digest, Manifest};
use dede_model::backend::{DecidingFile, Model, ModelDescription, OpenRequest, Opened, PredictOptions, Task};
use dede_model::connector::{InputLimits, Reader, ReaderContext};
use dede_model::data::SampleShape;
use dede_model::error::{Error, Result};
use dede_model::labels::Labels;
use dede_model::memory;
use dede_model::parameters::{Parameters, Section};
use dede_model::repository::{LABELS, Published};
use dede_storage::files;
use serde_json::Value;

use super::definition::Definition;
use crate::environment::Environment;

/// A file that decides an answer, as it was when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Content.
    pub sha256: Digest,
}

/// Files of a network that is large enough for the system to notice that it is gone, bytes.
const WORTH_GIVING_BACK: u64 = 4 << 20;

/// One version of a service. Requests hold it until they are answered.
pub struct Serving {
    /// The loaded network; `None` before the first training.
    pub model: Option<Arc<dyn Model>>,
    /// Identity of everything that decides an answer; `None` without a network.
    pub digest: Option<Digest>,
    /// The digest as text, which every answer carries.
    version: Arc<str>,
    /// What the repository looked like before it was loaded, where that can be told.
    pub listing: Option<Digest>,
    /// The files that decide an answer, with their content; empty without a network.
    pub files: Vec<ServedFile>,
    /// For requests without input parameters of their own.
    pub reader: Arc<dyn Reader>,
    /// The same for guests.
    pub guest_reader: Arc<dyn Reader>,
    /// Class names.
    pub labels: Arc<Labels>,
    /// Creation over stored.
    pub parameters: Parameters,
    /// What the network says under keys of `parameters.mllib`: a predict may repeat it.
    pub known: Section,
    /// Stored by the training whose network is served; empty otherwise.
    pub stored: Parameters,
    /// What the outputs mean, where known.
    pub task: Option<Task>,
    /// For requests without mllib parameters of their own.
    pub predict_options: PredictOptions,
    /// How long it took to load and warm it.
    pub opened_in: Duration,
}

impl Serving {
    /// Loads and warms what the repository holds now, once more where a file changed meanwhile: the digest is that of what answers.
    ///
    /// # Errors
    /// [`Error::BadInput`] of the connector, [`Error::BadParameter`] of the backend, also where files change again and again; [`Error::Io`].
    pub fn open(definition: &Definition, environment: &Environment) -> Result<Self> {
        let began = SystemTime::now();
        let first = Self::open_once(definition, environment)?;
        if first.changed_since(began).is_none() {
            return Ok(first);
        }
        let digest = first.digest;
        // Two of them may not fit.
        drop(first);
        let began = SystemTime::now();
        let second = Self::open_once(definition, environment)?;
        match second.changed_since(began) {
            // Whatever changed, the content did not.
            None => Ok(second),
            Some(_) if second.digest == digest => Ok(second),
            Some(file) => {
                Err(Error::bad_parameter_at(file.path.display().to_string(), "it changes while it is loaded"))
            }
        }
    }

    /// A file that decides an answer, and that was replaced or changed since.
    fn changed_since(&self, began: SystemTime) -> Option<&ServedFile> {
        self.files.iter().find(|file| files::changed_since(&file.path, began))
    }

    fn open_once(definition: &Definition, environment: &Environment) -> Result<Self> {
        let started = Instant::now();
        definition.repository.check_there()?;
        let listing = definition.repository.listing();
        // Explicit weights win over a run (contract.md 3.8), and then nothing that a run learnt applies.
        let published = if definition.names_weights() { None } else { definition.repository.published()? };
        let stored = stored_parameters(published.as_ref(), definition)?;
        let parameters = definition.parameters.over(&stored);
        let opened = definition.backend.open(&OpenRequest {
            repository: &definition.repository,
            mllib: &parameters.mllib,
            mllib_in_call: &definition.parameters.mllib,
            mllib_stored: &stored.mllib,
            input: &parameters.input,
            model: &definition.request.model,
            service_type: definition.service_type,
            kind: definition.connector.kind(),
            engine: &environment.engine,
        })?;
        let (labels, label_file) = labels(published.as_ref(), definition)?;
        check_labels(&labels, label_file.as_ref(), opened.task)?;
        let open_reader = |limits: &Arc<InputLimits>| {
            let reader = definition.connector.open(&ReaderContext {
                parameters: &parameters.input,
                own: &definition.parameters.input,
                created: &Section::new(),
                stored: &stored.input,
                parameters_in_call: false,
                shape: opened.model.as_ref().and_then(|model| model.description().shape),
                labels: &labels,
                regression: is_regression(opened.task, &parameters.mllib),
                limits: Arc::clone(limits),
            })?;
            Ok::<Arc<dyn Reader>, Error>(reader.into())
        };
        let reader = open_reader(&environment.limits)?;
        let guest_reader = match &environment.guest_limits {
            Some(limits) => open_reader(limits)?,
            None => Arc::clone(&reader),
        };
        let (digest, files) = identity(&opened, label_file)?;
        Ok(Self {
            version: digest.map_or_else(|| super::NO_VERSION.into(), |digest| digest.to_string().into()),
            digest,
            listing,
            files,
            reader,
            guest_reader,
            labels: Arc::new(labels),
            predict_options: predict_options(&parameters.mllib)?,
            known: known(opened.model.as_deref()),
            task: opened.task,
            model: opened.model,
            parameters,
            stored,
            opened_in: started.elapsed(),
        })
    }

    /// As [`Serving::open`]; a bug in one file format must not take anything else down.
    ///
    /// # Errors
    /// As there; [`Error::Internal`] where it met a bug.
    pub fn open_safely(definition: &Definition, environment: &Environment) -> Result<Self> {
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open(definition, environment)));
        opened.unwrap_or_else(|_| {
            Err(Error::Internal("loading it ended in an internal error (panic); see the log".into()))
        })
    }

    /// What the network takes, where there is one.
    pub fn shape(&self) -> Option<SampleShape> {
        self.model.as_ref().and_then(|model| model.description().shape)
    }

    /// Whether labels are values rather than classes.
    pub fn regression(&self) -> bool {
        is_regression(self.task, &self.parameters.mllib)
    }

    /// `sha256:…`, or `none` without a network.
    pub fn version(&self) -> Arc<str> {
        Arc::clone(&self.version)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.files.iter().map(|file| file.size).sum::<u64>() >= WORTH_GIVING_BACK {
            self.model = None;
            memory::give_back_soon();
        }
    }
}

/// What a network says, under the keys of `parameters.mllib` that ask for it.
fn known(model: Option<&dyn Model>) -> Section {
    let mut known = Section::new();
    let Some(ModelDescription { output, task, .. }) = model.map(Model::description) else { return known };
    if !output.name.is_empty() {
        known.insert("output".into(), output.name.clone().into());
        known.insert("outputBlob".into(), output.name.clone().into());
    }
    if let Some(activation) = output.activation {
        known.insert("output_activation".into(), activation.name().into());
    }
    let (key, count) = match *task {
        Task::Classification { classes } => ("nclasses", classes),
        Task::Regression { targets } => ("ntargets", targets),
        Task::Detection { classes: Some(classes) } | Task::Segmentation { classes: Some(classes) } => {
            ("nclasses", classes)
        }
        Task::Detection { classes: None } | Task::Segmentation { classes: None } | Task::Features | Task::Tensors => {
            return known;
        }
    };
    known.insert(key.into(), count.into());
    known.insert("regression".into(), matches!(task, Task::Regression { .. }).into());
    known
}

/// Options of a predict from `parameters.mllib`.
///
/// # Errors
/// [`Error::BadParameter`] naming the key.
pub(super) fn predict_options(mllib: &Section) -> Result<PredictOptions> {
    let extract_layer = match mllib.get("extract_layer") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.clone()).filter(|name| !name.is_empty()),
        Some(_) => return Err(Error::bad_parameter_at("parameters.mllib.extract_layer", "a string expected")),
    };
    let batch_size = match mllib.get("net").and_then(|net| net.get("test_batch_size")) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let size = value.as_u64().filter(|size| *size > 0).and_then(|size| usize::try_from(size).ok());
            let place = "parameters.mllib.net.test_batch_size";
            Some(size.ok_or_else(|| Error::bad_parameter_at(place, format!("1 or more expected, found {value}")))?)
        }
    };
    Ok(PredictOptions { extract_layer, batch_size, ..PredictOptions::default() })
}

pub(super) fn is_regression(task: Option<Task>, mllib: &Section) -> bool {
    match task {
        Some(Task::Regression { .. }) => true,
        Some(
            Task::Classification { .. }
            | Task::Detection { .. }
            | Task::Segmentation { .. }
            | Task::Features
            | Task::Tensors,
        ) => false,
        None => mllib.get("regression").and_then(Value::as_bool).unwrap_or(false),
    }
}

fn stored_parameters(published: Option<&Published>, definition: &Definition) -> Result<Parameters> {
    let Some(published) = published else {
        return Ok(Parameters::default());
    };
    let connector = &published.record.connector;
    if connector != definition.connector.name() {
        let found = definition.connector.name();
        let reason = format!("this repository was trained with connector {connector:?}, found {found:?}");
        return Err(Error::bad_parameter_at("parameters.input.connector", reason));
    }
    Ok(published.record.parameters.to_parameters())
}

/// Names, and the file that decides them: one that the request names, else the record of a run, else the repository's own.
fn labels(published: Option<&Published>, definition: &Definition) -> Result<(Labels, Option<DecidingFile>)> {
    let of_file = |(path, labels)| (labels, Some(DecidingFile { name: LABELS.into(), path }));
    if let Some(asked) = definition.repository.asked_labels(&definition.request.model)? {
        return Ok(of_file(asked));
    }
    if let Some(published) = published {
        let file = DecidingFile { name: "service.json".into(), path: published.record_file() };
        return Ok((published.record.labels.clone(), Some(file)));
    }
    Ok(definition.repository.legacy_labels()?.map_or_else(|| (Labels::default(), None), of_file))
}

/// Checks that no class has a name that the network does not have: the names would belong to another network.
fn check_labels(labels: &Labels, file: Option<&DecidingFile>, task: Option<Task>) -> Result<()> {
    let Some(Task::Classification { classes }) = task else { return Ok(()) };
    match (labels.last().filter(|last| *last >= classes), file) {
        (Some(last), Some(file)) => {
            let reason = format!(
                "expected names of the network's {classes} classes, 0 to {}, found one of class {last}",
                classes.saturating_sub(1)
            );
            Err(Error::bad_parameter_at(file.path.display().to_string(), reason))
        }
        (Some(_), None) | (None, _) => Ok(()),
    }
}

/// Digest and content of the files that decide an answer.
fn identity(opened: &Opened, label_file: Option<DecidingFile>) -> Result<(Option<Digest>, Vec<ServedFile>)> {
    if opened.model.is_none() {
        return Ok((None, Vec::new()));
    }
    let deciding: Vec<&DecidingFile> = opened.files.iter().chain(&label_file).collect();
    let mut names = HashSet::new();
    if let Some(twice) = deciding.iter().find(|file| !names.insert(file.name.as_str())) {
        let text = format!(
            "expected one purpose for each file, found two for {} (weights in the network's own file?)",
            twice.name
        );
        return Err(Error::bad_parameter_at(twice.path.display().to_string(), text));
    }
    let manifest = Manifest::of_files(deciding.iter().map(|file| (file.name.as_str(), file.path.as_path())))
        .map_err(Error::io("hash the model's files"))?;
    let served = manifest.entries().iter().filter_map(|entry| {
        let file = deciding.iter().find(|file| file.name == entry.name.as_str())?;
        Some(ServedFile { path: file.path.clone(), size: entry.size, sha256: entry.sha256 })
    });
    Ok((Some(manifest.digest()), served.collect()))
}
