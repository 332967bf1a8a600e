//! Recording of golden cases: recent requests of a service of this server, with what it answers to them now.
//!
//! It must not know who asks for them.

use dede_engine::dispatch::rehearse;
use dede_engine::service::Service;
use dede_model::error::Result;

use super::CASES;
use crate::golden_set::{ModelCase, write_cases};

/// Answers that a set holds at most, bytes; as text they take some times as much.
const MOST_BYTES: u64 = 16 << 20;

/// The golden set that a service gives to others, in format 2: recent requests, the oldest first, as many as a move takes.
///
/// # Errors
/// [`dede_model::error::Error::Internal`] for a service that cannot answer.
pub fn record_captured(service: &Service) -> Result<String> {
    service.serving()?;
    let (mut cases, mut bytes) = (Vec::new(), 0);
    for captured in service.captured() {
        // What it cannot answer any more proves nothing.
        let Ok(answered) = rehearse(service, &captured.call) else { continue };
        bytes += answered.outputs.bytes();
        if cases.len() == CASES || bytes > MOST_BYTES {
            break;
        }
        cases.push(ModelCase { call: captured.call, answer: answered.outputs });
    }
    write_cases(None, &cases)
}
