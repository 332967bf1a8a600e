//! The one way in: every call of a client goes through the [`Dispatcher`], whatever protocol it came by, and each call of the server
//! itself through [`rehearse`].
//!
//! It routes the call (alias, canary, peer), has it admitted, waits out the exchange of a network and for a slot, computes, offers the
//! answer to the shadow and tells the protocol what to count. Protocols parse and render only: [`Door`]. It must not know any.

mod door;
mod reserved;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_model::caller::Presence;
use dede_model::connector::Fetched;
use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;

use crate::catalogue::{Catalogue, Resolved, Routed};
use crate::limiter::{Forwarded, Hold, Limiter, Outbound, Permit, Refused, Slot};
use crate::service::{Answered, PredictCall, Predicted, Service};
use crate::shadow::{Primary, Refusal};

pub use crate::rehearsal::rehearse;
pub use door::{Addressee, Call, Door, Inferred, Record, RemoteTarget, Target};
pub use reserved::Reserved;

/// Where all calls come in.
pub struct Dispatcher {
    catalogue: Arc<Catalogue>,
    limiter: Limiter,
}

/// Who answers a call.
enum Answerer {
    Here(Admitted),
    There(RemoteTarget),
}

/// What became of a call for a peer.
enum Passed<R> {
    /// The peer answered.
    Answered(R),
    /// The peer is gone, and a service of this server answers by now.
    ComesBack(Admitted, Call),
}

/// A call that a service of this server answers, with its permits.
struct Admitted {
    resolved: Resolved,
    /// Shared by the calls of a chain to one service.
    permit: Arc<Permit>,
    /// Where it waits for other machines.
    outbound: Option<Outbound>,
}

/// A call that may compute.
struct Ready {
    admitted: Admitted,
    call: Call,
    fetched: Fetched,
    memory: MemoryShare,
    slot: Slot,
    /// Of its client, where the call waits for other machines.
    presence: Option<Presence>,
}

/// What is computed, on a thread that may compute.
struct Work<D> {
    door: D,
    admitted: Admitted,
    call: Call,
    fetched: Fetched,
    memory: MemoryShare,
    slot: Slot,
}

impl Dispatcher {
    /// For the services of a catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let limiter = catalogue.limiter().clone();
        Self { catalogue, limiter }
    }

    /// A permit for a request that is forwarded to a peer and is no predict.
    ///
    /// # Errors
    /// [`Error::Overloaded`].
    pub fn forward(&self) -> Result<Forwarded> {
        self.limiter.forward()
    }

    /// Answers a call: by a service of this server, or by a peer.
    ///
    /// # Errors
    /// Those of [`Service::predict`] and of the door; [`Error::ServiceNotFound`]; [`Error::Overloaded`] at a bound of the limiter;
    /// [`Error::DeadlineExceeded`].
    pub async fn infer<D: Door>(&self, mut door: D, call: Call) -> Result<D::Reply, D::Failure> {
        let (received, mut to) = (call.received, Addressee::default());
        let (admitted, call) = match self.admit(&call.name, call.deadline, &mut to).await {
            Ok(Answerer::Here(admitted)) => (admitted, call),
            // In a place of its own: few calls are forwarded, and every call would be as large.
            Ok(Answerer::There(target)) => match Box::pin(self.forwarded(&mut door, target, call, &mut to)).await {
                Ok(Passed::ComesBack(admitted, call)) => (admitted, call),
                Ok(Passed::Answered(reply)) => {
                    let record = Record { to: &to, version: None, items: 0, elapsed: received.elapsed() };
                    door.record(&record, Ok(&reply));
                    return Ok(reply);
                }
                Err(failure) => return Err(refused(&door, &to, received, failure)),
            },
            Err(error) => return Err(refused(&door, &to, received, error.into())),
        };
        self.answer(door, admitted, call, to).await
    }

    /// Has a service of this server answer a call.
    async fn answer<D: Door>(
        &self,
        mut door: D,
        admitted: Admitted,
        call: Call,
        to: Addressee,
    ) -> Result<D::Reply, D::Failure> {
        let received = call.received;
        let memory = door.take_memory();
        match self.ready(&mut door, admitted, call, memory).await {
            // A client that goes away ends this future, and with it what waits for another machine.
            Ok(Ready { admitted, call, fetched, memory, slot, presence: _presence }) => {
                door.queued(received.elapsed());
                let is_quick = admitted.resolved.service.queue.speed().is_quick();
                let is_quick = is_quick && !may_wait(&admitted.resolved.service, &call.request);
                let work = Work { door, admitted, call, fetched, memory, slot };
                if is_quick { work.done(&to) } else { blocking(move || work.done(&to)).await? }
            }
            Err(failure) => Err(refused(&door, &to, received, failure)),
        }
    }

    /// Has a peer answer a call. Where the peer is gone before it answers, the call is routed again and made once more, as a predict may
    /// be made twice.
    async fn forwarded<D: Door>(
        &self,
        door: &mut D,
        target: RemoteTarget,
        call: Call,
        to: &mut Addressee,
    ) -> Result<Passed<D::Reply>, D::Failure> {
        let Call { name, request, received, deadline } = call;
        // The door has the body: what was read of it takes no memory while the peer answers.
        drop(request);
        let permit = self.forward_by(deadline)?;
        match door.forward(target, permit).await {
            Err(_) if door.may_be_repeated() && !is_over(deadline) => {}
            outcome => return outcome.map(Passed::Answered),
        }
        match self.admit(&name, deadline, to).await? {
            Answerer::There(target) => {
                let permit = self.forward_by(deadline)?;
                door.forward(target, permit).await.map(Passed::Answered)
            }
            Answerer::Here(admitted) => {
                let request = door.read_again().await?;
                Ok(Passed::ComesBack(admitted, Call { name, request, received, deadline }))
            }
        }
    }

    /// A permit for a call that is forwarded while there is time.
    fn forward_by(&self, deadline: Option<tokio::time::Instant>) -> Result<Forwarded> {
        if is_over(deadline) {
            return Err(Error::DeadlineExceeded("the time that the request allows is over".into()));
        }
        self.limiter.forward()
    }

    /// Routes a call and has it admitted, where a service of this server answers it. While a network is exchanged it waits for the end of
    /// that and is routed again: another service may answer then.
    async fn admit(&self, name: &str, deadline: Option<tokio::time::Instant>, to: &mut Addressee) -> Result<Answerer> {
        loop {
            let resolved = match self.catalogue.route(name)? {
                Routed::Here(resolved) => resolved,
                Routed::There { asked, peer, service } => {
                    to.asked = Some(asked.clone());
                    let target = RemoteTarget { asked, peer, service };
                    to.target = Target::There(target.clone());
                    return Ok(Answerer::There(target));
                }
            };
            to.asked = Some(resolved.asked.clone());
            to.target = Target::Here(Arc::clone(&resolved.service));
            let hold = match resolved.service.queue.admit() {
                // Routed right before an exchange and admitted right after it: another service answers by now.
                Ok(_) if !resolved.service.is_loaded() && self.leads_elsewhere(name, &resolved) => continue,
                Ok(permit) => {
                    return Ok(Answerer::Here(Admitted { resolved, permit: Arc::new(permit), outbound: None }));
                }
                Err(Refused::Full(error)) => return Err(error),
                Err(Refused::Held(hold)) => hold,
            };
            drop(resolved);
            until_over(&hold, deadline).await?;
        }
    }

    /// Whether the name leads to another place than when it was looked up.
    fn leads_elsewhere(&self, name: &str, before: &Resolved) -> bool {
        match self.catalogue.route(name) {
            Ok(Routed::Here(now)) => now.service.id != before.service.id,
            Ok(Routed::There { .. }) | Err(_) => true,
        }
    }

    /// What a call needs before it computes: what its items name by URL, and a slot.
    async fn ready<D: Door>(
        &self,
        door: &mut D,
        mut admitted: Admitted,
        mut call: Call,
        mut memory: MemoryShare,
    ) -> Result<Ready, D::Failure> {
        door.check(&admitted.resolved.asked)?;
        let service = &admitted.resolved.service;
        let names_urls = call.request.data.iter().any(|item| is_http(item));
        if names_urls || is_sent_on(service, &call.request) {
            admitted.outbound = Some(self.limiter.outbound()?);
        }
        let presence = admitted.outbound.as_ref().map(|_| memory.caller().presence());
        let mut fetched = Fetched::default();
        if names_urls {
            let service = Arc::clone(service);
            // Before the call has a slot: it waits for other machines. The waiting thread holds the permits.
            (admitted, call, memory, fetched) = blocking(move || {
                let fetched = service.fetch(&call.request, &memory)?;
                Ok::<_, Error>((admitted, call, memory, fetched))
            })
            .await??;
        }
        let slot = admitted.permit.slot(call.deadline).await?;
        Ok(Ready { admitted, call, fetched, memory, slot, presence })
    }
}

impl<D: Door> Work<D> {
    fn done(self, to: &Addressee) -> Result<D::Reply, D::Failure> {
        let Self { door, admitted, call, fetched, memory, slot } = self;
        let Admitted { resolved, permit, outbound } = admitted;
        let (service, received, request) = (&resolved.service, call.received, call.request);
        let outcome = match service.predict_fetched(&request, &fetched, &memory) {
            Ok(predicted) => answered(&door, &resolved, (request, predicted), (memory, slot), (to, received)),
            Err(error) => {
                // Where memory ran short, the refusal says nothing about the service.
                if !matches!(error, Error::Overloaded(_) | Error::TooLarge(_)) {
                    let refusal = Refusal { reason: error.to_string(), is_fault: error.is_fault() };
                    offer_refused(&resolved, *request, refusal);
                }
                Err(refused(&door, to, received, error.into()))
            }
        };
        drop((permit, outbound));
        outcome
    }
}

/// Renders an answer, and offers it to the shadow.
fn answered<D: Door>(
    door: &D,
    resolved: &Resolved,
    (request, predicted): (Box<PredictCall>, Predicted),
    (memory, slot): (MemoryShare, Slot),
    (to, received): (&Addressee, Instant),
) -> Result<D::Reply, D::Failure> {
    let Predicted { answered, version, items } = predicted;
    let Answered { outputs, pictures, uris, labels, measures, output, took } = answered;
    let service = &resolved.service;
    let (asked, name) = (&resolved.asked, service.name());
    let inferred = Inferred {
        asked,
        service: name,
        version: &version,
        outputs: &outputs,
        pictures,
        uris,
        labels,
        measures,
        output,
        took: took.total,
        memory,
        slot,
    };
    let began = Instant::now();
    // A bug in a protocol is a failure that is counted like others.
    let rendered = catch_unwind(AssertUnwindSafe(|| door.render(inferred)));
    let took_rendering = began.elapsed();
    service.queue.speed().record(took.total + took_rendering);
    service.statistics.rendered(took_rendering);
    let is_fault = rendered.is_err();
    let reply = match rendered.unwrap_or_else(|_| Err(panicked().into())) {
        Ok(reply) => reply,
        Err(failure) => {
            if is_fault {
                service.statistics.faulted();
            }
            if let Some(reason) = door.reason(&request, &failure) {
                offer_refused(resolved, *request, Refusal { reason, is_fault });
            }
            return Err(refused(door, to, received, failure));
        }
    };
    door.record(&Record { to, version: Some(&version), items, elapsed: received.elapsed() }, Ok(&reply));
    if let Some(shadow) = resolved.shadow() {
        let took = took.total + took_rendering;
        let primary = Primary { service: Arc::clone(service), version, outputs: Ok(Arc::new(outputs)), took };
        shadow.offer(*request, primary);
    }
    Ok(reply)
}

/// Records a call that has no answer.
fn refused<D: Door>(door: &D, to: &Addressee, received: Instant, failure: D::Failure) -> D::Failure {
    door.record(&Record { to, version: None, items: 0, elapsed: received.elapsed() }, Err(&failure));
    failure
}

/// Puts a refused call to the shadow, to learn whether it would have answered.
fn offer_refused(resolved: &Resolved, call: PredictCall, refusal: Refusal) {
    let Some(shadow) = resolved.shadow_of_refused() else { return };
    let service = Arc::clone(&resolved.service);
    let version = service.version();
    shadow.offer(call, Primary { service, version, outputs: Err(refusal), took: Duration::ZERO });
}

/// Waits for the end of a pause.
async fn until_over(hold: &Arc<Hold>, deadline: Option<tokio::time::Instant>) -> Result<()> {
    let waiting = hold.wait()?;
    let end: tokio::time::Instant = waiting.until().into();
    let until = deadline.map_or(end, |deadline| deadline.min(end));
    if tokio::time::timeout_at(until, waiting.over()).await.is_ok() {
        return Ok(());
    }
    Err(match until < end {
        true => Error::DeadlineExceeded("the time that the request allows was over before it began".into()),
        false => waiting.give_up(),
    })
}

/// Runs `work` where blocking is allowed.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = Result<T>> {
    let span = tracing::Span::current();
    let running = tokio::task::spawn_blocking(move || span.in_scope(work));
    async move { running.await.map_err(|_| panicked()) }
}

/// Whether the time that a request allows is over.
fn is_over(deadline: Option<tokio::time::Instant>) -> bool {
    deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline)
}

fn panicked() -> Error {
    Error::Internal("the server made a mistake, see its log".into())
}

/// Whether an item may name a URL, whose scheme may be written in any case.
fn is_http(item: &str) -> bool {
    item.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"))
}

/// Whether an answer goes to another machine.
fn is_sent_on(service: &Service, call: &PredictCall) -> bool {
    call.parameters.output.contains_key("network") || service.definition.parameters.output.contains_key("network")
}

/// Whether a call may take any time, however quick others were: its answer is sent to another server or rendered by
/// a template, an item may name a file or a URL, or actions of a chain work on it. Rows of numbers have commas.
fn may_wait(service: &Service, call: &PredictCall) -> bool {
    let has_template = |output: &dede_model::parameters::Section| output.contains_key("template");
    is_sent_on(service, call)
        || call.keeps_pictures
        || !call.pictures.is_empty()
        || has_template(&call.parameters.output)
        || has_template(&service.definition.parameters.output)
        || call.data.iter().any(|item| !item.contains(',') || item.contains("://"))
}
