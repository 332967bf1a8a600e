//! Which call works on what: the tree of a chain, checked as a whole before anything computes.
//!
//! It must not know catalogues, nor run anything.

use std::sync::Arc;

use dede_model::action::{Action, PreparedAction, Yield};
use dede_model::error::{Error, Fault, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::Call;
use dede_model::quote::quote;

use super::asked::{AskedCall, What};
use super::names::{Home, Members, Names};
use crate::name::ServiceName;
use crate::service::PredictCall;

/// Calls that a chain may have.
const MOST_CALLS: usize = 64;

/// Keys of `parameters.output` that say what becomes of an answer as a whole, and why a call of a chain has none of them.
const OF_WHOLE_ANSWERS: [(&str, &str); 3] = [
    ("template", "the answer to a call of a chain is a part of another, which no template makes"),
    ("network", "the answer to a call of a chain is a part of another, and is sent nowhere"),
    ("measure", "measures are of labelled data: ask POST /predict for them"),
];

/// A chain that can be run.
pub struct Plan {
    /// In the order of the calls; the first one is the root of the tree.
    pub(super) services: Vec<ServiceStep>,
    /// In the order of the calls.
    pub(super) actions: Vec<ActionStep>,
    unknown: Vec<String>,
}

/// A call of a service.
pub(super) struct ServiceStep {
    /// Number of the call in the chain.
    pub(super) position: usize,
    pub(super) name: ServiceName,
    pub(super) request: Box<PredictCall>,
    /// The actions on its answer, by their numbers among the actions.
    pub(super) actions: Vec<usize>,
    id: String,
    /// The action whose pictures it reads; `None`: it is the first.
    reads: Option<usize>,
}

/// An action.
pub(super) struct ActionStep {
    /// Number of the call in the chain.
    pub(super) position: usize,
    pub(super) id: String,
    pub(super) action: Arc<dyn PreparedAction>,
    /// The services that read what it makes, by their numbers among the services.
    pub(super) feeds: Vec<usize>,
    /// The service whose answer it works on.
    on: usize,
}

impl Plan {
    /// Finds out what each call works on. `actions` are those that there are, `members` the names that answers have for other things.
    ///
    /// # Errors
    /// [`Error::Malformed`] for too many calls or none; [`Error::BadChain`] for calls that do not fit together; [`Error::BadInput`] for a call without a source of items, or with two;
    /// [`Error::BadAction`] for an action that there is not, and of the actions; [`Error::BadParameter`] for what no call of a chain has.
    pub fn of(calls: Vec<AskedCall>, actions: &[&dyn Action], members: Members) -> Result<Self> {
        if calls.is_empty() || calls.len() > MOST_CALLS {
            let found = calls.len();
            return Err(Error::Malformed(Fault::at(
                "chain.calls",
                format!("expected 1 to {MOST_CALLS}, found {found}"),
            )));
        }
        let mut plan = Self { services: Vec::new(), actions: Vec::new(), unknown: Vec::new() };
        for (position, AskedCall { id, parent, what }) in calls.into_iter().enumerate() {
            let added = match what {
                What::Service { name, request } => plan.add_service((position, id), parent.as_deref(), &name, request),
                What::Action { kind, parameters } => {
                    let known = actions.iter().find(|action| action.name() == kind);
                    let unknown = || Error::bad_action(format!("unknown action {}", quote(&kind)));
                    let action = known.ok_or_else(unknown);
                    action.and_then(|action| plan.add_action((position, id), parent.as_deref(), *action, &parameters))
                }
            };
            added.map_err(|error| located(error, position))?;
        }
        plan.check_names(members)?;
        Ok(plan)
    }

    /// The services that it asks, each call's.
    pub(super) fn names(&self) -> Vec<&str> {
        self.services.iter().map(|service| service.name.as_str()).collect()
    }

    /// Dotted paths of parameters of actions that are in no table, to be logged or refused.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    fn add_service(
        &mut self,
        (position, id): (usize, Option<String>),
        parent: Option<&str>,
        name: &str,
        request: Box<PredictCall>,
    ) -> Result<()> {
        let name = ServiceName::parse(name).map_err(|_| missing(name))?;
        for (key, why) in OF_WHOLE_ANSWERS {
            if request.parameters.output.get(key).is_some_and(says_something) {
                return Err(Error::bad_parameter_at(format!("parameters.output.{key}"), why));
            }
        }
        let id = id.unwrap_or_else(|| position.to_string());
        if self.services.iter().any(|other| other.id == id) {
            return Err(taken(&id));
        }
        let reads = self.source_of(parent)?;
        if let Some(action) = reads {
            if !request.data.is_empty() || !request.ids.is_empty() {
                let id = quote(&self.actions[action].id);
                let reason = format!("expected none: the items of this call are what action {id} makes");
                return Err(Error::bad_input_at("data", reason));
            }
            self.actions[action].feeds.push(self.services.len());
        }
        self.services.push(ServiceStep { position, name, request, actions: Vec::new(), id, reads });
        Ok(())
    }

    /// The action that the items of the next service come from; `None`: it is the first, and has its own.
    fn source_of(&self, parent: Option<&str>) -> Result<Option<usize>> {
        if self.services.is_empty() && parent.is_none() {
            return Ok(None);
        }
        let id = parent.or_else(|| self.actions.last().map(|action| action.id.as_str())).unwrap_or_default();
        let found = self.actions.iter().position(|action| action.id == id && action.makes_pictures());
        found.map(Some).ok_or_else(|| Error::bad_input(format!("no action data for action id {}", quote(id))))
    }

    fn add_action(
        &mut self,
        (position, id): (usize, Option<String>),
        parent: Option<&str>,
        action: &dyn Action,
        parameters: &Section,
    ) -> Result<()> {
        let id = id.unwrap_or_else(|| self.actions.len().to_string());
        if self.actions.iter().any(|other| other.id == id) {
            return Err(taken(&id));
        }
        let on = self.answer_of(parent)?;
        let remarks = action.keys().check(parameters, "action.parameters", Call::Predict, &Section::new());
        let remarks = remarks.map_err(of_action)?;
        self.unknown.extend(remarks.unknown.into_iter().map(|path| format!("chain.calls[{position}].{path}")));
        let action = Arc::from(action.prepare(parameters).map_err(of_action)?);
        self.services[on].actions.push(self.actions.len());
        self.actions.push(ActionStep { position, id, action, feeds: Vec::new(), on });
        Ok(())
    }

    /// The service whose answer the next action works on: the one it names, that of the filter it names, or the last one.
    fn answer_of(&self, parent: Option<&str>) -> Result<usize> {
        let Some(last) = self.services.len().checked_sub(1) else {
            return Err(Error::bad_chain("the first call of a chain names a service, found an action"));
        };
        let Some(id) = parent else { return Ok(last) };
        let service = self.services.iter().position(|service| service.id == id);
        let action = self.actions.iter().find(|action| action.id == id);
        let shown = quote(id);
        match (service, action) {
            (Some(service), None) => Ok(service),
            (Some(service), Some(action)) if action.on == service => Ok(service),
            (Some(_), Some(_)) => Err(Error::bad_chain(format!(
                "parent_id {shown} is both the id of a service call and that of an action on another one: give them other ids"
            ))),
            (None, Some(action)) if action.action.yields() == Yield::Nothing => Ok(action.on),
            (None, Some(_)) => Err(Error::bad_chain(format!(
                "an action works on the answer of a service, and parent_id {shown} is an action whose pictures no service has read"
            ))),
            (None, None) => Err(Error::bad_chain(format!("no call before has the id {shown}, which parent_id names"))),
        }
    }

    /// Checks that each answer has a place of its own.
    fn check_names(&self, members: Members) -> Result<()> {
        let mut names = Names::new(members);
        for service in self.services.iter().filter(|service| service.reads.is_some()) {
            let taken = names.take(self.home(service), service.name.as_str());
            taken.map_err(|error| located(error, service.position))?;
        }
        for action in self.actions.iter().filter(|action| action.action.yields() == Yield::PerItem { is_shown: true }) {
            let taken = names.take(self.home(&self.services[action.on]), &action.id);
            taken.map_err(|error| located(error, action.position))?;
        }
        Ok(())
    }

    /// Where the answer to a call stands. What was made of whole items stands beside the answer that it was made of.
    fn home(&self, service: &ServiceStep) -> Home {
        let mut service = service;
        while let Some(action) = service.reads.map(|action| &self.actions[action]) {
            if action.action.yields() == Yield::PerClass {
                return Home::ClassOf(action.on);
            }
            service = &self.services[action.on];
        }
        Home::Item
    }
}

impl ServiceStep {
    /// The action whose pictures it reads; `None`: it is the first.
    pub(super) fn reads(&self) -> Option<usize> {
        self.reads
    }
}

impl ActionStep {
    /// The service whose answer it works on.
    pub(super) fn on(&self) -> usize {
        self.on
    }

    /// Whether it works on images, and leaves some.
    pub(super) fn makes_pictures(&self) -> bool {
        self.action.yields() != Yield::Nothing
    }
}

/// Whether a value asks for something.
fn says_something(value: &serde_json::Value) -> bool {
    !dede_model::parameters::keys::says_nothing(value)
}

/// A service that there is not, in the words of the original.
pub(super) fn missing(name: &str) -> Error {
    Error::bad_chain(format!("Service {} does not exist", quote(name)))
}

fn taken(id: &str) -> Error {
    Error::bad_chain(format!("two calls have the id {}: expected another one for each", quote(id)))
}

/// What is wrong with the parameters of an action is its complaint, also where another part of the server found it.
fn of_action(error: Error) -> Error {
    if let Error::BadInput(fault) | Error::BadParameter(fault) = error { Error::BadAction(fault) } else { error }
}

/// An error with the call that it is of. What the original says without a place stays in its words.
pub(super) fn located(error: Error, position: usize) -> Error {
    let located = |Fault { at, reason }: Fault| {
        let call = format!("chain.calls[{position}]");
        let is_member = ["parameters", "action", "data"].iter().any(|member| at.starts_with(member));
        let at = match (at.is_empty(), is_member) {
            (true, _) => call,
            (false, true) => format!("{call}.{at}"),
            (false, false) => format!("{at}, {call}"),
        };
        Fault { at, reason }
    };
    if let Error::BadParameter(fault) = error {
        return Error::BadParameter(located(fault));
    }
    let in_place = |fault: Fault| if fault.at.is_empty() { fault } else { located(fault) };
    if let Error::BadInput(fault) = error {
        return Error::BadInput(in_place(fault));
    }
    if let Error::BadAction(fault) = error { Error::BadAction(in_place(fault)) } else { error }
}
