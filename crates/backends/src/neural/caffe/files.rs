//! The files of a repository that make a network: a run published here, or what Caffe wrote.
//!
//! It owns the choice among them (contract.md, decision 11): never by time, so that a copied directory serves the same network.

#[cfg(test)]
mod tests;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use dede_graph::{Graph, Shape, Transform, caffe};
use dede_model::backend::DecidingFile;
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::quote::quote;
use dede_model::repository::Repository;
use dede_storage::files::read_text;

use crate::neural::preparation::Mean;

/// The description of the network for prediction.
const DEPLOY: &str = "deploy.prototxt";
/// The mean image that the original server looks for.
const MEAN: &str = "mean.binaryproto";
/// Ends the names of weights that Caffe wrote in another format.
const HDF5: &str = ".caffemodel.h5";
/// Largest description of a network, bytes.
const TEXT_LIMIT: u64 = 16 << 20;

/// What a repository holds.
#[derive(Debug, Clone)]
pub(super) struct Files {
    root: PathBuf,
    names: Vec<String>,
    published: Option<DecidingFile>,
    deploy: Option<String>,
    weights: Option<String>,
}

/// A network that can be read.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The ONNX file of a run.
    Run(DecidingFile),
    /// A description and weights of Caffe.
    Caffe {
        /// `deploy.prototxt`.
        deploy: DecidingFile,
        /// `model_iter_<N>.caffemodel`.
        weights: DecidingFile,
    },
}

impl Files {
    /// Looks what is there. `model` is that object of the request: `weights` and `def` name files of the repository.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when a file that is named is not there, or when no rule chooses among several.
    pub(super) fn find(repository: &Repository, model: &Section) -> Result<Self> {
        let root = repository.root();
        // A repository that training will fill may not be there yet.
        let names = if root.is_dir() { repository.files()? } else { Vec::new() };
        let named_weights = repository.named(model, "weights")?;
        let published = repository.published()?.filter(|_| named_weights.is_none());
        let weights = match named_weights {
            Some(name) => Some(name),
            None => chosen_weights(root, &names)?,
        };
        if let (None, None, Some(name)) = (&published, &weights, names.iter().find(|name| name.ends_with(HDF5))) {
            let reason =
                "not supported yet: weights in HDF5, expected a .caffemodel, as snapshot_format BINARYPROTO writes it";
            return Err(Error::bad_parameter_at(name, reason));
        }
        let deploy = match repository.named(model, "def")? {
            Some(name) => Some(name),
            None if published.is_some() => None,
            None => usual_or_only(&names, DEPLOY, "model.def", is_deploy)?,
        };
        let published = published
            .map(|published| DecidingFile { name: published.record.network.clone(), path: published.network() });
        Ok(Self { root: root.to_owned(), names, published, deploy, weights })
    }

    /// The network to serve; `None` while there is none.
    pub(super) fn source(&self) -> Option<Source> {
        if let Some(file) = &self.published {
            return Some(Source::Run(file.clone()));
        }
        let file = |name: &String| DecidingFile { name: name.clone(), path: self.root.join(name) };
        let (deploy, weights) = (self.deploy.as_ref()?, self.weights.as_ref()?);
        Some(Source::Caffe { deploy: file(deploy), weights: file(weights) })
    }

    /// Weights of Caffe without a description of their network, whether or not a run was trained here since.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file that holds something else.
    pub(super) fn lone_weights(&self) -> Result<Option<caffe::LayerWeights>> {
        let described = self.names.iter().any(|name| is_deploy(name));
        let Some(name) = self.weights.as_ref().filter(|_| !described && self.deploy.is_none()) else { return Ok(None) };
        let file = DecidingFile { name: name.clone(), path: self.root.join(name) };
        let weights = caffe::LayerWeights::read(name, bytes(&file)?);
        weights.map(Some).map_err(|error| Error::bad_parameter(error.to_string()))
    }

    /// The mean image to subtract from images, in addition to what else `transform` says: the file that it names, else the one
    /// that the original server looked for.
    ///
    /// # Errors
    /// [`Error::BadParameter`] where the file is not there, or where two could be meant: every answer would be another.
    pub(super) fn mean(&self, transform: &Transform) -> Result<Option<DecidingFile>> {
        let name = match &transform.mean_file {
            Some(path) => Some(self.named_mean(path)?),
            None => usual_or_only(&self.names, MEAN, MEAN, |name| name.ends_with(MEAN))?,
        };
        Ok(name.map(|name| DecidingFile { path: self.root.join(&name), name }))
    }

    /// The file of a `mean_file`. Its directory is one of the machine that the network was trained on.
    fn named_mean(&self, path: &str) -> Result<String> {
        let place = "transform_param.mean_file";
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        if !self.names.iter().any(|known| known == name) {
            let name = quote(name);
            let reason = format!("the network subtracts the mean image {name}, which is not in the repository");
            return Err(Error::bad_parameter_at(place, reason));
        }
        if name != MEAN && self.names.iter().any(|known| known == MEAN) {
            let reason = format!(
                "the network subtracts the mean image {name} and {MEAN} is there too, which the original server subtracts \
                 without being told: expected one of them"
            );
            return Err(Error::bad_parameter_at(place, reason));
        }
        Ok(name.to_owned())
    }

    /// Whether a run trained here is served.
    pub(super) fn has_run(&self) -> bool {
        self.published.is_some()
    }

    /// Whether there are weights of Caffe.
    pub(super) fn has_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// Whether there is a description of a network for training, such as `mlp.prototxt`.
    pub(super) fn has_train_network(&self) -> bool {
        let is_network =
            |name: &String| name.ends_with(".prototxt") && !name.contains("deploy") && !name.contains("solver");
        self.names.iter().any(is_network)
    }

    /// Whether Caffe could resume a training.
    pub(super) fn has_solver_state(&self) -> bool {
        self.names.iter().any(|name| name.ends_with(".solverstate"))
    }

    /// Whether the original instantiated this template here.
    pub(super) fn has_template(&self, template: &str) -> bool {
        self.names.contains(&format!("{template}.prototxt"))
    }
}

impl Source {
    /// Reads the network with its weights.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the file and the layer.
    pub(super) fn read(&self) -> Result<Graph> {
        match self {
            Self::Run(file) => {
                dede_graph::onnx::import(&bytes(file)?).map_err(|error| self.complaint(&error.in_file(&file.name)))
            }
            Self::Caffe { deploy, weights } => {
                caffe::import((&deploy.name, &text_of(deploy)?), (&weights.name, &bytes(weights)?))
                    .map_err(|error| Error::bad_parameter(error.to_string()))
            }
        }
    }

    /// The files that decide an answer.
    pub(super) fn files(&self) -> Vec<DecidingFile> {
        match self {
            Self::Run(file) => vec![file.clone()],
            Self::Caffe { deploy, weights } => vec![deploy.clone(), weights.clone()],
        }
    }

    /// The file of the weights, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Run(file) | Self::Caffe { weights: file, .. } => file.name.clone(),
        }
    }

    /// An error about this network.
    pub(super) fn complaint(&self, error: &dede_graph::Error) -> Error {
        let text = error.to_string();
        let name = self.name();
        if text.contains(&name) { Error::bad_parameter(text) } else { Error::bad_parameter_at(name, text) }
    }
}

/// The mean image of a repository, of the extents of the network's input.
///
/// # Errors
/// [`Error::BadParameter`] naming the file.
pub(super) fn read_mean(file: &DecidingFile, input: Option<&Shape>) -> Result<Mean> {
    let fail = |reason: String| Error::bad_parameter_at(&file.name, reason);
    let image = caffe::read_mean(&bytes(file)?).map_err(|error| fail(error.to_string()))?;
    let (_, height, width) = image.shape.as_image().ok_or_else(|| fail("an image expected".into()))?;
    if let Some(input) = input.filter(|input| **input != image.shape) {
        let found = &image.shape;
        return Err(fail(format!(
            "a mean image of the extents of the network's input, {input}, expected, found {found}"
        )));
    }
    Ok(Mean::Image { file: file.name.clone(), width, height, values: image.data })
}

/// Whether a file describes a network for prediction.
fn is_deploy(name: &str) -> bool {
    name.contains("deploy") && name.ends_with(".prototxt")
}

/// A description of a network. Bytes that are not UTF-8 may stand in its comments.
fn text_of(file: &DecidingFile) -> Result<String> {
    let fail = |reason: String| Error::bad_parameter_at(&file.name, reason);
    let size = fs::metadata(&file.path).map_err(|error| fail(format!("cannot be read: {error}")))?.len();
    if size > TEXT_LIMIT {
        return Err(fail(format!("expected at most {TEXT_LIMIT} bytes, found {size}")));
    }
    let text = String::from_utf8(bytes(file)?);
    Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn bytes(file: &DecidingFile) -> Result<Vec<u8>> {
    fs::read(&file.path).map_err(|error| Error::bad_parameter_at(&file.name, format!("cannot be read: {error}")))
}

/// The file of the usual name, or the only one that `is_it` is true of.
///
/// # Errors
/// [`Error::BadParameter`] at `place` where there are several.
fn usual_or_only(names: &[String], usual: &str, place: &str, is_it: impl Fn(&str) -> bool) -> Result<Option<String>> {
    if names.iter().any(|name| name == usual) {
        return Ok(Some(usual.to_owned()));
    }
    let mut found = names.iter().filter(|name| is_it(name));
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => {
            let reason = format!("{first} and {second} are both there, expected one of them, or {usual}");
            Err(Error::bad_parameter_at(place, reason))
        }
        (first, _) => Ok(first.cloned()),
    }
}

/// The weights to serve: those best_model.txt names, if they are there; else those of the highest iteration.
fn chosen_weights(root: &Path, names: &[String]) -> Result<Option<String>> {
    let weights: Vec<&String> = names.iter().filter(|name| name.ends_with(".caffemodel")).collect();
    if let Some(best) = best_iteration(root)?
        && let Some(name) = weights.iter().find(|name| iteration(name) == Some(best))
    {
        return Ok(Some((*name).clone()));
    }
    let highest = weights.iter().filter_map(|name| iteration(name)).max();
    let mut candidates = weights.into_iter().filter(|name| iteration(name) == highest);
    let first = candidates.next();
    if let (Some(first), Some(second)) = (first, candidates.next()) {
        let reason = format!("{first} and {second} are both there, name the one to serve");
        return Err(Error::bad_parameter_at("model.weights", reason));
    }
    Ok(first.cloned())
}

/// `N` of `model_iter_N.caffemodel`.
fn iteration(name: &str) -> Option<u64> {
    name.strip_suffix(".caffemodel")?.rsplit_once("_iter_")?.1.parse().ok()
}

/// The line `iteration:N` of best_model.txt.
fn best_iteration(root: &Path) -> Result<Option<u64>> {
    let text = read_text(&root.join("best_model.txt"), 1 << 16)
        .map_err(|error| Error::bad_parameter_at("best_model.txt", error.to_string()))?;
    let line = |text: &String| text.lines().find_map(|line| line.strip_prefix("iteration:")?.trim().parse().ok());
    Ok(text.as_ref().and_then(line))
}
