//! Memory of requests: what the values of a JSON text need, answers that count until they were sent, and what the
//! machine has.
//!
//! The counting itself is `dede_model::request_memory`'s.

use std::sync::Arc;

use bytes::Bytes;
use dede_model::request_memory::MemoryShare;

/// What a value of JSON takes in memory at most, beside its text: 72 bytes, and lists that grow have room for as much again.
const VALUE: u64 = 144;

/// A text of so many bytes is not looked through: what it takes at most by its length is little.
const SMALL: usize = 512;

/// Bytes that count for as long as they are there: until the last of them was sent, or the connection is gone.
pub(super) fn counted(bytes: Vec<u8>, share: Arc<MemoryShare>) -> Bytes {
    Bytes::from_owner(Counted { bytes, _share: share })
}

struct Counted {
    bytes: Vec<u8>,
    _share: Arc<MemoryShare>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a text of JSON takes at most while it is parsed and afterwards, bytes; text inside of strings counts once.
pub(super) fn parsed_size(text: &[u8]) -> u64 {
    if text.len() <= SMALL {
        return (text.len() as u64 + 1) * VALUE;
    }
    let (mut values, mut strings, mut rest) = (1_u64, 0_u64, text);
    let telling = |byte: &u8| matches!(byte, b'"' | b',' | b'[' | b'{' | b':');
    while let Some(found) = rest.iter().position(telling) {
        values += 1;
        let byte = rest[found];
        rest = &rest[found + 1..];
        if byte == b'"' {
            let (end, is_escaped) = end_of_string(rest);
            // What is escaped is put together beside the text first, in memory that doubles.
            strings += end as u64 * if is_escaped { 3 } else { 1 };
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    values.saturating_mul(VALUE).saturating_add(strings)
}

/// Where the quotation mark is that ends a string, or the text; and whether something in it is escaped.
fn end_of_string(text: &[u8]) -> (usize, bool) {
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[from..]) {
        let place = from + found;
        if text[place] == b'"' {
            return (place, from > 0);
        }
        // Whatever is escaped is no end.
        from = (place + 2).min(text.len());
    }
    (text.len(), true)
}

/// Memory of this machine, or what of it this process may have, bytes.
pub(crate) fn of_machine() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
        line.parse::<u64>().ok()?.checked_mul(1024)
    });
    let of_group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    total.into_iter().chain(of_group).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_takes_no_more_than_was_counted() {
        fn taken(value: &serde_json::Value) -> u64 {
            use serde_json::Value;
            let below: u64 = match value {
                Value::Null | Value::Bool(_) | Value::Number(_) => 0,
                Value::String(text) => text.capacity() as u64,
                Value::Array(items) => {
                    let room = (items.capacity() - items.len()) * size_of::<Value>();
                    items.iter().map(taken).sum::<u64>() + room as u64
                }
                Value::Object(members) => {
                    members.iter().map(|(name, value)| 24 + name.capacity() as u64 + taken(value)).sum()
                }
            };
            below + size_of::<Value>() as u64
        }
        for text in [
            "[]".to_owned(),
            format!("[{}0]", "0,".repeat(10_000)),
            format!("[{}[]]", "[],".repeat(10_000)),
            format!("{{\"data\": [{}\"\"]}}", "\"\",".repeat(10_000)),
            format!("{{\"data\": [\"{}\"]}}", "1,2,".repeat(10_000)),
            format!("[\"{}\"]", "\\\",".repeat(10_000)),
            format!("{{{}\"b\": 1}}", (0..1000).map(|n| format!("\"a{n}\": {{\"c\": []}},")).collect::<String>()),
        ] {
            let value = serde_json::from_str(&text).expect("JSON");
            let (counted, taken) = (parsed_size(text.as_bytes()), taken(&value));
            assert!(taken <= counted, "{taken} > {counted}: {}", &text[..text.len().min(40)]);
        }
        let row = format!("[\"{}\"]", "1,2,".repeat(10_000));
        assert!(parsed_size(row.as_bytes()) < 2 * row.len() as u64, "separators inside of strings do not count");
        for broken in ["\"", "\"\\", "[\"a\\\"", "{\"a"] {
            parsed_size(broken.as_bytes());
        }
    }
}
