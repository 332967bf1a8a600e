//! `recompose`: not in this version. No service here generates images, so that there is none to put back into another.

use dede_model::action::{Action, PreparedAction};
use dede_model::error::{Error, Result};
use dede_model::parameters::Section;
use dede_model::parameters::keys::{Key, KeyTable};

/// The action named `recompose`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recompose;

const KEYS: [Key; 2] = [Key::not_yet("save_img"), Key::not_yet("save_path")];

impl Action for Recompose {
    fn name(&self) -> &'static str {
        "recompose"
    }

    fn keys(&self) -> KeyTable {
        KeyTable(&[&KEYS])
    }

    fn prepare(&self, _parameters: &Section) -> Result<Box<dyn PreparedAction>> {
        let why = "it puts generated images back into the one they were cut from, and no service here generates images";
        Err(Error::bad_action(format!("not supported yet: action recompose: {why}")))
    }
}
