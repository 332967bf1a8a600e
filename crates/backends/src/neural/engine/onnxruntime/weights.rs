//! Weights of a large network, held once for all of its sessions.
//!
//! Each session of ONNX Runtime copies the weights of matrix products into an order of its own ("prepacking"), and never looks at the
//! originals again. Sessions share such copies where the originals are given to all of them from outside; here these are the mapped file,
//! whose pages are dropped as they are read. Measured with 537 MB of weights: 650 MB at most with two sessions, and as much with four,
//! where each session for itself took 590 MB at its loading and kept 520.
//!
//! It owns which weights that is done with. That the originals are read no more is found out by [`super`], before the file is given back.

use std::collections::HashMap;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use dede_graph::onnx::{Outside, with_weights_outside};
use ort::AsPointer;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::value::DynValue;

use super::values::failed;
use crate::neural::content::Mapping;
use crate::neural::engine::EngineError;
use crate::neural::onnx_view::{ElementType, GraphView, OnnxView, TensorView};

/// Smaller weights stay with each session, bytes.
const WORTH_SHARING: usize = 1 << 20;
/// Weights that are not shared may be this share of all, or sharing saves too little, and the network is loaded as it is.
const SHARED_AT_LEAST: f64 = 0.3;
/// Where sessions look for weights that lie outside of the network: an optimization may want to read one.
const FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// Weights in a mapped file, as values of the runtime; they must go before the mapping.
pub(super) struct SharedWeights {
    values: Vec<(String, Arc<DynValue>)>,
    prepacked: PrepackedWeights,
    rest: Vec<u8>,
    folder: String,
}

impl SharedWeights {
    /// Those of a network that are worth it; `None` without any.
    ///
    /// # Errors
    /// [`EngineError`] for a file that is no network, or of the library.
    pub(super) fn of(mapping: &Mapping, path: &Path) -> Result<Option<Self>, EngineError> {
        let unusable = |error: &dyn std::fmt::Display| EngineError::new(error.to_string());
        let view = OnnxView::parse(mapping).map_err(|error| unusable(&error))?;
        let shareable = shareable(&view.graph);
        let bytes: usize = shareable.iter().map(|weight| weight.raw.len()).sum();
        let (Some(folder), Some(file)) =
            (path.parent().and_then(Path::to_str), path.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(None);
        };
        if (bytes as f64) < mapping.len() as f64 * SHARED_AT_LEAST {
            return Ok(None);
        }
        let outside: Vec<Outside<'_>> = shareable.iter().map(|weight| outside(weight, mapping)).collect();
        let rest = with_weights_outside(mapping, file, &outside).map_err(|error| unusable(&error))?;
        let values = shareable.iter().map(|weight| Ok((weight.name.to_owned(), Arc::new(value(weight)?))));
        let values = values.collect::<Result<_, EngineError>>()?;
        let folder = if folder.is_empty() { "." } else { folder }.to_owned();
        Ok(Some(Self { values, prepacked: PrepackedWeights::new(), rest, folder }))
    }

    /// The network without them.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Options of a session that shares them. It holds the values, which do not hold the mapping.
    pub(super) fn given_to(&self, builder: SessionBuilder) -> Result<SessionBuilder, EngineError> {
        let builder = builder.with_config_entry(FOLDER, &self.folder).map_err(failed)?;
        let mut builder = builder.with_prepacked_weights(&self.prepacked).map_err(failed)?;
        for (name, value) in &self.values {
            builder = builder.with_initializer(name, Arc::clone(value)).map_err(failed)?;
        }
        Ok(builder)
    }
}

/// Weights that only ever are the right side of matrix products of the main graph, which every run computes: whether the runtime still
/// reads one shows in any run.
fn shareable<'v, 'a>(graph: &'v GraphView<'a>) -> Vec<&'v TensorView<'a>> {
    let mut products_only: HashMap<&str, bool> = HashMap::new();
    let mut main = true;
    graph.each_graph(&mut |graph| {
        for node in &graph.nodes {
            let product = main && matches!(node.op, "MatMul" | "Gemm") && matches!(node.domain, "" | "ai.onnx");
            for (place, input) in node.inputs.iter().enumerate() {
                let fits = product && place == 1;
                products_only.entry(input).and_modify(|all| *all &= fits).or_insert(fits);
            }
        }
        main = false;
    });
    let exposed = |name: &str| graph.inputs.iter().chain(&graph.outputs).any(|value| value.name == name);
    let fits = |weight: &&TensorView<'_>| {
        weight.raw.len() >= WORTH_SHARING
            && weight.element == ElementType::F32
            && weight.dims.len() == 2
            && weight.elements().checked_mul(4) == Some(weight.raw.len() as u64)
            && weight.external.is_none()
            && products_only.get(weight.name) == Some(&true)
            && !exposed(weight.name)
    };
    graph.initializers.iter().filter(fits).collect()
}

fn outside<'a>(weight: &TensorView<'a>, mapping: &Mapping) -> Outside<'a> {
    let offset = weight.raw.as_ptr().addr() - mapping.as_ptr().addr();
    Outside { weight: weight.name, offset, length: weight.raw.len() }
}

/// A tensor of the runtime over the weight where it is.
fn value(weight: &TensorView<'_>) -> Result<DynValue, EngineError> {
    let place = MemoryInfo::default();
    let mut value = std::ptr::null_mut();
    // SAFETY: the data are as long as the shape says, are only ever read, and stay until the sessions that hold the value are gone. They
    // need not be aligned: the runtime takes weights at any offset of a file, and reads them with instructions that allow it.
    #[expect(unsafe_code, reason = "a tensor over memory that is not the runtime's")]
    let value = unsafe {
        let status = (ort::api().CreateTensorWithDataAsOrtValue)(
            place.ptr(),
            weight.raw.as_ptr().cast_mut().cast(),
            weight.raw.len(),
            weight.dims.as_ptr(),
            weight.dims.len(),
            ort::sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &raw mut value,
        );
        ort::Error::result_from_status(status).map_err(failed)?;
        NonNull::new(value).map(|value| DynValue::from_ptr(value, Some(&Allocator::default())))
    };
    value.ok_or_else(|| EngineError::at(weight.name, "ONNX Runtime made no tensor"))
}
