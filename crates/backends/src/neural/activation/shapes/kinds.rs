//! What operators do to the shapes of what they take, by name: those of the standard, of classical models and of ONNX Runtime.
//!
//! It must not know shapes.

use crate::neural::onnx_view::NodeView;

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers that come from no item, or from extents.
    Extents,
    /// Numbers as whole ones, with a scale.
    Scaling,
    /// Number by number of all inputs.
    Pairs,
    /// Those of the first and the fourth.
    QuantizedPairs,
    /// Number by number of the first, or normalised.
    Single,
    /// Windows over the places of images.
    Places,
    /// Sums of products.
    Products,
    /// Step by step.
    Recurrent,
    /// Classes and their scores.
    Classifier,
    /// Item by item along the first axis, in one way or another.
    ItemsFirst,
    /// Some of the numbers, or numbers of several values.
    Choices,
    /// One number of several.
    Reductions,
    /// The same numbers in another shape.
    Moves,
    /// Anything else.
    Unknown,
}

/// The kind of an operator.
pub(super) fn kind(node: &NodeView<'_>) -> Kind {
    match node.op {
        "Shape" | "Size" | "Constant" => Kind::Extents,
        "DynamicQuantizeLinear" => Kind::Scaling,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Sum" | "Mean" | "Max" | "Min" | "Where" | "PRelu"
        | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" | "BitShift"
        | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "BiasGelu" | "FastGelu" | "BiasSoftmax" | "BiasAdd"
        | "BiasSplitGelu" => Kind::Pairs,
        "QLinearAdd" | "QLinearMul" => Kind::QuantizedPairs,
        "MatMul"
        | "MatMulInteger"
        | "DynamicQuantizeMatMul"
        | "MatMulIntegerToFloat"
        | "QLinearMatMul"
        | "FusedMatMul"
        | "MatMulNBits"
        | "Gemm"
        | "FusedGemm"
        | "QGemm"
        | "Einsum" => Kind::Products,
        "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM" => Kind::Recurrent,
        "LinearClassifier" | "TreeEnsembleClassifier" | "SVMClassifier" => Kind::Classifier,
        "Concat"
        | "QLinearConcat"
        | "Split"
        | "Slice"
        | "Gather"
        | "GatherElements"
        | "GatherND"
        | "ScatterElements"
        | "Scatter"
        | "TopK"
        | "OneHot"
        | "ArrayFeatureExtractor"
        | "Trilu" => Kind::Choices,
        "ArgMax" | "ArgMin" | "QLinearReduceMean" => Kind::Reductions,
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Tile" | "ConstantOfShape"
        | "Range" => Kind::Moves,
        op if op.starts_with("Reduce") => Kind::Reductions,
        op if is_single(op) => Kind::Single,
        op if is_over_places(op) => Kind::Places,
        op if is_items_first(op) => Kind::ItemsFirst,
        _ => Kind::Unknown,
    }
}

/// Operators whose output has the shape of their first input, number by number or normalised.
fn is_single(op: &str) -> bool {
    const NUMBERS: [&str; 66] = [
        "Abs",
        "Acos",
        "Acosh",
        "Affine",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Bernoulli",
        "Binarizer",
        "BitCast",
        "BitwiseNot",
        "Cast",
        "CastLike",
        "CategoryMapper",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "DequantizeLinear",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "Imputer",
        "IsInf",
        "IsNaN",
        "LabelEncoder",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Not",
        "ParametricSoftplus",
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QuantizeLinear",
        "QuickGelu",
        "RandomNormalLike",
        "RandomUniformLike",
        "Reciprocal",
        "Relu",
        "Round",
        "ScaledTanh",
        "Scaler",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "ImageScaler",
        "ZipMap",
    ];
    const NORMS: [&str; 15] = [
        "BatchNormalization",
        "CumSum",
        "GroupNormalization",
        "Hardmax",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "MeanVarianceNormalization",
        "Normalizer",
        "QLinearSoftmax",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "Softmax",
    ];
    NUMBERS.contains(&op) || NORMS.contains(&op)
}

/// Operators over windows of places of images.
fn is_over_places(op: &str) -> bool {
    matches!(
        op,
        "Conv"
            | "ConvTranspose"
            | "ConvInteger"
            | "QLinearConv"
            | "FusedConv"
            | "AveragePool"
            | "MaxPool"
            | "LpPool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool"
            | "Resize"
            | "Upsample"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "Pad"
    )
}

/// Operators that take items along the first axis of each input, and give them there.
fn is_items_first(op: &str) -> bool {
    matches!(
        op,
        "AffineGrid"
            | "Attention"
            | "Col2Im"
            | "DecoderMaskedMultiHeadAttention"
            | "EmbedLayerNormalization"
            | "FeatureVectorizer"
            | "GridSample"
            | "GroupNorm"
            | "GroupQueryAttention"
            | "LinearRegressor"
            | "LongformerAttention"
            | "MultiHeadAttention"
            | "NhwcConv"
            | "NhwcFusedConv"
            | "NhwcMaxPool"
            | "OneHotEncoder"
            | "QAttention"
            | "QOrderedAttention"
            | "SVMRegressor"
            | "SkipGroupNorm"
            | "SkipLayerNormalization"
            | "SkipSimplifiedLayerNormalization"
            | "TreeEnsemble"
            | "TreeEnsembleRegressor"
    )
}
