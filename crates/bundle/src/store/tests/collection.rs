//! Collection: what is removed, and what must stay.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::chunks::{LocalIndex, Plan};
use crate::directory::Directory;
use crate::modelpack::{Packed, Role, SourceFile};

#[test]
fn only_what_nothing_needs_is_removed() {
    let (_directory, store) = store();
    let (name, other) = (repository("service1"), repository("other"));
    let [config, layer, stray] = put(&store, &name, &[b"config", b"layer", b"stray"])[..] else { panic!() };
    let pushed = push(&store, &name, &["latest"], &manifest_document(b"config", &[b"layer"])).unwrap();
    store.mount(&name, &other, &layer).unwrap();
    let lease = store.lease();
    let held = store.put_bytes(b"held", &lease).unwrap();
    assert_eq!(store.collect(Duration::from_secs(3600)).unwrap(), Collected::default(), "all of it is young");
    let collected = store.collect(Duration::ZERO).unwrap();
    assert_eq!((collected.blobs, collected.bytes), (1, 5));
    assert!(!store.contains(&stray).unwrap());
    assert!(matches!(store.repository_blob(&name, &stray), Err(StoreError::UnknownBlob(_))));
    assert!(store.repository_blob(&name, &layer).is_ok() && store.repository_blob(&name, &config).is_ok());
    for kept in [config, layer, pushed.digest, held] {
        assert!(store.contains(&kept).unwrap(), "{kept}");
    }
    drop(lease);
    store.delete_manifest(&name, &pushed.digest).unwrap();
    assert_eq!(store.collect(Duration::ZERO).unwrap().blobs, 4);
}

#[test]
fn what_an_undone_move_brought_goes_and_nothing_else() {
    let (_directory, store) = store();
    let name = repository("service1");
    let [config, layer, pushed_just_now] = put(&store, &name, &[b"config", b"layer", b"no manifest yet"])[..] else {
        panic!()
    };
    push(&store, &name, &["latest"], &manifest_document(b"config", &[b"layer"])).unwrap();
    let upload = store.begin_upload(&name, None).unwrap();
    let lease = store.lease();
    let [brought, held] = [&b"brought"[..], b"held"].map(|bytes| store.put_bytes(bytes, &store.lease()).unwrap());
    lease.hold(held);
    let discarded = store.discard([brought, held, layer, pushed_just_now, Digest::of(b"never there")]).unwrap();
    assert_eq!((discarded.blobs, discarded.unfinished), (1, 0));
    assert!(!store.contains(&brought).unwrap());
    for kept in [config, layer, pushed_just_now, held] {
        assert!(store.contains(&kept).unwrap(), "{kept}");
    }
    assert_eq!(store.unfinished.expire(Some(&name), Duration::ZERO).unwrap(), 1, "the upload {upload} was left alone");
}

#[test]
fn chunk_lists_go_with_their_blobs() {
    let (directory, store) = store();
    let lease = store.lease();
    let digest = store.put_bytes(&content(1, 500_000), &lease).unwrap();
    let list = store.chunk_list(&digest).unwrap();
    assert_eq!(store.chunk_list(&digest).unwrap(), list);
    let path = directory.path().join("chunks").join(digest.hex());
    fs::write(&path, "damaged").unwrap();
    assert_eq!(store.chunk_list(&digest).unwrap(), list, "made anew");
    drop(lease);
    store.collect(Duration::ZERO).unwrap();
    assert!(!path.exists());
}

/// A service of two files and the directory they are in.
fn service(root: &Path, thread: usize, round: usize) -> Packed {
    let path = root.join(format!("source-{thread}"));
    fs::create_dir_all(&path).unwrap();
    // Half of the weights are the same in all threads, so that blobs are shared, removed and put again.
    fs::write(
        path.join("model.onnx"),
        content(if round.is_multiple_of(2) { round } else { 1000 * thread + round }, 100_000),
    )
    .unwrap();
    fs::write(path.join("labels.txt"), format!("{thread} {round}")).unwrap();
    let directory = Arc::new(Directory::open(&path).unwrap());
    let source = |name: &str, role| SourceFile {
        name: name.parse().unwrap(),
        directory: Arc::clone(&directory),
        place: name.parse().unwrap(),
        role,
    };
    let sources = vec![source("model.onnx", Role::Weight), source("labels.txt", Role::Config)];
    Packed::new(sources, &serde_json::Map::new(), Digest::of(b"version")).unwrap()
}

/// One move: publish, find again, place, upload beside it, let go.
fn work(store: &BlobStore, root: &Path, thread: usize, round: usize) {
    let packed = service(root, thread, round);
    let name = repository(&format!("r{}", thread % 3));
    let label = tag(&format!("t{thread}"));
    let lease = store.lease();
    let digest = store.publish(&name, std::slice::from_ref(&label), &packed, &lease).unwrap();
    drop(lease);
    // From here on the manifest alone keeps the blobs.
    assert_eq!(store.manifest(&name, &Reference::Tag(label.clone())).unwrap().bytes, packed.manifest);
    let lease = store.lease();
    let bundle = store.bundle(&digest, &lease).unwrap();
    assert_eq!(bundle, packed.bundle);
    store.delete_tag(&name, &label).unwrap();
    match store.delete_manifest(&name, &digest) {
        Ok(()) | Err(StoreError::UnknownManifest(_)) => {}
        Err(error) => panic!("{error}"),
    }
    // And now the lease alone.
    let target = Directory::create(&root.join(format!("target-{thread}"))).unwrap();
    for file in bundle.files() {
        store.place(&file.digest, &target, &file.name, file.role, &store.lease()).unwrap();
        assert_eq!(crate::hash_file(&target.path().join(file.name.as_str())).unwrap(), (file.size, file.digest));
    }
    let upload = store.begin_upload(&repository("uploads"), None).unwrap();
    store.append(&repository("uploads"), &upload, Some(0), None, packed.manifest.as_slice()).unwrap();
    lease.hold(digest);
    store.finish_upload(&repository("uploads"), &upload, digest).unwrap();
    assert!(store.contains(&digest).unwrap());
}

#[test]
fn collections_in_the_midst_of_everything_take_nothing_that_is_needed() {
    let (directory, store) = store();
    let done = AtomicBool::new(false);
    let collections = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut collections = 0;
            while !done.load(Ordering::Relaxed) {
                // Unfinished uploads would go at once with everything young: they are the caller's to spare, by the grace period.
                store.collect_blobs(Duration::ZERO).unwrap();
                collections += 1;
            }
            collections
        });
        let workers: Vec<_> = (0..6)
            .map(|thread| {
                let (store, root) = (&store, directory.path());
                scope.spawn(move || (0..12).for_each(|round| work(store, &root.join("services"), thread, round)))
            })
            .collect();
        let failed = workers.into_iter().map(|worker| worker.join()).filter(|result| result.is_err()).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
        collector.join().unwrap()
    });
    assert!(collections > 3, "{collections}");
    store.collect(Duration::ZERO).unwrap();
    assert_eq!(fs::read_dir(directory.path().join("sha256")).unwrap().count(), 0, "and leave nothing in the end");
    assert_eq!(fs::read_dir(directory.path().join("temporary")).unwrap().count(), 0);
}

#[test]
fn a_partial_file_survives_a_restart_and_goes_when_it_is_not_wanted() {
    let (directory, store) = store();
    let bytes = content(9, 2_000_000);
    let list = crate::chunks::ChunkList::of_reader(bytes.as_slice()).unwrap();
    let plan = Plan::new(list, &LocalIndex::new());
    let fetch = |range: std::ops::Range<u64>| Ok(&bytes[range.start as usize..range.end as usize]);
    let lease = store.lease();
    let stop = |report: &crate::chunks::Report| {
        if report.sent > 1_000_000 { Err(std::io::Error::other("stopped")) } else { Ok(()) }
    };
    assert!(matches!(store.assemble(&plan, fetch, stop, &lease), Err(StoreError::Assembly(_))));
    assert_eq!(store.collect(Duration::ZERO).unwrap().unfinished, 0, "a lease holds it");
    drop(lease);
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    let lease = store.lease();
    let report = store.assemble(&plan, fetch, |_| Ok(()), &lease).unwrap();
    assert!(report.resumed > 900_000 && report.sent < 1_100_000, "{report:?}");
    assert_eq!(store.size(&Digest::of(&bytes)).unwrap(), Some(2_000_000));
    let again = store.assemble(&plan, fetch, |_| Ok(()), &lease).unwrap();
    assert_eq!((again.sent, again.resumed), (0, 2_000_000));

    let other = Plan::new(crate::chunks::ChunkList::of_reader(&bytes[1..]).unwrap(), &LocalIndex::new());
    assert!(
        store
            .assemble(&other, |_| -> std::io::Result<&[u8]> { Err(std::io::Error::other("no")) }, |_| Ok(()), &lease)
            .is_err()
    );
    drop(lease);
    assert_eq!(store.collect(Duration::ZERO).unwrap().unfinished, 1);
}
