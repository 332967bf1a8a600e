//! Blobs that come in several calls: what is kept of those that broke off, and what is not believed.

use std::cell::RefCell;
use std::io::{self, Read};

use super::*;

const SIZE: usize = 400_000;

/// Gives bytes, and then an error.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            count => Ok(count),
        }
    }
}

/// Puts a blob from this content, which breaks off after so many bytes; gives the offsets that were asked for.
fn put(store: &BlobStore, digest: Digest, bytes: &[u8], after: usize) -> (Result<()>, Vec<u64>) {
    let asked = RefCell::new(Vec::new());
    let open = |offset: u64| {
        asked.borrow_mut().push(offset);
        let rest = &bytes[usize::try_from(offset).unwrap().min(bytes.len())..];
        Broken(&rest[..after.min(rest.len())])
    };
    let outcome = store.put_resumed(Blob { digest, size: SIZE as u64 }, open, &store.lease());
    (outcome, asked.into_inner())
}

#[test]
fn a_blob_goes_on_where_it_broke_off_and_after_a_restart() {
    let (directory, store) = store();
    let bytes = content(1, SIZE);
    let digest = Digest::of(&bytes);
    let (outcome, asked) = put(&store, digest, &bytes, 150_000);
    assert!(matches!(outcome, Err(StoreError::Source(_))), "{outcome:?}");
    assert_eq!(asked, [0]);
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert!(!store.contains(&digest).unwrap());
    let (outcome, asked) = put(&store, digest, &bytes, 150_000);
    assert!(matches!(outcome, Err(StoreError::Source(_))), "{outcome:?}");
    assert_eq!(asked, [150_000]);
    let (outcome, asked) = put(&store, digest, &bytes, SIZE);
    outcome.unwrap();
    assert_eq!(asked, [300_000]);
    let mut stored = Vec::new();
    store.read(&digest).unwrap().read_to_end(&mut stored).unwrap();
    assert!(stored == bytes);
    let (outcome, asked) = put(&store, digest, &bytes, 0);
    outcome.unwrap();
    assert_eq!(asked, [] as [u64; 0], "it is there");
    assert_eq!(std::fs::read_dir(directory.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn content_of_another_digest_is_an_error_and_leaves_nothing() {
    let (directory, store) = store();
    let digest = Digest::of(&content(1, SIZE));
    let (outcome, asked) = put(&store, digest, &content(2, SIZE), SIZE);
    assert!(matches!(outcome, Err(StoreError::DigestMismatch { expected, .. }) if expected == digest), "{outcome:?}");
    assert_eq!(asked, [0], "what is wrong is not asked for again");
    assert_eq!(std::fs::read_dir(directory.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn a_damaged_beginning_costs_one_more_transfer() {
    let bytes = content(1, SIZE);
    let digest = Digest::of(&bytes);
    // Other bytes; the beginning in zeros, as some file systems leave it after a power failure; too many; all, and wrong.
    for (left, expected) in [
        (content(2, 1000), &[1000, 0][..]),
        (vec![0; 4096], &[4096, 0]),
        (content(1, SIZE + 1), &[0]),
        (content(2, SIZE), &[0]),
        (bytes.clone(), &[]),
    ] {
        let (directory, store) = store();
        std::fs::write(directory.path().join("partial").join(digest.hex()), left).unwrap();
        let (outcome, asked) = put(&store, digest, &bytes, SIZE);
        outcome.unwrap();
        assert_eq!(asked, expected);
        assert_eq!(store.size(&digest).unwrap(), Some(SIZE as u64));
    }
}

#[test]
fn content_that_ends_early_is_kept_and_said() {
    let (_directory, store) = store();
    let bytes = content(1, SIZE);
    let digest = Digest::of(&bytes);
    let lease = store.lease();
    let error = store.put_resumed(Blob { digest, size: SIZE as u64 }, |_| &bytes[..10], &lease).unwrap_err();
    assert!(error.to_string().contains("ended after 10 of 400000 bytes"), "{error}");
    let (outcome, asked) = put(&store, digest, &bytes, SIZE);
    outcome.unwrap();
    assert_eq!(asked, [10]);
    store.put_resumed(Blob { digest: Digest::of(b""), size: 0 }, |_| &b""[..], &lease).unwrap();
    assert!(store.contains(&Digest::of(b"")).unwrap(), "nothing is a blob too");
}
