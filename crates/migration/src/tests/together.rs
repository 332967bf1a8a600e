//! Two moves that switch together: both or neither, forth and back, whatever one of them meets.

use std::sync::Arc;

use dede_engine::catalogue::Snapshot;
use dede_engine::name::ServiceName;
use dede_engine::service::ServiceId;
use dede_model::error::{Error, Result};

use crate::execution::Execution;
use crate::handle::Move;
use crate::handle::company::Milestone;
use crate::phases::{drain, finish, shadow, switch, together, watch};
use crate::record::MovePhase;
use crate::stage::{Member, Pair};
use crate::undo;

fn alias(of: &Member) -> ServiceName {
    of.this.look(|record| record.spec.alias().cloned()).unwrap()
}

/// Where both aliases lead.
fn targets(pair: &Pair, snapshot: &Snapshot) -> Vec<Option<ServiceId>> {
    pair.members.iter().map(|of| snapshot.alias(&alias(of)).and_then(|alias| alias.target().service())).collect()
}

fn services(pair: &Pair, which: impl Fn(&Member) -> ServiceId) -> Vec<Option<ServiceId>> {
    pair.members.iter().map(|of| Some(which(of))).collect()
}

/// Runs `work` for both at once, each on a thread; meanwhile no snapshot leads one alias to a new service and the other to a former one.
fn both<T: Send>(pair: &Pair, work: impl Fn(&Member, &Execution<'_>) -> T + Sync) -> Vec<T> {
    let (old, new) = (services(pair, |of| of.old.id), services(pair, |of| of.new.id));
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            pair.members.iter().map(|of| scope.spawn(move || work(of, &of.run(&pair.context)))).collect();
        while !running.iter().all(|thread| thread.is_finished()) {
            let seen = targets(pair, &pair.context.catalogue.snapshot());
            assert!(seen == old || seen == new, "{seen:?} of {old:?} and {new:?}");
        }
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn prove_and_switch(of: &Member, run: &Execution<'_>) -> Result<()> {
    shadow::take_hold(run, &alias(of), &of.old)?;
    together::be_ready(run, None)?;
    switch::switch(run, &of.new, None, None)
}

fn switched() -> Pair {
    let pair = Pair::new();
    for outcome in both(&pair, prove_and_switch) {
        outcome.unwrap();
    }
    assert_eq!(targets(&pair, &pair.context.catalogue.snapshot()), services(&pair, |of| of.new.id));
    pair
}

/// As the procedure does it after a failure.
fn end_badly(of: &Member, pair: &Pair, error: &Error) {
    of.this.ask_to_undo(&error.to_string()).unwrap();
    undo::undo(&of.this, &pair.context).unwrap();
}

fn phases(pair: &Pair) -> [MovePhase; 2] {
    [0, 1].map(|which| pair.members[which].this.phase())
}

fn errors(pair: &Pair) -> [String; 2] {
    [0, 1].map(|which| pair.members[which].this.info().error.unwrap_or_default())
}

#[test]
fn both_switch_in_one_change_and_know_it() {
    let pair = switched();
    for of in &pair.members {
        let info = of.this.info();
        assert_eq!((info.report.generation, info.report.switch_ms > Some(0.0)), (Some(2), true), "{info:?}");
        let shown: Vec<_> = info.together.iter().map(|other| (other.id.number(), other.alias.as_str())).collect();
        assert_eq!(shown, [(1, "a"), (2, "b")]);
    }
    let switch_ms = |of: &Member| of.this.info().report.switch_ms;
    assert_eq!(switch_ms(&pair.members[0]), switch_ms(&pair.members[1]), "it was one change");
}

#[test]
fn neither_switches_where_one_is_not_as_it_was_found() {
    for which in 0..2 {
        let pair = Pair::new();
        let outcomes = both(&pair, |of, run| {
            shadow::take_hold(run, &alias(of), &of.old)?;
            if of.this.id == pair.members[which].this.id {
                // A person gives the alias a shadow, which is another generation.
                let shadow = dede_engine::catalogue::Share {
                    service: of.new.id,
                    percent: dede_engine::percent::Percent::new(5).unwrap(),
                };
                pair.context.catalogue.set_shadow(alias(of).as_str(), Some(shadow), None)?;
            }
            let outcome = together::be_ready(run, None).and_then(|()| switch::switch(run, &of.new, None, None));
            outcome.as_ref().err().iter().for_each(|error| end_badly(of, &pair, error));
            outcome
        });
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
        assert_eq!(targets(&pair, &pair.context.catalogue.snapshot()), services(&pair, |of| of.old.id));
        assert_eq!(phases(&pair), [MovePhase::Aborted; 2]);
        // The catalogue refuses the change of both, for the one.
        let refused = format!("expected generation 1 of {}, found 2", alias(&pair.members[which]));
        assert!(errors(&pair).iter().all(|error| error.starts_with(&refused)), "{:?}", errors(&pair));
    }
}

#[test]
fn neither_switches_where_a_person_aborts_one_that_waits() {
    let pair = Pair::new();
    let outcomes = both(&pair, |of, run| {
        shadow::take_hold(run, &alias(of), &of.old)?;
        if of.this.id.number() == 2 {
            // The other one waits for this one, which does not come.
            of.this.wait_until(None, || of.this.company().unwrap().missing(Milestone::Proved).len() == 1);
            let error = Error::Cancelled("aborted on request".into());
            end_badly(of, &pair, &error);
            return Err(error);
        }
        let outcome = together::be_ready(run, None);
        outcome.as_ref().err().iter().for_each(|error| end_badly(of, &pair, error));
        outcome
    });
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert_eq!(phases(&pair), [MovePhase::Aborted; 2]);
    assert!(errors(&pair)[0].contains("m2 (b) is undone: cancelled: aborted on request"), "{:?}", errors(&pair));
}

#[test]
fn one_that_goes_back_takes_the_other_along() {
    for which in 0..2 {
        let pair = switched();
        let outcomes = both(&pair, |of, run| {
            let outcome = if of.this.id == pair.members[which].this.id {
                Err(Error::MoveConflict("the new service turned out worse".into()))
            } else {
                watch::watch(run)
                    .and_then(|()| drain::drain(run))
                    .and_then(|()| together::meet(run, Milestone::Drained, "waits", &|| run.check()))
            };
            outcome.as_ref().err().iter().for_each(|error| end_badly(of, &pair, error));
            outcome
        });
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
        assert_eq!(targets(&pair, &pair.context.catalogue.snapshot()), services(&pair, |of| of.old.id));
        assert_eq!(phases(&pair), [MovePhase::RolledBack; 2]);
        let generations = pair.members.iter().map(|of| {
            let snapshot = pair.context.catalogue.snapshot();
            snapshot.alias(&alias(of)).unwrap().generation
        });
        assert_eq!(generations.collect::<Vec<_>>(), [3, 3], "each went back once");
    }
}

fn done() -> Pair {
    let pair = switched();
    let outcomes = both(&pair, |_, run| {
        watch::watch(run)?;
        drain::drain(run)?;
        together::meet(run, Milestone::Drained, "waits", &|| run.check())?;
        finish::finish(run)
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(phases(&pair), [MovePhase::Done; 2]);
    pair
}

#[test]
fn both_are_done_at_once_and_roll_back_at_once() {
    let pair = done();
    let members: Vec<Arc<Move>> = pair.members.iter().map(|of| Arc::clone(&of.this)).collect();
    let signed = std::fs::read_to_string(pair.context.directory.join("moves/m2/certificate.json")).unwrap();
    let certificate = crate::verify(&signed).unwrap().certificate;
    let names: Vec<_> = certificate["together"].as_array().unwrap().iter().map(|of| of["as"].clone()).collect();
    assert_eq!(names, ["a", "b"], "{certificate}");
    let rolled_back =
        both(
            &pair,
            |of, _| {
                if of.this.id.number() == 1 { undo::roll_back_done(&members, &pair.context) } else { Ok(()) }
            },
        );
    assert!(rolled_back.iter().all(Result::is_ok), "{rolled_back:?}");
    assert_eq!(phases(&pair), [MovePhase::RolledBack; 2]);
    assert_eq!(targets(&pair, &pair.context.catalogue.snapshot()), services(&pair, |of| of.old.id));
}

#[test]
fn none_rolls_back_where_one_leads_elsewhere() {
    let pair = done();
    let members: Vec<Arc<Move>> = pair.members.iter().map(|of| Arc::clone(&of.this)).collect();
    let change = dede_engine::catalogue::SwitchRequest::to(pair.members[0].old.id);
    pair.context.catalogue.switch("b", change).unwrap();
    let error = undo::roll_back_done(&members, &pair.context).unwrap_err().to_string();
    assert!(error.contains("b leads to old-a by now"), "{error}");
    assert_eq!(phases(&pair), [MovePhase::Done; 2]);
    assert_eq!(pair.context.catalogue.resolve("a").unwrap().service.id, pair.members[0].new.id);
}
