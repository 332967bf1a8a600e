//! Content of a network's file: read, or mapped where it is large.
//!
//! It owns when a file is mapped, and that what is mapped cannot change meanwhile. It must not know formats.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

#[cfg(target_os = "linux")]
mod mapping;

#[cfg(target_os = "linux")]
pub(super) use mapping::{Mapping, Released};

/// Files from this size on are mapped where that is possible: reading them would hold their weights once more while an engine copies
/// them. A smaller network is read: what it takes is little, and it takes no lease.
pub(super) const LARGE: u64 = 32 << 20;

/// The bytes of a file, that do not change while this is held.
#[derive(Debug)]
pub struct Content(Kind);

#[derive(Debug)]
enum Kind {
    Read(Vec<u8>),
    #[cfg(target_os = "linux")]
    Mapped(Mapping),
}

impl Content {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of opening and reading it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        #[cfg(target_os = "linux")]
        if size >= LARGE {
            match File::open(path).and_then(Mapping::leased) {
                Ok(mapping) => return Ok(Self(Kind::Mapped(mapping))),
                Err(error) => tracing::debug!(%error, path = %path.display(), "a large file is read, not mapped"),
            }
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(Self(Kind::Read(bytes)))
    }

    /// The bytes as a vector; copied where they are mapped.
    pub(super) fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Kind::Read(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Kind::Mapped(mapping) => mapping.to_vec(),
        }
    }

    /// The bytes as a slice that is shared; held once where they are mapped.
    pub(super) fn into_shared(self) -> Arc<[u8]> {
        match self.0 {
            Kind::Read(bytes) => bytes.into(),
            #[cfg(target_os = "linux")]
            Kind::Mapped(mapping) => mapping.dropping(|| Arc::from(&*mapping)),
        }
    }

    /// Gives the file back, and keeps its addresses where it is mapped.
    #[cfg(target_os = "linux")]
    pub(super) fn released(self) -> Option<Released> {
        match self.0 {
            Kind::Read(_) => None,
            Kind::Mapped(mapping) => Some(mapping.released()),
        }
    }

    /// Where it is mapped; `None` where it was read.
    #[cfg(target_os = "linux")]
    pub(super) fn mapping(&self) -> Option<&Mapping> {
        match &self.0 {
            Kind::Read(_) => None,
            Kind::Mapped(mapping) => Some(mapping),
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kind::Read(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Kind::Mapped(mapping) => mapping,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Read(bytes))
    }
}

impl Default for Content {
    fn default() -> Self {
        Vec::new().into()
    }
}
