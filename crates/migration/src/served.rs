//! What clients were answered while a move went on: the counters of both services, less what they were when it began.

use std::sync::Arc;

use dede_engine::catalogue::Catalogue;
use dede_engine::service::Service;

use crate::handle::Move;
use crate::record::{MoveRecord, ServedRequests};
use crate::standing::own_service;

/// The service that answered under the alias when the move began or was resumed, and its counters then.
pub(crate) struct Served {
    first: Option<(Arc<Service>, Counts)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u64,
    failed: u64,
    refused: u64,
    full: u64,
}

impl Counts {
    fn of(service: &Service) -> Self {
        let (counters, failed) = (service.statistics.snapshot(), service.statistics.faults());
        let full = service.queue.refused();
        Self {
            requests: counters.successes + counters.failures + full,
            failed,
            refused: counters.failures.saturating_sub(failed) + full,
            full,
        }
    }
}

impl Served {
    pub(crate) fn begin(record: &MoveRecord, catalogue: &Catalogue) -> Self {
        let answers = record.spec.alias().and_then(|alias| catalogue.resolve(alias.as_str()).ok());
        let first = answers.map(|found| {
            let counts = Counts::of(&found.service);
            (found.service, counts)
        });
        Self { first }
    }

    /// Requests that found the queue of that service full before.
    pub(crate) fn full_before(&self) -> u64 {
        self.first.as_ref().map_or(0, |(_, counts)| counts.full)
    }

    /// Puts the counts into the report; they become durable with the next note.
    pub(crate) fn count(&self, this: &Move, catalogue: &Catalogue) {
        let record = this.record();
        if record.spec.alias.is_none() {
            return;
        }
        let mut counted = Counts::default();
        let mut add = |service: &Service, before: Counts| {
            let now = Counts::of(service);
            counted.requests += now.requests.saturating_sub(before.requests);
            counted.failed += now.failed.saturating_sub(before.failed);
            counted.refused += now.refused.saturating_sub(before.refused);
        };
        if let Some((first, before)) = &self.first {
            add(first, *before);
        }
        let snapshot = catalogue.snapshot();
        let own = own_service(&record, &snapshot);
        if let Some(own) = own.filter(|own| self.first.as_ref().is_none_or(|(first, _)| first.id != own.id)) {
            add(own, Counts::default());
        }
        let held = record.report.exchange.as_ref().map_or(0, |exchange| exchange.failed_requests);
        let Counts { requests, failed, refused, .. } = counted;
        let served = ServedRequests { requests: requests + held, failed: failed + held, refused };
        this.change_report(|report| report.served = Some(served));
    }
}
