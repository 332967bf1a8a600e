//! What clients push never takes more than it may, and what goes makes room again.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::store::unfinished::{MOST_OF_ONE_CLIENT, MOST_UPLOADS};

const BLOCK: u64 = 4096;

/// Gives zeros without end, and counts them.
struct Endless<'a>(&'a mut u64);

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        *self.0 += buffer.len() as u64;
        Ok(buffer.len())
    }
}

fn is_full<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(StoreError::QuotaExceeded { .. }))
}

#[test]
fn an_upload_without_end_ends_at_the_quota_and_leaves_nothing() {
    let (directory, store) = store();
    let name = repository("a");
    store.set_quota(store.taken() + (1 << 20));
    let before = store.taken();
    let mut given = 0;
    let id = store.begin_upload(&name, None).unwrap();
    assert!(is_full(&store.append(&name, &id, None, None, Endless(&mut given))));
    assert!(given < 2 << 20, "{given} bytes were taken from the sender");
    assert!(matches!(store.upload_offset(&name, &id), Err(StoreError::UnknownUpload(_))));
    let id = store.begin_upload(&name, None).unwrap();
    let mut given = 0;
    assert!(is_full(&store.append(&name, &id, None, Some(2 << 20), Endless(&mut given))));
    assert_eq!(given, 0, "what is announced is refused before it comes");
    assert_eq!((store.taken(), files(directory.path())), (before, vec!["lock".to_owned()]));
    // An announcement takes no room from others.
    let (one, other) = (store.begin_upload(&name, None).unwrap(), store.begin_upload(&name, None).unwrap());
    assert!(store.append(&name, &one, None, Some(900 << 10), io::empty()).is_ok());
    assert!(store.append(&name, &other, None, Some(900 << 10), &content(1, 900 << 10)[..]).is_ok());
    assert!(is_full(&store.append(&name, &one, None, None, &content(1, 900 << 10)[..])));
}

#[test]
fn whatever_is_pushed_is_counted_and_what_goes_is_not() {
    let (directory, store) = store();
    let name = repository("a");
    let upload = |bytes: &[u8]| {
        let id = store.begin_upload(&name, None)?;
        store.append(&name, &id, None, None, bytes)?;
        store.finish_upload(&name, &id, Digest::of(bytes))
    };
    upload(b"{}").unwrap();
    let index = 2 * BLOCK;
    assert_eq!(store.taken(), BLOCK + index);
    upload(&content(1, 5000)).unwrap();
    upload(&content(1, 5000)).unwrap();
    assert_eq!(store.taken(), 3 * BLOCK + index, "the same content is counted once");
    let document = manifest_document(b"{}", &[&content(1, 5000)]);
    let digest = push(&store, &name, &["latest"], &document).unwrap().digest;
    assert_eq!(store.taken(), 4 * BLOCK + index);
    let unfinished = store.begin_upload(&name, None).unwrap();
    store.append(&name, &unfinished, None, None, &content(2, 5000)[..]).unwrap();
    let taken = store.taken();
    assert_eq!(taken, 6 * BLOCK + index);
    // Full: manifests, uploads, mounts and content of services are refused, and leave nothing.
    store.set_quota(taken);
    assert!(is_full(&push(&store, &name, &[], &manifest_document(b"{}", &[]))));
    assert!(is_full(&store.begin_upload(&name, None)) && is_full(&store.reserve(1)));
    assert!(is_full(&store.mount(&name, &repository("other"), &Digest::of(b"{}"))));
    assert!(is_full(&store.append(&name, &unfinished, None, None, &content(2, 5000)[..])));
    assert_eq!((store.taken(), store.repositories()), (taken - 2 * BLOCK, vec![name.clone()]));
    // The operator's own content is counted and comes all the same.
    let lease = store.lease();
    store.put_bytes(&content(3, 9000), &lease).unwrap();
    assert_eq!(store.taken(), taken + BLOCK);
    assert!(is_full(&store.begin_upload(&name, None)));
    // A restart counts the same.
    drop(lease);
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert_eq!(store.taken(), taken + BLOCK);
    store.delete_manifest(&name, &digest).unwrap();
    store.collect(Duration::ZERO).unwrap();
    assert_eq!((store.taken(), files(directory.path())), (0, vec!["lock".to_owned()]));
}

/// Where what clients push lies.
const ENTRIES: [&str; 2] = ["sha256", "uploads"];

/// Bytes of the files in a directory, of which some may go meanwhile.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}

#[test]
fn uploads_of_many_threads_together_stay_below_the_quota() {
    let (directory, store) = store();
    let quota = 1 << 20;
    store.set_quota(quota);
    std::thread::scope(|scope| {
        for thread in 0..8usize {
            let (store, root) = (&store, directory.path());
            scope.spawn(move || {
                let name = repository(&format!("r{thread}"));
                for round in 0..8 {
                    let bytes = content(thread * 100 + round, 150_000);
                    let Ok(id) = store.begin_upload(&name, None) else { continue };
                    let appended = store.append(&name, &id, None, None, &bytes[..]);
                    let held = ENTRIES.iter().map(|part| bytes_in(&root.join(part))).sum::<u64>();
                    assert!(held <= quota, "{held}");
                    match appended.and_then(|_| store.finish_upload(&name, &id, Digest::of(&bytes))) {
                        Ok(()) | Err(StoreError::QuotaExceeded { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert!(store.taken() <= quota && store.taken() > quota / 2, "{}", store.taken());
}

#[test]
fn one_client_leaves_places_for_others_and_all_have_a_bound() {
    let (_directory, store) = store();
    let address = |text: String| -> Option<IpAddr> { Some(text.parse().unwrap()) };
    // Repositories are free to choose: they make no difference, and leave nothing behind.
    let begin = |number: usize, client| store.begin_upload(&repository(&format!("r{number}")), client);
    let crowded = |outcome: &Result<UploadId>| matches!(outcome, Err(StoreError::Crowded(_)));
    for number in 0..MOST_OF_ONE_CLIENT {
        begin(number, address(format!("2001:db8::{number:x}"))).unwrap();
    }
    assert!(crowded(&begin(0, address("2001:db8::ffff:1".into()))), "one network is one client");
    let mut last = None;
    for number in MOST_OF_ONE_CLIENT..MOST_UPLOADS {
        last = Some(begin(number, address(format!("10.0.{}.{}", number / 256, number % 256))).unwrap());
    }
    assert!(crowded(&begin(0, address("192.0.2.1".into()))) && crowded(&begin(0, None)));
    assert!(store.repositories().is_empty() && store.all_repositories().is_empty());
    store.abort_upload(&repository(&format!("r{}", MOST_UPLOADS - 1)), &last.unwrap()).unwrap();
    begin(0, None).unwrap();
}

#[test]
fn uploads_that_stand_still_give_way_where_room_runs_short() {
    let (directory, store) = store();
    let name = repository("a");
    let (old, young) = (store.begin_upload(&name, None).unwrap(), store.begin_upload(&name, None).unwrap());
    for id in [&old, &young] {
        store.append(&name, id, None, None, &content(1, 100_000)[..]).unwrap();
    }
    store.set_quota(store.taken());
    assert!(is_full(&store.begin_upload(&name, None)));
    let path = files(directory.path()).into_iter().find(|file| file.contains(old.as_str())).unwrap();
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(directory.path().join(path)).unwrap().set_modified(hour_ago).unwrap();
    store.begin_upload(&name, None).unwrap();
    assert!(matches!(store.upload_offset(&name, &old), Err(StoreError::UnknownUpload(_))));
    assert_eq!(store.upload_offset(&name, &young).unwrap(), 100_000);
}

#[test]
fn names_that_clients_make_up_are_not_remembered() {
    let (directory, store) = store();
    for number in 0..50 {
        let name = repository(&format!("r{number}/deep"));
        assert!(push(&store, &name, &[], &manifest_document(b"config", &[])).is_err());
        assert!(matches!(store.delete_tag(&name, &tag("x")), Err(StoreError::UnknownRepository(_))));
        assert!(!store.delete_repository(&name).unwrap());
    }
    assert!(store.all_repositories().is_empty());
    // Repositories that were made and emptied go with the next collection, with their directories.
    for name in ["a", "a/b", "c/d/e"].map(repository) {
        put(&store, &name, &[b"x"]);
    }
    store.collect(Duration::ZERO).unwrap();
    assert!(store.all_repositories().is_empty());
    assert_eq!(std::fs::read_dir(directory.path().join("repositories")).unwrap().count(), 0);
    assert_eq!((store.taken(), store.records.taken()), (0, 0));
}

#[test]
fn a_manifest_says_the_sizes_that_its_contents_have() {
    let (_directory, store) = store();
    let name = repository("a");
    put(&store, &name, &[b"config", b"layer"]);
    let good = manifest_document(b"config", &[b"layer"]);
    let model = push(&store, &name, &[], &good).unwrap().digest;
    let change = |place: &str, size: u64| {
        let mut document = good.clone();
        *document.pointer_mut(place).unwrap() = json!(size);
        document
    };
    let mut twice = good.clone();
    let layer = json!({"mediaType": "application/x", "digest": Digest::of(b"layer"), "size": 4});
    twice["layers"].as_array_mut().unwrap().push(layer);
    let entry = |size: u64| json!({"mediaType": MediaType::IMAGE_MANIFEST, "digest": model, "size": size});
    let mut about = good.clone();
    about["subject"] = entry(7);
    for (document, found) in [
        (change("/config/size", 0), 6),
        (change("/config/size", 7), 6),
        (change("/layers/0/size", i64::MAX as u64), 5),
        (twice, 5),
        (json!({"schemaVersion": 2, "manifests": [entry(1)]}), good.to_string().len() as u64),
        (about, good.to_string().len() as u64),
    ] {
        let taken = store.taken();
        let outcome = push(&store, &name, &["wrong"], &document);
        assert!(matches!(outcome, Err(StoreError::SizeMismatch { found: f, .. }) if f == found), "{document}");
        assert_eq!(store.taken(), taken, "nothing is left of {document}");
    }
    assert!(store.find_manifest(&name, &by_tag("wrong")).is_err());
    let size = good.to_string().len() as u64;
    push(&store, &name, &[], &json!({"schemaVersion": 2, "manifests": [entry(size)]})).unwrap();
}
