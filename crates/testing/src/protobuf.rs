//! Messages as protobuf writes them, for networks made in tests (<https://protobuf.dev/programming-guides/encoding/>).

/// A number, seven bits a byte.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field that is a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that is bytes, a text or a message.
pub fn bytes(field: u64, body: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2), &varint(body.len() as u64), body].concat()
}
