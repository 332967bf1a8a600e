//! How many axes the values of a network have, where its operators tell and its file does not.
//!
//! It owns the rules by which operators pass the number on. It must not know what engines do with it.

use super::scope::Scope;
use crate::neural::onnx_view::NodeView;

/// Number of axes of an output of a node; `None` where it is decided at run time or by an operator that is not looked at.
pub(super) fn made_by(node: &NodeView<'_>, output: usize, scope: &Scope<'_, '_>) -> Option<usize> {
    if !node.is_standard() {
        return None;
    }
    let rank = |index| scope.rank(node, index);
    let integer = |name| node.attribute(name)?.integer;
    match node.op {
        "Identity"
        | "Cast"
        | "CastLike"
        | "Clip"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "Transpose"
        | "Concat"
        | "Split"
        | "Slice"
        | "Pad"
        | "Resize"
        | "Upsample"
        | "Tile"
        | "CumSum"
        | "Trilu"
        | "Dropout"
        | "TopK"
        | "Conv"
        | "ConvTranspose"
        | "ConvInteger"
        | "QLinearConv"
        | "MaxPool"
        | "AveragePool"
        | "LpPool"
        | "GlobalAveragePool"
        | "GlobalMaxPool"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "LpNormalization"
        | "LRN"
        | "QuantizeLinear"
        | "DequantizeLinear"
            if output == 0 || matches!(node.op, "Split" | "Dropout" | "TopK" | "MaxPool") =>
        {
            rank(0).or_else(|| node.attribute("perm").map(|perm| perm.integers.len()))
        }
        "Relu" | "LeakyRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Swish"
        | "Mish" | "Softplus" | "Softsign" | "Tanh" | "Erf" | "Exp" | "Log" | "Sqrt" | "Neg" | "Abs" | "Sign"
        | "Reciprocal" | "Floor" | "Ceil" | "Round" | "Sin" | "Cos" | "Tan" | "Asin" | "Acos" | "Atan" | "Sinh"
        | "Cosh" | "Not" | "IsNaN" | "IsInf" | "PRelu" | "ScatterElements" | "ScatterND" | "ReverseSequence" => rank(0),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Less" | "LessOrEqual"
        | "Greater" | "GreaterOrEqual" | "Where" | "Max" | "Min" | "Sum" | "Mean" => most(node, scope),
        "Gemm" | "Flatten" => Some(2),
        "MatMul" | "MatMulInteger" => match (rank(0)?, rank(1)?) {
            (1, 1) => Some(0),
            (1, other) | (other, 1) => Some(other - 1),
            (left, right) => Some(left.max(right)),
        },
        "Shape" | "Range" => Some(1),
        "Size" => Some(0),
        "NonZero" => Some(2),
        "Gather" => (rank(0)? + rank(1)?).checked_sub(1),
        "GatherElements" => rank(1),
        "OneHot" => Some(rank(0)? + 1),
        "Unsqueeze" => Some(rank(0)? + axes(node, scope)?),
        "Squeeze" => rank(0)?.checked_sub(axes(node, scope)?),
        "Reshape" => match node.attribute("shape") {
            Some(shape) => Some(shape.integers.len()),
            None => length(node, 1, scope),
        },
        "ConstantOfShape" => length(node, 0, scope),
        "Expand" => Some(rank(0)?.max(length(node, 1, scope)?)),
        "Constant" => match node.attributes.first()?.name {
            "value_int" | "value_float" => Some(0),
            "value_ints" | "value_floats" => Some(1),
            _ => None,
        },
        "ArgMax" | "ArgMin" => rank(0)?.checked_sub(usize::from(integer("keepdims") == Some(0))),
        op if op.starts_with("Reduce") => {
            if integer("keepdims") != Some(0) {
                return rank(0);
            }
            let is_given = node.attribute("axes").is_some() || node.inputs.get(1).is_some_and(|axes| !axes.is_empty());
            if is_given { rank(0)?.checked_sub(axes(node, scope)?) } else { None }
        }
        _ => None,
    }
}

/// Of values that are stretched to one shape.
fn most(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<usize> {
    let ranks: Option<Vec<usize>> = (0..node.inputs.len()).map(|index| scope.rank(node, index)).collect();
    ranks?.into_iter().max()
}

/// How many axes an operator is told.
fn axes(node: &NodeView<'_>, scope: &Scope<'_, '_>) -> Option<usize> {
    match node.attribute("axes") {
        Some(axes) => Some(axes.integers.len()),
        None => length(node, 1, scope),
    }
}

/// How many numbers stand in an input that is a list.
fn length(node: &NodeView<'_>, index: usize, scope: &Scope<'_, '_>) -> Option<usize> {
    let maker = scope.maker(node.inputs.get(index)?);
    match maker {
        Some(cast) if cast.op == "Cast" => part(cast, 0, scope),
        // Several lists, as exporters write shapes.
        Some(joined) if joined.op == "Concat" => (0..joined.inputs.len()).map(|index| part(joined, index, scope)).sum(),
        _ => part(node, index, scope),
    }
}

/// As [`length`], of what is not joined.
fn part(node: &NodeView<'_>, index: usize, scope: &Scope<'_, '_>) -> Option<usize> {
    if let Some(&[size]) = scope.dims(node, index).as_deref() {
        return size;
    }
    let maker = scope.maker(node.inputs.get(index)?)?;
    match maker.op {
        "Unsqueeze" => (scope.rank(maker, 0)? == 0).then_some(1),
        "Shape" if maker.attribute("start").or_else(|| maker.attribute("end")).is_none() => scope.rank(maker, 0),
        "Constant" => Some(maker.attribute("value_ints")?.integers.len()),
        _ => None,
    }
}
