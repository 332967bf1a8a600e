//! Uploads: chunks in order, limits in number, and what a restart leaves of them.

use std::fs;
use std::io::{self, Read};
use std::sync::mpsc;
use std::time::Duration;

use super::*;

#[test]
fn an_upload_goes_on_after_a_restart() {
    let (directory, store) = store();
    let name = repository("a/b");
    let bytes = content(1, 300_000);
    let id = store.begin_upload(&name, None).unwrap();
    assert_eq!(store.upload_offset(&name, &id).unwrap(), 0);
    assert_eq!(store.append(&name, &id, Some(0), None, &bytes[..100_000]).unwrap(), 100_000);
    assert_eq!(store.append(&name, &id, None, None, &bytes[100_000..100_001]).unwrap(), 100_001);
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert_eq!(store.upload_offset(&name, &id).unwrap(), 100_001);
    store.append(&name, &id, Some(100_001), None, &bytes[100_001..]).unwrap();
    let digest = Digest::of(&bytes);
    store.finish_upload(&name, &id, digest).unwrap();
    assert_eq!(store.repository_blob(&name, &digest).unwrap().1, 300_000);
    for result in [
        store.upload_offset(&name, &id).map(drop),
        store.finish_upload(&name, &id, digest),
        store.abort_upload(&name, &id),
    ] {
        assert!(matches!(result, Err(StoreError::UnknownUpload(_))));
    }
}

#[test]
fn chunks_come_in_order_and_a_wrong_digest_can_be_corrected() {
    let (_directory, store) = store();
    let name = repository("a");
    let id = store.begin_upload(&name, None).unwrap();
    store.append(&name, &id, Some(0), None, &b"abc"[..]).unwrap();
    for found in [0, 2, 4, u64::MAX] {
        let error = store.append(&name, &id, Some(found), None, &b"x"[..]).unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder { expected: 3, found: f } if f == found));
    }
    assert!(matches!(store.finish_upload(&name, &id, Digest::of(b"x")), Err(StoreError::DigestMismatch { .. })));
    assert!(
        matches!(store.append(&repository("b"), &id, None, None, &b""[..]), Err(StoreError::UnknownUpload(_))),
        "not theirs"
    );
    store.finish_upload(&name, &id, Digest::of(b"abc")).unwrap();
}

/// Gives some bytes and breaks off.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let given = self.0.min(buffer.len());
        buffer[..given].fill(b'x');
        self.0 -= given;
        Ok(given)
    }
}

#[test]
fn what_came_before_a_cut_connection_is_kept() {
    let (_directory, store) = store();
    let name = repository("a");
    let id = store.begin_upload(&name, None).unwrap();
    assert!(matches!(store.append(&name, &id, Some(0), None, Broken(70_000)), Err(StoreError::Source(_))));
    assert_eq!(store.upload_offset(&name, &id).unwrap(), 70_000);
    store.append(&name, &id, Some(70_000), None, &b"y"[..]).unwrap();
    let mut whole = vec![b'x'; 70_000];
    whole.push(b'y');
    store.finish_upload(&name, &id, Digest::of(&whole)).unwrap();
}

/// Announces that it is being read and waits for the test.
struct Waiting(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Read for Waiting {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.send(()).unwrap();
        self.1.recv().unwrap();
        Ok(0)
    }
}

#[test]
fn a_second_request_for_an_upload_is_told_so() {
    let (_directory, store) = store();
    let name = repository("a");
    let id = store.begin_upload(&name, None).unwrap();
    let (started, wait_for_start) = mpsc::channel();
    let (release, wait_for_release) = mpsc::channel();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| store.append(&name, &id, Some(0), None, Waiting(started, wait_for_release)));
        wait_for_start.recv().unwrap();
        assert!(matches!(store.append(&name, &id, Some(0), None, &b"x"[..]), Err(StoreError::Busy(_))));
        assert!(matches!(store.finish_upload(&name, &id, Digest::of(b"")), Err(StoreError::Busy(_))));
        release.send(()).unwrap();
        first.join().unwrap().unwrap();
    });
    store.finish_upload(&name, &id, Digest::of(b"")).unwrap();
}

#[test]
fn aborted_expired_and_forgotten_uploads_leave_nothing() {
    let (directory, store) = store();
    let name = repository("a");
    let ids: Vec<_> = (0..3).map(|_| store.begin_upload(&name, None).unwrap()).collect();
    store.append(&name, &ids[0], None, None, &b"x"[..]).unwrap();
    store.abort_upload(&name, &ids[0]).unwrap();
    assert_eq!(store.collect(Duration::from_secs(3600)).unwrap().unfinished, 0);
    assert!(store.upload_offset(&name, &ids[1]).is_ok());
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert!(store.repositories().is_empty(), "an upload makes no repository");
    assert_eq!(store.collect(Duration::ZERO).unwrap().unfinished, 2);
    store.begin_upload(&name, None).unwrap();
    store.delete_repository(&name).unwrap();
    assert_eq!(files(directory.path()), ["lock"]);
}

#[test]
fn ids_are_uuids_and_nothing_else_parses() {
    let (_directory, store) = store();
    let (one, two) =
        (store.begin_upload(&repository("a"), None).unwrap(), store.begin_upload(&repository("a"), None).unwrap());
    assert_ne!(one, two);
    assert_eq!(one.as_str().parse::<UploadId>().unwrap(), one);
    assert_eq!((one.as_str().len(), &one.as_str()[14..15]), (36, "4"));
    for text in ["", "..", "../../x", &one.as_str().to_uppercase(), &one.as_str()[1..], &one.as_str().replace('-', "/")]
    {
        assert!(text.parse::<UploadId>().is_err(), "{text}");
    }
}

#[test]
fn a_process_that_lost_hundreds_of_uploads_keeps_no_file_open() {
    let (_directory, store) = store();
    let name = repository("a");
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for _ in 0..300 {
        let id = store.begin_upload(&name, None).unwrap();
        assert!(store.append(&name, &id, None, None, Broken(10)).is_err());
    }
    // Other tests of this process open a few at the same time.
    assert!(open() < before + 100, "{before} before, {} after", open());
}
