//! Changes to an ONNX file of any origin that keep every byte they do not concern, known or not.

use super::format::{self, FIRST};
use super::inspect::inspect;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

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
