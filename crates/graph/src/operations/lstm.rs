//! Caffe's long short-term memory (`lstm_layer.cpp`, `lstm_unit_layer.cpp`). It owns the order of its gates, which is another than
//! ONNX's. A sample is one series, `[steps, inputs]`; each begins with a state of zeros.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, Wanted, input};
use crate::fields::{Constant, FILLER, idle, message, only, read};
use crate::initializer::Initializer;
use crate::operators::{Attribute, Emitter, ints};
use crate::prototext::Message;
use crate::reading::{filler, outputs};
use crate::shape::Shape;

/// Gates of a cell: input, forget, output, cell (`i f o g`), each with a row of weights for each output, in this order.
const GATES: usize = 4;
/// Where ONNX's gates (`i o f c`) are among those.
const ONNX_GATES: [usize; GATES] = [0, 2, 1, 3];

/// `c = sigmoid(f) c' + sigmoid(i) tanh(g)`, `y = sigmoid(o) tanh(c)` for each step, where `[i f o g]` is
/// `input x + hidden y' + bias`, and `c'` and `y'` are those of the step before.
/// Weight `input`: `[4 * outputs, inputs]`; `bias`: `[4 * outputs]`; `hidden`: `[4 * outputs, outputs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lstm {
    /// Numbers of each step.
    pub outputs: usize,
    /// Where both weights start.
    pub weight_initializer: Initializer,
    /// Where the bias starts.
    pub bias_initializer: Initializer,
}

/// How Caffe writes it. Its second bottom, which says where series begin, is read with the network.
pub(super) const CAFFE: &[CaffeType] = &[CaffeType {
    names: &["LSTM"],
    parameters: Some(message(
        "recurrent_param",
        &[
            read("num_output"),
            message("weight_filler", FILLER),
            message("bias_filler", FILLER),
            idle("debug_info"),
            only("expose_hidden", Constant::False, "states that come from outside or go there are not supported"),
        ],
    )),
    read: |text, _| lstm(text.message("recurrent_param")),
}];

fn lstm(param: &Message) -> Result<Operation, String> {
    Ok(Lstm {
        outputs: outputs(param)?,
        weight_initializer: filler(param, "weight_filler", Initializer::ZERO)?,
        bias_initializer: filler(param, "bias_filler", Initializer::ZERO)?,
    }
    .into())
}

impl Lstm {
    fn rows(&self) -> Result<usize, String> {
        self.outputs.checked_mul(GATES).ok_or_else(|| format!("num_output {} is too large", self.outputs))
    }

    /// Steps and inputs of a series.
    fn series(inputs: &[&Shape]) -> Result<[usize; 2], String> {
        let shape = input(inputs, 0)?;
        match shape.dims() {
            &[steps, each] => Ok([steps, each]),
            _ => Err(format!("its input should be a series, [steps, numbers], found {shape}")),
        }
    }
}

impl Definition for Lstm {
    fn kind(&self) -> &'static str {
        "LSTM"
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        let [steps, _] = Self::series(inputs)?;
        self.rows()?;
        Ok(vec![Shape::new([steps, self.outputs])])
    }

    fn weights(&self, inputs: &[&Shape]) -> Result<Vec<Wanted>, String> {
        let ([_, each], rows) = (Self::series(inputs)?, self.rows()?);
        let weight = |name, columns| Wanted { name, shape: vec![rows, columns], initializer: self.weight_initializer };
        let bias = Wanted { name: "bias", shape: vec![rows], initializer: self.bias_initializer };
        Ok(vec![weight("input", each), bias, weight("hidden", self.outputs)])
    }

    fn uses_of_weights(&self, input: &Shape) -> usize {
        input.dims().first().copied().unwrap_or(0)
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let &[steps, each] = emit.dims() else { return Err("its input should be a series".to_owned()) };
        let (x, y, rows) = (emit.x(), emit.y(), self.rows()?);
        let input = self.gates(emit, "input")?;
        let input = emit.floats("input", vec![1, rows, each], input.into());
        let hidden = self.gates(emit, "hidden")?;
        let hidden = emit.floats("hidden", vec![1, rows, self.outputs], hidden.into());
        // ONNX has a second bias, of the state.
        let mut bias = self.gates(emit, "bias")?;
        bias.resize(2 * rows, 0.0);
        let bias = emit.floats("bias", vec![1, 2 * rows], bias.into());
        let first = emit.step("Transpose", [x], "steps_first", [("perm", ints(&[1, 0, 2]))]);
        let size = Attribute::Int(i64::try_from(self.outputs).map_err(|error| error.to_string())?);
        let found = emit.step("LSTM", [first, input, hidden, bias], "found", [("hidden_size", size)]);
        let series = emit.step("Transpose", [found], "series", [("perm", ints(&[2, 0, 1, 3]))]);
        emit.reshape("shape", series, y, &[steps, self.outputs]);
        Ok(())
    }
}

impl Lstm {
    /// The rows of a weight, gate by gate in ONNX's order.
    fn gates(&self, emit: &Emitter<'_>, name: &str) -> Result<Vec<f32>, String> {
        let name = format!("{}.{name}", emit.name);
        let weight = emit.weights.get(&name).ok_or_else(|| format!("weight {name} is missing"))?;
        let data: &Arc<[f32]> = weight.data();
        let of_gate = data.len() / GATES;
        let gate = |gate: usize| data.get(gate * of_gate..(gate + 1) * of_gate).unwrap_or_default();
        Ok(ONNX_GATES.into_iter().flat_map(gate).copied().collect())
    }
}
