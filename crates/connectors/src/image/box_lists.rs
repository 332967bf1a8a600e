//! Lists of images with the boxes that are in them: text files with a line `image boxes` for each image, where `boxes` is a text file with
//! a line `class xmin ymin xmax ymax` for each box, in pixels of the image (contract.md 3.2).
//!
//! Lines are not repeated in messages: the client may be one that cannot read these files. It must not know what is measured.

use std::io::{BufRead, BufReader};
use std::path::Path;

use dede_model::data::TrueBox;
use dede_model::error::{Error, Result};
use dede_model::outputs::Corners;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;

use super::ImageReader;
use super::items::{Item, Place};
use super::training::locate;
use crate::source::{Origin, open_file};

/// Boxes that an image may have.
const MOST_BOXES: usize = 100_000;

/// The images of lists, and the boxes of each.
///
/// # Errors
/// [`Error::BadInput`] naming the list and the line, or the file of boxes by them.
pub(super) fn expand(
    data: &[String],
    reader: &ImageReader,
    memory: &MemoryShare,
) -> Result<(Vec<Item<'static>>, Vec<Vec<TrueBox>>)> {
    if data.is_empty() {
        return Err(Error::bad_input("missing data"));
    }
    let (mut items, mut truths) = (Vec::new(), Vec::new());
    for item in data {
        let Origin::File(list) = Origin::of(item, &reader.limits.files) else {
            let expected = "expected a list of images and files of boxes (parameters.input.bbox), found no file";
            return Err(Error::bad_input_at(quote(item), expected));
        };
        for (number, line) in lines(reader, &list, &quote(item))? {
            let at = format!("{}, line {number}", quote(item));
            let refused = |reason: &str| Error::bad_input_at(at.clone(), reason);
            let (image, boxes) =
                line.rsplit_once([' ', '\t']).ok_or_else(|| refused("expected an image and a file of boxes"))?;
            let find = |name: &str| {
                locate(name.trim(), reader, &list).ok_or_else(|| refused("there is no file where a path leads"))
            };
            let (image, boxes) = (find(image)?, find(boxes)?);
            let there = read(reader, &boxes, &at)?;
            memory.grow((there.len() * size_of::<TrueBox>() + line.len() + size_of::<Item<'_>>()) as u64)?;
            truths.push(there);
            items.push(Item { uri: image.display().to_string(), place: Place::Path(image), class: None });
            if items.len() > reader.limits.items {
                return Err(Error::bad_input(format!(
                    "expected at most {} images in one request",
                    reader.limits.items
                )));
            }
        }
    }
    if items.is_empty() {
        return Err(Error::bad_input("no image could be found"));
    }
    Ok((items, truths))
}

/// The lines of a file that hold something, with their numbers.
fn lines(reader: &ImageReader, path: &Path, shown: &str) -> Result<Vec<(usize, String)>> {
    let opened = open_file(&reader.limits.files, path, reader.limits.table_bytes);
    let (file, _) = opened.map_err(|reason| Error::bad_input_at(shown, reason))?;
    let mut found = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line =
            line.map_err(|error| Error::bad_input_at(format!("{shown}, line {}", index + 1), error.to_string()))?;
        // A byte order mark belongs to no path.
        let line = line.strip_prefix('\u{feff}').filter(|_| index == 0).unwrap_or(&line).trim();
        if !line.is_empty() {
            found.push((index + 1, line.to_owned()));
        }
    }
    Ok(found)
}

/// The boxes in a file; `at` says which line names it.
fn read(reader: &ImageReader, path: &Path, at: &str) -> Result<Vec<TrueBox>> {
    let shown = format!("{at}, its boxes");
    // An image in which nothing is. What says that it is empty is not read: that may never end.
    let metadata = reader.limits.files.open(path).and_then(|file| file.metadata());
    if metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return Ok(Vec::new());
    }
    let lines = lines(reader, path, &shown)?;
    if lines.len() > MOST_BOXES {
        return Err(Error::bad_input_at(shown, format!("expected at most {MOST_BOXES}")));
    }
    let parse = |(number, line): (usize, String)| {
        parsed(&line).ok_or_else(|| {
            let expected = "expected the number of a class and xmin ymin xmax ymax, the left upper corner first";
            Error::bad_input_at(format!("{shown}, line {number}"), expected)
        })
    };
    lines.into_iter().map(parse).collect()
}

/// A line of a file of boxes; `None` where it is another.
fn parsed(line: &str) -> Option<TrueBox> {
    let mut words = line.split_ascii_whitespace();
    let class = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<f32>().ok().filter(|number| number.is_finite());
    let (xmin, ymin, xmax, ymax) = (number()?, number()?, number()?, number()?);
    let is_box = xmin <= xmax && ymin <= ymax && words.next().is_none();
    is_box.then_some(TrueBox { class, corners: Corners { xmin, ymin, xmax, ymax } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_box_are_told_apart() {
        let corners = Corners { xmin: 1.0, ymin: 2.0, xmax: 3.5, ymax: 4.0 };
        for (line, expected) in [
            ("7 1 2 3.5 4", Some(TrueBox { class: 7, corners })),
            ("7\t1 2  3.5 4 ", Some(TrueBox { class: 7, corners })),
            ("7 1 2 3.5", None),
            ("7 1 2 3.5 4 5", None),
            ("-1 1 2 3.5 4", None),
            ("dog 1 2 3.5 4", None),
            ("7 3 2 1 4", None),
            ("7 1 2 nan 4", None),
            ("7 1 2 inf 4", None),
            ("", None),
        ] {
            assert_eq!(parsed(line), expected, "{line:?}");
        }
    }
}
