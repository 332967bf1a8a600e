//! The runtime state of an alias: which request goes to the canary or is copied, and the running shadow.
//!
//! It lives as long as the alias, through all changes of its route; nothing of it is recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::desired::Share;
use crate::percent::Percent;
use crate::service::Service;
use crate::shadow::{Ledger, Shadow, ShadowLimits};

/// The runtime state of one alias.
#[derive(Default)]
pub(super) struct Traffic {
    /// Picks the requests for the canary.
    pub(super) canary: Rotation,
    /// Counters and observer of the copies.
    pub(super) ledger: Arc<Ledger>,
    shadowed: Rotation,
    running: ArcSwapOption<Shadow>,
    /// Temporary override of the recorded shadow, while a move compares.
    overriding: ArcSwapOption<Service>,
    /// Temporary override of the recorded canary, while a move tries it.
    canary_override: ArcSwapOption<Share>,
    /// The target as a shadow, asked about requests that this canary refuses.
    second_opinion: ArcSwapOption<Shadow>,
    /// The alias is being rolled back, and requests wait for that.
    returning: AtomicBool,
}

impl Traffic {
    /// The shadow, when the next answer of the target is to be copied to it.
    pub(super) fn shadow_due(&self) -> Option<Arc<Shadow>> {
        let running = self.running.load();
        let shadow = running.as_ref()?;
        self.shadowed.is_due(shadow.percent()).then(|| Arc::clone(shadow))
    }

    /// Makes this service the shadow from now on, or ends the shadow. One that runs already goes on.
    pub(super) fn run(&self, wanted: Option<(&Arc<Service>, Percent)>) {
        let overriding = self.overriding.load_full();
        let wanted = overriding.as_ref().map(|service| (service, Percent::ALL)).or(wanted);
        let Some((service, percent)) = wanted else { return self.replace(None) };
        if let Some(running) = self.running.load_full().filter(|running| running.service() == service.id) {
            running.set_percent(percent);
            return;
        }
        self.replace(self.start(service, percent));
    }

    fn start(&self, service: &Arc<Service>, percent: Percent) -> Option<Shadow> {
        let started = Shadow::start(Arc::clone(service), percent, ShadowLimits::default(), Arc::clone(&self.ledger));
        started.inspect_err(|error| tracing::error!(service = %service.name(), %error, "no shadow")).ok()
    }

    /// Sets or clears the temporary shadow, which is not recorded; [`Self::run`] has to follow.
    pub(super) fn override_shadow(&self, service: Option<Arc<Service>>) {
        self.overriding.store(service);
    }

    /// Sets or clears the temporary canary, which is not recorded. The target is asked about the requests that it
    /// refuses.
    pub(super) fn override_canary(&self, share: Option<Share>, target: Option<&Arc<Service>>) {
        let target = target.filter(|_| share.is_some());
        self.canary_override.store(share.map(Arc::new));
        let asked = self.second_opinion.load_full();
        if asked.as_ref().map(|asked| asked.service()) == target.map(|target| target.id) {
            return;
        }
        let former = self.second_opinion.swap(target.and_then(|target| self.start(target, Percent::ALL)).map(Arc::new));
        if let Some(former) = former {
            former.end();
        }
    }

    /// Notes that a rollback has begun.
    pub(super) fn begin_return(&self) {
        self.returning.store(true, Ordering::Release);
    }

    /// Notes that the rollback is over, successful or not.
    pub(super) fn end_return(&self) {
        self.returning.store(false, Ordering::Release);
    }

    /// Whether a rollback is in progress.
    pub(super) fn is_returning(&self) -> bool {
        self.returning.load(Ordering::Acquire)
    }

    /// The target, where it is asked about requests that a canary refuses.
    pub(super) fn second_opinion(&self) -> Option<Arc<Shadow>> {
        self.second_opinion.load_full()
    }

    /// The temporary canary.
    pub(super) fn canary_override(&self) -> Option<Share> {
        self.canary_override.load().as_deref().copied()
    }

    /// The former shadow ends here, not when the last request drops it.
    fn replace(&self, shadow: Option<Shadow>) {
        if let Some(former) = self.running.swap(shadow.map(Arc::new)) {
            former.end();
        }
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shadow = self.running.load().as_ref().map(|running| running.service());
        formatter.debug_struct("Traffic").field("shadow", &shadow).field("copies", &self.ledger.counts()).finish()
    }
}

/// Chooses requests one by one so that any 100 in a row hold exactly the percentage, spread evenly.
#[derive(Debug, Default)]
pub(super) struct Rotation(AtomicU64);

impl Rotation {
    /// Whether the next request is one of the chosen.
    pub(super) fn is_due(&self, percent: Percent) -> bool {
        let (place, percent) = (self.0.fetch_add(1, Ordering::Relaxed) % 100, u64::from(percent.get()));
        // The multiples of the percentage pass a multiple of 100 that often.
        (place * percent) % 100 + percent >= 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_hundred_requests_hold_the_percentage() {
        for percent in 0..=100 {
            let rotation = Rotation::default();
            let chosen: Vec<bool> = (0..300).map(|_| rotation.is_due(Percent::new(percent).unwrap())).collect();
            for window in chosen.windows(100) {
                assert_eq!(window.iter().filter(|chosen| **chosen).count(), usize::from(percent));
            }
        }
    }

    #[test]
    fn the_chosen_are_spread() {
        let rotation = Rotation::default();
        let chosen: Vec<bool> = (0..100).map(|_| rotation.is_due(Percent::new(10).unwrap())).collect();
        assert!(chosen.chunks(10).all(|ten| ten.iter().filter(|chosen| **chosen).count() == 1));
    }
}
