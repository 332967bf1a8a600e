//! Changes to an ONNX file of any origin that keep every byte they do not concern, known or not.

use super::format::{self, FIRST, SECOND};
use super::inspect::{Tensor, inspect};
use crate::error::{Error, Result};
use crate::wire::{Reader, Value, Writer};

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i64 = 1;

/// The same file with one more output: the value `name` inside it. A file that gives out `name` already comes back as it is.
///
/// # Errors
/// Says that the file is broken ([`inspect`]) or that no operator makes such a value.
pub fn with_extra_output(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    let summary = inspect(bytes)?;
    if summary.outputs.iter().any(|output| output.name == name) {
        return Ok(bytes.to_vec());
    }
    let amend = || {
        let mut found = false;
        let mut writer = Writer::default();
        let mut rest = Reader::new(bytes);
        loop {
            let before = rest.position_in(bytes);
            let Some(field) = rest.next() else { break };
            match field? {
                (format::model::GRAPH, value) => {
                    let graph = value.bytes()?;
                    let output = output_for(graph, name)?;
                    found |= output.is_some();
                    writer.message(format::model::GRAPH, |writer| {
                        writer.raw(graph);
                        if let Some(output) = output {
                            writer.bytes(format::graph::OUTPUT, &output);
                        }
                    });
                }
                _ => writer.raw(&bytes[before..rest.position_in(bytes)]),
            }
        }
        Ok::<_, String>(found.then(|| writer.into_bytes()))
    };
    amend()
        .map_err(|message| Error::Format(format!("not an ONNX file: {message}")))?
        .ok_or_else(|| Error::Network(format!("no operator makes a value called {name:?}")))
}

/// Where the data of a weight lie: in a file beside the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside<'a> {
    /// Name of the weight.
    pub weight: &'a str,
    /// First byte of its data in that file.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
}

/// The same file without the data of some weights, which it says to lie in `file` beside it.
///
/// # Errors
/// Says that the file is broken.
pub fn with_weights_outside(bytes: &[u8], file: &str, outside: &[Outside<'_>]) -> Result<Vec<u8>> {
    let kept = bytes.len().saturating_sub(outside.iter().map(|weight| weight.length).sum());
    let amend = || {
        let mut writer = Writer::with_capacity(kept + 200 * outside.len());
        each_field(bytes, |number, value, raw| {
            if number != format::model::GRAPH {
                writer.raw(raw);
                return Ok(());
            }
            let graph = value.bytes()?;
            writer.try_message(format::model::GRAPH, |writer| {
                each_field(graph, |number, value, raw| {
                    let tensor = if number == format::graph::INITIALIZER { Some(value.bytes()?) } else { None };
                    let named = tensor
                        .map(Tensor::read)
                        .transpose()?
                        .and_then(|tensor| outside.iter().find(|weight| weight.weight == tensor.name));
                    match (tensor, named) {
                        (Some(tensor), Some(weight)) => {
                            writer.try_message(number, |writer| write_outside(writer, tensor, file, weight))
                        }
                        _ => {
                            writer.raw(raw);
                            Ok(())
                        }
                    }
                })
            })
        })?;
        Ok::<_, String>(writer.into_bytes())
    };
    amend().map_err(|message| Error::Format(format!("not an ONNX file: {message}")))
}

/// A tensor without its data, and where they are instead.
fn write_outside(writer: &mut Writer, tensor: &[u8], file: &str, weight: &Outside<'_>) -> Result<(), String> {
    each_field(tensor, |number, _, raw| {
        if number != format::tensor::RAW_DATA {
            writer.raw(raw);
        }
        Ok(())
    })?;
    write_location(writer, file, weight.offset, weight.length);
    Ok(())
}

/// Where the data of the tensor being written lie.
pub(super) fn write_location(writer: &mut Writer, file: &str, offset: usize, length: usize) {
    let (offset, length) = (offset.to_string(), length.to_string());
    for (key, value) in [("location", file), ("offset", &offset), ("length", &length)] {
        writer.message(format::tensor::EXTERNAL_DATA, |writer| {
            writer.bytes(FIRST, key.as_bytes());
            writer.bytes(SECOND, value.as_bytes());
        });
    }
    writer.integer(format::tensor::DATA_LOCATION, EXTERNAL);
}

/// Calls `visit` with the number and payload of each field of a message, and with all its bytes.
pub(super) fn each_field<'a>(
    message: &'a [u8],
    mut visit: impl FnMut(u64, Value<'a>, &'a [u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = Reader::new(message);
    loop {
        let before = rest.position_in(message);
        let Some(field) = rest.next() else { return Ok(()) };
        let (number, value) = field?;
        visit(number, value, &message[before..rest.position_in(message)])?;
    }
}

/// The output to add to a graph: what the graph says of the value, or its bare name; `None` when no operator makes it.
fn output_for(graph: &[u8], name: &str) -> Result<Option<Vec<u8>>, String> {
    let (mut made, mut described) = (false, None);
    for field in Reader::new(graph) {
        match field? {
            (format::graph::NODE, value) => {
                for field in Reader::new(value.bytes()?) {
                    if let (format::node::OUTPUT, value) = field? {
                        made |= value.bytes()? == name.as_bytes();
                    }
                }
            }
            (format::graph::VALUE_INFO, value) => {
                let bytes = value.bytes()?;
                for field in Reader::new(bytes) {
                    if let (FIRST, value) = field?
                        && value.bytes()? == name.as_bytes()
                    {
                        described = Some(bytes.to_vec());
                    }
                }
            }
            _ => {}
        }
    }
    let bare = || {
        let mut writer = Writer::default();
        writer.bytes(FIRST, name.as_bytes());
        writer.into_bytes()
    };
    Ok(made.then(|| described.unwrap_or_else(bare)))
}
