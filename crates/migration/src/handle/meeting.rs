//! Where the members of a company come, each with something, and the last one acts for all: what it did, all did, and what it failed at, all
//! failed at.
//!
//! It must not know what is brought, nor what is done with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dede_engine::move_id::MoveId;
use dede_model::error::{Error, Result};
use dede_model::watch::Watch;

/// One meeting. It takes place once: its outcome stays.
pub(crate) struct Meeting<T, R> {
    state: Mutex<State<T, R>>,
    /// Advanced when it is over, for those that wait.
    changed: Arc<Watch>,
}

enum State<T, R> {
    /// What has been brought so far.
    Gathering(BTreeMap<MoveId, T>),
    /// All have come, and one acts: nothing can be taken back.
    Acting,
    /// What was done, or why not.
    Over(Result<R, String>),
}

/// How a member waits for the others.
pub(crate) struct Patience<'a> {
    /// Waits until the function it is given says so; looks again whenever something changed.
    pub(crate) wait: &'a dyn Fn(&dyn Fn() -> bool),
    /// Why a member leaves before all have come, if it does.
    pub(crate) goes_on: &'a dyn Fn() -> Result<()>,
}

impl<T, R: Clone> Meeting<T, R> {
    pub(crate) fn new(changed: Arc<Watch>) -> Self {
        Self { state: Mutex::new(State::Gathering(BTreeMap::new())), changed }
    }

    /// Comes with `what`. The last of `members` calls `act` with all that was brought, in the order of the numbers; the others wait for what
    /// comes of it. Who leaves before all have come takes along what it brought; from then on no one leaves.
    ///
    /// # Errors
    /// That of `act`, the same for all; that of `goes_on` for one that leaves.
    pub(crate) fn attend(
        &self,
        (id, members): (MoveId, usize),
        what: T,
        patience: &Patience<'_>,
        act: impl FnOnce(Vec<T>) -> Result<R>,
    ) -> Result<R> {
        if let Some(all) = self.come(id, members, what) {
            let acting = Acting(self);
            let outcome = act(all);
            *self.lock() = State::Over(outcome.clone().map_err(|error| error.to_string()));
            drop(acting);
            return outcome;
        }
        (patience.wait)(&|| self.is_over() || (patience.goes_on)().is_err());
        if let Some(left) = self.leave(id) {
            drop(left);
            (patience.goes_on)()?;
            return Err(Error::Internal("a move left the others without a reason".into()));
        }
        (patience.wait)(&|| self.is_over());
        match &*self.lock() {
            State::Over(outcome) => outcome.clone().map_err(Error::MoveConflict),
            State::Gathering(_) | State::Acting => {
                Err(Error::Internal("a meeting of moves ended without an outcome".into()))
            }
        }
    }

    /// All that was brought, for the last one to come.
    fn come(&self, id: MoveId, members: usize, what: T) -> Option<Vec<T>> {
        let mut state = self.lock();
        let State::Gathering(brought) = &mut *state else { return None };
        brought.insert(id, what);
        if brought.len() < members {
            return None;
        }
        let all = std::mem::take(brought);
        *state = State::Acting;
        Some(all.into_values().collect())
    }

    /// Takes back what a member brought, as long as not all have come.
    fn leave(&self, id: MoveId) -> Option<T> {
        match &mut *self.lock() {
            State::Gathering(brought) => brought.remove(&id),
            State::Acting | State::Over(_) => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(&*self.lock(), State::Over(_))
    }

    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When this is dropped the meeting is over; a panic drops it too.
struct Acting<'a, T, R: Clone>(&'a Meeting<T, R>);

impl<T, R: Clone> Drop for Acting<'_, T, R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(&*state, State::Acting) {
            *state = State::Over(Err("internal error (panic) in the step of all; see the log".into()));
        }
        drop(state);
        self.0.changed.advance();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const MEMBERS: usize = 3;

    /// Each member comes with its number; those in `leaving` do not go on. What each is told, and how often one acted.
    fn meet(leaving: &[usize], act: impl Fn(&[usize]) -> Result<usize> + Sync) -> (Vec<Result<usize, String>>, usize) {
        let changed = Arc::new(Watch::default());
        let meeting = Meeting::<usize, usize>::new(Arc::clone(&changed));
        let (acted, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let attend = |number: usize| {
            let wait = |done: &dyn Fn() -> bool| changed.wait_until(|| done().then_some(()));
            let goes_on =
                || if has_failed.load(Ordering::SeqCst) { Err(Error::Cancelled("undone".into())) } else { Ok(()) };
            if leaving.contains(&number) {
                has_failed.store(true, Ordering::SeqCst);
                changed.advance();
                return Err("undone".to_owned());
            }
            let patience = Patience { wait: &wait, goes_on: &goes_on };
            let outcome = meeting.attend((MoveId(number as u64), MEMBERS), number, &patience, |all| {
                acted.fetch_add(1, Ordering::SeqCst);
                act(&all)
            });
            outcome.map_err(|error| error.to_string())
        };
        let told = std::thread::scope(|scope| {
            let members: Vec<_> = (1..=MEMBERS).map(|number| scope.spawn(move || attend(number))).collect();
            members.into_iter().map(|member| member.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
        });
        (told, acted.into_inner())
    }

    #[test]
    fn one_acts_for_all_and_all_are_told_the_same() {
        for _ in 0..100 {
            assert_eq!(meet(&[], |all| Ok(all.iter().sum())), (vec![Ok(6); MEMBERS], 1));
            let refused = |_: &[usize]| Err(Error::MoveConflict("worse".into()));
            assert_eq!(meet(&[], refused), (vec![Err("worse".into()); MEMBERS], 1));
        }
    }

    #[test]
    fn nothing_is_done_where_one_does_not_come() {
        for leaving in 1..=MEMBERS {
            let (told, acted) = meet(&[leaving], |_| Ok(0));
            let expected = (1..=MEMBERS).map(|_| Err("cancelled: undone".to_owned()));
            let expected: Vec<_> = expected
                .enumerate()
                .map(|(index, told)| if index + 1 == leaving { Err("undone".to_owned()) } else { told })
                .collect();
            assert_eq!((told, acted), (expected, 0));
        }
    }

    #[test]
    fn a_panic_of_the_one_that_acts_is_an_error_of_the_others() {
        let (told, acted) = meet(&[], |_| panic!("a fault"));
        assert_eq!(acted, 1);
        let panicked = told.iter().filter(|told| **told == Err("panicked".into())).count();
        assert_eq!(panicked, 1, "{told:?}");
        let of_others =
            |told: &&Result<usize, String>| told.as_ref().is_err_and(|text| text.contains("in the step of all"));
        assert_eq!(told.iter().filter(of_others).count(), MEMBERS - 1, "{told:?}");
    }
}
