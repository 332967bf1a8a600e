//! Values across the boundary of ONNX Runtime: arrays into its tensors and back, its types, its errors.

use ort::value::{DynValue, Outlet, TensorElementType};

use crate::neural::engine::{Array, EngineError, Port, Values};
use crate::neural::onnx_view::ElementType;

pub(super) fn port(outlet: &Outlet) -> Port {
    let element = outlet.dtype().tensor_type().map(element_type);
    let dims =
        outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&size| usize::try_from(size).ok()).collect());
    Port { name: outlet.name().to_owned(), element, dims: dims.unwrap_or_default() }
}

fn element_type(element: TensorElementType) -> ElementType {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the many others are all alike here: they cannot be used")]
    match element {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float64 => ElementType::F64,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::Bf16,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Bool => ElementType::Bool,
        _ => ElementType::Other(0),
    }
}

pub(super) fn to_runtime(array: Array) -> Result<DynValue, EngineError> {
    use ort::value::Tensor;
    let (shape, values) = array.into_parts();
    let value = match values {
        Values::F32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I64(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::Bool(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
    };
    value.map_err(failed)
}

pub(super) fn from_runtime(name: &str, value: &DynValue) -> Result<Array, EngineError> {
    let element = value.dtype().tensor_type();
    let shape = value.dtype().tensor_shape();
    let (Some(element), Some(shape)) = (element, shape) else {
        return Err(EngineError::at(name, "the output is no tensor"));
    };
    let shape: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever cannot cross is refused by name")]
    let values = match element {
        TensorElementType::Float32 => Values::F32(numbers(value)?),
        TensorElementType::Float64 => {
            Values::F32(numbers::<f64>(value)?.into_iter().map(|number| number as f32).collect())
        }
        TensorElementType::Uint8 => Values::U8(numbers(value)?),
        TensorElementType::Int8 => Values::I8(numbers(value)?),
        TensorElementType::Int32 => Values::I32(numbers(value)?),
        TensorElementType::Int64 => Values::I64(numbers(value)?),
        TensorElementType::Bool => Values::Bool(numbers(value)?),
        other => return Err(EngineError::at(name, format!("the output's type {other} is not supported"))),
    };
    Array::new(shape, values)
}

fn numbers<T: ort::value::PrimitiveTensorElementType + Copy>(value: &DynValue) -> Result<Vec<T>, EngineError> {
    value.try_extract_tensor::<T>().map(|(_, values)| values.to_vec()).map_err(failed)
}

/// An error of the library, with the node it names.
pub(super) fn failed<R>(error: ort::Error<R>) -> EngineError {
    let message = error.message();
    EngineError::at(named_node(message), format!("ONNX Runtime: {message}"))
}

/// The node in messages such as `Non-zero status code returned while running Conv node. Name:'conv1' Status …` and
/// `Node (conv1) Op (Conv) [ShapeInferenceError] …`.
fn named_node(message: &str) -> &str {
    let between = |start: &str, end: char| Some(message.split_once(start)?.1.split_once(end)?.0);
    between("Name:'", '\'').or_else(|| between("Node (", ')')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_read_from_the_message() {
        let cases = [
            ("Non-zero status code returned while running Conv node. Name:'conv1' Status Message: x", "conv1"),
            ("Node (fc7) Op (Gemm) [ShapeInferenceError] x", "fc7"),
            ("protobuf parsing failed", ""),
        ];
        for (message, expected) in cases {
            assert_eq!(named_node(message), expected);
        }
    }
}
