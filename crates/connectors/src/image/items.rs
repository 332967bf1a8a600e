//! The items of a request: expanding directories, getting bytes, and turning each into an image, in order.
//!
//! It owns URIs, error texts and parallelism. It must not know training.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dede_core::connector::InputLimits;
use dede_core::data::Image;
use dede_core::error::{Error, Result};
use dede_core::file_access::{FileAccess, Kind};
use dede_core::priority;
use dede_core::quote::quote;
use rayon::prelude::*;

use super::keeping::Keeper;
use super::options::Settings;
use super::pipeline::{self, Failure};
use crate::source::{Fetcher, Origin, read_file};

/// URLs fetched at once. They wait more than they compute, so they have threads of their own.
const FETCHES: usize = 8;

/// Allowance for headers of files on disk, bytes.
const HEADER_BYTES: u64 = 1 << 20;

/// Largest pixel in a file, bytes: four channels of 16 bits.
const PIXEL_BYTES: u64 = 8;

/// One image to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// What the prediction is named by.
    pub(super) uri: String,
    /// Where its bytes are.
    pub(super) place: Place<'a>,
    /// Name of the class directory it lies in.
    pub(super) class: Option<String>,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Path(PathBuf),
    Url(&'a str),
    Inline(&'a str),
}

/// Expands `data` into items.
///
/// # Errors
/// `BadInput`: no data, no image in it, or too many.
pub(super) fn expand<'a>(data: &'a [String], limits: &InputLimits) -> Result<Vec<Item<'a>>> {
    if data.is_empty() {
        return Err(Error::bad_input("missing data"));
    }
    let mut items = Vec::with_capacity(data.len());
    for (index, text) in data.iter().enumerate() {
        match Origin::of(text, &limits.files) {
            Origin::Url(url) => items.push(Item { uri: text.clone(), place: Place::Url(url), class: None }),
            Origin::File(path) => items.push(Item { uri: text.clone(), place: Place::Path(path), class: None }),
            Origin::Inline(inline) => {
                items.push(Item { uri: index.to_string(), place: Place::Inline(inline), class: None });
            }
            Origin::Directory(path) => {
                let files = directory(&limits.files, &path, limits.items)?;
                items.extend(files.into_iter().map(|(path, class)| Item {
                    uri: path.display().to_string(),
                    place: Place::Path(path),
                    class,
                }));
            }
        }
        if items.len() > limits.items {
            return Err(Error::bad_input(format!("expected at most {} images in one request", limits.items)));
        }
    }
    if items.is_empty() {
        return Err(Error::bad_input("no image could be found"));
    }
    Ok(items)
}

/// The images of a directory, by name: its own files, or, where it has sub-directories, their files with the
/// sub-directory as class. Hidden entries are left out.
///
/// # Errors
/// When a directory cannot be listed, or holds more than `most` entries.
pub(super) fn directory(files: &FileAccess, path: &Path, most: usize) -> Result<Vec<(PathBuf, Option<String>)>> {
    let entries = entries(files, path, most)?;
    let is_directory = |entry: &Path| files.kind(entry) == Some(Kind::Directory);
    let mut classes = entries.iter().filter(|entry| is_directory(entry)).peekable();
    if classes.peek().is_none() {
        return Ok(entries.into_iter().map(|file| (file, None)).collect());
    }
    let mut images = Vec::new();
    for class in classes {
        let name = class.file_name().map(|name| name.to_string_lossy().into_owned());
        let found = self::entries(files, class, most)?.into_iter().filter(|entry| !is_directory(entry));
        images.extend(found.map(|file| (file, name.clone())));
        if images.len() > most {
            return Err(Error::bad_input_at(quote(&path.to_string_lossy()), format!("expected at most {most} files")));
        }
    }
    Ok(images)
}

/// Paths in a directory, sorted by name, without hidden ones.
fn entries(files: &FileAccess, path: &Path, most: usize) -> Result<Vec<PathBuf>> {
    let refused = |reason: String| Error::bad_input_at(quote(&path.to_string_lossy()), reason);
    let mut names = files.names(path, most).map_err(|error| refused(error.to_string()))?;
    if names.len() > most {
        return Err(refused(format!("expected at most {most} files")));
    }
    names.retain(|name| !name.to_string_lossy().starts_with('.'));
    names.sort();
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

/// Reads items into images, in parallel and in order.
///
/// # Errors
/// `BadInput` for the first item, in order, that cannot be read.
pub(super) fn read(
    items: &[Item<'_>],
    settings: &Settings,
    fetcher: &Fetcher,
    keeper: &Keeper<'_>,
) -> Result<Vec<Image>> {
    let work = |index: usize| read_one(&items[index], settings, fetcher, |bytes| keeper.keep(index, bytes));
    let results: Vec<Result<Image>> = if items.iter().any(|item| matches!(item.place, Place::Url(_))) {
        on_threads(items.len(), work)
    } else if items.len() == 1 || priority::gives_way() {
        (0..items.len()).map(work).collect()
    } else {
        (0..items.len()).into_par_iter().with_max_len(1).map(work).collect()
    };
    results.into_iter().collect()
}

/// Works on so many items on a few threads of their own, in order.
fn on_threads<R: Send>(items: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= items {
                    return done;
                }
                done.push((at, work(at)));
            }
        };
        let threads: Vec<_> = (0..FETCHES.min(items)).map(|_| scope.spawn(run)).collect();
        let joined =
            |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        threads.into_iter().flat_map(joined).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Reads one image file.
///
/// # Errors
/// As [`read`].
pub(super) fn read_path(path: &Path, settings: &Settings) -> Result<Image> {
    process(&content(path, settings)?, settings, &path.to_string_lossy())
}

fn content(path: &Path, settings: &Settings) -> Result<Vec<u8>> {
    let max_bytes = settings.max_pixels.saturating_mul(PIXEL_BYTES).saturating_add(HEADER_BYTES);
    let mut bytes = Vec::new();
    read_file(&settings.files, path, max_bytes, &mut bytes)
        .map_err(|cause| unreadable(&path.to_string_lossy(), &cause))?;
    Ok(bytes)
}

/// Reads one item; `keep` is shown the content of what is not content already.
fn read_one(item: &Item<'_>, settings: &Settings, fetcher: &Fetcher, keep: impl Fn(&[u8])) -> Result<Image> {
    match &item.place {
        Place::Path(path) => {
            let bytes = content(path, settings)?;
            keep(&bytes);
            process(&bytes, settings, &path.to_string_lossy())
        }
        Place::Url(url) => {
            let fetched = fetcher.fetch(url);
            let bytes = fetched.map_err(|reason| Error::bad_input(format!("Could not read image(s): {reason}")))?;
            keep(&bytes);
            process(&bytes, settings, url)
        }
        Place::Inline(text) => match STANDARD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => process(&bytes, settings, text),
            Ok(_) | Err(_) if text.starts_with("data:") => {
                Err(unreadable(text, "data: URIs are not read, send the base64 text alone"))
            }
            Ok(_) | Err(_) => pipeline::process(text.as_bytes(), settings).map_err(|failure| match failure {
                Failure::Unreadable(_) => unreadable(text, "neither a path that exists nor the content of an image"),
                Failure::Unfit(cause) => unfit(text, &cause),
            }),
        },
    }
}

fn process(bytes: &[u8], settings: &Settings, shown: &str) -> Result<Image> {
    pipeline::process(bytes, settings).map_err(|failure| match failure {
        Failure::Unreadable(cause) => unreadable(shown, &cause),
        Failure::Unfit(cause) => unfit(shown, &cause),
    })
}

fn unreadable(item: &str, cause: &str) -> Error {
    let shown = quote(item);
    Error::bad_input(format!("Could not read image(s): image could not be read or does not exist: {shown} ({cause})"))
}

fn unfit(item: &str, cause: &str) -> Error {
    Error::bad_input(format!("failed resizing image {}: {cause}", quote(item)))
}
