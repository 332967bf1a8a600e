//! Checkpoints: everything a training needs to go on bit by bit as if it had never stopped.
//!
//! A safetensors file (format: huggingface/safetensors, README) with the weights under their names in the graph, the
//! solver's memory as `solver.<slot>.<weight>`, and one metadata entry of JSON. Data order and dropout are functions of the
//! seed and the iteration, so no generator has to be stored. This file owns the format and the choice of the newest; it must not
//! know when checkpoints are written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dede_model::backend::Best;
use dede_model::error::{Error, Result};
use dede_model::repository::{Repository, Run};
use dede_storage::files::write_atomically;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::network::Network;
use super::solver::Solver;

/// The metadata entry.
const ENTRY: &str = "training";
const SUFFIX: &str = ".safetensors";
const PREFIX: &str = "checkpoint-";

/// What a checkpoint holds besides arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Iterations done.
    pub(super) iteration: u64,
    /// Seed of data order and dropout.
    pub(super) seed: u64,
    /// Milliseconds trained so far.
    pub(super) elapsed_ms: f64,
    /// Best test result so far.
    pub(super) best: Option<Best>,
}

/// The metadata entry's content.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    position: Position,
    /// Batches that running statistics come from.
    statistics_batches: u64,
}

/// The file's name after `iteration` iterations.
pub(super) fn file_name(iteration: u64) -> String {
    format!("{PREFIX}{iteration}{SUFFIX}")
}

/// Writes a checkpoint into `directory`, whole or not at all.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(super) fn write(directory: &Path, position: &Position, network: &Network, solver: &Solver) -> Result<()> {
    let internal = |error: &dyn std::fmt::Display| Error::Internal(format!("encode a checkpoint: {error}"));
    let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (index, (parameter, weights)) in network.parameters().iter().zip(network.weights()).enumerate() {
        for (slot, values) in solver.slots(index).iter().enumerate() {
            arrays.push((slot_name(slot, &parameter.name), vec![values.len()], to_bytes(values)));
        }
        arrays.push((parameter.name.clone(), parameter.shape.clone(), to_bytes(weights)));
    }
    let views: Vec<(&str, TensorView<'_>)> = arrays
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<std::result::Result<_, safetensors::SafeTensorError>>()
        .map_err(|error| internal(&error))?;
    let entry = Entry { position: position.clone(), statistics_batches: network.statistics_batches() };
    let json = serde_json::to_string(&entry).map_err(|error| internal(&error))?;
    let metadata = HashMap::from([(ENTRY.to_owned(), json)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| internal(&error))?;
    write_atomically(&directory.join(file_name(position.iteration)), &bytes).map_err(Error::from)
}

/// Puts the weights of a checkpoint into `network`, and into `solver` what it remembered, unless that is `None`.
///
/// # Errors
/// [`Error::BadParameter`] naming the file when it is damaged or was written for another network or solver.
pub(super) fn read(path: &Path, network: &mut Network, solver: Option<&mut Solver>) -> Result<Position> {
    let bytes = read_bytes(path)?;
    let entry = entry_of(path, &bytes)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, &error))?;
    let names: Vec<(String, Vec<usize>)> =
        network.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect();
    for ((name, shape), weights) in names.iter().zip(network.weights_mut()) {
        fill(path, &tensors, name, shape, weights)?;
    }
    if let Some(solver) = solver {
        for (index, (name, _)) in names.iter().enumerate() {
            for (slot, values) in solver.slots_mut(index).iter_mut().enumerate() {
                let length = [values.len()];
                fill(path, &tensors, &slot_name(slot, name), &length, values)?;
            }
        }
    }
    network.set_statistics_batches(entry.statistics_batches);
    Ok(entry.position)
}

/// The names of the arrays of a checkpoint.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadParameter`] naming the file.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let bytes = read_bytes(path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, &error))?;
    Ok(tensors.names().into_iter().map(str::to_owned).collect())
}

/// The last checkpoint that can be gone on from, of the newest run that wrote one itself. A run that resumes begins with a copy of the
/// best checkpoint before it; where it fails before it writes its own, the training has come further in the run before.
///
/// # Errors
/// [`Error::Io`] when the repository cannot be listed; [`Error::BadParameter`] naming the newest file when there are
/// checkpoints and none can be gone on from.
pub(super) fn newest(repository: &Repository) -> Result<Option<PathBuf>> {
    let mut first_error = None;
    let runs = repository.runs()?;
    for (place, run) in runs.iter().enumerate().rev() {
        for (_, path) in in_directory(run.directory())?.into_iter().rev() {
            match usable(&path) {
                Ok(entry) if is_copied(&entry, &path, &runs[..place]) => {}
                Ok(_) => return Ok(Some(path)),
                Err(error) => {
                    tracing::warn!(%error, "skipping a checkpoint");
                    first_error.get_or_insert(error);
                }
            }
        }
    }
    first_error.map_or(Ok(None), Err)
}

/// Whether an earlier run has this checkpoint too: the time trained so far is in it, to the nanosecond, so no two runs write the same.
fn is_copied(entry: &Entry, path: &Path, earlier: &[Run]) -> bool {
    let Some(name) = path.file_name() else { return false };
    let is_it = |run: &Run| {
        let other = run.directory().join(name);
        read_bytes(&other).and_then(|bytes| entry_of(&other, &bytes)).is_ok_and(|other| other == *entry)
    };
    earlier.iter().any(is_it)
}

/// What a checkpoint says of itself, if it is whole and its numbers are finite: no training goes on from others.
fn usable(path: &Path) -> Result<Entry> {
    let bytes = read_bytes(path)?;
    let entry = entry_of(path, &bytes)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, &error))?;
    for (name, tensor) in tensors.iter() {
        let values = tensor.data().as_chunks::<4>().0;
        if let Some(value) = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).find(|value| !value.is_finite()) {
            return Err(damaged(path, &format!("expected finite numbers in array {name}, found {value}")));
        }
    }
    Ok(entry)
}

/// The checkpoints of a run by ascending iteration.
///
/// # Errors
/// [`Error::Io`] when the directory cannot be listed.
pub(super) fn in_directory(directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let context = || format!("list {}", directory.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io(context()))? {
        let path = entry.map_err(Error::io(context()))?.path();
        let iteration = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse::<u64>().ok());
        found.extend(iteration.map(|iteration| (iteration, path)));
    }
    found.sort_unstable();
    Ok(found)
}

fn slot_name(slot: usize, weight: &str) -> String {
    format!("solver.{slot}.{weight}")
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))
}

fn entry_of(path: &Path, bytes: &[u8]) -> Result<Entry> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(path, &error))?;
    let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
    let json = entry.ok_or_else(|| damaged(path, &format!("it has no metadata entry {ENTRY}")))?;
    // The header says where each array lies; whether the file is that long shows here already.
    SafeTensors::deserialize(bytes).map_err(|error| damaged(path, &error))?;
    serde_json::from_str(json).map_err(|error| damaged(path, &error))
}

fn fill(path: &Path, tensors: &SafeTensors<'_>, name: &str, shape: &[usize], values: &mut [f32]) -> Result<()> {
    let unfit = |reason: String| {
        let text = format!("the checkpoint is of another network or solver: {reason}");
        Error::bad_parameter_at(path.display().to_string(), text)
    };
    let tensor = tensors.tensor(name).map_err(|_| unfit(format!("array {name} is missing")))?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
        let found = tensor.shape();
        return Err(unfit(format!("array {name} should have shape {shape:?}, found {found:?}")));
    }
    for (value, bytes) in values.iter_mut().zip(tensor.data().as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    Ok(())
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::bad_parameter_at(path.display().to_string(), format!("not a checkpoint: {reason}"))
}

#[cfg(test)]
mod tests {
    use dede_graph::layer::InnerProduct;
    use dede_graph::{Graph, Initializer, Input, Layer, Node, Transform, Weights};
    use proptest::prelude::*;

    use super::super::solver::Rule;
    use super::*;

    /// One inner product of three inputs, weights and solver memory filled with `value`.
    fn trained(outputs: usize, value: f32) -> (Network, Solver) {
        let node = Node {
            name: "fc".into(),
            layer: Layer::InnerProduct(InnerProduct {
                outputs,
                bias: true,
                axis: 1,
                weight_initializer: Initializer::Constant { value },
                bias_initializer: Initializer::Constant { value },
            }),
            inputs: vec!["data".into()],
            outputs: vec!["y".into()],
        };
        let shape = dede_graph::Shape::columns(3);
        let mut graph = Graph {
            name: String::new(),
            inputs: vec![Input { name: "data".into(), shape, transform: Transform::default() }],
            nodes: vec![node],
            outputs: vec!["y".into()],
            weights: Weights::new(),
        };
        graph.initialize(|| 0.0).unwrap();
        let network = Network::new(graph, true).unwrap();
        let lengths: Vec<usize> = network.weights().iter().map(Vec::len).collect();
        let mut solver = Solver::new(Rule::Adam { beta1: 0.9, beta2: 0.999 }, 0.0, &lengths);
        for index in 0..lengths.len() {
            solver.slots_mut(index).iter_mut().flatten().for_each(|memory| *memory = 2.0 * value);
        }
        (network, solver)
    }

    fn position(iteration: u64) -> Position {
        let best = Some(Best { iteration: 3, measure: "f1".into(), value: 0.1 + 0.2 });
        Position { iteration, seed: u64::MAX, elapsed_ms: 12.5, best }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_last_bit() {
        let directory = tempfile::tempdir().unwrap();
        let (network, solver) = trained(2, 0.1 + f32::EPSILON);
        write(directory.path(), &position(7), &network, &solver).unwrap();
        let path = directory.path().join(file_name(7));
        assert_eq!(in_directory(directory.path()).unwrap(), [(7, path.clone())]);
        let (mut other, mut other_solver) = trained(2, 0.0);
        assert_eq!(read(&path, &mut other, Some(&mut other_solver)).unwrap(), position(7));
        assert_eq!(other.weights(), network.weights());
        assert_eq!(other_solver, solver);
    }

    #[test]
    fn another_network_is_refused_by_array() {
        let directory = tempfile::tempdir().unwrap();
        let (network, solver) = trained(2, 1.0);
        write(directory.path(), &position(1), &network, &solver).unwrap();
        let error = read(&directory.path().join(file_name(1)), &mut trained(4, 1.0).0, None).unwrap_err();
        assert!(error.to_string().contains("array fc.weight should have shape [4, 3], found [2, 3]"), "{error}");
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_named_and_never_a_panic(cut in 0usize..2000, at in 0usize..2000, bits: u8) {
            let directory = tempfile::tempdir().unwrap();
            let (network, solver) = trained(2, 1.0);
            write(directory.path(), &position(1), &network, &solver).unwrap();
            let path = directory.path().join(file_name(1));
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= bits;
            std::fs::write(&path, &bytes).unwrap();
            let (mut other, mut other_solver) = trained(2, 0.0);
            let _ = read(&path, &mut other, Some(&mut other_solver));
            bytes.truncate(cut % bytes.len());
            std::fs::write(&path, &bytes).unwrap();
            let error = read(&path, &mut other, Some(&mut other_solver)).unwrap_err().to_string();
            prop_assert!(error.contains("checkpoint-1.safetensors"), "{}", error);
        }
    }
}
