//! Whose turn it is: how many requests of one service compute at once.
//!
//! A request waits here without a thread, in order of arrival, and costs nothing when its client leaves. More requests at once
//! than a few per thread would only take memory. Services do not wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dede_core::service::ServiceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One queue per service that was asked.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    services: Mutex<HashMap<ServiceId, Arc<Semaphore>>>,
}

impl Turns {
    /// For a machine with this many computing threads: two requests for each, so that one reads while another computes.
    pub(crate) fn new(threads: usize) -> Self {
        Self { at_once: (threads * 2).max(2), services: Mutex::default() }
    }

    /// Waits for a turn of this service; giving it back is dropping it.
    pub(crate) async fn wait(&self, service: ServiceId) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(services.entry(service).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))))
        };
        semaphore.acquire_owned().await.ok()
    }

    /// Forgets a deleted service.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).remove(&service);
    }
}
