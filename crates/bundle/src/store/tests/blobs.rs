//! Blobs: put once, checked, read back, removed.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_blob_is_stored_once_read_only_and_found_after_a_restart() {
    let (directory, store) = store();
    let lease = store.lease();
    let digest = store.put_bytes(b"abc", &lease).unwrap();
    store.put_reader(digest, Unreadable, &lease).unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(3));
    assert!(!store.contains(&Digest::of(b"other")).unwrap());
    let path = directory.path().join("sha256").join(digest.hex());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    drop(store);
    let mut text = String::new();
    let store = BlobStore::open(directory.path()).unwrap();
    store.read(&digest).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
    assert!(store.delete(&digest).unwrap());
    assert!(!store.delete(&digest).unwrap());
    assert!(matches!(store.read(&digest), Err(StoreError::UnknownBlob(_))));
}

/// Fails the test when it is read: what is there already is not asked for again.
struct Unreadable;

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("read"))
    }
}

#[test]
fn content_that_is_not_what_it_was_said_to_be_leaves_nothing() {
    let (directory, store) = store();
    let lease = store.lease();
    let expected = Digest::of(b"abc");
    let error = store.put_reader(expected, &b"abd"[..], &lease).unwrap_err();
    assert!(
        matches!(error, StoreError::DigestMismatch { expected: e, found } if e == expected && found == Digest::of(b"abd"))
    );
    let cut = b"ab".chain(Unreadable);
    assert!(matches!(store.put_reader(expected, cut, &lease), Err(StoreError::Source(_))));
    assert!(!store.contains(&expected).unwrap());
    assert_eq!(files(directory.path()), ["lock"]);
}

#[test]
fn a_blob_that_comes_in_pieces_is_there_when_it_is_finished_and_otherwise_leaves_nothing() {
    let (directory, store) = store();
    let lease = store.lease();
    let digest = Digest::of(b"abc");
    let begin = || store.begin_blob(digest, &lease).unwrap().unwrap();
    for pieces in [&[][..], &["ab"], &["ab", "d"], &["abc", "d"]] {
        let mut writer = begin();
        pieces.iter().for_each(|piece| writer.write(piece.as_bytes()).unwrap());
        let error = store.finish_blob(writer, &lease).unwrap_err();
        assert!(matches!(error, StoreError::DigestMismatch { expected, .. } if expected == digest), "{pieces:?}");
    }
    drop(begin());
    assert_eq!(files(directory.path()), ["lock"]);
    let (mut writer, other) = (begin(), begin());
    ["a", "", "bc"].iter().for_each(|piece| writer.write(piece.as_bytes()).unwrap());
    store.finish_blob(writer, &lease).unwrap();
    drop(other);
    assert_eq!(store.size(&digest).unwrap(), Some(3));
    assert!(store.begin_blob(digest, &lease).unwrap().is_none(), "it is there");
}

#[test]
fn a_file_of_a_repository_may_change_after_it_was_put() {
    let (directory, store) = store();
    let lease = store.lease();
    let path = directory.path().join("file");
    fs::write(&path, "abc").unwrap();
    let digest = Digest::of(b"abc");
    store.put_file(digest, &File::open(&path).unwrap(), &lease).unwrap();
    fs::write(&path, "xyz").unwrap();
    assert_eq!(Digest::of(&fs::read(directory.path().join("sha256").join(digest.hex())).unwrap()), digest);
    let error = store.put_file(Digest::of(b"other"), &File::open(&path).unwrap(), &lease).unwrap_err();
    assert!(matches!(error, StoreError::DigestMismatch { .. }));
}

#[test]
fn one_process_at_a_time_and_half_written_files_are_gone() {
    let (directory, store) = store();
    assert!(matches!(BlobStore::open(directory.path()), Err(StoreError::InUse)));
    fs::write(directory.path().join("temporary/1-1"), "half").unwrap();
    fs::create_dir_all(directory.path().join("repositories/a/b")).unwrap();
    for place in ["chunks", "repositories", "repositories/a/b"] {
        fs::write(directory.path().join(place).join("_tmp-1"), "half").unwrap();
    }
    drop(store);
    let _store = BlobStore::open(directory.path()).unwrap();
    assert_eq!(files(directory.path()), ["lock"]);
}

#[test]
fn no_error_names_a_place() {
    let (directory, store) = store();
    let lease = store.lease();
    fs::remove_dir_all(directory.path().join("temporary")).unwrap();
    let error = store.put_bytes(b"abc", &lease).unwrap_err().to_string();
    assert!(!error.contains(directory.path().to_str().unwrap()), "{error}");
}
