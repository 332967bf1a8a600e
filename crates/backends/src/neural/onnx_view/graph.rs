//! `GraphProto` and what it contains, borrowed.
//!
//! It owns the field numbers below the model; meaning of operators is elsewhere.

use std::collections::HashSet;

use super::ElementType;
use super::wire::{Field, WireError, fields, integers, text};

/// Subgraphs of subgraphs of …; real files use two or three.
const MAX_GRAPH_DEPTH: usize = 32;
/// Sequences of sequences of …
const MAX_TYPE_DEPTH: usize = 8;

/// A graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphView<'a> {
    /// In the order of the file, which is an order of execution.
    pub nodes: Vec<NodeView<'a>>,
    /// Constants.
    pub initializers: Vec<TensorView<'a>>,
    /// Inputs; before IR version 4 initializers are listed here too.
    pub inputs: Vec<ValueView<'a>>,
    /// Outputs.
    pub outputs: Vec<ValueView<'a>>,
    /// Types of values in between, where the file gives them.
    pub values: Vec<ValueView<'a>>,
}

/// An operator that a model defines itself (`FunctionProto`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionView<'a> {
    /// Operator set it belongs to.
    pub domain: &'a str,
    /// Its name there.
    pub op: &'a str,
    /// Which of several functions of that name; empty where there is one.
    pub overload: &'a str,
    /// What it computes; its inputs and outputs have no types.
    pub graph: GraphView<'a>,
}

/// One operator call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeView<'a> {
    /// Name; often empty.
    pub name: &'a str,
    /// Operator.
    pub op: &'a str,
    /// Operator set; empty for the standard one.
    pub domain: &'a str,
    /// Which of several functions of that name; empty where there is one.
    pub overload: &'a str,
    /// Names of its inputs; empty where an optional one is left out.
    pub inputs: Vec<&'a str>,
    /// Names of its outputs.
    pub outputs: Vec<&'a str>,
    /// Attributes.
    pub attributes: Vec<AttributeView<'a>>,
}

/// An attribute of an operator; what is asked for here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttributeView<'a> {
    /// Name.
    pub name: &'a str,
    /// Value of a number attribute.
    pub float: Option<f32>,
    /// Value of an integer attribute.
    pub integer: Option<i64>,
    /// Value of a list of integers.
    pub integers: Vec<i64>,
    /// Value of a list of floats.
    pub floats: Vec<f32>,
    /// Value of a text attribute.
    pub text: Option<&'a [u8]>,
    /// Number of texts of a list of them.
    pub texts: usize,
    /// Value of a tensor attribute.
    pub tensor: Option<TensorView<'a>>,
    /// Subgraphs.
    pub graphs: Vec<GraphView<'a>>,
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorView<'a> {
    /// Name.
    pub name: &'a str,
    /// Element type.
    pub element: ElementType,
    /// Size of each dimension.
    pub dims: Vec<i64>,
    /// Elements as bytes, where stored so.
    pub raw: &'a [u8],
    /// Elements of integer types, where stored as numbers.
    pub integers: Vec<i64>,
    /// 32-bit or 64-bit floats as bytes, where stored as numbers.
    pub floats: &'a [u8],
    /// Where the elements are when they are in another file: the `location` entry.
    pub external: Option<&'a str>,
}

/// Name and type of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueView<'a> {
    /// Name.
    pub name: &'a str,
    /// Element type, for tensors.
    pub element: Option<ElementType>,
    /// Dimensions, where known.
    pub dims: Option<Vec<Dimension<'a>>>,
}

/// Size of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// A number.
    Fixed(i64),
    /// Decided at run time; the name may be empty.
    Symbolic(&'a str),
}

impl Dimension<'_> {
    /// The size, where it is known before a run. Some writers say 0 for one that is not.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => usize::try_from(*size).ok().filter(|&size| size > 0),
            Self::Symbolic(_) => None,
        }
    }
}

impl<'a> GraphView<'a> {
    pub(super) fn parse(bytes: &'a [u8], depth: usize) -> Result<Self, WireError> {
        if depth > MAX_GRAPH_DEPTH {
            return Err(WireError::TooDeep);
        }
        let mut graph = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(body)) => graph.nodes.push(NodeView::parse(body, depth)?),
                (5, Field::Bytes(body)) => graph.initializers.push(TensorView::parse(body)?),
                (11, Field::Bytes(body)) => graph.inputs.push(ValueView::parse(body)?),
                (12, Field::Bytes(body)) => graph.outputs.push(ValueView::parse(body)?),
                (13, Field::Bytes(body)) => graph.values.push(ValueView::parse(body)?),
                _ => {}
            }
        }
        Ok(graph)
    }

    /// Adds the parts of a graph field that occurs once more.
    pub(super) fn merge(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.initializers.extend(other.initializers);
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self.values.extend(other.values);
    }

    /// Inputs that a caller must give: those without an initializer.
    pub fn required_inputs(&self) -> impl Iterator<Item = &ValueView<'a>> {
        let constants: HashSet<&str> = self.initializers.iter().map(|constant| constant.name).collect();
        self.inputs.iter().filter(move |input| !constants.contains(input.name))
    }

    /// The constant of that name: an initializer, or the value of a `Constant` node.
    pub fn constant(&self, name: &str) -> Option<&TensorView<'a>> {
        self.initializers.iter().find(|constant| constant.name == name).or_else(|| {
            let node = self
                .nodes
                .iter()
                .find(|node| node.op == "Constant" && node.is_standard() && node.outputs.contains(&name))?;
            node.attribute("value")?.tensor.as_ref()
        })
    }

    /// Name and type of a value, where the file tells.
    pub fn value(&self, name: &str) -> Option<&ValueView<'a>> {
        self.inputs.iter().chain(&self.outputs).chain(&self.values).find(|value| value.name == name)
    }

    /// Calls `visit` for this graph and all graphs inside it.
    pub fn each_graph<'g>(&'g self, visit: &mut impl FnMut(&'g GraphView<'a>)) {
        visit(self);
        let attributes = self.nodes.iter().flat_map(|node| &node.attributes);
        for graph in attributes.flat_map(|attribute| &attribute.graphs) {
            graph.each_graph(visit);
        }
    }
}

impl<'a> FunctionView<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut function = Self::default();
        let named = |name| Ok(ValueView { name: text(name)?, ..ValueView::default() });
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(body)) => function.op = text(body)?,
                (4, Field::Bytes(body)) => function.graph.inputs.push(named(body)?),
                (5, Field::Bytes(body)) => function.graph.outputs.push(named(body)?),
                (7, Field::Bytes(body)) => function.graph.nodes.push(NodeView::parse(body, 0)?),
                (10, Field::Bytes(body)) => function.domain = text(body)?,
                (13, Field::Bytes(body)) => function.overload = text(body)?,
                _ => {}
            }
        }
        Ok(function)
    }
}

impl<'a> NodeView<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Result<Self, WireError> {
        let mut node = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(body)) => node.inputs.push(text(body)?),
                (2, Field::Bytes(body)) => node.outputs.push(text(body)?),
                (3, Field::Bytes(body)) => node.name = text(body)?,
                (4, Field::Bytes(body)) => node.op = text(body)?,
                (5, Field::Bytes(body)) => node.attributes.push(AttributeView::parse(body, depth)?),
                (7, Field::Bytes(body)) => node.domain = text(body)?,
                (8, Field::Bytes(body)) => node.overload = text(body)?,
                _ => {}
            }
        }
        Ok(node)
    }

    /// Whether it is one of ONNX's own operators.
    pub fn is_standard(&self) -> bool {
        matches!(self.domain, "" | "ai.onnx")
    }

    /// An attribute by name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeView<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The name to show: its own, or that of its first output.
    pub fn shown_name(&self) -> &'a str {
        if self.name.is_empty() { self.outputs.first().copied().unwrap_or("") } else { self.name }
    }
}

impl<'a> AttributeView<'a> {
    fn parse(bytes: &'a [u8], depth: usize) -> Result<Self, WireError> {
        let mut attribute = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(body)) => attribute.name = text(body)?,
                (2, Field::Fixed(value)) => attribute.float = value.try_into().ok().map(f32::from_le_bytes),
                (3, Field::Integer(value)) => attribute.integer = Some(value),
                (4, Field::Bytes(body)) => attribute.text = Some(body),
                (5, Field::Bytes(body)) => attribute.tensor = Some(TensorView::parse(body)?),
                (6 | 11, Field::Bytes(body)) => attribute.graphs.push(GraphView::parse(body, depth + 1)?),
                (7, Field::Fixed(values) | Field::Bytes(values)) => {
                    attribute.floats.extend(values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                }
                (8, values) => integers(values, &mut attribute.integers)?,
                (9, Field::Bytes(_)) => attribute.texts += 1,
                (14 | 15, Field::Bytes(body)) => check_type_depth(body, 0)?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> TensorView<'a> {
    /// Reads a serialised `TensorProto`.
    ///
    /// # Errors
    /// [`WireError`] when the bytes are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut tensor = TensorView {
            name: "",
            element: ElementType::Other(0),
            dims: Vec::new(),
            raw: &[],
            integers: Vec::new(),
            floats: &[],
            external: None,
        };
        for field in fields(bytes) {
            match field? {
                (1, values) => integers(values, &mut tensor.dims)?,
                (2, Field::Integer(code)) => tensor.element = ElementType::from_code(code),
                (4 | 10, Field::Bytes(body)) => tensor.floats = body,
                (5 | 7, values) => integers(values, &mut tensor.integers)?,
                (8, Field::Bytes(body)) => tensor.name = text(body)?,
                (9, Field::Bytes(body)) => tensor.raw = body,
                (13, Field::Bytes(body)) => {
                    let (key, value) = entry(body)?;
                    if key == "location" {
                        tensor.external = Some(value);
                    }
                }
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// Whether every element is zero; `None` when the elements are elsewhere or of a type that is not looked at.
    pub fn is_zero(&self) -> Option<bool> {
        if self.external.is_some() {
            return None;
        }
        Some(self.raw.iter().all(|&byte| byte == 0) && self.integers.iter().all(|&value| value == 0))
    }

    /// Elements of a tensor of 64-bit integers; none where it is of another type, or where they are in another file.
    pub fn longs(&self) -> impl Iterator<Item = i64> {
        let held = if self.element == ElementType::I64 && self.external.is_none() { usize::MAX } else { 0 };
        let raw = self.raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
        raw.chain(self.integers.iter().copied()).take(held)
    }

    /// The number, where the tensor is a single 32-bit float.
    pub fn single_float(&self) -> Option<f32> {
        let &[bytes] = self.single_precision()? else { return None };
        (self.elements() == 1).then_some(f32::from_le_bytes(bytes))
    }

    /// Elements of a tensor of 32-bit floats, as bytes; `None` where it is of another type, or where they are in another file.
    pub fn single_precision(&self) -> Option<&'a [[u8; 4]]> {
        let stored = if self.raw.is_empty() { self.floats } else { self.raw };
        let (values, rest) = stored.as_chunks();
        (self.element == ElementType::F32 && self.external.is_none() && rest.is_empty()).then_some(values)
    }

    /// Product of the dimensions.
    pub fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |product, &size| product.saturating_mul(u64::try_from(size).unwrap_or(0)))
    }
}

fn entry(bytes: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut key, mut value) = ("", "");
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(body)) => key = text(body)?,
            (2, Field::Bytes(body)) => value = text(body)?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl<'a> ValueView<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut value = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Field::Bytes(body)) => value.name = text(body)?,
                (2, Field::Bytes(body)) => {
                    check_type_depth(body, 0)?;
                    value.read_type(body)?;
                }
                _ => {}
            }
        }
        Ok(value)
    }

    fn read_type(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        for field in fields(bytes) {
            if let (1, Field::Bytes(tensor)) = field? {
                for field in fields(tensor) {
                    match field? {
                        (1, Field::Integer(code)) => self.element = Some(ElementType::from_code(code)),
                        (2, Field::Bytes(shape)) => self.dims = Some(dimensions(shape)?),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

fn dimensions(bytes: &[u8]) -> Result<Vec<Dimension<'_>>, WireError> {
    let mut dims = Vec::new();
    for field in fields(bytes) {
        if let (1, Field::Bytes(body)) = field? {
            let mut dimension = Dimension::Symbolic("");
            for field in fields(body) {
                match field? {
                    (1, Field::Integer(size)) => dimension = Dimension::Fixed(size),
                    (2, Field::Bytes(name)) => dimension = Dimension::Symbolic(text(name)?),
                    _ => {}
                }
            }
            dims.push(dimension);
        }
    }
    Ok(dims)
}

/// Sequences (4), maps (5) and optionals (9) hold types again; a reader that recurses must not meet endless ones.
fn check_type_depth(bytes: &[u8], depth: usize) -> Result<(), WireError> {
    if depth > MAX_TYPE_DEPTH {
        return Err(WireError::TooDeep);
    }
    for field in fields(bytes) {
        if let (4 | 5 | 9, Field::Bytes(holder)) = field? {
            for field in fields(holder) {
                if let (1 | 2, Field::Bytes(inner)) = field? {
                    check_type_depth(inner, depth + 1)?;
                }
            }
        }
    }
    Ok(())
}
