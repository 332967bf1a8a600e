//! The protobuf wire format, read without copying (<https://protobuf.dev/programming-guides/encoding/>).
//!
//! It owns varints, tags and lengths; it must not know any message.

/// Why bytes are no ONNX model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The file ends within a field.
    #[error("the file is truncated or is no ONNX model: a field ends {0} bytes after the end")]
    Truncated(usize),
    /// A number of more than 64 bits.
    #[error("the file is damaged or is no ONNX model: a number has more than 64 bits")]
    LongNumber,
    /// A field of a kind that the format no longer has.
    #[error("the file is damaged or is no ONNX model: field {0} has unknown wire type {1}")]
    WireType(u64, u8),
    /// Names that are not UTF-8.
    #[error("the file is damaged or is no ONNX model: a name is not UTF-8")]
    Text,
    /// Subgraphs or types nested deeper than any real network.
    #[error("graphs or types are nested too deeply")]
    TooDeep,
    /// A value that a node makes is made once more, or is an input or a constant too.
    #[error("expected each value of a graph to be made once, found {0} made by {1} and by {2}")]
    MadeTwice(String, String, String),
    /// Nothing to run.
    #[error("the file holds no ONNX graph")]
    NoGraph,
}

/// Value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    /// A varint.
    Integer(i64),
    /// Text, bytes, an embedded message or packed numbers.
    Bytes(&'a [u8]),
    /// 32 or 64 fixed bits.
    Fixed(&'a [u8]),
}

/// The fields of a message, in order, as `(number, value)`. Ends after the first error.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), WireError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<(u64, Field<'a>), WireError> {
    let tag = varint(rest)?;
    let number = tag >> 3;
    let field = match tag & 7 {
        0 => Field::Integer(varint(rest)? as i64),
        1 => take(rest, 8).map(Field::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| WireError::LongNumber)?;
            Field::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(Field::Fixed)?,
        kind => return Err(WireError::WireType(number, kind as u8)),
    };
    Ok((number, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], WireError> {
    let (head, tail) = rest.split_at_checked(length).ok_or(WireError::Truncated(length - rest.len().min(length)))?;
    *rest = tail;
    Ok(head)
}

fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::LongNumber)
}

/// Adds the integers of a repeated field, packed or not.
pub(super) fn integers(field: Field<'_>, into: &mut Vec<i64>) -> Result<(), WireError> {
    match field {
        Field::Integer(value) => into.push(value),
        Field::Bytes(mut packed) => {
            while !packed.is_empty() {
                into.push(varint(&mut packed)? as i64);
            }
        }
        Field::Fixed(_) => {}
    }
    Ok(())
}

/// A name.
pub(super) fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Text)
}

/// An embedded message or text as field `number`.
#[cfg(test)]
pub(super) fn message(number: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 12);
    push_varint(&mut bytes, number << 3 | 2);
    push_varint(&mut bytes, body.len() as u64);
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
