//! The items of a request: expanding directories, getting bytes, and turning each into an image, in order.
//!
//! It owns URIs, error texts and parallelism. It must not know training.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use dede_model::connector::{Fetched, InputLimits};
use dede_model::data::{Image, ImageSizes};
use dede_model::error::{Error, Result};
use dede_model::picture::{KeptPicture, Picture};
use dede_model::priority;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use dede_storage::{FileAccess, Kind};
use rayon::prelude::*;

use super::encoded;
use super::keeping::Keeper;
use super::options::Settings;
use super::pipeline::{self, Failure, Keeping};
use crate::source::{Fetcher, Origin, check_no_database, is_remote, read_file};

/// Allowance for headers of files on disk, bytes.
const HEADER_BYTES: u64 = 1 << 20;

/// Largest pixel in a file, bytes: four channels of 16 bits.
const PIXEL_BYTES: u64 = 8;

/// Items up to this length may have been meant as names of files, bytes.
const SHORT_NAME: usize = 255;

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
    /// A URL, and the number of the item that names it.
    Url(&'a str, usize),
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
            Origin::Url(url) => items.push(Item { uri: text.clone(), place: Place::Url(url, index), class: None }),
            Origin::File(path) => items.push(Item { uri: text.clone(), place: Place::Path(path), class: None }),
            Origin::Inline(inline) => {
                items.push(Item { uri: index.to_string(), place: Place::Inline(inline), class: None });
            }
            Origin::Directory(path) => {
                check_no_database(&path, &limits.files)?;
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

/// Reads items into images, in parallel and in order, and keeps a picture of each where that is asked for.
///
/// # Errors
/// `BadInput` for the first item, in order, that cannot be read.
pub(super) fn read(
    items: &[Item<'_>],
    settings: &Settings,
    (fetcher, fetched): (&Fetcher, &Fetched),
    (keeper, keeping): (&Keeper<'_>, Keeping),
    memory: &MemoryShare,
) -> Result<(Vec<Image>, Vec<KeptPicture>)> {
    let work = |index: usize| {
        let bytes = bytes_of(&items[index], settings, (fetcher, fetched), memory)?;
        if !matches!(items[index].place, Place::Inline(_)) {
            keeper.keep(index, &bytes);
        }
        process(&bytes, settings, keeping, &items[index].place, memory)
    };
    in_order(items.len(), work).map(apart)
}

/// Makes images of pictures, in parallel and in order, and keeps a picture of each where that is asked for.
///
/// # Errors
/// `BadInput` for the first picture, in order, that cannot be read.
pub(super) fn read_pictures(
    pictures: &[Picture],
    settings: &Settings,
    keeping: Keeping,
    memory: &MemoryShare,
) -> Result<(Vec<Image>, Vec<KeptPicture>)> {
    let work = |index: usize| {
        let made = pipeline::process_picture(&pictures[index], settings, keeping, memory);
        made.map_err(|failure| failed(failure, |cause| unfit(&format!("{} of the call before", index + 1), &cause)))
    };
    in_order(pictures.len(), work).map(apart)
}

/// Does the work on so many items, in parallel where that pays, and ends with the first failure in order.
fn in_order<T: Send>(items: usize, work: impl Fn(usize) -> Result<T> + Send + Sync) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = if items == 1 || priority::gives_way() {
        (0..items).map(work).collect()
    } else {
        (0..items).into_par_iter().with_max_len(1).map(work).collect()
    };
    results.into_iter().collect()
}

/// Images, and the pictures kept of them.
fn apart(read: Vec<(Image, Option<Picture>)>) -> (Vec<Image>, Vec<KeptPicture>) {
    let mut kept = Vec::new();
    let mut images = Vec::with_capacity(read.len());
    for (image, picture) in read {
        kept.extend(picture.map(|picture| KeptPicture { sizes: sizes_of(&image, &picture), picture }));
        images.push(image);
    }
    (images, kept)
}

/// The sizes of a picture that was kept of an image: as it came, or as the network sees it.
fn sizes_of(image: &Image, picture: &Picture) -> ImageSizes {
    let seen = image.sizes();
    let (width, height) = (picture.width(), picture.height());
    let frame = seen.frame.filter(|_| (width, height) == (seen.width, seen.height));
    ImageSizes { width, height, frame, ..seen }
}

/// A failure as the error of an item.
fn failed(failure: Failure, unfit: impl FnOnce(String) -> Error) -> Error {
    match failure {
        Failure::Unreadable(cause) | Failure::Unfit(cause) => unfit(cause),
        Failure::Memory(error) => error,
    }
}

/// Reads one image file.
///
/// # Errors
/// As [`read`].
pub(super) fn read_path(path: &Path, settings: &Settings) -> Result<Image> {
    let memory = MemoryShare::unbounded();
    let place = Place::Path(path.to_owned());
    process(&content(path, settings, &memory)?, settings, Keeping::Nothing, &place, &memory).map(|(image, _)| image)
}

fn content(path: &Path, settings: &Settings, memory: &MemoryShare) -> Result<Vec<u8>> {
    let max_bytes = settings.max_pixels.saturating_mul(PIXEL_BYTES).saturating_add(HEADER_BYTES);
    let mut bytes = Vec::new();
    let read = read_file(&settings.files, path, max_bytes, &mut bytes, memory);
    read.map_err(|failure| failure.or(|cause| unreadable(&path.to_string_lossy(), &cause)))?;
    Ok(bytes)
}

/// The bytes of one item.
fn bytes_of<'a>(
    item: &'a Item<'_>,
    settings: &Settings,
    (fetcher, fetched): (&Fetcher, &'a Fetched),
    memory: &MemoryShare,
) -> Result<Cow<'a, [u8]>> {
    match &item.place {
        Place::Path(path) => content(path, settings, memory).map(Cow::Owned),
        Place::Url(url, _) if !is_remote(url) => {
            fetcher.read_local(url, memory).map(Cow::Owned).map_err(|failure| failure.or(unread))
        }
        Place::Url(_, index) => {
            let fetched = fetched.get(*index).map(Cow::Borrowed);
            fetched.ok_or_else(|| Error::Internal("an item was not fetched".to_owned()))
        }
        Place::Inline(text) => {
            memory.grow(text.len() as u64)?;
            match encoded::decode(text) {
                Ok(bytes) if !bytes.is_empty() => Ok(Cow::Owned(bytes)),
                Ok(_) | Err(_) if text.starts_with("data:") => {
                    Err(unreadable(text, "data: URIs are not read, send the base64 text alone"))
                }
                Ok(_) | Err(_) => Ok(Cow::Borrowed(text.as_bytes())),
            }
        }
    }
}

/// Makes an image of bytes; they count no longer.
fn process(
    bytes: &[u8],
    settings: &Settings,
    keeping: Keeping,
    place: &Place<'_>,
    memory: &MemoryShare,
) -> Result<(Image, Option<Picture>)> {
    let (shown, is_text) = match place {
        Place::Path(path) => (path.to_string_lossy(), false),
        Place::Url(url, _) => (Cow::Borrowed(*url), false),
        Place::Inline(text) => (Cow::Borrowed(*text), std::ptr::eq(text.as_bytes(), bytes)),
    };
    let processed = pipeline::process(bytes, settings, keeping, memory);
    memory.shrink(counted(place, bytes));
    processed.map_err(|failure| match failure {
        Failure::Unreadable(_) if is_text => {
            let why = encoded::fault(&shown).unwrap_or_else(|| "it is empty".to_owned());
            unreadable(&shown, &format!("neither a path that exists nor the content of an image; {why}"))
        }
        Failure::Unreadable(cause) if matches!(place, Place::Inline(text) if text.len() <= SHORT_NAME) => {
            unreadable(&shown, &format!("{cause}; read as base64, since no file has that name"))
        }
        Failure::Unreadable(cause) => unreadable(&shown, &cause),
        Failure::Unfit(cause) => unfit(&shown, &cause),
        Failure::Memory(error) => error,
    })
}

/// What [`bytes_of`] counted at least.
fn counted(place: &Place<'_>, bytes: &[u8]) -> u64 {
    match place {
        Place::Path(_) => bytes.len() as u64,
        // What was fetched stays until the request is over.
        Place::Url(url, _) => {
            if is_remote(url) {
                0
            } else {
                bytes.len() as u64
            }
        }
        Place::Inline(text) => text.len() as u64,
    }
}

/// A complaint about a place that bytes should come from.
pub(super) fn unread(reason: String) -> Error {
    Error::bad_input(format!("Could not read image(s): {reason}"))
}

fn unreadable(item: &str, cause: &str) -> Error {
    let shown = quote(item);
    Error::bad_input(format!("Could not read image(s): image could not be read or does not exist: {shown} ({cause})"))
}

fn unfit(item: &str, cause: &str) -> Error {
    Error::bad_input(format!("failed resizing image {}: {cause}", quote(item)))
}
