//! Whether the client that a request came from still waits for its answer.
//!
//! It must not know connections: the holder of a [`Presence`] drops it when the client has left, or has its answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Interrupt = Box<dyn FnOnce() + Send>;

/// The client of one request. Clones are the same client.
#[derive(Clone, Default)]
pub struct Caller(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_gone: bool,
    interrupts: Vec<Interrupt>,
}

impl Caller {
    /// A guard: as long as it is kept, the client counts as waiting.
    pub fn presence(&self) -> Presence {
        Presence(self.clone())
    }

    /// Registers what interrupts work that waits for another machine once the client has left; called at once where it
    /// has left already.
    pub fn when_gone(&self, interrupt: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.is_gone {
            drop(state);
            interrupt();
        } else {
            state.interrupts.push(Box::new(interrupt));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Caller").field("is_gone", &self.lock().is_gone).finish()
    }
}

/// See [`Caller::presence`].
#[derive(Debug)]
pub struct Presence(Caller);

impl Drop for Presence {
    fn drop(&mut self) {
        let interrupts = {
            let mut state = self.0.lock();
            state.is_gone = true;
            std::mem::take(&mut state.interrupts)
        };
        interrupts.into_iter().for_each(|interrupt| interrupt());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn work_is_interrupted_once_the_client_is_gone() {
        let (caller, interrupted) = (Caller::default(), Arc::new(AtomicU32::new(0)));
        let interrupt = || {
            let interrupted = Arc::clone(&interrupted);
            move || {
                interrupted.fetch_add(1, Ordering::SeqCst);
            }
        };
        let presence = caller.presence();
        caller.when_gone(interrupt());
        assert_eq!(interrupted.load(Ordering::SeqCst), 0);
        drop(presence);
        assert_eq!(interrupted.load(Ordering::SeqCst), 1);
        caller.when_gone(interrupt());
        assert_eq!(interrupted.load(Ordering::SeqCst), 2, "at once");
    }
}
