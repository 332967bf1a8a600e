//! The protobuf wire format (<https://protobuf.dev/programming-guides/encoding/>): a reader that borrows and a writer. It
//! owns varints, lengths and their checks; it knows no message. Reading allocates nothing, so a hostile file cannot make a
//! small message large, and weights are copied once, straight from the file's bytes; a file whose messages we know only in
//! part can be changed without losing the rest.

/// One field's payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// An integer, bool or enum.
    Varint(u64),
    /// Eight bytes, little endian.
    Fixed64([u8; 8]),
    /// A string, bytes, packed numbers or a message.
    Bytes(&'a [u8]),
    /// Four bytes, little endian.
    Fixed32([u8; 4]),
}

impl<'a> Value<'a> {
    /// The payload as bytes.
    pub(crate) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err("expected bytes, found a number".to_owned()),
        }
    }

    /// The payload as text.
    pub(crate) fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "expected text, found bytes that are not UTF-8".to_owned())
    }

    /// The payload as a signed integer.
    pub(crate) fn integer(self) -> Result<i64, String> {
        match self {
            Self::Varint(value) => Ok(value.cast_signed()),
            Self::Bytes(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err("expected an integer".to_owned()),
        }
    }

    /// Appends the integers of a repeated field, packed or not.
    pub(crate) fn append_integers(self, list: &mut Vec<i64>) -> Result<(), String> {
        let Self::Bytes(bytes) = self else {
            list.push(self.integer()?);
            return Ok(());
        };
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            list.push(reader.varint()?.cast_signed());
        }
        Ok(())
    }
}

/// Fields of one message, in the order they stand.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of one message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How far reading has come in `bytes`, the message this reader was made for.
    pub(crate) fn position_in(&self, bytes: &[u8]) -> usize {
        bytes.len() - self.bytes.len()
    }

    /// The next field's number and payload.
    fn field(&mut self) -> Result<(u64, Value<'a>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => Value::Fixed32(self.array()?),
            other => return Err(format!("wire type {other} is none of protobuf's")),
        };
        match tag >> 3 {
            0 => Err("field number 0 is none of protobuf's".to_owned()),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("an integer is longer than ten bytes".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let left = self.bytes.len();
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or_else(|| format!("it ends early: {length} bytes are announced, {left} are left"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take returns as many bytes as asked"))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.bytes = &[];
        }
        Some(field)
    }
}

/// A message being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// The bytes written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An integer, bool or enum field.
    pub(crate) fn integer(&mut self, field: u64, value: i64) {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
    }

    /// A float field.
    pub(crate) fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | 5);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A string or bytes field, or a message already encoded.
    pub(crate) fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A bytes field with little-endian floats.
    pub(crate) fn floats(&mut self, field: u64, values: &[f32]) {
        self.varint(field << 3 | 2);
        self.varint(size_of_val(values) as u64);
        self.bytes.reserve(size_of_val(values));
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// A nested message. Its length is put in front afterwards, in place, so that large weights are never held twice.
    pub(crate) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let _: Result<(), std::convert::Infallible> = self.try_message(field, |writer| {
            write(writer);
            Ok(())
        });
    }

    /// As [`Self::message`], where writing may fail; what was written then means nothing.
    pub(crate) fn try_message<E>(
        &mut self,
        field: u64,
        write: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.varint(field << 3 | 2);
        let start = self.bytes.len();
        write(self)?;
        let mut length = Self::default();
        length.varint((self.bytes.len() - start) as u64);
        self.bytes.splice(start..start, length.bytes);
        Ok(())
    }

    /// Bytes as they are: fields already encoded.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Little-endian floats.
///
/// # Errors
/// Says so when the length is not a multiple of four.
pub(crate) fn floats(bytes: &[u8]) -> Result<impl ExactSizeIterator<Item = f32> + '_, String> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    match rest.is_empty() {
        true => Ok(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk))),
        false => Err(format!("{} bytes are not whole floats", bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut writer = Writer::default();
        writer.integer(1, -5);
        writer.float(2, 1.5);
        writer.message(1000, |inner| {
            inner.bytes(3, &[7; 300]);
            inner.floats(4, &[1.0, -2.0]);
        });
        let bytes = writer.into_bytes();
        let fields: Vec<_> = Reader::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0].1.integer(), Ok(-5));
        assert_eq!(fields[1], (2, Value::Fixed32(1.5f32.to_le_bytes())));
        assert_eq!(fields[2].0, 1000);
        let inner: Vec<_> = Reader::new(fields[2].1.bytes().unwrap()).map(Result::unwrap).collect();
        assert_eq!(inner[0], (3, Value::Bytes(&[7; 300])));
        assert_eq!(floats(inner[1].1.bytes().unwrap()).unwrap().collect::<Vec<_>>(), [1.0, -2.0]);
    }

    #[test]
    fn refuses_broken_messages() {
        let cases: [&[u8]; 6] =
            [&[0x08], &[0x0a, 0x05, 1], &[0x0b], &[0x00, 0x00], &[0xff; 12], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]];
        for bytes in cases {
            assert!(Reader::new(bytes).any(|field| field.is_err()), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_fields_or_one_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let fields: Vec<_> = Reader::new(&bytes).collect();
            prop_assert!(fields.iter().filter(|field| field.is_err()).count() <= 1);
        }
    }
}
