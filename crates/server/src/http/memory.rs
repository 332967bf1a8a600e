//! Memory that all requests take together: their bodies as they come, inflated, and parsed. Counted where it grows, before it does.
//!
//! It must not know what a request is for. What is small is not counted: it is bounded by the number of connections.

use std::sync::Arc;

use dede_api::errors::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{Failure, Outcome};

/// Memory is counted in steps of this size, bytes; the first one of each request is not.
const STEP: u64 = 16 << 10;
/// What a value of JSON takes in memory at most, beside its text: 72 bytes, and lists that grow have room for as much again.
const VALUE: u64 = 144;

/// What there is for all requests.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory {
    total: u64,
    steps: Arc<Semaphore>,
}

impl RequestMemory {
    pub(crate) fn new(total: u64) -> Self {
        let steps = usize::try_from(total / STEP).unwrap_or(usize::MAX);
        Self { total, steps: Arc::new(Semaphore::new(steps.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// The share of one request, nothing at first.
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), permits: None, bytes: 0 }
    }
}

/// What one request takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: RequestMemory,
    permits: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

impl Share {
    /// Takes more.
    ///
    /// # Errors
    /// 413 where it is more than there is for all requests; 503 where others have it now.
    pub(super) fn grow(&mut self, more: u64) -> Outcome<()> {
        let bytes = self.bytes.saturating_add(more);
        if bytes > self.memory.total {
            let text = format!(
                "it takes more than {} bytes of memory, all that there is for requests (--request-memory)",
                self.memory.total
            );
            return Err(Failure::new(ErrorKind::BodyTooLarge, text));
        }
        let had = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = usize::try_from(bytes / STEP).unwrap_or(usize::MAX);
        let missing = u32::try_from(wanted.saturating_sub(had)).unwrap_or(u32::MAX);
        if missing > 0 {
            let taken = Arc::clone(&self.memory.steps).try_acquire_many_owned(missing).map_err(|_| {
                Failure::new(ErrorKind::Overloaded, "too many large requests at once (--request-memory)")
            })?;
            match &mut self.permits {
                Some(permits) => permits.merge(taken),
                None => self.permits = Some(taken),
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Gives back what is beyond this.
    pub(super) fn shrink(&mut self, bytes: u64) {
        self.bytes = self.bytes.min(bytes);
        let wanted = usize::try_from(self.bytes / STEP).unwrap_or(usize::MAX);
        if let Some(permits) = &mut self.permits {
            let beyond = permits.num_permits().saturating_sub(wanted);
            drop(permits.split(beyond));
        }
    }
}

/// What a text of JSON takes at most while it is parsed and afterwards, bytes; text inside of strings counts once.
pub(super) fn parsed_size(text: &[u8]) -> u64 {
    let (mut values, mut strings, mut is_copied, mut rest) = (1_u64, 0_u64, false, text);
    let telling = |byte: &u8| matches!(byte, b'"' | b',' | b'[' | b'{' | b':' | b'N' | b'I');
    while let Some(found) = rest.iter().position(telling) {
        values += 1;
        let byte = rest[found];
        rest = &rest[found + 1..];
        // NaN and Inf are replaced in a copy of the text.
        is_copied |= matches!(byte, b'N' | b'I');
        if byte == b'"' {
            let end = end_of_string(rest);
            strings += end as u64;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    let copy = if is_copied { text.len() as u64 } else { 0 };
    values.saturating_mul(VALUE).saturating_add(strings).saturating_add(copy)
}

/// Where the quotation mark is that ends a string, or the text.
fn end_of_string(text: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[from..]) {
        let place = from + found;
        if text[place] == b'"' {
            return place;
        }
        // Whatever is escaped is no end.
        from = (place + 2).min(text.len());
    }
    text.len()
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
    fn shares_are_taken_and_given_back() {
        let memory = RequestMemory::new(10 * STEP);
        let (mut one, mut other) = (memory.share(), memory.share());
        one.grow(6 * STEP).expect("there is as much");
        assert_eq!(other.grow(6 * STEP).expect_err("not twice").status().code, 503);
        assert_eq!(other.grow(11 * STEP).expect_err("never").status().code, 413);
        one.shrink(STEP);
        other.grow(6 * STEP).expect("given back");
        drop(other);
        one.grow(9 * STEP).expect("all of it");
        assert_eq!(one.grow(STEP).expect_err("no more").status().code, 413);
    }

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
