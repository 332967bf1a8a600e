//! One call of a chain on its way through the dispatcher: its answer, and what the actions make of it, on the thread that computed it.
//!
//! It must not know other calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dede_model::action::{Effect, Found, Made, PreparedAction, Seen, Yield};
use dede_model::error::{Error, Result};
use dede_model::outputs::Outputs;
use dede_model::picture::{KeptPicture, Picture};
use dede_model::request_memory::MemoryShare;

use super::answer::{Place, StepAnswer};
use crate::dispatch::{Door, Inferred, Record, RemoteTarget};
use crate::limiter::Forwarded;
use crate::name::ServiceName;
use crate::output::{Listed, listed, rendered_bytes};
use crate::service::PredictCall;

/// Pictures that an action may make of one item.
const MOST_OF_ITEM: usize = 1024;
/// Pictures that the actions of one chain may make.
pub(super) const MOST_PICTURES: usize = 8192;

/// What counts the calls of a chain, as those of other clients.
pub trait Observer: Send + Sync {
    /// A call waited this long for its slot.
    fn queued(&self, waited: Duration);

    /// A call was answered, or refused.
    fn record(&self, record: &Record<'_>, outcome: Result<(), &Error>);
}

/// One call of a service.
pub(super) struct StepDoor {
    pub(super) position: usize,
    /// The actions on the answer, by their numbers.
    pub(super) actions: Vec<(usize, Arc<dyn PreparedAction>)>,
    pub(super) memory: MemoryShare,
    pub(super) observer: Arc<dyn Observer>,
    /// Pictures that the chain may still make.
    pub(super) room: Arc<AtomicUsize>,
}

/// An answer, and what actions made of it.
pub(super) struct Computed {
    pub(super) answer: StepAnswer,
    pub(super) made: Vec<Pictures>,
}

/// What one action made.
pub(super) struct Pictures {
    /// The number of the action.
    pub(super) action: usize,
    pub(super) places: Vec<Place>,
    pub(super) pictures: Vec<Picture>,
    pub(super) is_shown: bool,
    /// What they are counted in.
    pub(super) memory: MemoryShare,
}

/// The classes of one item that actions see, and their places in the list that is answered.
struct ItemClasses {
    found: Vec<Found>,
    places: Vec<usize>,
}

impl Door for StepDoor {
    type Reply = Computed;
    type Failure = Error;

    fn check(&mut self, _asked: &ServiceName) -> Result<()> {
        Ok(())
    }

    fn take_memory(&mut self) -> MemoryShare {
        std::mem::replace(&mut self.memory, MemoryShare::unbounded())
    }

    fn render(&self, inferred: Inferred<'_>) -> Result<Computed> {
        let Inferred { asked, service, version, outputs, pictures, uris, labels, measures, output, memory, .. } =
            inferred;
        if output.template.is_some() || output.network.is_some() || measures.is_some() {
            let what =
                "the service was created with output.template, network or measure, and its answer is a part here";
            return Err(Error::bad_parameter_at("parameters.output", what));
        }
        memory.grow(outputs.bytes())?;
        let (mut made, mut stays) = (Vec::new(), None);
        if !self.actions.is_empty() {
            check_classes(service.as_str(), outputs)?;
            let classes = |item| ItemClasses::of(&listed(outputs, item, &output), |one| one.name(&labels));
            let mut items: Vec<ItemClasses> = (0..outputs.len()).map(classes).collect();
            for (number, action) in &self.actions {
                match self.apply(action, &uris, &pictures, &items, &memory)? {
                    (Effect::Kept(flags), _) => {
                        items.iter_mut().zip(&flags).for_each(|(item, flags)| item.keep(flags));
                        stays = Some(items.iter().map(|item| item.places.clone()).collect());
                    }
                    (Effect::Made(pictures), share) => {
                        made.push(collected(*number, action.yields(), pictures, &items, share))
                    }
                }
            }
        }
        drop(pictures);
        // What reading and computing took is free by now.
        memory.shrink_to(outputs.bytes().saturating_add(rendered_bytes(outputs, &output)));
        let answer = StepAnswer {
            position: self.position,
            asked: asked.clone(),
            service,
            version: Arc::clone(version),
            outputs: outputs.clone(),
            uris,
            labels,
            output,
            stays,
            actions: Vec::new(),
            memory,
        };
        Ok(Computed { answer, made })
    }

    /// What an action refuses says nothing about the service.
    fn reason(&self, _call: &PredictCall, _failure: &Error) -> Option<String> {
        None
    }

    async fn forward(&mut self, to: RemoteTarget, _permit: Forwarded) -> Result<Computed> {
        Err(Error::AliasConflict(format!(
            "{} is a service of {}, and images are handed on within one server",
            to.asked, to.peer
        )))
    }

    fn queued(&self, waited: Duration) {
        self.observer.queued(waited);
    }

    fn record(&self, record: &Record<'_>, outcome: Result<&Computed, &Error>) {
        self.observer.record(record, outcome.map(|_| ()));
    }
}

impl StepDoor {
    /// Applies an action, where there is room for what it may make.
    fn apply(
        &self,
        action: &Arc<dyn PreparedAction>,
        uris: &[String],
        pictures: &[KeptPicture],
        items: &[ItemClasses],
        memory: &MemoryShare,
    ) -> Result<(Effect, MemoryShare)> {
        let at_most = match action.yields() {
            Yield::Nothing => 0,
            Yield::PerItem { .. } => items.len(),
            Yield::PerClass => {
                let most = items.iter().map(|item| item.found.len()).max().unwrap_or(0);
                if most > MOST_OF_ITEM {
                    let text = format!("expected at most {MOST_OF_ITEM} boxes of an item, found {most}");
                    return Err(Error::bad_action(format!(
                        "{text}: confidence_threshold and best_bbox leave some out"
                    )));
                }
                items.iter().map(|item| item.found.len()).sum()
            }
        };
        let take = |left: usize| left.checked_sub(at_most);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(Error::bad_action(format!("expected at most {MOST_PICTURES} pictures of one chain")));
        }
        let seen: Vec<Seen<'_>> = items
            .iter()
            .zip(uris)
            .enumerate()
            .map(|(number, (item, uri))| Seen { uri, kept: pictures.get(number), found: &item.found })
            .collect();
        let share = memory.beside(0)?;
        Ok((action.apply(&seen, &share)?, share))
    }
}

/// What an action made, with the places in the answer of what the pictures show.
fn collected(action: usize, yields: Yield, made: Vec<Made>, items: &[ItemClasses], memory: MemoryShare) -> Pictures {
    let place = |made: &Made| Place { item: made.item, class: made.class.map(|class| items[made.item].places[class]) };
    let places = made.iter().map(place).collect();
    let pictures = made.into_iter().map(|made| made.picture).collect();
    Pictures { action, places, pictures, is_shown: yields == Yield::PerItem { is_shown: true }, memory }
}

/// Refuses an answer that has no classes for actions to work on.
fn check_classes(service: &str, outputs: &Outputs) -> Result<()> {
    let what = match outputs {
        Outputs::Classification(_) | Outputs::Detection(_) => return Ok(()),
        Outputs::Regression(_) => "values",
        Outputs::Features(_) => "the values of a layer",
        Outputs::Segmentation(_) => "masks",
        Outputs::Tensors(_) => "tensors",
    };
    Err(Error::bad_action(format!("actions work on classes and boxes, and {service} answers {what}")))
}

impl ItemClasses {
    fn of(listed: &[Listed], name: impl Fn(&Listed) -> String) -> Self {
        let found = |one: &Listed| Found { class: name(one), score: one.score, corners: one.corners };
        Self { found: listed.iter().map(found).collect(), places: (0..listed.len()).collect() }
    }

    /// Leaves out the classes that do not stay.
    fn keep(&mut self, stays: &[bool]) {
        let mut flags = stays.iter();
        self.found.retain(|_| flags.next() == Some(&true));
        let mut flags = stays.iter();
        self.places.retain(|_| flags.next() == Some(&true));
    }
}
