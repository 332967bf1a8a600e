//! How large the numbers of a network's values may become, as far as its graph tells.
//!
//! It owns the rules by which operators pass bounds on. Extents of tensors count as such, whatever they are: a few of them multiplied with
//! each other are the size of a tensor, which fits into memory. It must not know what is done with a bound.

use std::collections::HashMap;

use super::moving::MOVING;
use crate::neural::engine::scope::Scope;
use crate::neural::onnx_view::{ElementType, GraphView, NodeView, TensorView};

/// Longer constants of floats are weights, whose numbers bound nothing.
const MOST_FLOATS: u64 = 4096;

/// At most `factor` times the product of as many extents of tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    factor: f64,
    extents: u32,
}

impl Bound {
    /// The extent of a tensor, a position in one, or how many of something there are in one.
    pub(super) const EXTENT: Self = Self { factor: 1.0, extents: 1 };
    const NONE: Self = Self::number(f64::INFINITY);
    const INT32: Self = Self::number(2_147_483_648.0);

    const fn number(factor: f64) -> Self {
        Self { factor, extents: 0 }
    }

    /// Whether such numbers fit into 32 bits.
    pub(super) fn fits(self) -> bool {
        /// What an extent may be multiplied with; real ones are far below the quotient.
        const LARGEST_FACTOR: f64 = 65_536.0;
        const MOST_EXTENTS: u32 = 4;
        match self.extents {
            0 => self.factor < Self::INT32.factor,
            extents => self.factor <= LARGEST_FACTOR && extents <= MOST_EXTENTS,
        }
    }

    fn or(self, other: Self) -> Self {
        Self { factor: self.factor.max(other.factor), extents: self.extents.max(other.extents) }
    }

    fn plus(self, other: Self) -> Self {
        Self { factor: self.factor + other.factor, extents: self.extents.max(other.extents) }
    }

    fn times(self, other: Self) -> Self {
        if self.factor == 0.0 || other.factor == 0.0 {
            return Self::number(0.0);
        }
        Self { factor: self.factor * other.factor, extents: self.extents.saturating_add(other.extents) }
    }

    fn of_type(element: Option<ElementType>) -> Self {
        match element {
            Some(ElementType::Bool) => Self::number(1.0),
            Some(ElementType::U8 | ElementType::I8) => Self::number(255.0),
            Some(ElementType::I32 | ElementType::I64) => Self::INT32,
            _ => Self::NONE,
        }
    }

    fn largest(mut numbers: impl Iterator<Item = f64>) -> Self {
        let largest = |most: f64, number: f64| (!number.is_nan()).then(|| most.max(number.abs()));
        numbers.try_fold(0.0, largest).map_or(Self::NONE, Self::number)
    }

    fn of_tensor(tensor: &TensorView<'_>) -> Self {
        match tensor.element {
            _ if tensor.external.is_some() => Self::of_type(Some(tensor.element)),
            // Those beyond 32 bits are refused as such, where they are more than the end of a slice.
            ElementType::I64 => {
                let found = Self::largest(tensor.longs().map(|number| number as f64));
                if found.fits() { found } else { Self::INT32 }
            }
            ElementType::F32 if tensor.elements() <= MOST_FLOATS => {
                let stored = if tensor.raw.is_empty() { tensor.floats } else { tensor.raw };
                Self::largest(stored.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))))
            }
            ElementType::F32
            | ElementType::F64
            | ElementType::F16
            | ElementType::Bf16
            | ElementType::U8
            | ElementType::I8
            | ElementType::I32
            | ElementType::Bool
            | ElementType::Other(_) => Self::of_type(Some(tensor.element)),
        }
    }
}

/// The bounds of the values of a graph, and of those around it.
pub(super) struct Known<'k, 'a> {
    bounds: HashMap<&'a str, Bound>,
    outer: Option<&'k Known<'k, 'a>>,
}

impl<'k, 'a> Known<'k, 'a> {
    /// Before any node ran.
    pub(super) fn of(graph: &GraphView<'a>, outer: Option<&'k Known<'k, 'a>>) -> Self {
        let bounds = graph.initializers.iter().map(|tensor| (tensor.name, Bound::of_tensor(tensor)));
        Self { bounds: bounds.collect(), outer }
    }

    pub(super) fn set(&mut self, name: &'a str, bound: Bound) {
        self.bounds.insert(name, bound);
    }

    /// Of a value: as was found, or as its type says.
    pub(super) fn bound(&self, name: &str, scope: &Scope<'_, '_>) -> Bound {
        self.found(name).unwrap_or_else(|| Bound::of_type(scope.element(name)))
    }

    fn found(&self, name: &str) -> Option<Bound> {
        self.bounds.get(name).copied().or_else(|| self.outer?.found(name))
    }

    /// Adds what a node makes, given what the graphs inside it make.
    pub(super) fn add(&mut self, node: &NodeView<'a>, scope: &Scope<'_, '_>, bodies: &[Vec<Bound>]) {
        // The first output of a loop's body is whether it goes on.
        let skipped = usize::from(node.op == "Loop");
        for (index, &output) in node.outputs.iter().enumerate() {
            let found = match bodies {
                [] => self.made(node, index, scope),
                // What a loop carries comes out as it went in, too, where there is no round.
                [..] => {
                    let of_bodies = bodies.iter().map(|body| body.get(index + skipped).copied().unwrap_or(Bound::NONE));
                    let carried = (node.op != "If").then(|| Bound::of_type(scope.element(output)));
                    of_bodies.chain(carried).reduce(Bound::or)
                }
            };
            let of_type = Bound::of_type(scope.element(output));
            // Integers that may not fit were refused, or are of a type of 32 bits in which they start again from below.
            let is_told = |bound: &Bound| of_type == Bound::NONE || of_type == Bound::INT32 && bound.fits();
            self.bounds.insert(output, found.filter(is_told).unwrap_or(of_type));
        }
    }

    /// Of an output of an operator; `None` where it does not tell more than the type does.
    pub(super) fn made(&self, node: &NodeView<'_>, output: usize, scope: &Scope<'_, '_>) -> Option<Bound> {
        if !node.is_standard() {
            return None;
        }
        let of = |index: usize| match node.inputs.get(index).filter(|name| !name.is_empty()) {
            Some(name) => self.bound(name, scope),
            None => Bound::number(0.0),
        };
        let all = || (0..node.inputs.len()).map(of);
        Some(match (node.op, output) {
            (op, _) if MOVING.contains(&op) && op != "Concat" => of(0),
            ("Concat" | "Max" | "Min" | "SequenceConstruct", _) => all().reduce(Bound::or)?,
            ("Cast" | "CastLike" | "Relu" | "Trilu" | "Dropout" | "SequenceAt" | "ReduceMax" | "ReduceMin", 0)
            | ("TopK" | "MaxPool", 0)
            | ("Neg" | "Abs" | "Mean" | "ReduceMean", _) => all().reduce(Bound::or)?,
            ("Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" | "SequenceLength" | "NonMaxSuppression", _)
            | ("TopK" | "MaxPool", 1) => Bound::EXTENT,
            ("Constant" | "ConstantOfShape", _) => of_attribute(node)?,
            ("Pad", _) => of(0).or(of(2)),
            ("Where", _) => of(1).or(of(2)),
            ("Range", _) => of(0).or(of(1)),
            ("Floor" | "Ceil" | "Round" | "Sqrt", _) => of(0).plus(Bound::number(1.0)),
            ("Add" | "Sub" | "Sum", _) => all().reduce(Bound::plus)?,
            ("Mul", _) => of(0).times(of(1)),
            ("Div", _) => quotient(node, scope, of(0))?,
            ("Mod", _) if of(1).extents == 0 => of(1),
            ("Pow", _) => power(node, scope, of(0)),
            ("CumSum" | "ReduceSum" | "ReduceL1" | "ReduceL2", _) => of(0).times(Bound::EXTENT),
            ("ReduceSumSquare", _) => of(0).times(of(0)).times(Bound::EXTENT),
            // The extents of one tensor.
            ("ReduceProd", _) if of(0) == Bound::EXTENT => Bound { factor: 1.0, extents: 2 },
            ("MatMul" | "Gemm", _) => of(0).times(of(1)).times(Bound::EXTENT).plus(of(2)),
            ("ReduceProd" | "Einsum", _) => Bound::NONE,
            _ => return None,
        })
    }
}

fn of_attribute(node: &NodeView<'_>) -> Option<Bound> {
    let Some(attribute) = node.attributes.first() else {
        return (node.op == "ConstantOfShape").then_some(Bound::number(0.0));
    };
    if let Some(tensor) = &attribute.tensor {
        return Some(Bound::of_tensor(tensor));
    }
    let integers = attribute.integers.iter().chain(&attribute.integer).map(|&number| number as f64);
    let floats = attribute.floats.iter().chain(&attribute.float).map(|&number| f64::from(number));
    Some(Bound::largest(integers.chain(floats)))
}

/// Of integers, whose divisors are 1 at least, or of floats that are divided by constants.
fn quotient(node: &NodeView<'_>, scope: &Scope<'_, '_>, dividend: Bound) -> Option<Bound> {
    if matches!(scope.input(node, 0), Some(ElementType::I64 | ElementType::I32)) {
        return Some(dividend);
    }
    let divisor = scope.constant(node.inputs.get(1)?)?.single_float().map(|divisor| f64::from(divisor.abs()))?;
    (divisor > 0.0).then(|| dividend.times(Bound::number(1.0 / divisor)))
}

fn power(node: &NodeView<'_>, scope: &Scope<'_, '_>, base: Bound) -> Bound {
    // Roots of numbers below 1 are larger than they are.
    let base = base.or(Bound::number(1.0));
    let exponent = node.inputs.get(1).and_then(|name| scope.constant(name));
    let whole = exponent.filter(|tensor| tensor.elements() == 1).and_then(|tensor| {
        tensor.longs().next().or_else(|| tensor.single_float().map(|exponent| exponent.ceil() as i64))
    });
    match whole {
        Some(exponent @ 0..=16) => (0..exponent).fold(Bound::number(1.0), |power, _| power.times(base)),
        _ => Bound::NONE,
    }
}
