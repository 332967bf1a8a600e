//! Placing blobs in directories: shared, linked or copied, and never what is damaged.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Barrier;

use super::*;
use crate::directory::{Directory, DirectoryError};
use crate::file_name::FileName;
use crate::modelpack::Role;

const LARGE: usize = 200_000;
const SMALLEST_SHARED: usize = 64 << 10;

struct Places {
    directory: tempfile::TempDir,
    store: BlobStore,
    lease: Lease,
}

fn places() -> Places {
    let (directory, store) = store();
    let lease = store.lease();
    Places { directory, store, lease }
}

impl Places {
    fn service(&self, name: &str) -> Directory {
        Directory::create(&self.directory.path().join("services").join(name)).unwrap()
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory.path().join("sha256").join(digest.hex())
    }

    fn put(&self, bytes: &[u8]) -> Digest {
        self.store.put_bytes(bytes, &self.lease).unwrap()
    }

    fn place(&self, digest: &Digest, service: &str, name: &str, role: Role) -> Result<Placed> {
        self.store.place(digest, &self.service(service), &name.parse::<FileName>().unwrap(), role, &self.store.lease())
    }

    fn read(&self, service: &str, name: &str) -> Vec<u8> {
        fs::read(self.directory.path().join("services").join(service).join(name)).unwrap()
    }
}

#[test]
fn a_blob_is_linked_once_at_most_and_copied_elsewhere() {
    let places = places();
    let bytes = content(1, LARGE);
    let digest = places.put(&bytes);
    let first = places.place(&digest, "one", "runs/1/model.onnx", Role::Weight).unwrap();
    let second = places.place(&digest, "two", "model.onnx", Role::Weight).unwrap();
    // On a file system with shared extents, both are files of their own.
    assert!(matches!((first, second), (Placed::Reflinked, Placed::Reflinked) | (Placed::Linked, Placed::Copied)));
    assert!(fs::metadata(places.blob(&digest)).unwrap().nlink() <= 2);
    for (service, name) in [("one", "runs/1/model.onnx"), ("two", "model.onnx")] {
        assert_eq!(places.read(service, name), bytes);
        let mode = fs::metadata(places.service(service).path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "weights are read-only");
    }
    assert_eq!(
        places.place(&digest, "one", "runs/1/model.onnx", Role::Weight).unwrap(),
        first,
        "again, with the same result"
    );
    assert_eq!(files(places.service("one").path()), ["runs/1/model.onnx"], "no temporary names are left");
}

#[test]
fn damage_to_one_repository_never_reaches_another() {
    let places = places();
    let bytes = content(2, LARGE);
    let digest = places.put(&bytes);
    let first = places.place(&digest, "one", "model.onnx", Role::Weight).unwrap();
    places.place(&digest, "two", "model.onnx", Role::Weight).unwrap();
    let victim = places.service("one").path().join("model.onnx");
    fs::set_permissions(&victim, Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&victim).unwrap().write_all(b"damage").unwrap();
    assert_eq!(places.read("two", "model.onnx"), bytes);
    let third = places.place(&digest, "three", "model.onnx", Role::Weight);
    if first == Placed::Linked {
        // The blob is the damaged file. It is found out, removed, and can be put again.
        assert!(matches!(third, Err(StoreError::Corrupt(found)) if found == digest));
        assert!(!places.store.contains(&digest).unwrap());
        places.put(&bytes);
        places.place(&digest, "three", "model.onnx", Role::Weight).unwrap();
    }
    assert_eq!(places.read("three", "model.onnx"), bytes);
    assert!(places.read("one", "model.onnx").starts_with(b"damage"));
}

#[test]
fn small_and_other_files_are_the_services_own() {
    let places = places();
    let (small, large) = (places.put(b"small"), places.put(&content(3, LARGE)));
    assert_eq!(places.place(&small, "one", "model.onnx", Role::Weight).unwrap(), Placed::Copied);
    assert_eq!(places.place(&small, "one", "config.json", Role::Config).unwrap(), Placed::Copied);
    assert_eq!(places.place(&large, "one", "labels.txt", Role::Config).unwrap(), Placed::Copied);
    fs::write(places.service("one").path().join("config.json"), "changed").unwrap();
    fs::write(places.service("one").path().join("labels.txt"), "changed").unwrap();
    assert_eq!(fs::read(places.blob(&small)).unwrap(), b"small");
    assert_eq!(places.place(&small, "one", "config.json", Role::Config).unwrap(), Placed::Copied);
    assert_eq!(places.read("one", "config.json"), b"small", "what was there is replaced");
}

/// The lease that brought a blob has hashed it on the way; every other one reads it first.
#[test]
fn only_what_another_lease_brought_is_read_again() {
    let places = places();
    let digest = places.put(&content(9, LARGE));
    fs::remove_file(places.blob(&digest)).unwrap();
    fs::write(places.blob(&digest), content(10, LARGE)).unwrap();
    let place = |service: &str, lease: &Lease| {
        let name = "model.onnx".parse::<FileName>().unwrap();
        places.store.place(&digest, &places.service(service), &name, Role::Weight, lease)
    };
    place("one", &places.lease).unwrap();
    assert!(matches!(place("two", &places.store.lease()), Err(StoreError::Corrupt(_))));
}

#[test]
fn damaged_blobs_are_never_placed_whatever_the_way() {
    let places = places();
    for (seed, length, role) in [(4, LARGE, Role::Weight), (5, LARGE, Role::Config), (6, 10, Role::Weight)] {
        let digest = places.put(&content(seed, length));
        fs::remove_file(places.blob(&digest)).unwrap();
        fs::write(places.blob(&digest), content(seed + 100, length)).unwrap();
        let error = places.place(&digest, "one", "model.onnx", role).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(found) if found == digest), "{error}");
        assert!(matches!(places.place(&digest, "one", "model.onnx", role), Err(StoreError::UnknownBlob(_))));
        assert!(files(places.service("one").path()).is_empty());
    }
}

#[test]
fn links_in_the_way_are_never_followed() {
    let places = places();
    let digest = places.put(b"content");
    let (outside, service) = (places.directory.path().join("outside"), places.service("one"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    symlink(&outside, service.path().join("runs")).unwrap();
    let error = places.place(&digest, "one", "runs/model.onnx", Role::Weight).unwrap_err();
    assert!(matches!(error, StoreError::Directory(DirectoryError::Escapes(_))), "{error}");
    // A link at the file's own name is replaced, not written through.
    symlink(outside.join("victim"), service.path().join("model.onnx")).unwrap();
    places.place(&digest, "one", "model.onnx", Role::Weight).unwrap();
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
    assert_eq!(places.read("one", "model.onnx"), b"content");
    assert_eq!(files(&outside), ["victim"]);
}

#[test]
fn what_a_crash_left_is_removed_and_nothing_else() {
    let places = places();
    let digest = places.put(&content(8, LARGE));
    places.place(&digest, "one", "runs/1/model.onnx", Role::Weight).unwrap();
    let service = places.service("one");
    for left in ["runs/1/.dede-draft-0-1", ".dede-draft-0-2", ".hidden"] {
        fs::write(service.path().join(left), "").unwrap();
    }
    service.remove_drafts().unwrap();
    assert_eq!(files(service.path()), [".hidden", "runs/1/model.onnx"]);
}

#[test]
fn threads_that_place_one_blob_share_one_link() {
    const THREADS: usize = 8;
    let places = places();
    // The window between the look at the count and the link is short: many rounds, all threads at once.
    for round in 0..40 {
        let bytes = content(1000 + round, SMALLEST_SHARED);
        let digest = places.put(&bytes);
        let services: Vec<_> = (0..THREADS).map(|number| format!("s{round}-{number}")).collect();
        let ready = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for service in &services {
                let (places, ready) = (&places, &ready);
                scope.spawn(move || {
                    ready.wait();
                    places.place(&digest, service, "model.onnx", Role::Weight).unwrap();
                });
            }
        });
        assert!(fs::metadata(places.blob(&digest)).unwrap().nlink() <= 2);
        assert!(services.iter().all(|service| places.read(service, "model.onnx") == bytes));
    }
}
