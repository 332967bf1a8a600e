//! The golden set: inputs and the source's answers to them, which the new service must reproduce before it sees traffic.
//!
//! Answers are recorded in the types of models (format 2, [`golden_set`](crate::golden_set)), or cross the wire in the words of the API (format 1), where the
//! [`ServiceApi`] reads what they say of a new one. Numbers keep their bits in both, so that "equal" means equal.

pub(crate) mod file;
mod recording;

use std::time::Duration;

use dede_comparison::{Difference, Exactness, Golden, GoldenCheck, Tolerance, compare};
use dede_engine::dispatch::rehearse;
use dede_engine::service::{PredictCall, Service, Serving};
use dede_model::backend::Task;
use dede_model::error::{Error, Fault, Result};
use dede_model::outputs::Outputs;

use crate::clock::Clock;
use crate::golden_set::GoldenSet;
use crate::record::{GoldenCase, MoveSpec};
use crate::service_api::ServiceApi;
use crate::source::ModelSource;

pub use file::KeptSet;
pub use recording::record_captured;

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
) -> Result<(Origin, GoldenSet)> {
    if !spec.golden.is_empty() {
        return Ok((Origin::Given, GoldenSet::OfApi(spec.golden.clone())));
    }
    if spec.with_requests {
        let mut captured = peer.golden_set(&spec.service)?;
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
    let cases = asked(service.generated_calls(GENERATED)?, ANSWERING_FOR, clock, ask)?;
    Ok((Origin::Generated, GoldenSet::OfApi(cases)))
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
    cases: &GoldenSet,
    exactness: Exactness,
    api: &dyn ServiceApi,
    goes_on: impl Fn() -> Result<()>,
) -> Result<Golden> {
    let serving = service.serving()?;
    let task = serving.task.ok_or_else(|| Error::Internal("the service has no network".into()))?;
    let mut check = GoldenCheck::new(exactness);
    let differences = |number: usize| match cases {
        GoldenSet::OfApi(cases) => differences_of_api(service, &serving, task, &cases[number], api),
        GoldenSet::OfModel(cases) => differences(&cases[number].answer, &answered(service, &cases[number].call)?),
    };
    for number in 0..cases.len() {
        goes_on()?;
        let input = format!("case {}", number + 1);
        match differences(number) {
            Ok(found) => check.add(&input, &found),
            Err(error) => check.failed(&input, &error.to_string()),
        }
    }
    Ok(check.finish())
}

/// Compares what a case in the words of the API says of an answer.
fn differences_of_api(
    service: &Service,
    serving: &Serving,
    task: Task,
    case: &GoldenCase,
    api: &dyn ServiceApi,
) -> Result<Vec<Difference>> {
    let case = api.read_case(case, serving)?;
    let (expected, found) = case.beside(task, answered(service, case.call())?)?;
    differences(&expected, &found)
}

fn answered(service: &Service, call: &PredictCall) -> Result<Outputs> {
    rehearse(service, call).map(|answer| answer.outputs)
}

fn differences(expected: &Outputs, found: &Outputs) -> Result<Vec<Difference>> {
    compare(expected, found, &Tolerance::numerical()).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use dede_model::request_memory::MemoryShare;
    use dede_model::tensor::{NamedTensor, Tensor, Values};
    use serde_json::json;

    use super::*;
    use crate::clock::controlled::ControlledClock;
    use crate::stage::Stage;

    fn checked(stage: &Stage, set: &GoldenSet) -> Golden {
        check(&stage.new, set, Exactness::BitEqual, stage.context.api.as_ref(), || Ok(())).unwrap()
    }

    fn tensor(values: Values) -> NamedTensor {
        NamedTensor { name: "x".into(), tensor: Tensor::new(vec![values.len()], values).unwrap() }
    }

    #[test]
    fn recorded_requests_are_reproduced_bit_by_bit_in_items_and_in_tensors() {
        let stage = Stage::new(json!({}));
        let of_items = PredictCall { data: vec!["-0.0".into(), "1e-45".into()], ..PredictCall::default() };
        let of_tensors = PredictCall {
            tensors: vec![tensor(Values::F64(vec![0.1, f64::NAN])), tensor(Values::I64(vec![i64::MIN]))],
            ..PredictCall::default()
        };
        for call in [of_items, of_tensors] {
            stage.old.predict(&call, &MemoryShare::unbounded()).unwrap();
        }
        let set = GoldenSet::read(&record_captured(&stage.old).unwrap()).unwrap();
        let found = checked(&stage, &set);
        assert_eq!((found.answers, found.bit_equal, found.missed), (3, 3, 0), "{found:?}");

        let GoldenSet::OfModel(mut cases) = set else { panic!("recorded in the words of an API") };
        cases[1].answer =
            Outputs::Tensors(vec![tensor(Values::F64(vec![0.1, f64::NAN])), tensor(Values::I64(vec![0]))]);
        let found = checked(&stage, &GoldenSet::OfModel(cases.clone()));
        assert_eq!((found.answers, found.missed, found.worst[0].input.as_str()), (3, 1, "case 2"), "{found:?}");
        cases[0].call.data = vec!["no number".into()];
        assert_eq!(checked(&stage, &GoldenSet::OfModel(cases)).missed, 2, "a refused call is not reproduced");
    }

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
