//! Values across the boundary of ONNX Runtime: tensors into its own and back, its types, its errors.

use dede_model::tensor::ElementType;
use ort::value::{DynValue, Outlet, TensorElementType};

use crate::neural::engine::{EngineError, Port, Tensor, Values};

pub(super) fn port(outlet: &Outlet) -> Port {
    let element = outlet.dtype().tensor_type().and_then(element_type);
    let dims =
        outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&size| usize::try_from(size).ok()).collect());
    Port { name: outlet.name().to_owned(), element, dims: dims.unwrap_or_default() }
}

fn element_type(element: TensorElementType) -> Option<ElementType> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the many others are all alike here: they cannot be used")]
    Some(match element {
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::Bf16,
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float64 => ElementType::F64,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int16 => ElementType::I16,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Uint16 => ElementType::U16,
        TensorElementType::Uint32 => ElementType::U32,
        TensorElementType::Uint64 => ElementType::U64,
        TensorElementType::Bool => ElementType::Bool,
        TensorElementType::String => ElementType::Bytes,
        _ => return None,
    })
}

pub(super) fn to_runtime(tensor: Tensor) -> Result<DynValue, EngineError> {
    use ort::value::Tensor;
    let (shape, values) = tensor.into_parts();
    let value = match values {
        Values::F16(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::Bf16(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::F32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::F64(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I16(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::I64(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U8(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U16(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U32(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::U64(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::Bool(values) => Tensor::from_array((shape, values)).map(Tensor::into_dyn),
        Values::Bytes(texts) => {
            let text = |bytes| String::from_utf8(bytes).map_err(|_| EngineError::new("a text in UTF-8 expected"));
            let texts = texts.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
            Tensor::from_string_array((shape, texts.as_slice())).map(Tensor::into_dyn)
        }
    };
    value.map_err(failed)
}

pub(super) fn from_runtime(name: &str, value: &DynValue) -> Result<Tensor, EngineError> {
    let (Some(element), Some(shape)) = (value.dtype().tensor_type(), value.dtype().tensor_shape()) else {
        return Err(EngineError::at(name, "the output is no tensor"));
    };
    let shape: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    let unsupported = || EngineError::at(name, format!("the output's type {element} is not supported"));
    let values = match element_type(element).ok_or_else(unsupported)? {
        ElementType::F16 => Values::F16(numbers(value)?),
        ElementType::Bf16 => Values::Bf16(numbers(value)?),
        ElementType::F32 => Values::F32(numbers(value)?),
        ElementType::F64 => Values::F64(numbers(value)?),
        ElementType::I8 => Values::I8(numbers(value)?),
        ElementType::I16 => Values::I16(numbers(value)?),
        ElementType::I32 => Values::I32(numbers(value)?),
        ElementType::I64 => Values::I64(numbers(value)?),
        ElementType::U8 => Values::U8(numbers(value)?),
        ElementType::U16 => Values::U16(numbers(value)?),
        ElementType::U32 => Values::U32(numbers(value)?),
        ElementType::U64 => Values::U64(numbers(value)?),
        ElementType::Bool => Values::Bool(numbers(value)?),
        ElementType::Bytes => {
            let (_, texts) = value.try_extract_strings().map_err(failed)?;
            Values::Bytes(texts.into_iter().map(String::into_bytes).collect())
        }
    };
    Ok(Tensor::new(shape, values)?)
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
