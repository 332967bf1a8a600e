//! The keys of `model` that every backend has (contract.md 3.9).

use crate::parameters::keys::{Key, Moment};

/// Where a network is, and which of the files there.
pub const MODEL_KEYS: [Key; 9] = [
    Key::applied("repository", Moment::Each),
    Key::applied("create_repository", Moment::Each),
    Key::applied("weights", Moment::Each),
    Key::applied("corresp", Moment::Each),
    Key::without_effect("templates", "the templates of this server are part of it"),
    Key::not_yet("init"),
    Key::not_yet("index_preload"),
    Key::not_yet("trainf"),
    Key::not_yet("solver"),
];
