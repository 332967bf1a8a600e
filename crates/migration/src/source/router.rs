//! Where moves come from: uploads, relays, and the peers of this server, told apart by how the source is named.

use std::sync::Arc;

use dede_model::error::Result;

use crate::relays::{self, Relays};
use crate::source::relay::Relayed;
use crate::source::upload::{self, Uploads};
use crate::{ModelSource, Peers};

/// All of them.
pub(crate) struct Sources {
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) relays: Arc<Relays>,
    pub(crate) peers: Arc<dyn Peers>,
}

impl Peers for Sources {
    fn peer(&self, name: &str) -> Result<Arc<dyn ModelSource>> {
        if name.starts_with(upload::PREFIX) {
            return Ok(self.uploads.find(name)?);
        }
        if name.starts_with(relays::PREFIX) {
            return Ok(Arc::new(Relayed::new(Arc::clone(&self.relays), name)?));
        }
        self.peers.peer(name)
    }
}
