//! Keeps the content of images while they are read, as the base64 text that a request may send instead of a path or URL.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dede_model::connector::RetainedItems;

use super::items::{Item, Place};

/// Shared by the threads that read the images of one request.
pub(super) struct Keeper<'a> {
    items: &'a [Item<'a>],
    /// One per item, filled as they are read; empty when nothing is to be kept.
    texts: Vec<OnceLock<String>>,
    /// Bytes that may still be kept.
    left: AtomicUsize,
}

impl<'a> Keeper<'a> {
    /// For at most `most_bytes` of text; 0 keeps nothing.
    pub(super) fn new(items: &'a [Item<'a>], most_bytes: usize) -> Self {
        let wanted = most_bytes > 0 && !all_inline(items);
        let texts = if wanted { items.iter().map(|_| OnceLock::new()).collect() } else { Vec::new() };
        Self { items, texts, left: AtomicUsize::new(most_bytes) }
    }

    /// Takes the content of item `index`, unless there is no room for it.
    pub(super) fn keep(&self, index: usize, bytes: &[u8]) {
        let Some(text) = self.texts.get(index) else { return };
        if base64::encoded_len(bytes.len(), true).is_some_and(|length| self.reserve(length)) {
            let _ = text.set(STANDARD.encode(bytes));
        }
    }

    fn reserve(&self, length: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(length)).is_ok()
    }

    /// All items as content, or nothing.
    pub(super) fn finish(self) -> RetainedItems {
        if all_inline(self.items) {
            return RetainedItems::AsSent;
        }
        let mut items = Vec::with_capacity(self.texts.len());
        for (item, text) in self.items.iter().zip(&self.texts) {
            match (&item.place, text.get()) {
                (Place::Inline(text), _) if self.reserve(text.len()) => items.push((*text).to_owned()),
                (Place::Path(_) | Place::Url(..), Some(text)) => items.push(text.clone()),
                (Place::Inline(_) | Place::Path(_) | Place::Url(..), _) => return RetainedItems::Nothing,
            }
        }
        if items.is_empty() { RetainedItems::Nothing } else { RetainedItems::Rewritten(items) }
    }
}

fn all_inline(items: &[Item<'_>]) -> bool {
    items.iter().all(|item| matches!(item.place, Place::Inline(_)))
}
