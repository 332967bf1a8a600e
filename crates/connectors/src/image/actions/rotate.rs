//! `rotate`: turns images by the angle that the best class names.
//!
//! It must not know what found the angle, nor what reads the images.

use dede_model::action::{Action, Effect, Made, PreparedAction, Seen, Yield};
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::{Key, KeyTable, Moment};
use dede_model::picture::Picture;
use dede_model::quote::quote;
use dede_model::request_memory::MemoryShare;
use serde::Deserialize;

use super::{bad, made, parsed, picture};

/// The action named `rotate`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotate;

/// Why no picture is written to files.
const NO_FILES: &str = "pictures are handed on in memory, and written nowhere";

const KEYS: [Key; 3] = [
    Key::applied("orientation", Moment::Each),
    Key::not_yet("save_img").because(NO_FILES),
    Key::not_yet("save_path").because(NO_FILES),
];

impl Action for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[&KEYS])
    }

    fn prepare(&self, parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let written: Written = parsed(parameters)?;
        let orientation = match written.orientation.as_deref() {
            None | Some("relative") => Orientation::Relative,
            Some("absolute") => Orientation::Absolute,
            Some(other) => {
                let reason = format!("expected relative or absolute, found {:?}", quote(other));
                return Err(bad("orientation", reason));
            }
        };
        Ok(Box::new(Turned(orientation)))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Written {
    orientation: Option<String>,
}

/// What an angle means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orientation {
    /// How far the image is turned clockwise: it is turned back.
    Relative,
    /// How far it is to be turned clockwise.
    Absolute,
}

#[derive(Debug, Clone, Copy)]
struct Turned(Orientation);

impl PreparedAction for Turned {
    fn yields(&self) -> Yield {
        Yield::PerItem { is_shown: false }
    }

    fn apply(&self, items: &[Seen<'_>], memory: &MemoryShare) -> Result<Effect> {
        let mut turned = Vec::with_capacity(items.len());
        for (item, seen) in items.iter().enumerate() {
            let Some(best) = seen.found.first() else { continue };
            let quarters = self.quarters(&best.class).ok_or_else(|| {
                let class = quote(&best.class);
                let expected = "rotate expects a best class of 0, 90, 180 or 270";
                Error::bad_input(format!("no image could be found: {expected}, found {class} for uri {}", seen.uri))
            })?;
            let picture = &picture(seen)?.picture;
            memory.grow(picture.bytes())?;
            turned.push(Made { item, class: None, picture: turn(picture, quarters)? });
        }
        Ok(Effect::Made(turned))
    }
}

impl Turned {
    /// Quarters of a full turn, clockwise, for the name of a class.
    fn quarters(self, class: &str) -> Option<usize> {
        let named = ["0", "90", "180", "270"].iter().position(|angle| *angle == class)?;
        Some(match self.0 {
            Orientation::Absolute => named,
            Orientation::Relative => (4 - named) % 4,
        })
    }
}

/// A picture, turned clockwise.
fn turn(picture: &Picture, quarters: usize) -> Result<Picture> {
    let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
    let (columns, rows) = if quarters % 2 == 1 { (height, width) } else { (width, height) };
    // Where the pixel comes from that is at (x, y) afterwards.
    let source = |x: usize, y: usize| match quarters {
        0 => (x, y),
        1 => (y, height - 1 - x),
        2 => (width - 1 - x, height - 1 - y),
        _ => (width - 1 - y, x),
    };
    if quarters == 0 {
        return Ok(picture.clone());
    }
    let mut pixels = Vec::with_capacity(columns * rows * channels);
    for y in 0..rows {
        for x in 0..columns {
            let (from_x, from_y) = source(x, y);
            pixels.extend_from_slice(&picture.row(from_y)[from_x * channels..(from_x + 1) * channels]);
        }
    }
    made(columns, rows, channels, pixels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{found, numbered, prepared};
    use super::*;

    /// The grey picture 0 1 2 / 3 4 5, turned as the best class says.
    fn turned(orientation: &str, class: &str) -> (usize, Vec<u8>) {
        let action = prepared(&Rotate, &json!({"orientation": orientation})).expect("good parameters");
        let (kept, classes) = (numbered(3, 2, 1), [found(class, None), found("other", None)]);
        let items = [Seen { uri: "x", kept: Some(&kept), found: &classes }];
        let Ok(Effect::Made(made)) = action.apply(&items, &MemoryShare::unbounded()) else { panic!("a picture") };
        assert_eq!((made.len(), made[0].item, made[0].class), (1, 0, None));
        (made[0].picture.width(), made[0].picture.pixels().to_vec())
    }

    #[test]
    fn angles_are_clockwise_and_relative_ones_are_undone() {
        let (clockwise, back) = ((2, vec![3, 0, 4, 1, 5, 2]), (2, vec![2, 5, 1, 4, 0, 3]));
        for (orientation, class, expected) in [
            ("absolute", "0", (3, vec![0, 1, 2, 3, 4, 5])),
            ("absolute", "90", clockwise.clone()),
            ("absolute", "180", (3, vec![5, 4, 3, 2, 1, 0])),
            ("absolute", "270", back.clone()),
            ("relative", "0", (3, vec![0, 1, 2, 3, 4, 5])),
            ("relative", "90", back),
            ("relative", "180", (3, vec![5, 4, 3, 2, 1, 0])),
            ("relative", "270", clockwise),
        ] {
            assert_eq!(turned(orientation, class), expected, "{orientation} {class}");
        }
    }

    #[test]
    fn colours_stay_together() {
        let kept = numbered(2, 1, 3);
        let upright = turn(&kept.picture, 2).expect("a picture");
        assert_eq!(upright.pixels(), [3, 4, 5, 0, 1, 2]);
        let column = turn(&kept.picture, 1).expect("a picture");
        assert_eq!((column.width(), column.height(), column.pixels()), (1, 2, &[0, 1, 2, 3, 4, 5][..]));
    }

    #[test]
    fn an_item_without_classes_is_passed_over_and_another_class_refused() {
        let action = prepared(&Rotate, &json!({})).expect("good parameters");
        let (kept, none, circle) = (numbered(2, 2, 1), [], [found("circle", None)]);
        let seen = |found| Seen { uri: "a.jpg", kept: Some(&kept), found };
        let Ok(Effect::Made(made)) = action.apply(&[seen(&none)], &MemoryShare::unbounded()) else { panic!("nothing") };
        assert!(made.is_empty());
        let error = action.apply(&[seen(&circle)], &MemoryShare::unbounded()).expect_err("no angle").to_string();
        assert!(error.starts_with("no image could be found: rotate expects"), "{error}");
        assert!(error.ends_with("found circle for uri a.jpg"), "{error}");
        let error = prepared(&Rotate, &json!({"orientation": "left"})).err().expect("refused");
        assert_eq!(error, "expected relative or absolute, found \"left\" (action.parameters.orientation)");
    }
}
