//! The moves that people begin: what they ask for, by the options of a schedule.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::cast::{ANOTHER, MOVED};
use super::schedule::{Kind, Place, Second};
use super::world::{STABLE, World};

impl World<'_> {
    /// The directory that a place is on this target.
    pub(super) fn directory(&self, place: Place) -> Option<PathBuf> {
        let places = self.root().join("places");
        match place {
            Place::Default => None,
            Place::Chosen => Some(places.join("chosen")),
            Place::Taken => Some(places.join("taken")),
            Place::BelowAFile => Some(places.join("file/below")),
            Place::OfTheFirst => {
                let first = self.ledger.last().moves.first().and_then(|first| first.directory.clone());
                first.or_else(|| self.directory(self.schedule.options.place))
            }
        }
    }

    /// Begins the move that the schedule is about.
    pub(super) fn begin(&mut self) {
        let (options, kind) = (&self.schedule.options, self.schedule.kind);
        let source = if options.late { "late" } else { "dev" };
        let mut body = json!({
            "service": MOVED, "source": source, "auto": options.auto, "policy": {"requests": 50},
            "shadow_for_s": options.shadow_for_s, "watch_for_s": options.watch_for_s, "drain_for_s": 5, "hold_for_s": 5,
        });
        let mut set = |member: &str, value: Value| body[member] = value;
        if kind != Kind::Brought {
            set("as", STABLE.into());
        }
        if kind == Kind::Exchanged {
            set("replace_first", true.into());
        }
        if options.canary {
            set("canary", json!([30]));
        }
        if let Some(keep_for_s) = options.keep_for_s {
            set("keep_for_s", keep_for_s.into());
        }
        if let Some(directory) = self.directory(options.place) {
            set("repository", json!(directory));
        }
        self.call("POST", "/moves", &body);
    }

    /// Begins a move besides the first.
    pub(super) fn begin_second(&mut self, second: &Second) {
        let service = if second.same_service { MOVED } else { ANOTHER };
        let mut body = json!({
            "service": service, "source": "dev", "auto": second.auto, "policy": {"requests": 50},
            "shadow_for_s": 0, "watch_for_s": 0, "drain_for_s": 5, "hold_for_s": 5,
        });
        if second.same_alias && self.schedule.kind != Kind::Brought {
            body["as"] = STABLE.into();
        } else {
            body["as"] = "stable2".into();
        }
        if second.renamed {
            body["name"] = self.fresh("moved").into();
        }
        if let Some(directory) = self.directory(second.place) {
            body["repository"] = json!(directory);
        }
        self.call("POST", "/moves", &body);
    }
}
