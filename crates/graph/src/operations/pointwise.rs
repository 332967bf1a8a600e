//! Functions of each value alone. It owns their formulas, which are those of Caffe's `power_layer.cpp`, `exp_layer.cpp`,
//! `log_layer.cpp`, `absval_layer.cpp`, `bnll_layer.cpp`, `threshold_layer.cpp`, and of its forks' `relu6_layer.cpp`,
//! `clip_layer.cpp` and `swish_layer.cpp`.

use serde::{Deserialize, Serialize};

use super::{CaffeType, Definition, Operation, unchanged};
use crate::fields::{Entry, message, read};
use crate::operators::{Attribute, Emitter};
use crate::prototext::Message;
use crate::shape::Shape;

/// A function of each value alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case")]
pub enum Pointwise {
    /// `(shift + scale * x)^power`.
    Power {
        /// The exponent.
        power: f32,
        /// Factor of the value.
        scale: f32,
        /// Added before the power is taken.
        shift: f32,
    },
    /// `outer * exp(inner * x)`.
    Exponential {
        /// Factor of the value: the logarithm of the base, times a scale.
        inner: f32,
        /// Factor of the result: the base to the power of a shift.
        outer: f32,
    },
    /// `factor * ln(scale * x + shift)`.
    Logarithm {
        /// Factor of the value.
        scale: f32,
        /// Added before the logarithm is taken.
        shift: f32,
        /// Factor of the result: 1 over the logarithm of the base.
        factor: f32,
    },
    /// `|x|`.
    Absolute,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// 1 where `x > threshold`, else 0.
    Threshold {
        /// The threshold.
        threshold: f32,
    },
    /// `max(min, min(x, max))`.
    Clip {
        /// The least result.
        min: f32,
        /// The greatest result, at least `min`.
        max: f32,
    },
    /// `x / (1 + exp(-beta * x))`.
    Swish {
        /// Factor of the value in the exponent.
        beta: f32,
    },
}

const WITH_BASE: &[Entry] = &[read("base"), read("scale"), read("shift")];

/// How Caffe writes them.
pub(super) const CAFFE: &[CaffeType] = &[
    CaffeType {
        names: &["Power", "POWER"],
        parameters: Some(message("power_param", &[read("power"), read("scale"), read("shift")])),
        read: |text, _| {
            let number = number(text.message("power_param"));
            power(number("power", 1.0)?, number("scale", 1.0)?, number("shift", 0.0)?)
        },
    },
    CaffeType {
        names: &["Exp", "EXP"],
        parameters: Some(message("exp_param", WITH_BASE)),
        read: |text, _| exponential(text.message("exp_param")),
    },
    CaffeType {
        names: &["Log"],
        parameters: Some(message("log_param", WITH_BASE)),
        read: |text, _| logarithm(text.message("log_param")),
    },
    CaffeType { names: &["AbsVal", "ABSVAL"], parameters: None, read: |_, _| Ok(Pointwise::Absolute.into()) },
    CaffeType { names: &["BNLL"], parameters: None, read: |_, _| Ok(Pointwise::Softplus.into()) },
    CaffeType {
        names: &["Threshold", "THRESHOLD"],
        parameters: Some(message("threshold_param", &[read("threshold")])),
        read: |text, _| {
            let threshold = number(text.message("threshold_param"))("threshold", 0.0)?;
            Ok(Pointwise::Threshold { threshold }.into())
        },
    },
    CaffeType { names: &["ReLU6"], parameters: None, read: |_, _| Ok(Pointwise::Clip { min: 0.0, max: 6.0 }.into()) },
    CaffeType {
        names: &["Clip"],
        parameters: Some(message("clip_param", &[read("min"), read("max")])),
        read: |text, _| clip(text.message("clip_param")),
    },
    CaffeType {
        names: &["Swish"],
        parameters: Some(message("swish_param", &[read("beta")])),
        read: |text, _| Ok(Pointwise::Swish { beta: number(text.message("swish_param"))("beta", 1.0)? }.into()),
    },
];

/// Reads a number of a message by its name, with its default.
fn number(param: &Message) -> impl Fn(&'static str, f32) -> Result<f32, String> {
    move |name, default| Ok(param.number(name)?.unwrap_or(default))
}

fn power(power: f32, scale: f32, shift: f32) -> Result<Operation, String> {
    if power * scale == 0.0 && !shift.powf(power).is_finite() {
        return Err(format!("every value would be shift {shift} to the power {power}, which is no finite number"));
    }
    Ok(Pointwise::Power { power, scale, shift }.into())
}

/// The logarithm of `base`: a positive number, or -1 for the base of the natural logarithm.
fn log_base(param: &Message) -> Result<(f32, f32), String> {
    let base = number(param)("base", -1.0)?;
    match base {
        -1.0 => Ok((base, 1.0)),
        base if base > 0.0 => Ok((base, base.ln())),
        base => Err(format!("base should be above 0, or -1 for the natural one, found {base}")),
    }
}

fn exponential(param: &Message) -> Result<Operation, String> {
    let ((base, log_base), number) = (log_base(param)?, number(param));
    let (scale, shift) = (number("scale", 1.0)?, number("shift", 0.0)?);
    let outer = if base == -1.0 { shift.exp() } else { base.powf(shift) };
    match outer.is_finite() {
        true => Ok(Pointwise::Exponential { inner: log_base * scale, outer }.into()),
        false => Err(format!("the base to the power of shift {shift} is no finite number")),
    }
}

fn logarithm(param: &Message) -> Result<Operation, String> {
    let ((base, log_base), number) = (log_base(param)?, number(param));
    let factor = 1.0 / log_base;
    match factor.is_finite() {
        true => Ok(Pointwise::Logarithm { scale: number("scale", 1.0)?, shift: number("shift", 0.0)?, factor }.into()),
        false => Err(format!("base {base} has no logarithms")),
    }
}

fn clip(param: &Message) -> Result<Operation, String> {
    let bound = |name: &str| param.number::<f32>(name)?.ok_or_else(|| format!("clip_param has no {name}"));
    let (min, max) = (bound("min")?, bound("max")?);
    match min <= max {
        true => Ok(Pointwise::Clip { min, max }.into()),
        false => Err(format!("min {min} is above max {max}")),
    }
}

impl Definition for Pointwise {
    fn kind(&self) -> &'static str {
        match self {
            Self::Power { .. } => "Power",
            Self::Exponential { .. } => "Exp",
            Self::Logarithm { .. } => "Log",
            Self::Absolute => "AbsVal",
            Self::Softplus => "BNLL",
            Self::Threshold { .. } => "Threshold",
            Self::Clip { .. } => "Clip",
            Self::Swish { .. } => "Swish",
        }
    }

    fn output_shapes(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, String> {
        unchanged(inputs)
    }

    fn emit(&self, emit: &mut Emitter<'_>) -> Result<(), String> {
        let (x, y) = (emit.x(), emit.y());
        match *self {
            // As in Caffe every value is the same then, whatever the input.
            Self::Power { power, scale, shift } if power * scale == 0.0 => {
                let value = if power == 0.0 { 1.0 } else { shift.powf(power) };
                clamp(emit, x, y, value, value);
            }
            Self::Power { power, scale, shift } => {
                let x = affine(emit, x, scale, shift);
                match power {
                    1.0 => emit.operator("Identity", [x], y, []),
                    2.0 => emit.operator("Mul", [x.clone(), x], y, []),
                    _ => {
                        let power = emit.scalar("power", power);
                        emit.operator("Pow", [x, power], y, []);
                    }
                }
            }
            Self::Exponential { inner, outer } => {
                let x = affine(emit, x, inner, 0.0);
                let power = emit.step("Exp", [x], "exponential", []);
                let outer = emit.scalar("outer", outer);
                emit.operator("Mul", [power, outer], y, []);
            }
            Self::Logarithm { scale, shift, factor } => {
                let x = affine(emit, x, scale, shift);
                let logarithm = emit.step("Log", [x], "logarithm", []);
                let factor = emit.scalar("factor", factor);
                emit.operator("Mul", [logarithm, factor], y, []);
            }
            Self::Absolute => emit.operator("Abs", [x], y, []),
            Self::Softplus => emit.operator("Softplus", [x], y, []),
            Self::Threshold { threshold } => {
                let threshold = emit.scalar("threshold", threshold);
                let above = emit.step("Greater", [x, threshold], "above", []);
                emit.operator("Cast", [above], y, [("to", Attribute::Int(1))]);
            }
            Self::Clip { min, max } => clamp(emit, x, y, min, max),
            Self::Swish { beta } => {
                let scaled = affine(emit, x.clone(), beta, 0.0);
                let share = emit.step("Sigmoid", [scaled], "share", []);
                emit.operator("Mul", [x, share], y, []);
            }
        }
        Ok(())
    }
}

fn clamp(emit: &mut Emitter<'_>, x: String, y: String, min: f32, max: f32) {
    let [min, max] = [("min", min), ("max", max)].map(|(name, value)| emit.scalar(name, value));
    emit.operator("Clip", [x, min, max], y, []);
}

/// `scale * x + shift`, without what changes nothing.
fn affine(emit: &mut Emitter<'_>, x: String, scale: f32, shift: f32) -> String {
    let mut x = x;
    if scale != 1.0 {
        let scale = emit.scalar("scale", scale);
        x = emit.step("Mul", [x, scale], "scaled", []);
    }
    if shift != 0.0 {
        let shift = emit.scalar("shift", shift);
        x = emit.step("Add", [x, shift], "shifted", []);
    }
    x
}
