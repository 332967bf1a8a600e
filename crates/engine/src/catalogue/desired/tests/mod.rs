//! Random commands, against a model that knows nothing but maps of names: the same are refused, and the others lead to the same state.

mod model;

use std::cell::RefCell;
use std::collections::BTreeMap;

use model::{Expect, Model, ModelAlias, NAMES, Name, Operation, Part, Place, Shown};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::percent::Percent;

/// Sequences of commands, of at most so many each.
const SEQUENCES: u32 = 4000;
const COMMANDS: usize = 40;

fn operation() -> impl Strategy<Value = Operation> {
    let name = || 0..NAMES.len();
    let sometimes = || prop::option::weighted(0.2, 0..NAMES.len());
    let part = || prop_oneof![2 => Just(None), 1 => (0..NAMES.len(), 0u8..=100).prop_map(Some)];
    let expect = || {
        prop_oneof![
            10 => Just(Expect::Anything),
            1 => (0u64..6).prop_map(Expect::Generation),
            1 => name().prop_map(Expect::Shown),
        ]
    };
    let of_alias = move |alias: BoxedStrategy<Name>, takeover: f64| {
        let alias = move || alias.clone();
        let takeover = move || prop::bool::weighted(takeover);
        prop_oneof![
            6 => (alias(), name(), prop::bool::weighted(0.2), part(), part(), expect(), takeover()).prop_map(
                |(alias, service, peer, canary, shadow, expect, takeover)| Operation::Set {
                    alias, service, peer, canary, shadow, expect, takeover,
                },
            ),
            5 => (alias(), name(), part(), expect(), takeover(), prop::option::of(name())).prop_map(
                |(alias, service, shadow, expect, takeover, replaces)| Operation::Switch {
                    alias, service, shadow, expect, takeover, replaces,
                },
            ),
            2 => (alias(), part(), expect()).prop_map(|(alias, part, expect)| Operation::SetCanary(alias, part, expect)),
            2 => (alias(), part(), expect()).prop_map(|(alias, part, expect)| Operation::SetShadow(alias, part, expect)),
            4 => (alias(), expect()).prop_map(|(alias, expect)| Operation::RollBack(alias, expect)),
            2 => (alias(), sometimes(), name(), prop::option::weighted(0.2, 1u64..5)).prop_map(
                |(alias, from, to, generation)| Operation::Return { alias, from, to, generation },
            ),
            3 => (alias(), sometimes(), name()).prop_map(|(alias, from, to)| Operation::Exchange { alias, from, to }),
            1 => alias().prop_map(Operation::DeleteAlias),
            1 => (alias(), sometimes()).prop_map(|(alias, target)| Operation::DeleteAliasOf(alias, target)),
        ]
    };
    // Nothing that renames a service: the names of one command are looked up before, those of another in its turn.
    let together = prop::collection::vec(of_alias(prop_oneof![4 => 3..NAMES.len(), 1 => name()].boxed(), 0.0), 0..4);
    prop_oneof![
        6 => (name(), 0u8..3).prop_map(|(name, content)| Operation::Create(name, content)),
        3 => name().prop_map(Operation::Delete),
        2 => (name(), name()).prop_map(|(from, to)| Operation::Rename(from, to)),
        26 => of_alias(name().boxed(), 0.5),
        1 => name().prop_map(Operation::GiveNameBack),
        6 => together.prop_map(Operation::Together),
        1 => name().prop_map(Operation::Hold),
        1 => name().prop_map(Operation::Busy),
        2 => Just(Operation::Restart),
    ]
}

fn name(name: Name) -> ServiceName {
    ServiceName::parse(NAMES[name]).unwrap()
}

/// The command of an operation, where it is one: what was looked up before the command is looked up in the model.
fn command(operation: &Operation, model: &Model) -> Option<Command> {
    let id = |name: &Name| model.id(*name).map(ServiceId);
    let share = |part: &Part| {
        model.part(*part).map(|(id, percent)| Share { service: ServiceId(id), percent: Percent::new(percent).unwrap() })
    };
    let change = |part: &Part| part.map(|(name, percent)| ShareChange { service: NAMES[name].into(), percent });
    let expected = |expect: &Expect| match expect {
        Expect::Anything => None,
        Expect::Generation(generation) => Some(Expected::Generation(*generation)),
        Expect::Shown(shown) => Some(Expected::Shown(NAMES[*shown].to_uppercase())),
    };
    let (alias, command) = match operation {
        Operation::Create(at, _) => {
            let id = ServiceId(model.created + 1);
            let (name, request) = (name(*at), "{}".to_owned());
            let entry = ServiceEntry { id, name, request, unloaded: false, created_by: None, listing: None };
            return Some(Command::Create(entry));
        }
        Operation::Delete(at) => return id(at).map(Command::Delete),
        Operation::Rename(from, to) => return Some(Command::Rename { from: name(*from), to: name(*to) }),
        Operation::Set { alias, service, peer, canary, shadow, expect, takeover } => {
            let change = AliasChange {
                service: NAMES[*service].to_uppercase(),
                peer: peer.then(|| "prod".to_owned()),
                canary: change(canary),
                shadow: change(shadow),
                expect: if let Expect::Shown(shown) = expect { Some(NAMES[*shown].to_owned()) } else { None },
                expect_generation: if let Expect::Generation(wanted) = expect { Some(*wanted) } else { None },
                takeover: *takeover,
            };
            (alias, AliasCommand::Set(change))
        }
        Operation::Switch { alias, service, shadow, expect, takeover, replaces } => {
            let request = SwitchRequest {
                shadow: share(shadow),
                expect: expected(expect).into_iter().collect(),
                takeover: *takeover,
                replaces_in_memory: replaces.as_ref().and_then(id),
                ..SwitchRequest::to(id(service)?)
            };
            (alias, AliasCommand::Switch(request))
        }
        Operation::SetCanary(alias, part, expect) => {
            (alias, AliasCommand::SetCanary { canary: share(part), expect: expected(expect) })
        }
        Operation::SetShadow(alias, part, expect) => {
            (alias, AliasCommand::SetShadow { shadow: share(part), expect: expected(expect) })
        }
        Operation::RollBack(alias, expect) => (alias, AliasCommand::RollBack { expect: expected(expect) }),
        Operation::Return { alias, from, to, generation } => {
            let (from, to) = (ServiceId(model.target(*alias, *from)?), id(to)?);
            let generation = generation.unwrap_or_else(|| model.generation(*alias));
            (alias, AliasCommand::Return { generation, from, to, version: None })
        }
        Operation::Exchange { alias, from, to } => {
            (alias, AliasCommand::Exchange { expect: None, from: ServiceId(model.target(*alias, *from)?), to: id(to)? })
        }
        Operation::GiveNameBack(alias) => (alias, AliasCommand::GiveNameBack { expect: None }),
        Operation::DeleteAlias(alias) => (alias, AliasCommand::Delete),
        Operation::DeleteAliasOf(alias, target) => {
            (alias, AliasCommand::DeleteOf(ServiceId(model.target(*alias, *target)?)))
        }
        Operation::Together(operations) => {
            let commands = operations.iter().filter_map(|operation| match command(operation, model)? {
                Command::Alias(name, command) => Some((name, command)),
                Command::Create(_) | Command::Delete(_) | Command::Rename { .. } | Command::Together(_) => None,
            });
            return Some(Command::Together(commands.collect()));
        }
        Operation::Hold(_) | Operation::Busy(_) | Operation::Restart => return None,
    };
    Some(Command::Alias(name(*alias), command))
}

/// A state as the model shows it.
fn shown(state: &DesiredState) -> Shown {
    let place = |target: &Target| match target {
        Target::Service { id, .. } => Place::Here(id.0),
        Target::Peer { service, .. } => Place::Peer(service.to_string()),
    };
    let part = |share: Option<Share>| share.map(|share| (share.service.0, share.percent.get()));
    let alias = |alias: &Arc<AliasEntry>| ModelAlias {
        generation: alias.generation,
        steps: alias.history.iter().map(|step| (step.generation, place(&step.target))).collect(),
        canary: part(alias.canary),
        shadow: part(alias.shadow),
    };
    Shown {
        services: state.services().map(|entry| (entry.name.to_string(), (entry.id.0, entry.unloaded))).collect(),
        aliases: state.aliases().map(|entry| (entry.name.to_string(), alias(entry))).collect(),
    }
}

/// What most sequences begin with, so that there is something to change.
fn beginning() -> [Operation; 5] {
    let alias = |alias: Name, service: Name| {
        let (expect, takeover) = (Expect::Anything, false);
        Operation::Set { alias, service, peer: false, canary: None, shadow: None, expect, takeover }
    };
    [Operation::Create(0, 1), Operation::Create(1, 2), Operation::Create(2, 0), alias(3, 0), alias(4, 1)]
}

/// Performs them one by one in both; the kinds of commands that were accepted are counted.
fn follow(operations: &[Operation], accepted: &mut BTreeMap<&'static str, u32>) {
    let (mut state, mut model) = (DesiredState::default(), Model::default());
    for operation in operations {
        let mut next = model.clone();
        let possible = next.perform(operation);
        if let Some(command) = command(operation, &model) {
            let applied = state.apply(&command, &model);
            assert_eq!(applied.is_ok(), possible, "{command:?} of {state:?}: {:?}", applied.err());
            assert_eq!(state.apply(&command, &model).ok(), applied.clone().ok(), "it depends on nothing else");
            state = applied.unwrap_or(state);
            *accepted.entry(kind(&command)).or_default() += u32::from(possible);
        }
        if matches!(operation, Operation::Restart) {
            let record = String::from_utf8(state.to_record().unwrap()).unwrap();
            let read = DesiredState::from_record(&record, "the test").unwrap();
            assert_eq!(read, state, "{record}");
        }
        model = if possible { next } else { model.after_refusal(next) };
        assert_eq!(shown(&state), model.shown, "after {operation:?}");
    }
}

fn kind(command: &Command) -> &'static str {
    match command {
        Command::Create(_) => "create",
        Command::Delete(_) => "delete",
        Command::Rename { .. } => "rename",
        Command::Together(changes) if changes.len() > 1 => "together",
        Command::Together(_) => "one or none together",
        Command::Alias(_, AliasCommand::Set(change)) if change.takeover => "takeover",
        Command::Alias(_, AliasCommand::Set(_)) => "set",
        Command::Alias(_, AliasCommand::Switch(_)) => "switch",
        Command::Alias(_, AliasCommand::SetCanary { .. }) => "canary",
        Command::Alias(_, AliasCommand::SetShadow { .. }) => "shadow",
        Command::Alias(_, AliasCommand::RollBack { .. }) => "roll back",
        Command::Alias(_, AliasCommand::Return { .. }) => "return",
        Command::Alias(_, AliasCommand::Exchange { .. }) => "exchange",
        Command::Alias(_, AliasCommand::GiveNameBack { .. }) => "give name back",
        Command::Alias(_, AliasCommand::Delete) => "delete alias",
        Command::Alias(_, AliasCommand::DeleteOf(_)) => "delete alias of",
    }
}

#[test]
fn any_commands_do_what_the_model_does() {
    let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let accepted = RefCell::new(BTreeMap::new());
    let sequence = (prop::bool::weighted(0.9), prop::collection::vec(operation(), 1..=COMMANDS));
    let outcome = runner.run(&sequence, |(begun, operations)| {
        let beginning = beginning().into_iter().filter(|_| begun);
        follow(&beginning.chain(operations).collect::<Vec<_>>(), &mut accepted.borrow_mut());
        Ok(())
    });
    outcome.unwrap();
    let accepted = accepted.into_inner();
    assert_eq!(accepted.len(), 16, "{accepted:?}");
    assert!(accepted.values().all(|times| *times >= SEQUENCES / 20), "some are all but untried: {accepted:?}");
}

#[test]
fn a_history_is_bounded_and_ends_with_the_present() {
    let mut model = Model::default();
    let mut state = DesiredState::default();
    let steps = [Operation::Create(0, 1), Operation::Create(1, 2)];
    let switches = (0..250).map(|turn| Operation::Switch {
        alias: 2,
        service: turn % 2,
        shadow: None,
        expect: Expect::Anything,
        takeover: false,
        replaces: None,
    });
    for operation in steps.into_iter().chain(switches) {
        state = state.apply(&command(&operation, &model).unwrap(), &model).unwrap();
        model.perform(&operation);
    }
    let alias = state.alias(&name(2)).unwrap();
    assert_eq!((alias.history.len(), alias.generation, alias.present().generation), (100, 250, 250));
}

/// Both names are services': each is renamed, and gets an alias in its place.
#[test]
fn names_of_several_services_are_taken_over_together_or_not_at_all() {
    let (mut model, mut state) = (Model::default(), DesiredState::default());
    for create in [(0, 1), (1, 2), (2, 3), (3, 4)].map(|(name, content)| Operation::Create(name, content)) {
        state = state.apply(&command(&create, &model).unwrap(), &model).unwrap();
        model.perform(&create);
    }
    let switch = |alias: Name, service: Name, takeover: bool| {
        let (expect, shadow, replaces) = (Expect::Anything, None, None);
        Operation::Switch { alias, service, shadow, expect, takeover, replaces }
    };
    let together = |takeover| command(&Operation::Together(vec![switch(0, 2, true), switch(1, 3, takeover)]), &model);
    let before = state.clone();
    let refused = state.apply(&together(false).unwrap(), &model).unwrap_err().to_string();
    assert!(refused.contains("b is a service; takeover:true"), "{refused}");
    assert_eq!(state, before);
    let after = state.apply(&together(true).unwrap(), &model).unwrap();
    for (alias, former, service) in [(0, 1, 3), (1, 2, 4)] {
        let alias = after.alias(&name(alias)).unwrap();
        let steps: Vec<_> = alias.history.iter().map(|step| step.target.service()).collect();
        assert_eq!(steps, [Some(ServiceId(former)), Some(ServiceId(service))]);
    }
    assert_eq!(after.services().count(), 4);
}
