//! The bounded queue of a service: how many requests may wait and run at once.
//!
//! Nothing waits here: a request is admitted or refused at once, and the permit counts it until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Requests inside all services of this process: what they share is its cores.
static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);

/// Requests that wait or run now, of all services of this process.
pub fn inside_everywhere() -> usize {
    EVERYWHERE.load(Ordering::Relaxed)
}

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Admission {
    inside: Arc<AtomicUsize>,
    limit: usize,
}

/// One admitted request; leaving is dropping.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Admission {
    /// At most `limit` requests at once.
    pub fn new(limit: usize) -> Self {
        Self { inside: Arc::default(), limit }
    }

    /// Lets one request in.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when `limit` requests are inside.
    pub fn admit(&self) -> Result<Permit> {
        let admitted = self
            .inside
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |inside| (inside < self.limit).then_some(inside + 1));
        match admitted {
            Ok(_) => {
                EVERYWHERE.fetch_add(1, Ordering::Relaxed);
                Ok(Permit(Arc::clone(&self.inside)))
            }
            Err(_) => {
                Err(Error::Overloaded(format!("{} requests are waiting, the most this service takes", self.limit)))
            }
        }
    }

    /// Requests inside now.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        EVERYWHERE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_leaving_makes_room() {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert!(matches!(admission.admit(), Err(Error::Overloaded(_))));
        drop(first);
        assert_eq!(admission.inside(), 1);
        assert!(admission.admit().is_ok());
    }
}
