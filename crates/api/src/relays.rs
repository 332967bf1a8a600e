//! What `/v2/_dede/relays` takes and answers: the questions that a target has for a source it cannot reach, which a command asks in
//! its place. An addition of ours.
//!
//! A question is typed and names no address: the command that relays can inspect it and refuse it.

use serde::{Deserialize, Serialize};

use crate::Object;

/// Body of POST relays: opens a relay, or continues one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayOffer {
    /// URL of the server that will be asked, for people.
    pub from: String,
    /// The source that this was before the command or the target ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// `body` of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOpened {
    /// The name that a move gives as its source.
    pub source: String,
}

/// One question and its number, which grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberedQuestion {
    /// Which.
    pub number: u64,
    /// What is asked.
    pub question: RelayQuestion,
}

/// What a target asks; each is answered with bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum RelayQuestion {
    /// What the source computes with, as JSON.
    Host,
    /// A [`RelayedBundle`].
    Bundle {
        /// Of which service.
        service: String,
        /// With checkpoints.
        with_training_state: bool,
    },
    /// A part of a file.
    Blob {
        /// Of which service.
        service: String,
        /// Which file of its bundle.
        digest: String,
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// The chunks of a file, encoded; nothing for a file without.
    Chunks {
        /// Of which service.
        service: String,
        /// Which file of its bundle.
        digest: String,
    },
    /// Its answer to a predict: an array.
    Predict {
        /// Of which service.
        service: String,
        /// The predict's body without its service.
        request: Object,
    },
    /// Recent requests with its answers to them: an array of golden cases.
    Captured {
        /// Of which service.
        service: String,
    },
}

/// Manifest and configuration of a bundle, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayedBundle {
    /// The manifest.
    pub manifest: String,
    /// The configuration.
    pub config: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayFailure {
    /// Of which kind.
    pub kind: RelayFailureKind,
    /// In words that name the source.
    pub text: String,
}

/// What asking again would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayFailureKind {
    /// The source cannot be reached; it may be later.
    Away,
    /// The source answers what it should not, or refuses.
    Refused,
    /// The command that relays refuses to ask this.
    Forbidden,
}
