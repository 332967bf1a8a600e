//! What an ONNX file of any origin says of itself, without running or copying it. It owns the checks before an engine sees
//! the file: sizes of tensors against their data, and where external data may lie.

use std::collections::BTreeMap;

use super::format::{self, FIRST, SECOND};
use crate::error::{Error, Result};
use crate::shape::MAX_ELEMENTS;
use crate::wire::{Reader, Value, floats};

/// Graphs inside operators (`If`, `Loop`) nested deeper than this come from hostile files.
const MAX_DEPTH: usize = 16;

/// What an ONNX file says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSummary {
    /// Version of the file format.
    pub ir_version: i64,
    /// Who wrote it; may be empty.
    pub producer: String,
    /// Version of each operator set by domain; the standard one's is empty.
    pub opsets: BTreeMap<String, i64>,
    /// Values to be given, weights left out.
    pub inputs: Vec<ValueSummary>,
    /// Values the file gives out.
    pub outputs: Vec<ValueSummary>,
    /// How often each operator occurs, graphs inside operators and functions included; other domains as `domain.Operator`.
    pub operators: BTreeMap<String, usize>,
    /// Number of values of all weights.
    pub parameter_count: u64,
    /// Files that hold weights, relative to the directory of this one and never outside of it, such as `weights/0.bin`.
    pub external_data: Vec<String>,
    /// Metadata by key.
    pub metadata: BTreeMap<String, String>,
}

/// An input or output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueSummary {
    /// Its name.
    pub name: String,
    /// `TensorProto.DataType`: 1 float, 2 uint8, 7 int64, 9 bool, 10 float16, 11 double, 16 bfloat16; 0 when not said.
    pub element_type: i64,
    /// Whether its type is said, and is none of a tensor: a sequence or a map.
    pub is_other: bool,
    /// Extents with the batch, `None` where any will do; `None` altogether when the file does not say or it is no tensor.
    pub dims: Option<Vec<Option<usize>>>,
}

/// Reads what an ONNX file says of itself.
///
/// # Errors
/// Says where the file is broken, which weight has another size than its data, or which file of external data is not in
/// the model's directory or below it.
pub fn inspect(bytes: &[u8]) -> Result<ModelSummary> {
    let mut summary = ModelSummary::default();
    summary.read(bytes).map_err(|message| Error::Format(format!("not an ONNX file: {message}")))?;
    if summary.opsets.is_empty() || summary.outputs.is_empty() {
        return Err(Error::Format("not an ONNX file: it has no operator set or no output".to_owned()));
    }
    Ok(summary)
}

impl ModelSummary {
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        for field in Reader::new(bytes) {
            match field? {
                (format::model::IR_VERSION, value) => self.ir_version = value.integer()?,
                (format::model::PRODUCER_NAME, value) => value.text()?.clone_into(&mut self.producer),
                (format::model::OPSET_IMPORT, value) => self.opset(value.bytes()?)?,
                (format::model::METADATA_PROPS, value) => {
                    let (key, value) = entry(value.bytes()?)?;
                    self.metadata.insert(key.to_owned(), value.to_owned());
                }
                (format::model::GRAPH, value) => self.main_graph(value.bytes()?)?,
                (format::model::FUNCTIONS, value) => {
                    for field in Reader::new(value.bytes()?) {
                        if let (format::FUNCTION_NODE, value) = field? {
                            self.operator(value.bytes()?, 0)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn opset(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (mut domain, mut version) = ("", 0);
        for field in Reader::new(bytes) {
            match field? {
                (FIRST, value) => domain = value.text()?,
                (SECOND, value) => version = value.integer()?,
                _ => {}
            }
        }
        self.opsets.insert(domain.to_owned(), version);
        Ok(())
    }

    /// Before file version 4 weights were inputs, too.
    fn main_graph(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut weights = std::collections::BTreeSet::new();
        for field in Reader::new(bytes) {
            match field? {
                (format::graph::INPUT, value) => self.inputs.push(ValueSummary::read(value.bytes()?)?),
                (format::graph::OUTPUT, value) => self.outputs.push(ValueSummary::read(value.bytes()?)?),
                (format::graph::INITIALIZER, value) => {
                    weights.insert(Tensor::read(value.bytes()?)?.name);
                }
                _ => {}
            }
        }
        self.inputs.retain(|input| !weights.contains(input.name.as_str()));
        self.graph(bytes, 0)
    }

    fn graph(&mut self, bytes: &[u8], depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("graphs are nested deeper than {MAX_DEPTH}"));
        }
        for field in Reader::new(bytes) {
            match field? {
                (format::graph::NODE, value) => self.operator(value.bytes()?, depth)?,
                (format::graph::INITIALIZER, value) => {
                    let tensor = Tensor::read(value.bytes()?)?;
                    self.parameter_count = self.parameter_count.saturating_add(self.tensor(&tensor)?);
                }
                (format::graph::SPARSE_INITIALIZER, value) => {
                    for field in Reader::new(value.bytes()?) {
                        if let (FIRST | SECOND, value @ Value::Bytes(_)) = field? {
                            self.tensor(&Tensor::read(value.bytes()?)?)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn operator(&mut self, bytes: &[u8], depth: usize) -> Result<(), String> {
        let (mut kind, mut domain) = ("", "");
        for field in Reader::new(bytes) {
            match field? {
                (format::node::OP_TYPE, value) => kind = value.text()?,
                (format::node::DOMAIN, value) => domain = value.text()?,
                (format::node::ATTRIBUTE, value) => self.attribute(value.bytes()?, depth)?,
                _ => {}
            }
        }
        let name = if matches!(domain, "" | "ai.onnx") { kind.to_owned() } else { format!("{domain}.{kind}") };
        *self.operators.entry(name).or_insert(0) += 1;
        Ok(())
    }

    fn attribute(&mut self, bytes: &[u8], depth: usize) -> Result<(), String> {
        for field in Reader::new(bytes) {
            match field? {
                (format::attribute::T | format::attribute::TENSORS, value) => {
                    self.tensor(&Tensor::read(value.bytes()?)?)?;
                }
                (format::attribute::G | format::attribute::GRAPHS, value) => self.graph(value.bytes()?, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks a tensor, notes where its data lie, and returns the number of its values.
    fn tensor(&mut self, tensor: &Tensor<'_>) -> Result<u64, String> {
        let fail = |message: String| format!("tensor {:?}: {message}", tensor.name);
        if let Some(location) = tensor.external {
            let name = name_below(location).ok_or_else(|| {
                fail(format!("its data lie in {location:?}, which is no file in the model's directory or below it"))
            })?;
            if !self.external_data.contains(&name) {
                self.external_data.push(name);
            }
        }
        tensor.checked_count().map_err(fail)
    }
}

impl ValueSummary {
    /// `ValueInfoProto`: name 1, type 2 / tensor_type 1 (sequences, maps and others are 4, 5, 7 to 9) / elem_type 1, shape 2 / dim 1 / dim_value 1.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut summary = Self::default();
        for field in Reader::new(bytes) {
            match field? {
                (FIRST, value) => value.text()?.clone_into(&mut summary.name),
                (SECOND, value) => {
                    for field in Reader::new(value.bytes()?) {
                        match field? {
                            (1, value) => summary.tensor_type(value.bytes()?)?,
                            // What a type means to people (6) is none.
                            (number, _) => summary.is_other |= number != 6,
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(summary)
    }

    fn tensor_type(&mut self, bytes: &[u8]) -> Result<(), String> {
        for field in Reader::new(bytes) {
            match field? {
                (1, value) => self.element_type = value.integer()?,
                (2, value) => {
                    let mut dims = Vec::new();
                    for field in Reader::new(value.bytes()?) {
                        if let (1, value) = field? {
                            dims.push(dimension(value.bytes()?)?);
                        }
                    }
                    self.dims = Some(dims);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An extent, or `None` for a name; some writers put 0 or -1 where any extent will do.
fn dimension(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut extent = None;
    for field in Reader::new(bytes) {
        if let (1, value) = field? {
            extent = usize::try_from(value.integer()?).ok().filter(|&extent| extent > 0);
        }
    }
    Ok(extent)
}

/// A tensor where it lies in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) data_type: i64,
    pub(super) raw: Option<&'a [u8]>,
    dims: Vec<i64>,
    packed_floats: Option<&'a [u8]>,
    pub(super) external: Option<&'a str>,
    /// First byte and number of bytes in the other file, where said.
    place: (Option<&'a str>, Option<&'a str>),
}

impl<'a> Tensor<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (mut tensor, mut location, mut is_external) = (Self::default(), None, false);
        for field in Reader::new(bytes) {
            match field? {
                (format::tensor::DIMS, value) => value.append_integers(&mut tensor.dims)?,
                (format::tensor::DATA_TYPE, value) => tensor.data_type = value.integer()?,
                (format::tensor::NAME, value) => tensor.name = value.text()?,
                (format::tensor::RAW_DATA, value) => tensor.raw = Some(value.bytes()?),
                (format::tensor::FLOAT_DATA, Value::Bytes(bytes)) => tensor.packed_floats = Some(bytes),
                (format::tensor::EXTERNAL_DATA, value) => {
                    let (key, value) = entry(value.bytes()?)?;
                    match key {
                        "location" => location = Some(value),
                        "offset" => tensor.place.0 = Some(value),
                        "length" => tensor.place.1 = Some(value),
                        _ => {}
                    }
                }
                (format::tensor::DATA_LOCATION, value) => is_external = value.integer()? == 1,
                _ => {}
            }
        }
        // Engines differ in which of the two fields they believe, so either makes it external.
        tensor.external = if is_external { Some(location.unwrap_or_default()) } else { location };
        Ok(tensor)
    }

    /// First byte and number of bytes in a file of that size. What is not said is 0, and as many as the dims want.
    pub(super) fn place_in(&self, size: usize) -> Result<(usize, usize), String> {
        let number = |key: &str, text: &str| {
            text.parse::<usize>().map_err(|_| format!("{key} {text:?} of its external data is no number"))
        };
        let offset = self.place.0.map_or(Ok(0), |text| number("offset", text))?;
        let left = size.saturating_sub(offset);
        let length = match (self.place.1, element_bits(self.data_type)) {
            (Some(text), _) => number("length", text)?,
            (None, Some(bits)) => (self.count()? * bits).div_ceil(8),
            (None, None) => left,
        };
        match offset <= size && length <= left {
            true => Ok((offset, length)),
            false => Err(format!("{length} bytes from {offset} on are wanted of a file of {size} bytes")),
        }
    }

    fn count(&self) -> Result<usize, String> {
        let dims = &self.dims;
        let count = dims.iter().try_fold(1usize, |count, &dim| {
            count.checked_mul(usize::try_from(dim).ok()?).filter(|&count| count <= MAX_ELEMENTS)
        });
        count.ok_or_else(|| format!("dims {dims:?} are negative or have more than {MAX_ELEMENTS} elements"))
    }

    /// Number of values, after comparing it with the data the file holds.
    fn checked_count(&self) -> Result<u64, String> {
        let (dims, count) = (&self.dims, self.count()?);
        if let (Some(raw), Some(bits), None) = (self.raw, element_bits(self.data_type), self.external) {
            let expected = (count * bits).div_ceil(8);
            if raw.len() != expected {
                return Err(format!("dims {dims:?} want {expected} bytes, found {}", raw.len()));
            }
        }
        if let Some(packed) = self.packed_floats.filter(|_| self.data_type == format::FLOAT) {
            let found = floats(packed)?.len();
            if found != count {
                return Err(format!("dims {dims:?} want {count} values, found {found}"));
            }
        }
        Ok(count as u64)
    }
}

/// Bits of one element of a `TensorProto.DataType`; `None` for strings and types of the future.
fn element_bits(data_type: i64) -> Option<usize> {
    match data_type {
        2 | 3 | 9 | 17..=20 | 24 => Some(8),
        4 | 5 | 10 | 16 => Some(16),
        1 | 6 | 12 => Some(32),
        7 | 11 | 13 | 14 => Some(64),
        15 => Some(128),
        21..=23 => Some(4),
        _ => None,
    }
}

/// `StringStringEntryProto`.
pub(super) fn entry(bytes: &[u8]) -> Result<(&str, &str), String> {
    let (mut key, mut text) = ("", "");
    for field in Reader::new(bytes) {
        match field? {
            (FIRST, value) => key = value.text()?,
            (SECOND, value) => text = value.text()?,
            _ => {}
        }
    }
    Ok((key, text))
}

/// The file in the model's directory, or below it, that a location means on every system, its components separated by `/`; components
/// that lead nowhere say nothing. `None` where it leads out of the directory, or may.
pub(super) fn name_below(location: &str) -> Option<String> {
    let is_plain =
        !location.starts_with('/') && !location.contains(['\\', ':']) && !location.contains(char::is_control);
    let is_file = |last: &&str| !matches!(*last, "" | ".");
    location.rsplit('/').next().filter(is_file).filter(|_| is_plain)?;
    let components: Vec<&str> = location.split('/').filter(is_file).collect();
    (!components.contains(&"..")).then(|| components.join("/"))
}
