//! Layers as ONNX operators. It owns the choice of operators: only such as every engine computes right, with explicit
//! padding where an engine's own rule differs from the layer's, and basic operators where one lacks an operator (LRN).

use std::collections::BTreeMap;

use super::format::{graph as field, write_floats, write_integers, write_row};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::layer::{
    BroadcastOperation, Convolution, Eltwise, InnerProduct, Layer, Lrn, LrnRegion, Pooling, PoolingMethod,
};
use crate::operators::{Attribute, Emitter, Operators, ints};
use crate::shape::Shape;
use crate::wire::Writer;

/// Lowers every node of a graph whose weights have been checked.
pub(super) fn lower(graph: &Graph, shapes: &BTreeMap<String, Shape>) -> Result<Operators> {
    let mut operators = Operators::default();
    for node in &graph.nodes {
        let inputs = node.input_shapes(shapes)?;
        let Some(&first) = inputs.first() else { return Err(Error::layer(&node.name, "it has no input")) };
        let emit = Emitter {
            operators: &mut operators,
            weights: &graph.weights,
            name: &node.name,
            inputs: &node.inputs,
            outputs: &node.outputs,
            shapes: &inputs,
        };
        let mut context = Context { emit, node, input: first };
        context.lower(&inputs).map_err(|message| Error::layer(&node.name, message))?;
    }
    Ok(operators)
}

/// Writes operators and constants as fields of a graph.
pub(super) fn write(operators: &Operators, writer: &mut Writer) {
    for operator in &operators.operators {
        writer.message(field::NODE, |writer| operator.write(writer));
    }
    for (name, dims, values) in &operators.floats {
        writer.message(field::INITIALIZER, |writer| write_floats(writer, name, dims, values));
    }
    for (name, values) in &operators.integers {
        writer.message(field::INITIALIZER, |writer| write_integers(writer, name, values));
    }
    for (name, element) in &operators.rows {
        writer.message(field::VALUE_INFO, |writer| write_row(writer, name, *element));
    }
}

/// One node being lowered.
struct Context<'a> {
    emit: Emitter<'a>,
    node: &'a Node,
    /// Shape of its first input.
    input: &'a Shape,
}

impl Context<'_> {
    fn lower(&mut self, inputs: &[&Shape]) -> Result<(), String> {
        let node = self.node;
        let (x, y) = (node.inputs[0].clone(), node.outputs[0].clone());
        match &node.layer {
            Layer::Convolution(convolution) => self.convolution(convolution, x, y)?,
            Layer::InnerProduct(inner) => self.inner_product(inner, x, y)?,
            Layer::Relu { negative_slope: 0.0 } => self.emit.operator("Relu", [x], y, []),
            Layer::Relu { negative_slope } => {
                self.emit.operator("LeakyRelu", [x], y, [("alpha", Attribute::Float(*negative_slope))]);
            }
            Layer::Prelu { .. } => {
                let slope = self.emit.weight("slope", 1)?;
                self.emit.operator("PRelu", [x, slope], y, []);
            }
            Layer::Elu { alpha } => self.emit.operator("Elu", [x], y, [("alpha", Attribute::Float(*alpha))]),
            Layer::Sigmoid => self.emit.operator("Sigmoid", [x], y, []),
            Layer::Tanh => self.emit.operator("Tanh", [x], y, []),
            Layer::Pooling(pooling) => self.pooling(pooling, x, y)?,
            Layer::Lrn(lrn) => self.lrn(lrn, x, y),
            Layer::BatchNorm(batch_norm) => {
                let channels = self.input.dims()[0];
                let [scale, bias] = if batch_norm.affine {
                    [self.emit.plain_weight("weight")?, self.emit.plain_weight("bias")?]
                } else {
                    [("one", 1.0), ("zero", 0.0)]
                        .map(|(name, value)| self.emit.floats(name, vec![channels], vec![value; channels].into()))
                };
                let mean = self.emit.plain_weight("running_mean")?;
                let variance = self.emit.plain_weight("running_variance")?;
                let epsilon = ("epsilon", Attribute::Float(batch_norm.epsilon));
                self.emit.operator("BatchNormalization", [x, scale, bias, mean, variance], y, [epsilon]);
            }
            Layer::Scale(scale) => {
                let weight = self.emit.weight("weight", scale.axis)?;
                let product = if scale.bias { self.emit.inner("product") } else { y.clone() };
                self.emit.operator("Mul", [x, weight], product.clone(), []);
                if scale.bias {
                    let bias = self.emit.weight("bias", scale.axis)?;
                    self.emit.operator("Add", [product, bias], y, []);
                }
            }
            Layer::Bias(bias) => {
                let bias = self.emit.weight("bias", bias.axis)?;
                self.emit.operator("Add", [x, bias], y, []);
            }
            Layer::Broadcast { operation } => self.broadcast(*operation, inputs[1], x, y),
            Layer::Concat { axis } => {
                self.emit.operator("Concat", node.inputs.clone(), y, [("axis", Attribute::Int(*axis as i64))]);
            }
            Layer::Eltwise(eltwise) => self.eltwise(eltwise, y),
            Layer::Dropout { .. } => self.emit.operator("Identity", [x], y, []),
            Layer::Flatten => self.emit.operator("Flatten", [x], y, [("axis", Attribute::Int(1))]),
            Layer::Reshape { dims } => self.emit.reshape("shape", x, y, dims),
            Layer::Softmax { axis } => self.emit.operator("Softmax", [x], y, [("axis", Attribute::Int(*axis as i64))]),
            Layer::Operation(operation) => operation.definition().emit(&mut self.emit)?,
            Layer::Split => {
                for output in &node.outputs {
                    self.emit.operator("Identity", [x.clone()], output.clone(), []);
                }
            }
            Layer::Slice { axis, sizes } => {
                let sizes = self.emit.integers("sizes", sizes.iter().map(|&size| size as i64).collect());
                self.emit.operator("Split", [x, sizes], y, [("axis", Attribute::Int(*axis as i64))]);
                if let Some(last) = self.emit.operators.operators.last_mut() {
                    last.outputs = node.outputs.clone();
                }
            }
        }
        Ok(())
    }

    fn convolution(&mut self, convolution: &Convolution, x: String, y: String) -> Result<(), String> {
        let mut inputs = vec![x, self.emit.plain_weight("weight")?];
        if convolution.bias {
            inputs.push(self.emit.plain_weight("bias")?);
        }
        let [top, left] = convolution.padding;
        let attributes = [
            ("kernel_shape", ints(&convolution.kernel)),
            ("strides", ints(&convolution.stride)),
            ("pads", ints(&[top, left, top, left])),
            ("dilations", ints(&convolution.dilation)),
            ("group", Attribute::Int(convolution.groups as i64)),
        ];
        self.emit.operator("Conv", inputs, y, attributes);
        Ok(())
    }

    /// A matrix product with the transposed weight: `Gemm` on a flat input, else `MatMul` over the last axis.
    fn inner_product(&mut self, inner: &InnerProduct, x: String, y: String) -> Result<(), String> {
        let weight = self.emit.plain_weight("weight")?;
        if inner.axis > 1 {
            let (kept, flattened) = self.input.dims().split_at(inner.axis - 1);
            let dims = [kept, &[flattened.iter().product()]].concat();
            let [flat, transposed] = ["flat", "transposed"].map(|name| self.emit.inner(name));
            self.emit.reshape("shape", x, flat.clone(), &dims);
            self.emit.operator("Transpose", [weight], transposed.clone(), [("perm", ints(&[1, 0]))]);
            let product = if inner.bias { self.emit.inner("product") } else { y.clone() };
            self.emit.operator("MatMul", [flat, transposed], product.clone(), []);
            if inner.bias {
                let bias = self.emit.plain_weight("bias")?;
                self.emit.operator("Add", [product, bias], y, []);
            }
            return Ok(());
        }
        let mut flat = x.clone();
        if self.input.dims().len() > 1 {
            flat = self.emit.inner("flat");
            self.emit.operator("Flatten", [x], flat.clone(), [("axis", Attribute::Int(1))]);
        }
        let mut inputs = vec![flat, weight];
        if inner.bias {
            inputs.push(self.emit.plain_weight("bias")?);
        }
        self.emit.operator("Gemm", inputs, y, [("transB", Attribute::Int(1))]);
        Ok(())
    }

    /// Windows are fixed by explicit padding. Padding that counts in an average is made of real zeros when there is also
    /// padding that does not.
    fn pooling(&mut self, pooling: &Pooling, x: String, y: String) -> Result<(), String> {
        let &[_, height, width] = self.input.dims() else { return Err("its input is no image".to_owned()) };
        let [rows, columns] = pooling.windows([height, width])?;
        let kind = match (pooling.method, pooling.global) {
            (PoolingMethod::Max, true) => "GlobalMaxPool",
            (PoolingMethod::Average, true) => "GlobalAveragePool",
            (PoolingMethod::Max, false) => "MaxPool",
            (PoolingMethod::Average, false) => "AveragePool",
        };
        if pooling.global {
            self.emit.operator(kind, [x], y, []);
            return Ok(());
        }
        let mut x = x;
        let mut pads = [rows.padding, columns.padding, rows.end_padding(), columns.end_padding()];
        let uncounted = [0, 0, rows.uncounted_padding(), columns.uncounted_padding()];
        let average = pooling.method == PoolingMethod::Average;
        let all_count = uncounted == [0; 4];
        if average && !all_count {
            let counted: [i64; 4] = std::array::from_fn(|index| (pads[index] - uncounted[index]) as i64);
            if counted != [0; 4] {
                let padded = self.emit.inner("padded");
                let [top, left, bottom, right] = counted;
                let amounts = self.emit.integers("pads", vec![0, 0, top, left, 0, 0, bottom, right]);
                self.emit.operator("Pad", [x, amounts], padded.clone(), []);
                x = padded;
            }
            pads = uncounted;
        }
        let mut attributes = vec![
            ("kernel_shape", ints(&[rows.kernel, columns.kernel])),
            ("strides", ints(&[rows.stride, columns.stride])),
            ("pads", ints(&pads)),
        ];
        if average {
            attributes.push(("count_include_pad", Attribute::Int(i64::from(all_count))));
        }
        self.emit.operator(kind, [x], y, attributes);
        Ok(())
    }

    /// `x * (k + alpha * mean of x² over the neighbours)^-beta`: the mean is an average pooling that counts its padding, across
    /// channels with the channels as rows of an image of one channel.
    fn lrn(&mut self, lrn: &Lrn, x: String, y: String) {
        let dims = self.input.dims().to_vec();
        let names = ["square", "rows", "mean", "image", "scaled", "base", "factor"];
        let [square, rows, mean, image, scaled, base, factor] = names.map(|name| self.emit.inner(name));
        let [alpha, k, power] = [("alpha", lrn.alpha), ("k", lrn.k), ("power", -lrn.beta)]
            .map(|(name, value)| self.emit.scalar(name, value));
        let before = lrn.size / 2;
        self.emit.operator("Mul", [x.clone(), x.clone()], square.clone(), []);
        let pool = |kernel: [usize; 2], pads: [usize; 4]| {
            let count = ("count_include_pad", Attribute::Int(1));
            [("kernel_shape", ints(&kernel)), ("pads", ints(&pads)), ("strides", ints(&[1, 1])), count]
        };
        match lrn.region {
            LrnRegion::AcrossChannels => {
                self.emit.reshape("rows_shape", square, rows.clone(), &[1, dims[0], dims[1..].iter().product()]);
                self.emit.operator("AveragePool", [rows], mean.clone(), pool([lrn.size, 1], [before, 0, before, 0]));
                self.emit.reshape("image_shape", mean, image.clone(), &dims);
            }
            LrnRegion::WithinChannel => {
                self.emit.operator("AveragePool", [square], image.clone(), pool([lrn.size; 2], [before; 4]));
            }
        }
        self.emit.operator("Mul", [image, alpha], scaled.clone(), []);
        self.emit.operator("Add", [scaled, k], base.clone(), []);
        self.emit.operator("Pow", [base, power], factor.clone(), []);
        self.emit.operator("Mul", [x, factor], y, []);
    }

    fn broadcast(&mut self, operation: BroadcastOperation, second: &Shape, x: String, y: String) {
        let mut dims = second.dims().to_vec();
        dims.resize(self.input.dims().len(), 1);
        let widened = self.emit.inner("widened");
        self.emit.reshape("shape", self.node.inputs[1].clone(), widened.clone(), &dims);
        let kind = match operation {
            BroadcastOperation::Product => "Mul",
            BroadcastOperation::Sum => "Add",
        };
        self.emit.operator(kind, [x, widened], y, []);
    }

    fn eltwise(&mut self, eltwise: &Eltwise, y: String) {
        let mut terms = self.node.inputs.clone();
        let kind = match eltwise {
            Eltwise::Sum { coefficients } => {
                for (index, (term, &coefficient)) in terms.iter_mut().zip(coefficients).enumerate() {
                    if coefficient != 1.0 {
                        let factor = self.emit.scalar(&format!("coefficient{index}"), coefficient);
                        let scaled = self.emit.inner(&format!("scaled{index}"));
                        self.emit.operator("Mul", [term.clone(), factor], scaled.clone(), []);
                        *term = scaled;
                    }
                }
                "Add"
            }
            Eltwise::Product => "Mul",
            Eltwise::Max => "Max",
        };
        let mut terms = terms.into_iter();
        let Some(mut result) = terms.next() else { return };
        let count = terms.len();
        if count == 0 {
            self.emit.operator("Identity", [result.clone()], y.clone(), []);
        }
        for (index, term) in terms.enumerate() {
            let next = if index + 1 == count { y.clone() } else { self.emit.inner(&format!("partial{index}")) };
            self.emit.operator(kind, [result, term], next.clone(), []);
            result = next;
        }
    }
}
