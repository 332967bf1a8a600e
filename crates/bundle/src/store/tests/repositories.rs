//! Repositories: manifests, tags, referrers, and what each repository shows.

use std::fs;

use super::*;
use crate::oci::InvalidManifest;

#[test]
fn a_repository_shows_only_what_was_put_or_mounted_there() {
    let (_directory, store) = store();
    let (one, two, none) = (repository("one"), repository("two/deeper"), repository("none"));
    let blob = put(&store, &one, &[b"abc"])[0];
    put(&store, &two, &[b"x"]);
    assert_eq!(store.repository_blob(&one, &blob).unwrap().1, 3);
    assert!(matches!(store.repository_blob(&two, &blob), Err(StoreError::UnknownBlob(_))));
    assert!(matches!(store.repository_blob(&none, &blob), Err(StoreError::UnknownRepository(_))));
    assert!(!store.mount(&none, &two, &blob).unwrap());
    assert!(!store.mount(&two, &one, &Digest::of(b"other")).unwrap());
    assert!(store.mount(&one, &two, &blob).unwrap());
    assert_eq!(store.repository_blob(&two, &blob).unwrap().1, 3);
    assert_eq!(store.repositories(), [one.clone(), two.clone()]);
    store.delete_blob(&one, &blob).unwrap();
    assert!(matches!(store.delete_blob(&one, &blob), Err(StoreError::UnknownBlob(_))));
    assert_eq!(store.repository_blob(&two, &blob).unwrap().1, 3, "the other repository still shows it");
    let lease = store.lease();
    assert!(matches!(store.show(&one, &[Digest::of(b"never")], &lease), Err(StoreError::UnknownBlob(_))));
}

#[test]
fn manifests_come_back_byte_for_byte_also_after_a_restart() {
    let (directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config", b"layer"]);
    let text = serde_json::to_string_pretty(&manifest_document(b"config", &[b"layer"])).unwrap();
    let digest = Digest::of(text.as_bytes());
    let tags = [tag("latest"), tag("1.0")];
    let pushed = store.push_manifest(&name, Some(digest), &tags, None, text.as_bytes()).unwrap();
    assert_eq!((pushed.digest, pushed.subject), (digest, None));
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    for reference in [by_tag("latest"), by_tag("1.0"), Reference::Digest(digest)] {
        let found = store.manifest(&name, &reference).unwrap();
        assert_eq!((found.bytes.as_slice(), found.digest), (text.as_bytes(), digest));
        assert_eq!(store.find_manifest(&name, &reference).unwrap().2, text.len() as u64);
    }
    assert!(matches!(store.manifest(&name, &by_tag("2.0")), Err(StoreError::UnknownManifest(_))));
    assert!(matches!(store.manifest(&repository("x"), &by_tag("latest")), Err(StoreError::UnknownRepository(_))));
    let blob = store.delete_blob(&name, &Digest::of(b"layer")).unwrap_err();
    assert!(matches!(blob, StoreError::BlobNeeded { manifest, .. } if manifest == digest));
    store.delete_tag(&name, &tag("1.0")).unwrap();
    assert!(matches!(store.delete_tag(&name, &tag("1.0")), Err(StoreError::UnknownManifest(_))));
    store.delete_manifest(&name, &digest).unwrap();
    for reference in [by_tag("latest"), Reference::Digest(digest)] {
        assert!(matches!(store.manifest(&name, &reference), Err(StoreError::UnknownManifest(_))));
    }
    assert!(matches!(store.delete_manifest(&name, &digest), Err(StoreError::UnknownManifest(_))));
    store.delete_blob(&name, &Digest::of(b"layer")).unwrap();
    assert!(store.delete_repository(&name).unwrap());
    assert!(!store.delete_repository(&name).unwrap());
    assert!(matches!(store.tags(&name, None, None), Err(StoreError::UnknownRepository(_))));
    assert!(store.repositories().is_empty());
}

#[test]
fn a_manifest_needs_its_contents_and_its_own_digest() {
    let (_directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config"]);
    put(&store, &repository("other"), &[b"layer"]);
    let document = manifest_document(b"config", &[b"layer", b"more"]);
    let missing = vec![Digest::of(b"layer"), Digest::of(b"more")];
    assert!(
        matches!(push(&store, &name, &[], &document), Err(StoreError::MissingReferences(found)) if found == missing)
    );
    put(&store, &name, &[b"layer", b"more"]);
    let bytes = document.to_string();
    let wrong = store.push_manifest(&name, Some(Digest::of(b"")), &[], None, bytes.as_bytes());
    assert!(matches!(wrong, Err(StoreError::DigestMismatch { .. })));
    let index = MediaType::IMAGE_INDEX.parse().unwrap();
    let wrong = store.push_manifest(&name, None, &[], Some(&index), bytes.as_bytes());
    assert!(matches!(wrong, Err(StoreError::Manifest(InvalidManifest::Content(_)))));
    assert!(push(&store, &name, &["a"], &document).is_ok());
    // An index needs its manifests in the same repository.
    let entry =
        json!({"mediaType": MediaType::IMAGE_MANIFEST, "digest": Digest::of(bytes.as_bytes()), "size": bytes.len()});
    let document = json!({"schemaVersion": 2, "manifests": [entry]});
    assert!(push(&store, &name, &["index"], &document).is_ok());
    assert!(matches!(push(&store, &repository("other"), &[], &document), Err(StoreError::MissingReferences(_))));
}

#[test]
fn tags_are_listed_in_order_and_in_pages() {
    let (_directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config"]);
    push(&store, &name, &["b", "a", "B", "10", "9", "_x"], &manifest_document(b"config", &[])).unwrap();
    let page = |limit, last: Option<&str>| {
        let page = store.tags(&name, limit, last).unwrap();
        (page.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), page.more)
    };
    assert_eq!(page(None, None), ("10 9 _x a B b".into(), false));
    assert_eq!(page(Some(2), None), ("10 9".into(), true));
    assert_eq!(page(Some(2), Some("9")), ("_x a".into(), true));
    assert_eq!(page(Some(2), Some("a")), ("B b".into(), false));
    assert_eq!(page(Some(2), Some("B")), ("b".into(), false));
    assert_eq!(page(Some(2), Some("b")), (String::new(), false));
    assert_eq!(page(None, Some("A")), ("a B b".into(), false), "a tag that is not there");
    assert_eq!(page(None, Some("AA")), ("B b".into(), false), "another one");
    assert_eq!(page(Some(0), None), (String::new(), false));
}

#[test]
fn referrers_are_found_before_and_after_their_subject_comes() {
    let (_directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config", b"{}"]);
    let model = manifest_document(b"config", &[]);
    let subject = Digest::of(model.to_string().as_bytes());
    let mut golden = manifest_document(b"{}", &[]);
    golden["artifactType"] = json!("application/vnd.dede.golden.v1");
    golden["annotations"] = json!({"k": "v"});
    golden["subject"] = json!({"mediaType": MediaType::IMAGE_MANIFEST, "digest": subject, "size": 1});
    let pushed = push(&store, &name, &[], &golden).unwrap();
    assert_eq!(pushed.subject, Some(subject));
    let mut untyped = golden.clone();
    untyped.as_object_mut().unwrap().remove("artifactType");
    push(&store, &name, &[], &untyped).unwrap();
    push(&store, &name, &["latest"], &model).unwrap();

    let all = store.referrers(&name, &subject, None).manifests;
    assert_eq!(all.len(), 2);
    let found = store.referrers(&name, &subject, Some("application/vnd.dede.golden.v1")).manifests;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].digest, found[0].size), (pushed.digest, golden.to_string().len() as u64));
    assert_eq!(found[0].annotations["k"], "v");
    let by_config = store.referrers(&name, &subject, Some("application/x")).manifests;
    assert_eq!(by_config.len(), 1, "the configuration's type stands in");
    assert!(store.referrers(&name, &Digest::of(b"none"), None).manifests.is_empty());
    assert!(store.referrers(&repository("unknown"), &subject, None).manifests.is_empty());
    store.delete_manifest(&name, &pushed.digest).unwrap();
    assert_eq!(store.referrers(&name, &subject, None).manifests.len(), 1);
}

#[test]
fn names_inside_names_and_foreign_directories_are_kept_apart() {
    let (directory, store) = store();
    for name in ["a", "a/b", "a/b/c"] {
        put(&store, &repository(name), &[name.as_bytes()]);
    }
    fs::create_dir_all(directory.path().join("repositories/NotOurs")).unwrap();
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert!(store.delete_repository(&repository("a/b")).unwrap());
    assert_eq!(store.repositories(), [repository("a"), repository("a/b/c")]);
    drop(store);
    fs::write(directory.path().join("repositories/a/_index.json"), "{").unwrap();
    let error = BlobStore::open(directory.path()).unwrap_err();
    assert!(error.to_string().starts_with("the index of repository a is damaged"), "{error}");
}

#[test]
fn threads_that_push_at_once_lose_nothing() {
    let (directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config"]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, name) = (&store, &name);
            scope.spawn(move || {
                for number in 0..5 {
                    let layer = format!("{thread}-{number}");
                    put(store, name, &[layer.as_bytes()]);
                    let document = manifest_document(b"config", &[layer.as_bytes()]);
                    push(store, name, &[&layer, "latest"], &document).unwrap();
                }
            });
        }
    });
    drop(store);
    let store = BlobStore::open(directory.path()).unwrap();
    assert_eq!(store.tags(&name, None, None).unwrap().tags.len(), 41);
}

#[test]
fn what_is_attached_to_a_manifest_is_found_with_it() {
    let (_directory, store) = store();
    let name = repository("service1");
    put(&store, &name, &[b"config"]);
    let subject = push(&store, &name, &["latest"], &manifest_document(b"config", &[])).unwrap().digest;
    let kind: MediaType = "application/vnd.example.golden.v1+json".parse().unwrap();
    let attachment = Attachment {
        artifact_type: kind.clone(),
        contents: vec![("application/json".parse().unwrap(), b"[1]".to_vec())],
        annotations: [("made-by".to_owned(), "test".to_owned())].into(),
    };
    let lease = store.lease();
    let digest = store.attach(&name, &subject, &attachment, &lease).unwrap();
    assert_eq!(store.attach(&name, &subject, &attachment, &lease).unwrap(), digest);
    let found = store.attachments(&name, &subject, &kind, 3).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, &found[0].1.contents), (digest, &attachment.contents));
    assert_eq!(found[0].1.annotations, attachment.annotations);
    assert_eq!(store.referrers(&name, &subject, Some(kind.as_str())).manifests[0].annotations, attachment.annotations);
    assert!(matches!(store.attachments(&name, &subject, &kind, 2), Err(StoreError::Damaged { .. })));
    let unknown = store.attach(&name, &Digest::of(b"none"), &attachment, &lease);
    assert!(matches!(unknown, Err(StoreError::UnknownManifest(_))));
}
