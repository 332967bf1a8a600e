//! The seam to input connectors: what turns the `data` of a request into samples.
//!
//! A connector is a stateless factory in a list of the server. What a training run learns about its data (bounds, categories,
//! class names) is returned as a [`Section`] of the connector's own parameters and stored in the repository, where it has
//! the lowest precedence of all: a reader never has hidden state.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dede_storage::FileAccess;

use crate::data::{Batch, DataKind, Dataset, SampleShape};
use crate::egress::EgressPolicy;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::parameters::Section;
use crate::parameters::keys::KeyTable;
use crate::picture::{KeptPicture, Picture};
use crate::request_memory::{MemoryShare, RequestMemory};

/// One per connector name.
pub trait Connector: Send + Sync {
    /// The name in `parameters.input.connector`.
    fn name(&self) -> &'static str;

    /// What its readers yield.
    fn kind(&self) -> DataKind;

    /// Every key of `parameters.input` that there is, applied or refused. Requests are checked against it before they come here.
    fn keys(&self) -> KeyTable;

    /// Resolves the parameters once. Requests that bring no input parameters of their own share the reader that
    /// was opened when the service was created.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the parameter.
    fn open(&self, context: &ReaderContext<'_>) -> Result<Box<dyn Reader>>;
}

/// What a reader is opened with.
#[derive(Debug, Clone)]
pub struct ReaderContext<'a> {
    /// Call over creation over stored, already merged.
    pub parameters: &'a Section,
    /// What this request itself says: at a creation what the service is created with, else what the call sent.
    pub own: &'a Section,
    /// What the service was created with; empty at the creation itself.
    pub created: &'a Section,
    /// What a training stored: that of the network that answers, or of the run that is resumed.
    pub stored: &'a Section,
    /// True when this request itself sent input parameters: csv takes the first string for a header then
    /// (contract.md 3.3).
    pub parameters_in_call: bool,
    /// What the network takes, where it is known: the default of `width` and `height`, and the number of columns.
    pub shape: Option<SampleShape>,
    /// Class names known from the repository.
    pub labels: &'a Labels,
    /// True when the mllib predicts values (`parameters.mllib.regression`): numeric labels are then values, even
    /// where all of them happen to be whole numbers.
    pub regression: bool,
    /// Bounds on what may be fetched and decoded.
    pub limits: Arc<InputLimits>,
}

/// Bounds on input, set once per server.
#[derive(Debug, Clone)]
pub struct InputLimits {
    /// Files that items may name.
    pub files: FileAccess,
    /// Largest body fetched from a URL, bytes.
    pub fetch_bytes: u64,
    /// Time to connect to a URL's host, milliseconds.
    pub connect_timeout_ms: u64,
    /// Time to fetch all that one request names, milliseconds.
    pub fetch_timeout_ms: u64,
    /// Redirects followed.
    pub redirects: u32,
    /// Addresses that URLs in requests may lead to.
    pub egress: EgressPolicy,
    /// Largest `width × height` an image may declare.
    pub image_pixels: u64,
    /// Largest csv file, bytes.
    pub table_bytes: u64,
    /// Most items (files of a directory, rows of a file) that one predict may expand to.
    pub items: usize,
    /// What all requests may take together.
    pub memory: RequestMemory,
}

impl Default for InputLimits {
    fn default() -> Self {
        Self {
            files: FileAccess::default(),
            fetch_bytes: 64 << 20,
            connect_timeout_ms: 10_000,
            fetch_timeout_ms: 30_000,
            redirects: 5,
            egress: EgressPolicy::default(),
            image_pixels: 100_000_000,
            table_bytes: 4 << 30,
            items: 100_000,
            memory: RequestMemory::default(),
        }
    }
}

/// Parameters resolved into settings, ready to read.
pub trait Reader: Send + Sync {
    /// Reads the items of a predict that no client waits for, in the order of `data`.
    ///
    /// # Errors
    /// As [`Reader::read_keeping`].
    fn read(&self, data: &[String]) -> Result<Batch> {
        self.read_keeping(data, 0, &MemoryShare::unbounded()).map(|(batch, _)| batch)
    }

    /// Fetches and reads the items of a predict, as [`Reader::read_fetched`].
    ///
    /// # Errors
    /// As [`Reader::fetch`] and [`Reader::read_fetched`].
    fn read_keeping(&self, data: &[String], most_bytes: usize, memory: &MemoryShare) -> Result<(Batch, RetainedItems)> {
        let fetched = self.fetch(data, memory)?;
        self.read_fetched(data, &fetched, most_bytes, memory)
    }

    /// Fetches what items name by URL: it waits for other machines, and computes nothing. Received bytes are counted in
    /// `memory`.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the item; [`crate::error::Error::TooLarge`] and [`crate::error::Error::Overloaded`] of
    /// the memory.
    fn fetch(&self, data: &[String], memory: &MemoryShare) -> Result<Fetched>;

    /// Reads the items of a predict, in the order of `data`, and keeps what was read: the same items with content in
    /// place of paths and URLs, at most `most_bytes` of them, none with 0. Memory is counted in `memory` before it is
    /// allocated. It waits for no other machine: what items name by URL is in `fetched`.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the item, line or column; `BadInput("missing data")` when there are none;
    /// [`crate::error::Error::TooLarge`] and [`crate::error::Error::Overloaded`] of the memory.
    fn read_fetched(
        &self,
        data: &[String],
        fetched: &Fetched,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<(Batch, RetainedItems)>;

    /// Reads the items of a call of a chain: those that were sent, as [`Reader::read_fetched`], or pictures that an action made. With
    /// `keeps_pictures` it also gives one picture for each item, for the actions that follow.
    ///
    /// # Errors
    /// As [`Reader::read_fetched`]; [`crate::error::Error::BadInput`] of a connector that reads no images, and for pictures that it cannot
    /// read or keep.
    fn read_step(
        &self,
        items: StepItems<'_>,
        keeps_pictures: bool,
        most_bytes: usize,
        memory: &MemoryShare,
    ) -> Result<ReadStep> {
        match items {
            StepItems::Sent { data, fetched } if !keeps_pictures => {
                let (batch, retained) = self.read_fetched(data, fetched, most_bytes, memory)?;
                Ok(ReadStep { batch, retained, pictures: Vec::new() })
            }
            StepItems::Sent { .. } | StepItems::Made(_) => {
                Err(Error::bad_input("the actions of a chain work on images, and this connector reads none"))
            }
        }
    }

    /// An item that a predict accepts, made up: of the size that the network takes, within the bounds of the training data. The same
    /// `seed` gives the same item.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] when neither parameters nor network say what items look like.
    fn example(&self, seed: u64) -> Result<String>;

    /// Reads training data: `[train]` or `[train, test]`.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] naming the path, line or column.
    fn fit(&self, data: &[String]) -> Result<Fitted>;

    /// The shape that samples will have, where the parameters decide it.
    fn shape(&self) -> Option<SampleShape>;
}

/// The items of a call of a chain.
#[derive(Debug, Clone, Copy)]
pub enum StepItems<'a> {
    /// As a client sent them.
    Sent {
        /// Paths, URLs, or the items themselves.
        data: &'a [String],
        /// What they name by URL.
        fetched: &'a Fetched,
    },
    /// Pictures that an action made.
    Made(&'a [Picture]),
}

/// What reading the items of a call of a chain gives.
#[derive(Debug)]
pub struct ReadStep {
    /// The items.
    pub batch: Batch,
    /// What is kept of those that were sent.
    pub retained: RetainedItems,
    /// One for each item, where they were asked for. They count in the memory that they were read with.
    pub pictures: Vec<KeptPicture>,
}

/// What items named by URL, by their index.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fetched(BTreeMap<usize, Vec<u8>>);

impl Fetched {
    /// What item `index` named.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.get(&index).map(Vec::as_slice)
    }
}

impl FromIterator<(usize, Vec<u8>)> for Fetched {
    fn from_iter<I: IntoIterator<Item = (usize, Vec<u8>)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// Without the content, which may be private.
impl fmt::Debug for Fetched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fetched({} items)", self.0.len())
    }
}

/// What reading keeps of the items of a predict.
#[derive(Clone, PartialEq, Eq)]
pub enum RetainedItems {
    /// They can be read again as they were sent: all of them are content.
    AsSent,
    /// With content in place of paths and URLs; directories and files of many items may be more or fewer items than sent.
    Rewritten(Vec<String>),
    /// Nothing: it was not asked for, the content is too large, or items of a request cannot hold it.
    Nothing,
}

/// Without the content, which may be private.
impl fmt::Debug for RetainedItems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsSent => formatter.write_str("AsSent"),
            Self::Rewritten(items) => write!(formatter, "Rewritten({} items)", items.len()),
            Self::Nothing => formatter.write_str("Nothing"),
        }
    }
}

/// A named test set.
pub struct TestSet {
    /// `test_name` in the measures; empty where the original leaves it empty.
    pub name: String,
    /// The items.
    pub data: Box<dyn Dataset>,
}

/// What reading training data gives.
pub struct Fitted {
    /// The training set, already shuffled and split where that was asked.
    pub train: Box<dyn Dataset>,
    /// At most one test set in this version: the second `data` item, or the split-off tail.
    pub tests: Vec<TestSet>,
    /// Everything a later predict needs, as parameters of this connector: stored in the repository.
    pub state: Section,
    /// What the train answer reports under `body.parameters.input` (contract.md 3.3).
    pub report: Section,
    /// Class names found in the data; empty when classes are plain numbers.
    pub labels: Labels,
    /// The shape of every sample.
    pub shape: SampleShape,
}
