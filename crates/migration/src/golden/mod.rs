//! The golden set: inputs and the source's answers to them, which the new service must reproduce before it sees traffic.
//!
//! Answers cross the wire in the words of the API; numbers keep their bits there (single precision, widened), so that "equal"
//! means equal. What a recorded answer says of a new one is read by the [`ServiceApi`].

pub(crate) mod file;

use std::time::Duration;

use dede_comparison::{Exactness, Golden, GoldenCheck, Tolerance, compare};
use dede_engine::dispatch::rehearse;
use dede_engine::service::{PredictCall, Service, Serving};
use dede_model::backend::Task;
use dede_model::error::{Error, Fault, Result};

use crate::clock::Clock;
use crate::record::{GoldenCase, MoveSpec};
use crate::service_api::ServiceApi;
use crate::source::ModelSource;

/// Generated inputs, when there are no others.
pub(crate) const GENERATED: usize = 16;
/// Fewer of them are enough where the source took [`ANSWERING_FOR`]; each is computed here again afterwards.
const LEAST_GENERATED: usize = 4;
/// How long the source is asked for answers to generated inputs.
const ANSWERING_FOR: Duration = Duration::from_secs(5);
/// Most golden cases that are looked at.
const CASES: usize = 1000;

/// Where golden cases came from, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The request of the move brought them.
    Given,
    /// Recent requests of the source.
    Captured,
    /// Made here, answered by the source.
    Generated,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Captured => "captured requests of the source",
            Self::Generated => "generated inputs, answered by the source",
        }
    }
}

/// Whether as many cases are looked at as a request brings.
///
/// # Errors
/// [`Error::Malformed`] with their number.
pub(crate) fn check_count(given: &[GoldenCase]) -> Result<()> {
    if given.len() <= CASES {
        return Ok(());
    }
    let text = format!("at most {CASES} cases expected, found {}", given.len());
    Err(Error::Malformed(Fault::at("golden", text)))
}

/// The cases of a move, with the source's answers.
///
/// # Errors
/// [`Error::Peer`]; [`Error::BadInput`] when inputs cannot be made.
pub(crate) fn cases(
    spec: &MoveSpec,
    service: &Service,
    peer: &dyn ModelSource,
    api: &dyn ServiceApi,
    clock: &dyn Clock,
) -> Result<(Origin, Vec<GoldenCase>)> {
    if !spec.golden.is_empty() {
        return Ok((Origin::Given, spec.golden.clone()));
    }
    if spec.with_requests {
        let mut captured = peer.captured(&spec.service)?;
        captured.truncate(CASES);
        if !captured.is_empty() {
            return Ok((Origin::Captured, captured));
        }
    }
    let serving = service.serving()?;
    let ask = |call: PredictCall| {
        let request_body = api.predict_request(&call, &serving);
        let predictions = peer.predict(&spec.service, &request_body)?;
        Ok(GoldenCase { request: request_body, predictions })
    };
    Ok((Origin::Generated, asked(service.generated_calls(GENERATED)?, ANSWERING_FOR, clock, ask)?))
}

/// All calls where they take less than `most` together, else as many as fit into it, and [`LEAST_GENERATED`] at least.
fn asked<T>(
    calls: Vec<PredictCall>,
    most: Duration,
    clock: &dyn Clock,
    ask: impl Fn(PredictCall) -> Result<T>,
) -> Result<Vec<T>> {
    let began = clock.now();
    let is_due = |number: usize| number < LEAST_GENERATED || clock.now().saturating_duration_since(began) < most;
    calls.into_iter().enumerate().take_while(|(number, _)| is_due(*number)).map(|(_, call)| ask(call)).collect()
}

/// Answers all cases here and compares; `goes_on` is called before each, and its error ends the check.
///
/// # Errors
/// [`Error::Internal`] for a service without a network; that of `goes_on`.
pub(crate) fn check(
    service: &Service,
    cases: &[GoldenCase],
    exactness: Exactness,
    api: &dyn ServiceApi,
    goes_on: impl Fn() -> Result<()>,
) -> Result<Golden> {
    let serving = service.serving()?;
    let task = serving.task.ok_or_else(|| Error::Internal("the service has no network".into()))?;
    let mut check = GoldenCheck::new(exactness);
    for (number, case) in cases.iter().enumerate() {
        goes_on()?;
        let input = format!("case {}", number + 1);
        match differences(service, &serving, task, case, api) {
            Ok(found) => check.add(&input, &found),
            Err(error) => check.failed(&input, &error.to_string()),
        }
    }
    Ok(check.finish())
}

fn differences(
    service: &Service,
    serving: &Serving,
    task: Task,
    case: &GoldenCase,
    api: &dyn ServiceApi,
) -> Result<Vec<dede_comparison::Difference>> {
    let case = api.read_case(case, serving)?;
    let answered = rehearse(service, case.call())?.outputs;
    let (expected, found) = case.beside(task, answered)?;
    compare(&expected, &found, &Tolerance::numerical()).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::controlled::ControlledClock;

    #[test]
    fn a_slow_network_is_asked_for_fewer_answers() {
        let calls = || vec![PredictCall::default(); GENERATED];
        let count = |answer_takes: Duration| {
            let clock = ControlledClock::new();
            let answer = |call| {
                clock.advance(answer_takes);
                Ok(call)
            };
            asked(calls(), ANSWERING_FOR, clock.as_ref(), answer).map(|answers| answers.len()).unwrap()
        };
        for (answer_takes, expected) in
            [(Duration::ZERO, GENERATED), (ANSWERING_FOR / 10, 10), (ANSWERING_FOR, LEAST_GENERATED)]
        {
            assert_eq!(count(answer_takes), expected, "{answer_takes:?}");
        }
        let away = |_| Err::<(), _>(Error::Internal("away".into()));
        let away = asked(calls(), Duration::MAX, ControlledClock::new().as_ref(), away);
        assert!(away.is_err(), "no golden set is made of a part of the answers");
    }
}
