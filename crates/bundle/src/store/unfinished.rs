//! Unfinished uploads: which there are, which client began each, and how many there may be. An upload is a file, named
//! after its id and its repository, so that it can be resumed after a restart; the hash of its content is kept in
//! memory, and computed again where it is missing. No file stays open between requests.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dede_storage::files::remove;

use super::durable::lock;
use super::error::{Result, StoreError};
use super::room::{Charge, Room, cost};
use super::upload_id::{LENGTH, UploadId};
use crate::digest::{Digest, Hasher};
use crate::oci::RepositoryName;

/// Uploads that may be unfinished at once.
pub(super) const MOST_UPLOADS: usize = 1024;
/// Those that one client may have begun.
pub(super) const MOST_OF_ONE_CLIENT: usize = 128;
/// Bits of an IPv6 address that one client can choose freely.
const HOST_BITS: u32 = 64;

/// What is known of an upload besides its file.
#[derive(Debug)]
pub(super) struct Progress {
    /// Of what the file holds, as far as this process has seen it.
    pub(super) hasher: Hasher,
    /// The file's bytes.
    pub(super) charge: Charge,
}

/// Locked while a request works on the upload.
pub(super) type Slot = Arc<Mutex<Progress>>;

#[derive(Debug)]
struct Known {
    /// Digest of the repository's name.
    repository: Digest,
    /// Nothing of uploads from before a restart.
    client: Option<IpAddr>,
    slot: Slot,
}

#[derive(Debug)]
pub(super) struct Unfinished {
    directory: PathBuf,
    known: Mutex<HashMap<UploadId, Known>>,
}

impl Unfinished {
    /// Finds what an earlier process left. Files that are no uploads are not touched.
    pub(super) fn open(directory: PathBuf, room: &Arc<Room>) -> Result<Self> {
        let context = || StoreError::io("list the uploads");
        fs::create_dir_all(&directory).map_err(context())?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(&directory).map_err(context())? {
            let entry = entry.map_err(context())?;
            let Some((id, repository)) = entry.file_name().to_str().and_then(parse) else { continue };
            let charge = room.charge(cost(entry.metadata().map_err(context())?.len()));
            known.insert(id, Known { repository, client: None, slot: slot(charge) });
        }
        Ok(Self { directory, known: Mutex::new(known) })
    }

    /// Adds an upload, unless there are too many.
    pub(super) fn begin(
        &self,
        repository: &RepositoryName,
        client: Option<IpAddr>,
        charge: Charge,
    ) -> Result<UploadId> {
        let (id, client) = (UploadId::random()?, client.map(network));
        let repository = Digest::of(repository.as_str().as_bytes());
        {
            let mut known = lock(&self.known);
            if known.len() >= MOST_UPLOADS {
                return Err(StoreError::Crowded(format!("{MOST_UPLOADS} uploads are unfinished already")));
            }
            if client.is_some() && known.values().filter(|known| known.client == client).count() >= MOST_OF_ONE_CLIENT {
                let text = format!("{MOST_OF_ONE_CLIENT} uploads of this client are unfinished already");
                return Err(StoreError::Crowded(text));
            }
            known.insert(id.clone(), Known { repository, client, slot: slot(charge) });
        }
        File::create_new(self.place(&id, &repository)).map_err(|error| {
            lock(&self.known).remove(&id);
            StoreError::io("begin an upload")(error)
        })?;
        Ok(id)
    }

    /// An upload of a repository: its file and its progress.
    pub(super) fn find(&self, repository: &RepositoryName, id: &UploadId) -> Result<(PathBuf, Slot)> {
        let repository = Digest::of(repository.as_str().as_bytes());
        let known = lock(&self.known);
        let found = known.get(id).filter(|known| known.repository == repository);
        let slot = found.map(|known| Arc::clone(&known.slot)).ok_or_else(|| StoreError::UnknownUpload(id.clone()))?;
        Ok((self.place(id, &repository), slot))
    }

    /// Forgets an upload whose file has become a blob.
    pub(super) fn forget(&self, id: &UploadId) {
        lock(&self.known).remove(id);
    }

    /// Removes an upload; whether it was there. A request that works on it goes on with a file that has no name.
    pub(super) fn remove(&self, id: &UploadId) -> Result<bool> {
        let Some(known) = lock(&self.known).remove(id) else { return Ok(false) };
        remove(&self.place(id, &known.repository)).map(|_| true).map_err(StoreError::io(format!("remove upload {id}")))
    }

    /// Removes the uploads to which nothing was added for so long, and that no request works on; how many.
    pub(super) fn expire(&self, of: Option<&RepositoryName>, idle: Duration) -> Result<usize> {
        let of = of.map(|name| Digest::of(name.as_str().as_bytes()));
        let known: Vec<_> = {
            let known = lock(&self.known);
            let wanted = known.iter().filter(|(_, known)| of.is_none_or(|of| known.repository == of));
            wanted.map(|(id, known)| (id.clone(), known.repository, Arc::clone(&known.slot))).collect()
        };
        let mut expired = 0;
        for (id, repository, slot) in known {
            let is_old = || age(&self.place(&id, &repository)).is_some_and(|age| age >= idle);
            if !is_old() {
                continue;
            }
            // Held to the end, so that no request begins to work on it meanwhile; one may have ended its work just now.
            let Ok(_lock) = slot.try_lock() else { continue };
            if is_old() {
                expired += usize::from(self.remove(&id)?);
            }
        }
        Ok(expired)
    }

    fn place(&self, id: &UploadId, repository: &Digest) -> PathBuf {
        self.directory.join(format!("{id}-{}", repository.hex()))
    }
}

/// The name of an upload's file.
fn parse(name: &str) -> Option<(UploadId, Digest)> {
    let (id, repository) = name.split_at_checked(LENGTH)?;
    Some((id.parse().ok()?, format!("sha256:{}", repository.strip_prefix('-')?).parse().ok()?))
}

fn slot(charge: Charge) -> Slot {
    Arc::new(Mutex::new(Progress { hasher: Hasher::new(), charge }))
}

/// Time since something was added to a file; `None` where it is gone.
fn age(path: &Path) -> Option<Duration> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Some(time.elapsed().unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // As good as never touched again.
        Err(_) => Some(Duration::MAX),
    }
}

/// What stands for a client: its address, or the network in which it may take any.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_one_address_or_one_network() {
        for (one, other, expected) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let [a, b] = [one, other].map(|text| network(text.parse().unwrap()));
            assert_eq!(a == b, expected, "{one} {other}");
        }
    }

    #[test]
    fn only_uploads_are_taken_for_uploads() {
        let digest = Digest::of(b"a");
        let id = UploadId::random().unwrap();
        assert_eq!(parse(&format!("{id}-{}", digest.hex())), Some((id.clone(), digest)));
        for name in [String::new(), id.to_string(), format!("{id}-"), format!("{id}{}", digest.hex()), "é".repeat(40)]
        {
            assert_eq!(parse(&name), None, "{name}");
        }
    }
}
