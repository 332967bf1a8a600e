//! Where moves come from: uploads, relays, and the peers of this server, told apart by how the source is named.

use std::sync::Arc;

use dede_model::error::Result;

use super::relay::{self, Relays};
use super::relay_source::Relayed;
use super::upload::{self, Uploads};
use super::{ModelSource, Peers};

/// All of them.
pub(super) struct Sources {
    pub(super) uploads: Arc<Uploads>,
    pub(super) relays: Arc<Relays>,
    pub(super) peers: Arc<dyn Peers>,
}

impl Peers for Sources {
    fn peer(&self, name: &str) -> Result<Arc<dyn ModelSource>> {
        if name.starts_with(upload::PREFIX) {
            return Ok(self.uploads.find(name)?);
        }
        if name.starts_with(relay::PREFIX) {
            return Ok(Arc::new(Relayed::new(Arc::clone(&self.relays), name)?));
        }
        self.peers.peer(name)
    }
}
