//! The file of an index: what a change costs, and what a crash leaves.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::*;

fn index_of(directory: &Path) -> PathBuf {
    directory.join("repositories/a/_index.json")
}

fn push_number(store: &BlobStore, number: usize) {
    let mut document = manifest_document(b"{}", &[]);
    document["annotations"] = json!({"number": number.to_string()});
    push(store, &repository("a"), &[&format!("t{number}")], &document).unwrap();
}

fn tags(store: &BlobStore) -> usize {
    store.tags(&repository("a"), None, None).unwrap().tags.len()
}

#[test]
fn a_push_costs_its_own_line_however_much_is_there() {
    let (directory, store) = store();
    put(&store, &repository("a"), &[b"{}"]);
    let path = index_of(directory.path());
    let look = || fs::metadata(&path).map(|found| (found.ino(), found.len())).unwrap();
    let (mut written, mut rewritten, mut before) = (0, HashSet::new(), look());
    for number in 0..2000 {
        push_number(&store, number);
        let now = look();
        let is_same = now.0 == before.0;
        written += if is_same { now.1 - before.1 } else { now.1 };
        if !is_same {
            rewritten.insert(number);
        }
        assert!(!is_same || now.1 - before.1 < 1000, "a line of {} bytes", now.1 - before.1);
        before = now;
    }
    assert!(rewritten.len() < 12, "written anew at {rewritten:?}");
    assert!(written < 4 * before.1, "{written} bytes were written for {}", before.1);
    drop(store);
    assert_eq!(tags(&BlobStore::open(directory.path()).unwrap()), 2000);
}

#[test]
fn a_line_that_a_crash_cut_is_forgotten_and_the_next_one_is_whole() {
    let (directory, store) = store();
    put(&store, &repository("a"), &[b"{}"]);
    (0..3).for_each(|number| push_number(&store, number));
    drop(store);
    let path = index_of(directory.path());
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let zeroed = [&whole[..whole.len() - 5], &[0, 0, 0, 0, b'\n']].concat();
    for cut in (last + 1..whole.len()).step_by(97).map(|end| whole[..end].to_vec()).chain([zeroed]) {
        fs::write(&path, &cut).unwrap();
        let store = BlobStore::open(directory.path()).unwrap();
        assert_eq!(tags(&store), 2);
        push_number(&store, 9);
        drop(store);
        let store = BlobStore::open(directory.path()).unwrap();
        assert_eq!(tags(&store), 3);
        assert!(store.find_manifest(&repository("a"), &by_tag("t9")).is_ok());
    }
}

#[test]
fn what_no_crash_leaves_is_named() {
    let (directory, store) = store();
    put(&store, &repository("a"), &[b"{}"]);
    (0..3).for_each(|number| push_number(&store, number));
    drop(store);
    let path = index_of(directory.path());
    let whole = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let in_the_middle = whole.replacen("put_tag", "\0put_tag", 1);
    let unknown = whole.replacen("put_tag", "put_flag", 1);
    let of_the_future = whole.replacen("\"format\":2", "\"format\":3", 1);
    for damaged in [in_the_middle, unknown, of_the_future, String::new(), "{}\n".into(), whole.replace("]\n", "\n")] {
        fs::write(&path, &damaged).unwrap();
        let error = BlobStore::open(directory.path()).unwrap_err();
        assert!(error.to_string().starts_with("the index of repository a is damaged"), "{error}");
    }
}

#[test]
fn an_index_of_the_first_format_is_read_and_goes_on() {
    let (directory, store) = store();
    let blob = put(&store, &repository("a"), &[b"{}"])[0];
    drop(store);
    let old = json!({"format": 1, "manifests": {}, "tags": {}, "blobs": {blob.to_string(): 7}});
    fs::write(index_of(directory.path()), old.to_string()).unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    assert!(store.repository_blob(&repository("a"), &blob).is_ok());
    push_number(&store, 1);
    push_number(&store, 2);
    drop(store);
    assert_eq!(tags(&BlobStore::open(directory.path()).unwrap()), 2);
}

#[test]
fn a_change_that_cannot_be_written_is_not_shown_and_harms_no_other() {
    let (directory, store) = store();
    let name = repository("a");
    put(&store, &name, &[b"{}"]);
    push_number(&store, 0);
    let path = index_of(directory.path());
    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let document = manifest_document(b"{}", &[]);
    assert!(push(&store, &name, &["lost"], &document).is_err());
    assert!(store.find_manifest(&name, &by_tag("lost")).is_err());
    fs::remove_dir(&path).unwrap();
    File::create(&path).unwrap().write_all(&kept).unwrap();
    push_number(&store, 1);
    assert_eq!(tags(&store), 2);
    drop(store);
    assert_eq!(tags(&BlobStore::open(directory.path()).unwrap()), 2);
}
