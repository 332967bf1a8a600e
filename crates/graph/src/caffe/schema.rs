//! Checks a network's text by the tables of fields: each is read, passed over or refused by name. The fields are those of
//! `caffe.proto` of BVLC, of DeepDetect's fork and of NVCaffe; a field that none of them has is refused too, since what it
//! changes cannot be told. It owns that decision; what a field means is up to the modules that read it.

use super::tables;
use crate::fields::{Entry, Use};
use crate::prototext::{Content, Field, Message};

/// Checks what stands beside the layers.
///
/// # Errors
/// Names the line and the field.
pub(super) fn check_network(network: &Message) -> Result<(), String> {
    check(network, tables::NETWORK, "")
}

/// Checks a layer that is part of the network or gives its data. `kind` is the type as the tables have it.
///
/// # Errors
/// Names the line and the field.
pub(super) fn check_layer(layer: &Message, kind: &str) -> Result<(), String> {
    let own = tables::parameters(kind);
    let beside = tables::beside(kind);
    check_repeated(layer, "", |name| {
        let common = find(tables::LAYER, name).or_else(|| find(beside, name));
        common.or_else(|| own.filter(|own| own.name == name)).ok_or_else(|| match tables::owner(name) {
            Some(owner) => format!("{name:.64} is for layers of type {owner}; a {kind} does not have it"),
            None => unknown(name),
        })
    })
}

fn check(message: &Message, entries: &'static [Entry], place: &str) -> Result<(), String> {
    check_repeated(message, place, |name| find(entries, name).ok_or_else(|| unknown(name)))
}

fn find(entries: &'static [Entry], name: &str) -> Option<&'static Entry> {
    entries.iter().find(|entry| entry.name == name)
}

fn unknown(name: &str) -> String {
    format!(
        "{name:.64} is no field that Caffe, DeepDetect's Caffe or NVCaffe has here, so that what it changes is not known"
    )
}

/// Checks each field by the entry that `entry` has for its name.
fn check_repeated(
    message: &Message,
    place: &str,
    entry: impl Fn(&str) -> Result<&'static Entry, String>,
) -> Result<(), String> {
    for (index, field) in message.fields().iter().enumerate() {
        let entry = entry(&field.name).map_err(|error| format!("line {}: {place}{error}", field.line))?;
        let earlier = &message.fields()[..index];
        if !entry.repeated && earlier.iter().any(|earlier| earlier.name == field.name) {
            return Err(format!(
                "line {}: {place}{} is there twice, so that no value is certain",
                field.line, field.name
            ));
        }
        check_field(field, entry.usage, place)?;
    }
    Ok(())
}

fn check_field(field: &Field, usage: Use, place: &str) -> Result<(), String> {
    let (name, line) = (&field.name, field.line);
    match (usage, &field.content) {
        // A scalar in place of a message, and the other way round, would be passed over by its reader.
        (Use::Message(entries), Content::Message(message)) => check(message, entries, &format!("{place}{name}.")),
        (Use::Message(_), Content::Scalar(text)) => {
            Err(format!("line {line}: {place}{name} should be a message in braces, found {text:.64}"))
        }
        (Use::Read | Use::Only(..), Content::Message(_)) => {
            Err(format!("line {line}: {place}{name} should be a single value, found a message"))
        }
        (Use::Only(constant, reason), Content::Scalar(text)) if !constant.fits(text) => {
            let expected = constant.expected();
            Err(format!("line {line}: {place}{name} should be {expected}, found {text:.64}: {reason}"))
        }
        (Use::Never(reason), _) => Err(format!("line {line}: {place}{name}: {reason}")),
        (Use::Only(..) | Use::Read, Content::Scalar(_)) | (Use::Idle, _) => Ok(()),
    }
}
