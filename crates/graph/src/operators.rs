//! ONNX operators in memory, and the writing of one layer's. It owns how their values and constants are named; it knows no
//! layer and no file format.

use std::sync::Arc;

use crate::shape::Shape;
use crate::weights::Weights;

/// An attribute of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Several integers.
    Ints(Vec<i64>),
    /// A word.
    Text(&'static str),
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// What it computes, as `Conv`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Values it takes; empty where one is left out.
    pub inputs: Vec<String>,
    /// Values it makes.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// What a value consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementType {
    /// 32-bit floats.
    Float,
    /// 64-bit integers.
    Integer,
}

/// All operators of a graph with their constants.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    /// In order of execution.
    pub(crate) operators: Vec<Operator>,
    /// Name, extents and values of each constant or weight of floats.
    pub(crate) floats: Vec<(String, Vec<usize>, Arc<[f32]>)>,
    /// Name and values of each list of integers.
    pub(crate) integers: Vec<(String, Vec<i64>)>,
    /// Values of one axis whose extent is known in a run alone, with the type of their elements: engines that want to know how
    /// many axes a value has find no other way.
    pub(crate) rows: Vec<(String, ElementType)>,
}

/// One layer being written.
pub(crate) struct Emitter<'a> {
    /// Where its operators go.
    pub(crate) operators: &'a mut Operators,
    /// The weights of all layers.
    pub(crate) weights: &'a Weights,
    /// The name of the layer.
    pub(crate) name: &'a str,
    /// The values it reads.
    pub(crate) inputs: &'a [String],
    /// The values it makes.
    pub(crate) outputs: &'a [String],
    /// The shapes of the values it reads, one sample each; as many as there are inputs.
    pub(crate) shapes: &'a [&'a Shape],
}

impl Emitter<'_> {
    /// The first value it reads.
    pub(crate) fn x(&self) -> String {
        self.inputs.first().cloned().unwrap_or_default()
    }

    /// The first value it makes.
    pub(crate) fn y(&self) -> String {
        self.outputs.first().cloned().unwrap_or_default()
    }

    /// Extents of one sample of the first value it reads.
    pub(crate) fn dims(&self) -> &[usize] {
        self.shapes.first().map_or(&[], |shape| shape.dims())
    }

    /// Adds an operator; it is called after what it makes.
    pub(crate) fn operator(
        &mut self,
        kind: &'static str,
        inputs: impl Into<Vec<String>>,
        output: String,
        attributes: impl Into<Vec<(&'static str, Attribute)>>,
    ) {
        self.operators.operators.push(Operator {
            kind,
            name: output.clone(),
            inputs: inputs.into(),
            outputs: vec![output],
            attributes: attributes.into(),
        });
    }

    /// Adds an operator that makes a value of this layer alone, and names the value.
    pub(crate) fn step(
        &mut self,
        kind: &'static str,
        inputs: impl Into<Vec<String>>,
        name: &str,
        attributes: impl Into<Vec<(&'static str, Attribute)>>,
    ) -> String {
        let output = self.inner(name);
        self.operator(kind, inputs, output.clone(), attributes);
        output
    }

    /// Says of a value of this layer that it has one axis.
    pub(crate) fn is_row(&mut self, value: &str, element: ElementType) {
        self.operators.rows.push((value.to_owned(), element));
    }

    /// Gives one sample another shape; a 0 in ONNX copies the extent, here the batch's.
    pub(crate) fn reshape(&mut self, constant: &str, x: String, y: String, dims: &[usize]) {
        let dims = std::iter::once(0).chain(dims.iter().map(|&dim| dim as i64)).collect();
        let shape = self.integers(constant, dims);
        self.operator("Reshape", [x, shape], y, []);
    }

    /// A weight as it is.
    pub(crate) fn plain_weight(&mut self, name: &str) -> Result<String, String> {
        let name = format!("{}.{name}", self.name);
        let weight = self.weights.get(&name).ok_or_else(|| format!("weight {name} is missing"))?;
        self.operators.floats.push((name.clone(), weight.shape().to_vec(), Arc::clone(weight.data())));
        Ok(name)
    }

    /// A weight that lies on the first input's axes from `axis` on: ones are appended, so that it is broadcast over the rest.
    pub(crate) fn weight(&mut self, name: &str, axis: usize) -> Result<String, String> {
        let name = self.plain_weight(name)?;
        let rank = self.dims().len() + 1;
        if let Some((_, dims, _)) = self.operators.floats.last_mut() {
            dims.resize(rank - axis, 1);
        }
        Ok(name)
    }

    /// A constant of one float.
    pub(crate) fn scalar(&mut self, name: &str, value: f32) -> String {
        self.floats(name, Vec::new(), [value].into())
    }

    /// A constant of floats.
    pub(crate) fn floats(&mut self, name: &str, dims: Vec<usize>, values: Arc<[f32]>) -> String {
        let name = self.inner(name);
        self.operators.floats.push((name.clone(), dims, values));
        name
    }

    /// A constant list of integers.
    pub(crate) fn integers(&mut self, name: &str, values: Vec<i64>) -> String {
        let name = self.inner(name);
        self.operators.integers.push((name.clone(), values));
        name
    }

    /// The name of a value or constant that belongs to this layer alone.
    pub(crate) fn inner(&self, name: &str) -> String {
        format!("{}#{name}", self.name)
    }
}

/// An attribute of several integers.
pub(crate) fn ints(values: &[usize]) -> Attribute {
    Attribute::Ints(values.iter().map(|&value| value as i64).collect())
}
