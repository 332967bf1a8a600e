//! Recent real inputs of a service, to warm and to check its successor with.
//!
//! A [`Ring`] holds whole predict calls as content, never a path or URL, in bounded memory. Nothing here is ever logged or written to
//! disk, and nothing has a `Debug` that shows what it holds. A busy service pays one atomic operation per request; few requests are kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dede_model::connector::RetainedItems;
use dede_model::parameters::{Parameters, Section};
use dede_model::tensor::NamedTensor;
use serde_json::Value;

use crate::call::PredictCall;

/// Calls kept at most.
const MOST_CALLS: u64 = 256;
/// After a burst of [`MOST_CALLS`], at most one call is captured per interval, so that a saturated service spends
/// little on it.
const INTERVAL: Duration = Duration::from_millis(100);
/// No call may take more than one part in this many of the ring.
const LARGEST_SHARE: usize = 4;

/// One predict call that was answered, as content.
#[derive(Clone)]
pub struct CapturedCall {
    /// The call, to be made again. It has the same input as the captured one; names of items and the form of the answer are not kept.
    pub call: PredictCall,
    /// Bytes it takes of the ring.
    pub bytes: usize,
}

impl fmt::Debug for CapturedCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CapturedCall({} items, {} bytes)", self.call.data.len(), self.bytes)
    }
}

/// A call being captured: what is known before its items are read.
pub(crate) struct Capture {
    parameters: Parameters,
    most_bytes: usize,
}

impl Capture {
    /// Content that may be kept of its items.
    pub(crate) fn most_bytes(&self) -> usize {
        self.most_bytes
    }
}

/// The recent calls of one service.
pub struct Ring {
    limit_bytes: usize,
    epoch: Instant,
    /// When, in nanoseconds after `epoch`, the ring would be due if calls came one per interval: the generic cell rate algorithm.
    due_ns: AtomicU64,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    kept: VecDeque<CapturedCall>,
    bytes: usize,
}

impl Ring {
    /// With room for `limit_bytes` of input; 0: nothing is captured.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, epoch: Instant::now(), due_ns: AtomicU64::new(0), calls: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this call is to be captured.
    pub(crate) fn begin(&self, now: Instant, parameters: &Parameters) -> Option<Capture> {
        if self.limit_bytes == 0 || !self.is_due(now) {
            return None;
        }
        let parameters = Parameters {
            input: without_places(&parameters.input),
            mllib: without_places(&parameters.mllib),
            // Not kept: how an answer is rendered and where it is forwarded concerns only the client that asked.
            output: Section::new(),
        };
        let overhead = bytes_of(&parameters);
        let most_bytes = (self.limit_bytes / LARGEST_SHARE).saturating_sub(overhead);
        (most_bytes > 0).then_some(Capture { parameters, most_bytes })
    }

    fn is_due(&self, now: Instant) -> bool {
        let interval = INTERVAL.as_nanos() as u64;
        let now_ns = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let next = |due_ns: u64| {
            let next = due_ns.max(now_ns).saturating_add(interval);
            (next - now_ns <= interval * MOST_CALLS).then_some(next)
        };
        self.due_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Keeps a call that was answered; the oldest ones go.
    pub(crate) fn finish(&self, capture: Capture, kept: RetainedItems, sent: &[String]) {
        let data = match kept {
            RetainedItems::AsSent => sent.to_vec(),
            RetainedItems::Rewritten(items) => items,
            RetainedItems::Nothing => return,
        };
        let content: usize = data.iter().map(String::len).sum();
        if content > capture.most_bytes {
            return;
        }
        let items = data.len() * size_of::<String>();
        let bytes = content + items + bytes_of(&capture.parameters);
        self.keep(PredictCall { parameters: capture.parameters, data, ..PredictCall::default() }, bytes);
    }

    /// Keeps a call of tensors that was answered; the oldest ones go.
    pub(crate) fn finish_tensors(&self, capture: Capture, sent: &[NamedTensor]) {
        let of_each =
            |named: &NamedTensor| named.tensor.values().bytes() + (size_of::<NamedTensor>() + named.name.len()) as u64;
        let content = usize::try_from(sent.iter().map(of_each).sum::<u64>()).unwrap_or(usize::MAX);
        if content > capture.most_bytes {
            return;
        }
        let bytes = content + bytes_of(&capture.parameters);
        let tensors = sent.to_vec();
        self.keep(PredictCall { parameters: capture.parameters, tensors, ..PredictCall::default() }, bytes);
    }

    fn keep(&self, call: PredictCall, bytes: usize) {
        let mut calls = self.locked();
        calls.bytes += bytes;
        calls.kept.push_back(CapturedCall { call, bytes });
        while calls.bytes > self.limit_bytes || calls.kept.len() as u64 > MOST_CALLS {
            let Some(oldest) = calls.kept.pop_front() else { break };
            calls.bytes -= oldest.bytes;
        }
    }

    /// The calls, the oldest first.
    pub fn calls(&self) -> Vec<CapturedCall> {
        self.locked().kept.iter().cloned().collect()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        *self.locked() = Calls::default();
    }
}

/// A section without the strings that name a file or a URL, such as `root_folder`: reading content needs none of them.
fn without_places(section: &Section) -> Section {
    let is_place = |value: &Value| match value {
        Value::String(text) => text.len() > 1 && text.starts_with('/') || text.contains("://"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    section.iter().filter(|(_, value)| !is_place(value)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn bytes_of(parameters: &Parameters) -> usize {
    let sections = [&parameters.input, &parameters.mllib].into_iter().filter(|section| !section.is_empty());
    sections.map(|section| serde_json::to_string(section).map_or(usize::MAX / 4, |text| text.len())).sum()
}

#[cfg(test)]
mod tests {
    use dede_model::tensor::{Tensor, Values};
    use serde_json::json;

    use super::*;

    fn capture(ring: &Ring, now: Instant, kept: RetainedItems, sent: &str) -> bool {
        let capture = ring.begin(now, &Parameters::default());
        let due = capture.is_some();
        if let Some(capture) = capture {
            ring.finish(capture, kept, &[sent.to_owned()]);
        }
        due
    }

    fn first_items(ring: &Ring) -> Vec<String> {
        ring.calls().into_iter().map(|captured| captured.call.data.concat()).collect()
    }

    #[test]
    fn tensors_are_kept_within_the_same_bounds() {
        let ring = Ring::new(4000);
        let now = Instant::now();
        for size in [100, 1000, 100] {
            let tensor = Tensor::new(vec![size], Values::U8(vec![0; size])).unwrap();
            let capture = ring.begin(now, &Parameters::default()).unwrap();
            ring.finish_tensors(capture, &[NamedTensor { name: "x".into(), tensor }]);
        }
        let kept: Vec<usize> = ring.calls().iter().map(|captured| captured.call.tensors[0].tensor.shape()[0]).collect();
        assert_eq!(kept, [100, 100], "a call of more than a quarter is not kept");
        assert!(!format!("{:?}", ring.calls()).contains("shape"), "content is not shown");
    }

    #[test]
    fn content_is_kept_and_the_oldest_goes() {
        let ring = Ring::new(4000);
        let now = Instant::now();
        for item in ["1,2", "/a/path.jpg", "3,4"] {
            let kept = if item.starts_with('/') {
                RetainedItems::Rewritten(vec!["content".into()])
            } else {
                RetainedItems::AsSent
            };
            assert!(capture(&ring, now, kept, item));
        }
        capture(&ring, now, RetainedItems::Nothing, "/a/large/file");
        assert_eq!(first_items(&ring), ["1,2", "content", "3,4"]);

        for _ in 0..5 {
            capture(&ring, now, RetainedItems::AsSent, &"x".repeat(900));
        }
        assert_eq!(ring.calls().len(), 4, "of 900 bytes each");
        assert!(ring.calls().iter().map(|captured| captured.bytes).sum::<usize>() <= 4000);
        capture(&ring, now, RetainedItems::AsSent, &"y".repeat(1001));
        assert!(
            first_items(&ring).iter().all(|item| item.starts_with('x')),
            "a call of more than a quarter is not kept"
        );
        ring.clear();
        assert!(ring.calls().is_empty());
    }

    #[test]
    fn a_burst_is_kept_and_then_ten_a_second() {
        let ring = Ring::new(1 << 20);
        let start = Instant::now();
        let kept = |from_ms: u64, to_ms: u64| {
            (from_ms * 100..to_ms * 100)
                .filter(|step| {
                    capture(&ring, start + Duration::from_micros(step * 10), RetainedItems::AsSent, &step.to_string())
                })
                .count()
        };
        assert_eq!(kept(0, 10), 256, "1000 requests in 10 ms");
        let second = kept(10, 1010);
        assert!((9..=11).contains(&second), "{second} of 100,000 in a second");
        assert_eq!(ring.calls().len(), 256);
        assert_eq!(kept(60_000, 60_010), 256, "after a minute of rest");
    }

    #[test]
    fn a_ring_without_room_keeps_nothing() {
        let ring = Ring::new(0);
        assert!(!capture(&ring, Instant::now(), RetainedItems::AsSent, "1,2"));
        assert!(ring.calls().is_empty());
    }

    #[test]
    fn neither_places_nor_the_form_of_the_answer_are_kept_and_content_is_not_shown() {
        let section = |value: Value| value.as_object().cloned().expect("an object");
        let parameters = Parameters {
            input: section(json!({"width": 3, "separator": "/", "root_folder": "/home/somebody", "db": "s3://bucket"})),
            mllib: section(json!({"extract_layer": "pool5"})),
            output: section(json!({"network": {"url": "http://example.org"}})),
        };
        let ring = Ring::new(1 << 20);
        let capture = ring.begin(Instant::now(), &parameters).expect("the first call is due");
        ring.finish(capture, RetainedItems::AsSent, &["secret".into()]);
        let captured = ring.calls().remove(0);
        let made = captured.call.clone();
        assert_eq!(Value::Object(made.parameters.input), json!({"width": 3, "separator": "/"}));
        assert_eq!(Value::Object(made.parameters.mllib), json!({"extract_layer": "pool5"}));
        assert!(made.parameters.output.is_empty());
        assert_eq!(format!("{captured:?}"), format!("CapturedCall(1 items, {} bytes)", captured.bytes));
    }
}
