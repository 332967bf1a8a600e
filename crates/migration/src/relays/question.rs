//! What a move asks a source that a command relays, and why there is no answer. Each question is typed and names no address,
//! so that the command can inspect it and refuse it.

use std::ops::Range;

use dede_bundle::Digest;

use crate::record::Object;

/// One question and its number, which grows.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedQuestion {
    /// Which.
    pub number: u64,
    /// What is asked.
    pub question: Question,
}

/// What a target asks; each is answered with bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What the source computes with: a [`HostDescription`](crate::HostDescription) as JSON.
    Host,
    /// A bundle: the texts of manifest and configuration, as members `manifest` and `config` of an object.
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
        digest: Digest,
        /// Which bytes.
        range: Range<u64>,
    },
    /// The chunks of a file, encoded; nothing for a file without.
    Chunks {
        /// Of which service.
        service: String,
        /// Which file of its bundle.
        digest: Digest,
    },
    /// The predictions of its answer to a predict: an array.
    Predict {
        /// Of which service.
        service: String,
        /// The predict without its service.
        request: Object,
    },
    /// Recent requests with its answers to them: an array of [`GoldenCase`](crate::GoldenCase).
    Captured {
        /// Of which service.
        service: String,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of which kind.
    pub kind: FailureKind,
    /// In words that name the source.
    pub text: String,
}

/// What asking again would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The source cannot be reached; it may be later.
    Away,
    /// The source answers what it should not, or refuses.
    Refused,
    /// The command that relays refuses to ask this.
    Forbidden,
}
