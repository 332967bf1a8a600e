//! What is done to a move and when, all of it chosen by a seed. It must not know a running server: whom an action concerns is said by
//! role, and looked up when it is played.

use crate::chance::Chance;

/// What has the stable name before the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An alias.
    Alias,
    /// A service of that name.
    Plain,
    /// Nothing.
    Free,
    /// A service of that name that the move has nothing to do with: the new one is only brought.
    Brought,
    /// An alias whose target leaves memory before the new network is loaded.
    Exchanged,
}

/// Where the files of a move go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the state directory.
    Default,
    /// A directory that a person chose, which is not there yet.
    Chosen,
    /// A directory of a person, with other files.
    Taken,
    /// Below something that is no directory.
    BelowAFile,
    /// Where the first move has its files.
    OfTheFirst,
}

/// The request of a move.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) place: Place,
    /// It switches without a promotion.
    pub(super) auto: bool,
    /// Each answer of the source comes late.
    pub(super) late: bool,
    pub(super) canary: bool,
    pub(super) keep_for_s: Option<u64>,
    pub(super) shadow_for_s: u64,
    pub(super) watch_for_s: u64,
}

/// A service, by what it is to the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one in the directory of the newest move.
    New,
    /// The one that answered before.
    Former,
    /// A service of a person that no move concerns.
    Other,
    /// The service that a person created last.
    Created,
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Rename(Role),
    /// With this value of `clear`.
    Delete(Role, &'static str),
    Train(Role),
    /// Creates a service on files of its own; the flag: under the name that the move wants.
    Create {
        wanted_name: bool,
    },
    /// Puts a directory where the move wants to have its own, and serves it; the flag: with the files that the move brings.
    Occupy {
        same_files: bool,
    },
    /// Puts files where the move keeps its own while they are incomplete.
    OccupyPartial,
    /// Creates a service on the directory of the move.
    ServeItsDirectory,
    Point(Role),
    Share(Role),
    DeleteAlias,
    /// Deletes the alias and makes it again.
    RemakeAlias(Role),
    RollBackAlias,
    Promote,
    Abort,
    Resume,
    RollBackMove,
    /// Begins another move.
    Move(Second),
    Kill,
    Stop,
}

/// A move besides the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Second {
    /// Of the service that the first one moves.
    pub(super) same_service: bool,
    /// To the same alias; otherwise to a name of its own.
    pub(super) same_alias: bool,
    /// Under a name of its own.
    pub(super) renamed: bool,
    pub(super) place: Place,
    pub(super) auto: bool,
}

/// When an action is taken: once the newest move has come to a phase, waits or is over, and some more was seen of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) phase: &'static str,
    /// Answered requests of clients that pass then.
    pub(super) requests: u64,
    /// Looks at the state of the move that pass then.
    pub(super) looks: u64,
}

/// How moves that are not over in the end are brought there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// They are resumed and promoted.
    Forward,
    /// They are aborted.
    Back,
}

#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) kind: Kind,
    pub(super) options: Options,
    pub(super) steps: Vec<(Moment, Action)>,
    pub(super) ending: Ending,
    /// The restart before the last checks is a kill.
    pub(super) killed_last: bool,
}

/// Phases that actions wait for; those that last long or matter most are there more than once.
const PHASES: [&str; 12] = [
    "planned",
    "copying",
    "copying",
    "loading",
    "warming",
    "verifying",
    "shadowing",
    "shadowing",
    "switching",
    "watching",
    "watching",
    "done",
];

/// Values of `clear`; most people give none.
const CLEARS: [&str; 5] = ["", "", "full", "lib", "dir"];

/// The schedule of a seed.
pub(super) fn of(seed: u64) -> Schedule {
    let mut chance = Chance::new(seed);
    let chance = &mut chance;
    let kinds = [Kind::Alias, Kind::Alias, Kind::Plain, Kind::Plain, Kind::Free, Kind::Brought, Kind::Exchanged];
    let kind = *chance.one_of(&kinds);
    let options = options(chance, kind);
    let mut steps = Vec::new();
    for _ in 0..3 + chance.below(7) {
        let (moment, action) = (moment(chance), action(chance));
        steps.push((moment, action));
        // What an action has broken shows most often on the way back.
        if chance.one_in(4) {
            steps.push((Moment { requests: 0, looks: 0, ..moment }, Action::Abort));
        }
    }
    // A move only goes forward: what waits for an early phase comes first.
    steps.sort_by_key(|(moment, _)| rank(moment.phase));
    let ending = *chance.one_of(&[Ending::Forward, Ending::Back]);
    Schedule { kind, options, steps, ending, killed_last: chance.one_in(2) }
}

/// Position of a phase on the way of a move; what is over comes last.
pub(super) fn rank(phase: &str) -> usize {
    const WAY: [&str; 9] =
        ["planned", "copying", "loading", "warming", "verifying", "shadowing", "switching", "watching", "draining"];
    WAY.iter().position(|known| *known == phase).unwrap_or(WAY.len())
}

fn options(chance: &mut Chance, kind: Kind) -> Options {
    let place = match chance.below(20) {
        0..=8 => Place::Default,
        9..=16 => Place::Chosen,
        17 | 18 => Place::Taken,
        _ => Place::BelowAFile,
    };
    let compared = matches!(kind, Kind::Alias | Kind::Plain);
    Options {
        place,
        auto: !chance.one_in(3),
        late: chance.one_in(2),
        canary: compared && chance.one_in(10),
        keep_for_s: (compared && chance.one_in(4)).then(|| chance.below(2)),
        shadow_for_s: chance.below(2),
        watch_for_s: chance.below(4).min(1),
    }
}

fn moment(chance: &mut Chance) -> Moment {
    let (phase, amount) = (*chance.one_of(&PHASES), chance.below(50));
    match chance.below(3) {
        0 => Moment { phase, requests: 0, looks: 0 },
        1 => Moment { phase, requests: amount, looks: 0 },
        _ => Moment { phase, requests: 0, looks: amount },
    }
}

fn role(chance: &mut Chance) -> Role {
    *chance.one_of(&[Role::New, Role::New, Role::Former, Role::Former, Role::Other, Role::Created])
}

fn action(chance: &mut Chance) -> Action {
    match chance.below(40) {
        0..=3 => Action::Rename(role(chance)),
        4..=7 => {
            let clear = *chance.one_of(&CLEARS);
            Action::Delete(role(chance), clear)
        }
        8..=11 => Action::Train(role(chance)),
        12 | 13 => Action::Create { wanted_name: chance.one_in(2) },
        14 | 15 => Action::Occupy { same_files: chance.one_in(3) },
        16 => Action::OccupyPartial,
        17 | 18 => Action::ServeItsDirectory,
        19..=21 => Action::Point(role(chance)),
        22 => Action::Share(role(chance)),
        23 => Action::DeleteAlias,
        24 | 25 => Action::RemakeAlias(role(chance)),
        26 | 27 => Action::RollBackAlias,
        28 | 29 => Action::Promote,
        30 | 31 => Action::Abort,
        32 => Action::Resume,
        33 => Action::RollBackMove,
        34..=36 => Action::Move(second(chance)),
        37 | 38 => Action::Kill,
        _ => Action::Stop,
    }
}

fn second(chance: &mut Chance) -> Second {
    Second {
        same_service: chance.one_in(2),
        same_alias: chance.one_in(3),
        renamed: !chance.one_in(3),
        place: *chance.one_of(&[Place::Default, Place::Chosen, Place::OfTheFirst, Place::OfTheFirst]),
        auto: !chance.one_in(3),
    }
}
