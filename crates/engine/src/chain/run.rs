//! Runs a chain: the first service, then those that read what actions made of its answer, and so on.
//!
//! It must not know what actions do, nor how a call is answered.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use dede_model::error::{Error, Result};
use dede_model::request_memory::MemoryShare;

use super::answer::{ActionAnswer, ChainAnswer, Place, StepAnswer};
use super::door::{Computed, MOST_PICTURES, Observer, Pictures, StepDoor};
use super::plan::{ActionStep, Plan, located, missing};
use super::together::{Boxed, all};
use crate::dispatch::{Call, Dispatcher, Reserved};
use crate::service::PredictCall;

/// Calls of one chain that wait or compute at once.
const MOST_TOGETHER: usize = 4;

/// On whose behalf a chain is run.
pub struct Asking<'a> {
    /// Until when each call has to have a slot, where the client says so.
    pub deadline: Option<tokio::time::Instant>,
    /// When the request came.
    pub received: Instant,
    /// What it is counted in.
    pub memory: &'a MemoryShare,
    /// What counts its calls.
    pub observer: Arc<dyn Observer>,
}

/// What a chain needs while it runs.
struct Running<'a> {
    dispatcher: &'a Dispatcher,
    reserved: Reserved,
    asking: Asking<'a>,
    room: Arc<AtomicUsize>,
}

/// A call of a service that has its items.
struct Ready {
    /// Its number among the services.
    service: usize,
    position: usize,
    call: Call,
    door: StepDoor,
}

/// Runs a chain. A call whose items do not come about, since nothing was found, is left out with all that follows from it.
///
/// # Errors
/// [`Error::BadChain`] for a service that there is not; [`Error::AliasConflict`] for one of a peer; [`Error::BadAction`] and
/// [`Error::BadInput`] of actions; those of [`Dispatcher::infer`], with the number of the call.
pub async fn run(dispatcher: &Dispatcher, mut plan: Plan, asking: Asking<'_>) -> Result<ChainAnswer> {
    let reserved = dispatcher
        .reserve(&plan.names(), asking.deadline)
        .await
        .map_err(|error| if let Error::ServiceNotFound(name) = &error { missing(name) } else { error })?;
    let received = asking.received;
    let running = Running { dispatcher, reserved, asking, room: Arc::new(AtomicUsize::new(MOST_PICTURES)) };
    let mut answers: Vec<Option<StepAnswer>> = plan.services.iter().map(|_| None).collect();
    let mut ready = vec![running.ready(&mut plan, 0, None)?];
    // What the pictures that are being read are counted in.
    let mut held = Vec::new();
    while !ready.is_empty() {
        let mut computed = Vec::with_capacity(ready.len());
        let mut waiting = ready.into_iter();
        loop {
            let together: Vec<Ready> = waiting.by_ref().take(MOST_TOGETHER).collect();
            if together.is_empty() {
                break;
            }
            computed.extend(all(together.into_iter().map(|ready| running.step(ready)).collect()).await?);
        }
        drop(std::mem::take(&mut held));
        ready = Vec::new();
        for (service, Computed { mut answer, made }) in computed {
            for made in made {
                for fed in plan.actions[made.action].feeds.clone() {
                    if !made.pictures.is_empty() {
                        ready.push(running.ready(&mut plan, fed, Some((&made, answer.uris.as_slice())))?);
                    }
                }
                answer.actions.push(action_answer(&plan.actions[made.action], made, &mut held)?);
            }
            answers[service] = Some(answer);
        }
    }
    let first = nested(&plan, answers)?;
    Ok(ChainAnswer { first, took: received.elapsed() })
}

impl Running<'_> {
    /// The call of a service, with what an action made for it and the names of the items that it was made of.
    fn ready(&self, plan: &mut Plan, service: usize, made: Option<(&Pictures, &[String])>) -> Result<Ready> {
        let step = &mut plan.services[service];
        let mut request: Box<PredictCall> = std::mem::take(&mut step.request);
        if let Some((made, uris)) = made {
            request.pictures = made.pictures.clone();
            request.ids = made.places.iter().map(|place| name_of(place, uris)).collect();
        }
        let actions = &plan.actions;
        request.keeps_pictures = step.actions.iter().any(|action| actions[*action].makes_pictures());
        let door = StepDoor {
            position: step.position,
            actions: step.actions.iter().map(|action| (*action, Arc::clone(&actions[*action].action))).collect(),
            memory: self.asking.memory.beside(0)?,
            observer: Arc::clone(&self.asking.observer),
            room: Arc::clone(&self.room),
        };
        let call = Call {
            name: step.name.as_str().to_owned(),
            request,
            received: Instant::now(),
            deadline: self.asking.deadline,
        };
        Ok(Ready { service, position: step.position, call, door })
    }

    /// Has a call answered.
    fn step(&self, ready: Ready) -> Boxed<'_, Result<(usize, Computed)>> {
        Box::pin(async move {
            let Ready { service, position, call, door } = ready;
            let answered = self.dispatcher.infer_reserved(door, &self.reserved, call).await;
            answered.map(|computed| (service, computed)).map_err(|error| located(error, position))
        })
    }
}

/// What messages call an item that an action made.
fn name_of(place: &Place, uris: &[String]) -> String {
    let uri = uris.get(place.item).map(String::as_str).unwrap_or_default();
    match place.class {
        Some(class) => format!("{uri}#{class}"),
        None => uri.to_owned(),
    }
}

/// What an action made, without the pictures unless they are shown; `held` gets what the others are counted in.
fn action_answer(step: &ActionStep, made: Pictures, held: &mut Vec<MemoryShare>) -> Result<ActionAnswer> {
    let Pictures { places, pictures, is_shown, memory, .. } = made;
    let (shown, memory) = match is_shown {
        true => (Some(pictures), memory),
        false => {
            let none = memory.beside(0)?;
            held.push(memory);
            (None, none)
        }
    };
    Ok(ActionAnswer { id: step.id.clone(), places, shown, steps: Vec::new(), memory })
}

/// The tree of the answers. Those that stand later were made of earlier ones.
fn nested(plan: &Plan, mut answers: Vec<Option<StepAnswer>>) -> Result<StepAnswer> {
    let broken = || Error::Internal("the answers of a chain do not fit together".to_owned());
    for service in (1..answers.len()).rev() {
        let Some(mut answer) = answers[service].take() else { continue };
        answer.actions.iter_mut().for_each(|action| action.steps.sort_by_key(|step| step.position));
        let Some(reads) = plan.services[service].reads() else { return Err(broken()) };
        let on = plan.actions[reads].on();
        let parent = answers.get_mut(on).and_then(Option::as_mut);
        let id = &plan.actions[reads].id;
        let action = parent.and_then(|parent| parent.actions.iter_mut().find(|action| action.id == *id));
        action.ok_or_else(broken)?.steps.push(answer);
    }
    let mut first = answers.first_mut().and_then(Option::take).ok_or_else(broken)?;
    first.actions.iter_mut().for_each(|action| action.steps.sort_by_key(|step| step.position));
    Ok(first)
}
