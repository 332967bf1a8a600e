//! What a protocol gives the dispatcher, and what it gets back.
//!
//! It must not know how calls are routed or wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dede_model::error::Error;
use dede_model::labels::Labels;
use dede_model::measure::MeasureValues;
use dede_model::outputs::Outputs;
use dede_model::picture::KeptPicture;
use dede_model::request_memory::MemoryShare;

use crate::limiter::{Forwarded, Slot};
use crate::name::{PeerName, ServiceName};
use crate::output::OutputOptions;
use crate::service::{PredictCall, Service};

/// A call of a client.
#[derive(Debug)]
pub struct Call {
    /// The service or alias that it is addressed to, as the client wrote it.
    pub name: String,
    /// What is asked. In a place of its own, as a call is handed on from step to step.
    pub request: Box<PredictCall>,
    /// When it came.
    pub received: Instant,
    /// Until when it has to have a slot, where the client says so.
    pub deadline: Option<tokio::time::Instant>,
}

/// The answer to a call, before it is a reply.
#[derive(Debug)]
pub struct Inferred<'a> {
    /// The name that the client asked.
    pub asked: &'a ServiceName,
    /// The service that answered.
    pub service: Arc<ServiceName>,
    /// Its version: `sha256:…`.
    pub version: &'a Arc<str>,
    /// What the model said.
    pub outputs: &'a Outputs,
    /// The images of the items, where the call asks for them; they count in `memory`.
    pub pictures: Vec<KeptPicture>,
    /// A name for each item.
    pub uris: Vec<String>,
    /// Names of classes.
    pub labels: Arc<Labels>,
    /// What is answered instead of predictions, where measures are asked for.
    pub measures: Option<MeasureValues>,
    /// How it is to be rendered.
    pub output: OutputOptions,
    /// Reading and computing.
    pub took: Duration,
    /// What the reply is counted in.
    pub memory: MemoryShare,
    /// Dropped as soon as nothing is computed any more: a reply that waits for another machine gives it back before.
    pub slot: Slot,
}

/// A service of a peer, and the alias it is called by here.
#[derive(Debug, Clone)]
pub struct RemoteTarget {
    /// The alias that was asked.
    pub asked: ServiceName,
    /// The server.
    pub peer: PeerName,
    /// The name there.
    pub service: ServiceName,
}

/// Whom a call was addressed to, as far as that is known.
#[derive(Clone, Default)]
pub struct Addressee {
    /// The name asked, where it is that of a service or alias.
    pub asked: Option<ServiceName>,
    /// What answers.
    pub target: Target,
}

/// What answers a call.
#[derive(Clone, Default)]
pub enum Target {
    /// No service has this name.
    #[default]
    Unknown,
    /// A service of this server.
    Here(Arc<Service>),
    /// A service of a peer.
    There(RemoteTarget),
}

/// What became of a call, for counters.
pub struct Record<'a> {
    /// Whom it was addressed to.
    pub to: &'a Addressee,
    /// Version of the service of this server that answered.
    pub version: Option<&'a Arc<str>>,
    /// Items answered.
    pub items: usize,
    /// Since it came.
    pub elapsed: Duration,
}

/// One call on its way through a protocol: how its answer becomes a reply, or its refusal.
pub trait Door: Send + Sized + 'static {
    /// What the client gets.
    type Reply: Send + 'static;
    /// Why it gets none.
    type Failure: From<Error> + Send + 'static;

    /// What the protocol refuses once it is known who answers, before the call waits.
    ///
    /// # Errors
    /// The refusal.
    fn check(&mut self, asked: &ServiceName) -> Result<(), Self::Failure>;

    /// What the call is counted in, given away once: here it is answered.
    fn take_memory(&mut self) -> MemoryShare;

    /// Makes an answer a reply, on a thread that may compute and wait.
    ///
    /// # Errors
    /// Why there is none.
    fn render(&self, inferred: Inferred<'_>) -> Result<Self::Reply, Self::Failure>;

    /// What a failed rendering says about the service, in the words that the client gets; `None`: nothing.
    fn reason(&self, call: &PredictCall, failure: &Self::Failure) -> Option<String>;

    /// Sends the call to a peer, holding `permit` until the peer has answered; by reference, since the call is recorded afterwards.
    fn forward(
        &mut self,
        to: RemoteTarget,
        permit: Forwarded,
    ) -> impl Future<Output = Result<Self::Reply, Self::Failure>> + Send;

    /// Whether the call that was forwarded last may be made once more: its peer was gone before any of the answer came, and the door still
    /// has the call.
    fn may_be_repeated(&self) -> bool {
        false
    }

    /// Reads a call again that was forwarded in vain, where a service of this server answers it by now.
    ///
    /// # Errors
    /// Why it cannot be read; a door whose calls may not be repeated is never asked.
    fn read_again(&mut self) -> impl Future<Output = Result<Box<PredictCall>, Self::Failure>> + Send {
        async { Err(Error::Internal("a forwarded call is not kept".into()).into()) }
    }

    /// A call waited this long for its slot.
    fn queued(&self, waited: Duration);

    /// A call has its reply, or was refused.
    fn record(&self, record: &Record<'_>, outcome: Result<&Self::Reply, &Self::Failure>);
}
