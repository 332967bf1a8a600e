//! Moves in the words of the wire: what a client asks for is read here, once, and what a move tells is rendered.
//!
//! It must not know routes, nor what a move does.

use std::path::PathBuf;
use std::time::Duration;

use dede_api::moves as wire;
use dede_api::relays as wire_relays;
use dede_migration as own;
use dede_model::error::Result;

/// Reads what a client asks for: one move, or all that switch together, which say the same besides their names.
///
/// # Errors
/// Those of a name that is none.
pub(super) fn specs(mut request: wire::MoveRequest) -> Result<Vec<own::MoveSpec>> {
    let also = std::mem::take(&mut request.also);
    let first = spec(request)?;
    let others = also.into_iter().map(|moved| {
        let wire::AlsoMoved { service, alias, name, repository, golden, plan } = moved;
        Ok(own::MoveSpec {
            service,
            alias: Some(own::RequestedName::parse(alias)?),
            name: name.map(own::RequestedName::parse).transpose()?,
            repository: repository.map(PathBuf::from),
            golden: golden.into_iter().map(golden_case).collect(),
            plan,
            ..first.clone()
        })
    });
    let others = others.collect::<Result<Vec<_>>>()?;
    Ok(std::iter::once(first).chain(others).collect())
}

/// Reads one; what moves together with it is taken out already.
fn spec(request: wire::MoveRequest) -> Result<own::MoveSpec> {
    let wire::MoveRequest {
        service,
        source,
        alias,
        name,
        repository,
        with_training_state,
        with_requests,
        golden,
        policy,
        shadow_for_s,
        canary,
        auto,
        watch_for_s,
        drain_for_s,
        keep_for_s,
        replace_first,
        hold_for_s,
        plan,
        who,
        also: _,
    } = request;
    Ok(own::MoveSpec {
        service,
        source,
        alias: alias.map(own::RequestedName::parse).transpose()?,
        name: name.map(own::RequestedName::parse).transpose()?,
        repository: repository.map(PathBuf::from),
        with_training_state,
        with_requests,
        golden: golden.into_iter().map(golden_case).collect(),
        policy,
        shadow_for: Duration::from_secs(shadow_for_s),
        canary,
        auto,
        watch_for: Duration::from_secs(watch_for_s),
        drain_for: Duration::from_secs(drain_for_s),
        keep_for: keep_for_s.map(Duration::from_secs),
        replace_first,
        hold_for: Duration::from_secs(hold_for_s),
        plan,
        who,
    })
}

fn golden_case(case: wire::GoldenCase) -> own::GoldenCase {
    let wire::GoldenCase { request, predictions } = case;
    own::GoldenCase { request, predictions }
}

fn request(spec: own::MoveSpec) -> wire::MoveRequest {
    let shown_case = |case: own::GoldenCase| wire::GoldenCase { request: case.request, predictions: case.predictions };
    wire::MoveRequest {
        service: spec.service,
        source: spec.source,
        alias: spec.alias.map(String::from),
        name: spec.name.map(String::from),
        repository: spec.repository.map(|directory| directory.to_string_lossy().into_owned()),
        with_training_state: spec.with_training_state,
        with_requests: spec.with_requests,
        golden: spec.golden.into_iter().map(shown_case).collect(),
        policy: spec.policy,
        shadow_for_s: spec.shadow_for.as_secs(),
        canary: spec.canary,
        auto: spec.auto,
        watch_for_s: spec.watch_for.as_secs(),
        drain_for_s: spec.drain_for.as_secs(),
        keep_for_s: spec.keep_for.map(|time| time.as_secs()),
        replace_first: spec.replace_first,
        hold_for_s: spec.hold_for.as_secs(),
        plan: spec.plan,
        who: spec.who,
        also: Vec::new(),
    }
}

/// What moves that switch together would do: the first, with the others in it.
pub(super) fn plans(plans: Vec<own::MovePlan>) -> Option<wire::MovePlan> {
    let mut plans = plans.into_iter().map(plan);
    let first = plans.next()?;
    Some(wire::MovePlan { also: plans.collect(), ..first })
}

/// What a move would do.
fn plan(plan: own::MovePlan) -> wire::MovePlan {
    let file =
        |file: own::PlannedFile| wire::PlannedFile { name: file.name, size: file.size, send_bytes: file.send_bytes };
    wire::MovePlan {
        digest: plan.digest,
        request: request(plan.spec),
        version: plan.version,
        manifest: plan.manifest,
        name: plan.name,
        repository: plan.repository,
        replaces: plan.replaces.map(replaced),
        files: plan.files.into_iter().map(file).collect(),
        total_bytes: plan.total_bytes,
        send_bytes: plan.send_bytes,
        disk_free_bytes: plan.disk_free_bytes,
        memory_free_bytes: plan.memory_free_bytes,
        memory_needed_bytes: plan.memory_needed_bytes,
        pause_ms: plan.pause_ms,
        time: wire::PlannedTime { ready_ms: plan.time.ready_ms, compared_ms: plan.time.compared_ms },
        differences: plan.differences,
        notes: plan.notes,
        obstacles: plan.obstacles,
        also: Vec::new(),
    }
}

fn replaced(replaced: own::Replaced) -> wire::Replaced {
    wire::Replaced { service: replaced.service, version: replaced.version, takeover: replaced.takeover }
}

/// All that is known of a move.
pub(super) fn info(status: own::MoveStatus) -> wire::MoveInfo {
    let progress = |progress: own::MoveProgress| wire::MoveProgress {
        done: progress.done,
        total: progress.total,
        unit: progress.unit,
    };
    wire::MoveInfo {
        id: status.id.to_string(),
        request: request(status.spec),
        phase: phase(status.phase),
        waits_for: status.waits_for.map(str::to_owned),
        activity: status.activity,
        progress: status.progress.map(progress),
        error: status.error,
        report: report(status.report),
        together: status.together.into_iter().map(companion).collect(),
    }
}

fn companion(companion: own::Companion) -> wire::Companion {
    wire::Companion {
        id: companion.id.to_string(),
        service: companion.service,
        alias: companion.alias,
        phase: phase(companion.phase),
        waits_for: companion.waits_for.map(str::to_owned),
        activity: companion.activity,
        error: companion.error,
    }
}

fn phase(phase: own::MovePhase) -> wire::MovePhase {
    match phase {
        own::MovePhase::Planned => wire::MovePhase::Planned,
        own::MovePhase::Copying => wire::MovePhase::Copying,
        own::MovePhase::Loading => wire::MovePhase::Loading,
        own::MovePhase::Warming => wire::MovePhase::Warming,
        own::MovePhase::Verifying => wire::MovePhase::Verifying,
        own::MovePhase::Shadowing => wire::MovePhase::Shadowing,
        own::MovePhase::Switching => wire::MovePhase::Switching,
        own::MovePhase::Watching => wire::MovePhase::Watching,
        own::MovePhase::Draining => wire::MovePhase::Draining,
        own::MovePhase::Done => wire::MovePhase::Done,
        own::MovePhase::Aborted => wire::MovePhase::Aborted,
        own::MovePhase::RolledBack => wire::MovePhase::RolledBack,
        own::MovePhase::Damaged => wire::MovePhase::Damaged,
    }
}

fn report(report: own::MoveReport) -> wire::MoveReport {
    let time = |time: own::PhaseTime| wire::PhaseTime {
        phase: phase(time.phase),
        began_ms: time.began_ms,
        took_ms: time.took_ms,
    };
    let exchange = |exchange: own::ExchangeReport| wire::ExchangeReport {
        pause_ms: exchange.pause_ms,
        held_requests: exchange.held_requests,
        failed_requests: exchange.failed_requests,
    };
    let cut = |cut: own::CutRequest| wire::CutRequest { began_ms: cut.began_ms, ran_ms: cut.ran_ms };
    let served = |served: own::ServedRequests| wire::ServedRequests {
        requests: served.requests,
        failed: served.failed,
        refused: served.refused,
    };
    let kept = |kept: own::FormerService| wire::FormerService { until_ms: kept.until_ms, outcome: kept.outcome };
    wire::MoveReport {
        service: report.service,
        version: report.version,
        manifest: report.manifest,
        repository: report.repository,
        former: report.former.map(replaced),
        total_bytes: report.total_bytes,
        sent_bytes: report.sent_bytes,
        phases: report.phases.into_iter().map(time).collect(),
        warming: report.warming.map(own::Figures::into_written),
        golden: report.golden.map(own::Figures::into_written),
        shadow: report.shadow.map(own::Figures::into_written),
        verdict: report.verdict.map(own::Figures::into_written),
        watch: report.watch.map(own::Figures::into_written),
        switch_ms: report.switch_ms,
        generation: report.generation,
        exchange: report.exchange.map(exchange),
        cut_requests: report.cut_requests,
        cut: report.cut.into_iter().map(cut).collect(),
        served: report.served.map(served),
        unproved: report.unproved,
        kept: report.kept.map(kept),
        certificate: report.certificate,
    }
}

/// A question that a relaying command answers.
pub(crate) fn question(asked: own::NumberedQuestion) -> wire_relays::NumberedQuestion {
    let question = match asked.question {
        own::Question::Host => wire_relays::RelayQuestion::Host,
        own::Question::Bundle { service, with_training_state } => {
            wire_relays::RelayQuestion::Bundle { service, with_training_state }
        }
        own::Question::Blob { service, digest, range } => {
            wire_relays::RelayQuestion::Blob { service, digest: digest.to_string(), start: range.start, end: range.end }
        }
        own::Question::Chunks { service, digest } => {
            wire_relays::RelayQuestion::Chunks { service, digest: digest.to_string() }
        }
        own::Question::Predict { service, request } => wire_relays::RelayQuestion::Predict { service, request },
        own::Question::Captured { service } => wire_relays::RelayQuestion::Captured { service },
    };
    wire_relays::NumberedQuestion { number: asked.number, question }
}

/// Why a relaying command does not answer.
pub(crate) fn failure(failure: wire_relays::RelayFailure) -> own::Failure {
    let kind = match failure.kind {
        wire_relays::RelayFailureKind::Away => own::FailureKind::Away,
        wire_relays::RelayFailureKind::Refused => own::FailureKind::Refused,
        wire_relays::RelayFailureKind::Forbidden => own::FailureKind::Forbidden,
    };
    own::Failure { kind, text: failure.text }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A record that holds everything a record can hold.
    const RECORD: &str = include_str!("../../../../migration/src/record/fixtures/rolled-back.json");

    fn member(name: &str) -> Value {
        serde_json::from_str::<Value>(RECORD).unwrap()[name].clone()
    }

    #[test]
    fn plans_and_reports_are_shown_member_by_member() {
        let read: own::MovePlan = serde_json::from_value(member("plan")).unwrap();
        assert_eq!(serde_json::to_string(&plan(read)).unwrap(), member("plan").to_string());
        let read: own::MoveReport = serde_json::from_value(member("report")).unwrap();
        assert_eq!(serde_json::to_string(&report(read)).unwrap(), member("report").to_string());
    }

    #[test]
    fn a_request_is_shown_as_it_was_asked_for() {
        for members in [
            json!({}),
            json!({"as": "Production", "name": "Fresh", "golden": [{"request": {"data": ["1"]}, "predictions": [{"a": 1}]}]}),
            json!({"repository": "/a/b", "policy": {"max_errors": 0}, "canary": [1, 100], "keep_for_s": u64::MAX}),
            json!({"replace_first": true, "hold_for_s": 0, "plan": "sha256:aa", "who": "ann", "with_requests": true}),
        ] {
            let mut asked = json!({"service": "s", "source": "dev"});
            asked.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let asked: wire::MoveRequest = serde_json::from_value(asked).unwrap();
            let read = specs(asked.clone()).unwrap().remove(0);
            assert_eq!(request(read), asked);
        }
    }

    #[test]
    fn what_moves_together_differs_in_names_files_and_cases_alone() {
        let asked = json!({
            "service": "d", "source": "dev", "as": "detector", "auto": true, "name": "d1", "repository": "/a", "plan": "sha256:aa",
            "golden": [{"request": {}, "predictions": []}], "who": "ann", "watch_for_s": 3,
            "also": [{"service": "r", "as": "Reader"}, {"service": "s", "as": "sorter", "name": "s1", "plan": "sha256:bb"}],
        });
        let asked: wire::MoveRequest = serde_json::from_value(asked).unwrap();
        let read: Vec<Value> =
            specs(asked).unwrap().into_iter().map(|spec| serde_json::to_value(request(spec)).unwrap()).collect();
        let shared = |service: &str, alias: &str| {
            let mut shared =
                json!({"service": service, "source": "dev", "as": alias, "auto": true, "who": "ann", "watch_for_s": 3});
            for (member, default) in
                serde_json::to_value(wire::MoveRequest::of("x".into(), "y".into())).unwrap().as_object().unwrap()
            {
                shared.as_object_mut().unwrap().entry(member.clone()).or_insert_with(|| default.clone());
            }
            shared
        };
        assert_eq!(read[0]["golden"], json!([{"request": {}, "predictions": []}]));
        assert_eq!(read[1], shared("r", "Reader"));
        let mut third = shared("s", "sorter");
        third["name"] = "s1".into();
        third["plan"] = "sha256:bb".into();
        assert_eq!((read.len(), &read[2]), (3, &third));
        let unknown = json!({"service": "d", "source": "dev", "also": [{"service": "r", "as": "x", "canary": [1]}]});
        assert!(serde_json::from_value::<wire::MoveRequest>(unknown).unwrap_err().to_string().contains("canary"));
    }

    #[test]
    fn each_phase_has_one_word() {
        for word in [
            "planned",
            "copying",
            "loading",
            "warming",
            "verifying",
            "shadowing",
            "switching",
            "watching",
            "draining",
            "done",
            "aborted",
            "rolled_back",
            "damaged",
        ] {
            let own: own::MovePhase = serde_json::from_value(word.into()).unwrap();
            assert_eq!((phase(own).as_str(), own.as_str()), (word, word));
        }
    }

    #[test]
    fn questions_keep_what_they_ask() {
        let digest = dede_bundle::Digest::of(b"file");
        let text = digest.to_string();
        let service = || "s".to_owned();
        for (asked, expected) in [
            (own::Question::Host, json!({"ask": "host"})),
            (
                own::Question::Bundle { service: service(), with_training_state: true },
                json!({"ask": "bundle", "service": "s", "with_training_state": true}),
            ),
            (
                own::Question::Blob { service: service(), digest, range: 3..7 },
                json!({"ask": "blob", "service": "s", "digest": text, "start": 3, "end": 7}),
            ),
            (
                own::Question::Chunks { service: service(), digest },
                json!({"ask": "chunks", "service": "s", "digest": text}),
            ),
            (
                own::Question::Predict { service: service(), request: own::Object::new() },
                json!({"ask": "predict", "service": "s", "request": {}}),
            ),
            (own::Question::Captured { service: service() }, json!({"ask": "captured", "service": "s"})),
        ] {
            let shown = question(own::NumberedQuestion { number: 1, question: asked });
            assert_eq!(serde_json::to_value(shown).unwrap(), json!({"number": 1, "question": expected}));
        }
    }
}
