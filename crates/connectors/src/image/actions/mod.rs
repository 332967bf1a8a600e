//! Actions of chains that work on images: one file each, and a line of the server's list.
//!
//! Names, keys and defaults are those of contract.md, part 6. It must not know chains, nor how pictures were read.

mod crop;
mod draw_bbox;
mod paint;
mod recompose;
mod rotate;
mod text;

pub use crop::Crop;
pub use draw_bbox::DrawBbox;
pub use recompose::Recompose;
pub use rotate::Rotate;

use dede_model::action::Seen;
use dede_model::error::{Error, Result};
use dede_model::outputs::Corners;
use dede_model::parameters::{self, Section};
use dede_model::picture::{KeptPicture, Picture};
use serde::de::DeserializeOwned;

/// Where the parameters of an action stand in its call.
const AT: &str = "action.parameters";

/// Parameters as written, in the types of an action.
fn parsed<T: DeserializeOwned>(section: &Section) -> Result<T> {
    Ok(parameters::parse::<T>(section, AT).map_err(Error::BadAction)?.options)
}

/// A complaint about a parameter.
fn bad(key: &str, reason: impl Into<String>) -> Error {
    Error::bad_action_at(format!("{AT}.{key}"), reason)
}

/// The picture of an item.
fn picture<'a>(seen: &Seen<'a>) -> Result<&'a KeptPicture> {
    seen.kept.ok_or_else(|| Error::Internal("no picture was kept for an action".to_owned()))
}

/// The box of a class; `name` is that of the action, in the words of the original.
fn corners(seen: &Seen<'_>, class: usize, name: &str) -> Result<Corners> {
    let found = seen.found.get(class).and_then(|found| found.corners);
    found.ok_or_else(|| Error::bad_action(format!("{name} action cannot find bbox object for uri {}", seen.uri)))
}

/// A picture of pixels that were made here.
fn made(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Result<Picture> {
    Picture::new(width, height, channels, pixels).map_err(Error::Internal)
}

/// What tests of several actions begin with.
#[cfg(test)]
mod tests {
    use dede_model::action::{Action, Found, PreparedAction};
    use dede_model::data::ImageSizes;
    use serde_json::Value;

    use super::*;

    /// An action with these parameters, or what it says of them.
    pub(super) fn prepared(action: &dyn Action, parameters: &Value) -> Result<Box<dyn PreparedAction>, String> {
        action.prepare(parameters.as_object().expect("an object")).map_err(|error| error.to_string())
    }

    /// A picture whose values are their own number, kept as it came.
    pub(super) fn numbered(width: usize, height: usize, channels: usize) -> KeptPicture {
        let pixels = (0..width * height * channels).map(|at| (at % 251) as u8).collect();
        let picture = Picture::new(width, height, channels, pixels).expect("it fits");
        let sizes = ImageSizes { width, height, original_width: width, original_height: height, frame: None };
        KeptPicture { picture, sizes }
    }

    /// A box of a class.
    pub(super) fn found(class: &str, corners: Option<[f32; 4]>) -> Found {
        let corners = corners.map(|[xmin, ymin, xmax, ymax]| Corners { xmin, ymin, xmax, ymax });
        Found { class: class.to_owned(), score: 0.5, corners }
    }
}
