//! service.json: everything a run learnt that a service needs, so that the directory alone recreates it.

use serde::{Deserialize, Serialize};

use crate::data::SampleShape;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::parameters::{Parameters, Section};
use crate::task::{ServiceType, Task};

/// The format written by this version.
const FORMAT: u32 = 1;

/// What decides an answer besides the network. Part of the digest: deterministic, without times, paths or host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRecord {
    /// Version of this format.
    format: u32,
    /// Name of the backend that trained it.
    pub mllib: String,
    /// Name of the connector it was trained with.
    pub connector: String,
    /// Supervised or not.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// Lowest-precedence parameters of every later request.
    pub parameters: StoredParameters,
    /// What the outputs mean.
    pub task: Task,
    /// What one sample looks like.
    pub shape: SampleShape,
    /// Class names.
    pub labels: Labels,
    /// The network's file, relative to the run's directory.
    pub network: String,
}

/// The sections that are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredParameters {
    /// Connector state: bounds, categories, sizes.
    pub input: Section,
    /// Template and size of the network.
    pub mllib: Section,
}

impl StoredParameters {
    /// As the lowest layer of a request's parameters.
    pub fn to_parameters(&self) -> Parameters {
        Parameters { input: self.input.clone(), mllib: self.mllib.clone(), output: Section::new() }
    }
}

/// The parts of a record that are named at its creation.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// See [`ServiceRecord`].
    pub mllib: String,
    /// See [`ServiceRecord`].
    pub connector: String,
    /// See [`ServiceRecord`].
    pub service_type: ServiceType,
    /// See [`ServiceRecord`].
    pub parameters: StoredParameters,
    /// See [`ServiceRecord`].
    pub task: Task,
    /// See [`ServiceRecord`].
    pub shape: SampleShape,
    /// See [`ServiceRecord`].
    pub labels: Labels,
    /// See [`ServiceRecord`].
    pub network: String,
}

impl ServiceRecord {
    /// A record of the current format.
    pub fn new(parts: NewRecord) -> Self {
        let NewRecord { mllib, connector, service_type, parameters, task, shape, labels, network } = parts;
        Self { format: FORMAT, mllib, connector, service_type, parameters, task, shape, labels, network }
    }

    /// The bytes of service.json.
    ///
    /// # Errors
    /// None in practice: every member is plain data.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Parses service.json; `place` is named in errors.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another format or damaged text, and for a network name that leaves the directory.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let record: Self =
            serde_json::from_str(text).map_err(|error| Error::bad_parameter_at(place, error.to_string()))?;
        if record.format != FORMAT {
            let reason = format!("format {FORMAT} expected, found {}", record.format);
            return Err(Error::bad_parameter_at(place, reason));
        }
        let plain = !record.network.is_empty() && !record.network.contains(['/', '\\']) && record.network != "..";
        if !plain {
            return Err(Error::bad_parameter_at(place, "the network must be a file beside service.json"));
        }
        Ok(record)
    }
}
