//! Operators and external data of an ONNX file of any origin, changed; every byte they do not concern is kept.
//!
//! It owns how operators are numbered and how tensors say where their data lie. Why something is changed is the caller's affair.

use std::collections::BTreeMap;

use super::amend::{each_field, write_location};
use super::format;
use super::inspect::{Tensor, name_below};
use crate::error::{Error, Result};
use crate::operators::{Attribute, Operator};
use crate::wire::Writer;

/// What becomes of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It gets these attributes, in place of its own of the same names; without a value it loses them.
    Attributes(Vec<(&'static str, Option<Attribute>)>),
    /// Others take its place. Not for operators that hold graphs.
    Operators(Vec<Operator>),
}

/// A file of external data, as an engine is to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalFile {
    /// As [`super::ModelSummary::external_data`] says.
    pub name: String,
    /// What tensors are to call it.
    pub location: String,
    /// Bytes in it.
    pub size: usize,
}

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewrite {
    /// Operators by number: in the order of the file from 0, those of a graph inside an operator right after that operator.
    pub operators: BTreeMap<usize, Change>,
    /// Files whose tensors get a full description: new name, first byte and number of bytes.
    pub external: Vec<ExternalFile>,
    /// Operators without a name, or with that of their first output, get the output's name followed by this.
    pub name_suffix: Option<&'static str>,
}

impl Rewrite {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.operators.is_empty() && self.external.is_empty() && self.name_suffix.is_none()
    }

    /// The changed file.
    ///
    /// # Errors
    /// Says that the file is broken, or which tensor's data lie outside of their file.
    pub fn apply(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(bytes.len() + bytes.len() / 64 + 4096);
        let mut next = 0;
        each_field(bytes, |number, value, raw| match number {
            format::model::GRAPH => {
                let graph = value.bytes()?;
                writer.try_message(number, |writer| self.graph(writer, graph, &mut next))
            }
            _ => {
                writer.raw(raw);
                Ok(())
            }
        })
        .map_err(|message| Error::Format(format!("not an ONNX file: {message}")))?;
        Ok(writer.into_bytes())
    }

    fn graph(&self, writer: &mut Writer, graph: &[u8], next: &mut usize) -> Result<(), String> {
        each_field(graph, |number, value, raw| match number {
            format::graph::NODE => self.operator(writer, value.bytes()?, next),
            format::graph::INITIALIZER => self.tensor(writer, number, value.bytes()?),
            _ => {
                writer.raw(raw);
                Ok(())
            }
        })
    }

    fn operator(&self, writer: &mut Writer, operator: &[u8], next: &mut usize) -> Result<(), String> {
        let change = self.operators.get(next);
        *next += 1;
        let attributes = match change {
            Some(Change::Operators(operators)) => {
                // Operators inside it, if there are any, have their numbers all the same.
                self.attributes(&mut Writer::default(), operator, &[], next)?;
                operators.iter().for_each(|new| writer.message(format::graph::NODE, |writer| new.write(writer)));
                return Ok(());
            }
            Some(Change::Attributes(attributes)) => attributes.as_slice(),
            None => &[],
        };
        let output = if self.name_suffix.is_some() { output_without_a_name(operator)? } else { None };
        writer.try_message(format::graph::NODE, |writer| {
            self.attributes(writer, operator, attributes, next)?;
            if let Some((output, suffix)) = output.zip(self.name_suffix) {
                writer.bytes(format::node::NAME, &[output, suffix.as_bytes()].concat());
            }
            for (name, value) in attributes {
                if let Some(value) = value {
                    writer.message(format::node::ATTRIBUTE, |writer| value.write(writer, name));
                }
            }
            Ok(())
        })
    }

    /// An operator without those of its attributes that are changed.
    fn attributes(
        &self,
        writer: &mut Writer,
        operator: &[u8],
        changed: &[(&str, Option<Attribute>)],
        next: &mut usize,
    ) -> Result<(), String> {
        each_field(operator, |number, value, raw| {
            if number != format::node::ATTRIBUTE {
                writer.raw(raw);
                return Ok(());
            }
            let attribute = value.bytes()?;
            let mut name = "";
            each_field(attribute, |number, value, _| {
                if number == format::attribute::NAME {
                    name = value.text()?;
                }
                Ok(())
            })?;
            if changed.iter().any(|(changed, _)| *changed == name) {
                // Operators inside it, if there are any, have their numbers all the same.
                return self.attribute(&mut Writer::default(), attribute, next);
            }
            writer.try_message(number, |writer| self.attribute(writer, attribute, next))
        })
    }

    fn attribute(&self, writer: &mut Writer, attribute: &[u8], next: &mut usize) -> Result<(), String> {
        each_field(attribute, |number, value, raw| match number {
            format::attribute::G | format::attribute::GRAPHS => {
                let graph = value.bytes()?;
                writer.try_message(number, |writer| self.graph(writer, graph, next))
            }
            format::attribute::T => self.tensor(writer, number, value.bytes()?),
            _ => {
                writer.raw(raw);
                Ok(())
            }
        })
    }

    fn tensor(&self, writer: &mut Writer, number: u64, bytes: &[u8]) -> Result<(), String> {
        let tensor = Tensor::read(bytes)?;
        let name = tensor.external.and_then(name_below);
        let Some(file) = name.and_then(|name| self.external.iter().find(|file| file.name == name)) else {
            writer.bytes(number, bytes);
            return Ok(());
        };
        let fail = |message: String| format!("tensor {:?}: {message}", tensor.name);
        let (offset, length) = tensor.place_in(file.size).map_err(fail)?;
        writer.try_message(number, |writer| {
            each_field(bytes, |number, _, raw| {
                if !matches!(number, format::tensor::EXTERNAL_DATA | format::tensor::DATA_LOCATION) {
                    writer.raw(raw);
                }
                Ok(())
            })?;
            write_location(writer, &file.location, offset, length);
            Ok(())
        })
    }
}

/// The name of an operator's first output, where the operator has none of its own.
fn output_without_a_name(operator: &[u8]) -> Result<Option<&[u8]>, String> {
    let (mut name, mut output): (&[u8], Option<&[u8]>) = (&[], None);
    each_field(operator, |number, value, _| {
        match number {
            format::node::NAME => name = value.bytes()?,
            format::node::OUTPUT if output.is_none() => output = Some(value.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(output.filter(|&output| name.is_empty() || name == output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::inspect;

    fn operator(writer: &mut Writer, kind: &'static str, output: &str, attributes: Vec<(&'static str, Attribute)>) {
        let outputs = vec![output.to_owned()];
        let new = Operator { kind, name: output.to_owned(), inputs: Vec::new(), outputs, attributes };
        writer.message(format::graph::NODE, |writer| new.write(writer));
    }

    /// If{Relu, Tanh}, Conv, Sign, and a weight in another file.
    fn model() -> Vec<u8> {
        let mut writer = Writer::default();
        writer.message(format::model::OPSET_IMPORT, |writer| writer.integer(format::SECOND, 17));
        writer.message(format::model::GRAPH, |writer| {
            writer.message(format::graph::NODE, |writer| {
                writer.bytes(format::node::OP_TYPE, b"If");
                writer.message(format::node::ATTRIBUTE, |writer| {
                    writer.bytes(format::attribute::NAME, b"then_branch");
                    writer.message(format::attribute::G, |writer| {
                        operator(writer, "Relu", "a", vec![]);
                        operator(writer, "Tanh", "b", vec![]);
                    });
                });
            });
            operator(writer, "Conv", "c", vec![("group", Attribute::Int(2)), ("strides", Attribute::Ints(vec![3]))]);
            operator(writer, "Sign", "d", vec![]);
            writer.message(format::graph::INITIALIZER, |writer| {
                writer.integer(format::tensor::DIMS, 2);
                writer.integer(format::tensor::DATA_TYPE, format::FLOAT);
                writer.bytes(format::tensor::NAME, b"w");
                writer.message(format::tensor::EXTERNAL_DATA, |writer| {
                    writer.bytes(format::FIRST, b"location");
                    writer.bytes(format::SECOND, b"./w.bin");
                });
            });
            writer.message(format::graph::OUTPUT, |writer| writer.bytes(format::FIRST, b"d"));
        });
        writer.into_bytes()
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn operators_are_found_by_number_inside_others_too() {
        let new = |kind| Operator { kind, name: String::new(), inputs: vec![], outputs: vec![], attributes: vec![] };
        let operators = BTreeMap::from([
            (2, Change::Operators(vec![new("Erf"), new("Exp")])),
            (3, Change::Attributes(vec![("strides", None), ("pads", Some(Attribute::Ints(vec![7])))])),
        ]);
        let changed = Rewrite { operators, ..Rewrite::default() }.apply(&model()).unwrap();
        let summary = inspect(&changed).unwrap();
        let kinds: Vec<_> = summary.operators.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["Conv", "Erf", "Exp", "If", "Relu", "Sign"]);
        assert!(contains(&changed, "group") && contains(&changed, "pads") && !contains(&changed, "strides"));
    }

    #[test]
    fn attributes_that_are_replaced_count_with_what_they_hold() {
        let gone = BTreeMap::from([
            (0, Change::Attributes(vec![("then_branch", None)])),
            (3, Change::Attributes(vec![("group", None)])),
        ]);
        let changed = Rewrite { operators: gone, ..Rewrite::default() }.apply(&model()).unwrap();
        let summary = inspect(&changed).unwrap();
        assert_eq!(summary.operators.keys().map(String::as_str).collect::<Vec<_>>(), ["Conv", "If", "Sign"]);
        assert!(!contains(&changed, "group") && contains(&changed, "strides"));
    }

    #[test]
    fn nothing_to_change_changes_nothing() {
        assert_eq!(Rewrite::default().apply(&model()).unwrap(), model());
    }

    #[test]
    fn operators_without_a_name_of_their_own_get_one() {
        let node = |name: &str| {
            let mut writer = Writer::default();
            let new = Operator {
                kind: "Relu",
                name: name.to_owned(),
                inputs: vec![],
                outputs: vec!["y".into()],
                attributes: vec![],
            };
            writer.message(format::model::GRAPH, |writer| {
                writer.message(format::graph::NODE, |writer| new.write(writer));
            });
            writer.into_bytes()
        };
        let rewrite = Rewrite { name_suffix: Some("#"), ..Rewrite::default() };
        let name = |name| {
            let mut names = Vec::new();
            each_field(&rewrite.apply(&node(name)).unwrap(), |_, graph, _| {
                each_field(graph.bytes()?, |_, operator, _| {
                    each_field(operator.bytes()?, |number, value, _| {
                        if number == format::node::NAME {
                            names.push(value.text()?.to_owned());
                        }
                        Ok(())
                    })
                })
            })
            .unwrap();
            names.pop().unwrap()
        };
        assert_eq!([name("relu"), name(""), name("y")], ["relu", "y#", "y#"], "the last of several counts");
    }

    #[test]
    fn tensors_get_a_full_description_of_where_their_data_lie() {
        let file = |size| ExternalFile { name: "w.bin".to_owned(), location: "0.data".to_owned(), size };
        let rewrite = |size| Rewrite { external: vec![file(size)], ..Rewrite::default() }.apply(&model());
        assert_eq!(inspect(&model()).unwrap().external_data, ["w.bin"]);
        let changed = rewrite(8).unwrap();
        assert_eq!(inspect(&changed).unwrap().external_data, ["0.data"]);
        assert!(contains(&changed, "offset") && contains(&changed, "length") && !contains(&changed, "w.bin"));
        let error = rewrite(7).unwrap_err().to_string();
        assert!(error.contains("\"w\"") && error.contains("8 bytes") && error.contains("7 bytes"), "{error}");
    }
}
