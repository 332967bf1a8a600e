//! A target that asks for more than it was granted, and a source that counts the questions it gets.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dede_bundle::modelpack::{Packed, Role, SourceFile};
use dede_bundle::{Directory, FileName};
use dede_migration::{GoldenCase, HostDescription};
use serde_json::json;

use super::*;

/// A source that answers everything, and counts.
struct Dev {
    packed: Packed,
    asked: AtomicUsize,
}

impl Dev {
    /// With one file in its bundle.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("weights"), "content").expect("written");
        let opened = Arc::new(Directory::open(directory.path()).expect("a directory"));
        let name: FileName = "weights".parse().expect("a name");
        let source = SourceFile { name: name.clone(), directory: opened, place: name, role: Role::Weight };
        let packed = Packed::new(vec![source], &Object::new(), Digest::of(b"version")).expect("a bundle");
        Self { packed, asked: AtomicUsize::new(0) }
    }

    fn digest(&self) -> String {
        self.packed.bundle.files()[0].digest.to_string()
    }

    fn count<T>(&self, answer: T) -> Result<T> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}

impl Source for Dev {
    fn address(&self) -> String {
        "dev".into()
    }

    fn describe(&self) -> Result<Option<HostDescription>> {
        self.count(None)
    }

    fn bundle(&self, _: &str, _: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        self.count((self.packed.manifest.clone(), self.packed.config.clone()))
    }

    fn blob(&self, _: &str, _: &Digest, range: Range<u64>) -> Result<Box<dyn Read + Send>> {
        let part = b"content"[range.start as usize..range.end as usize].to_vec();
        self.count(Box::new(Cursor::new(part)))
    }

    fn chunks(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>> {
        self.count(None)
    }

    fn predict(&self, service: &str, _: &Object) -> Result<Vec<Value>> {
        self.count(vec![service.into()])
    }

    fn captured(&self, _: &str) -> Result<Vec<GoldenCase>> {
        self.count(Vec::new())
    }
}

fn grant(members: Value) -> Grant {
    let mut request = json!({"service": "s", "source": "http://dev"});
    request.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    Grant::of(&serde_json::from_value(request).expect("a request"))
}

fn question(question: Value) -> RelayQuestion {
    serde_json::from_value(question).expect("a question")
}

fn text(content: Content) -> String {
    let mut content = content;
    let mut text = String::new();
    content.read_to_string(&mut text).expect("in memory");
    text
}

#[test]
fn questions_of_a_move_are_answered() {
    let (dev, grant) = (Dev::new(), grant(json!({"with_training_state": true, "with_requests": true})));
    let digest = dev.digest();
    let answer = |asked: Value| grant.answer(&question(asked), &dev).map(text).expect("an answer");
    assert_eq!(answer(json!({"ask": "host"})), "null");
    // Asked for by a target that goes on with a move: the bundle was not relayed by this command.
    assert_eq!(answer(json!({"ask": "blob", "service": "s", "digest": digest, "start": 3, "end": 7})), "tent");
    assert_eq!(answer(json!({"ask": "chunks", "service": "s", "digest": digest})), "");
    assert_eq!(answer(json!({"ask": "captured", "service": "s"})), "[]");
    let bundle = answer(json!({"ask": "bundle", "service": "s", "with_training_state": true}));
    let bundle: RelayedBundle = serde_json::from_str(&bundle).expect("a bundle");
    assert_eq!((bundle.manifest.as_bytes(), bundle.config.as_bytes()), (&*dev.packed.manifest, &*dev.packed.config));
    let images = ["/9j/4AAQSkZJRgABAQ", "iVBORw0KGgo", "R0lGODlh"].map(|first| format!("{first}{}", "A/+b".repeat(20)));
    for item in ["5.1,3.5", "7", "-1e3"].map(str::to_owned).into_iter().chain(images) {
        assert_eq!(answer(json!({"ask": "predict", "service": "s", "request": {"data": [item]}})), r#"["s"]"#);
    }
}

#[test]
fn what_goes_further_is_refused_and_the_source_never_hears_of_it() {
    let (dev, grant) = (Dev::new(), grant(json!({})));
    let digest = dev.digest();
    for asked in [
        json!({"ask": "bundle", "service": "other", "with_training_state": false}),
        json!({"ask": "bundle", "service": "s", "with_training_state": true}),
        json!({"ask": "bundle", "service": "s/../other", "with_training_state": false}),
        json!({"ask": "blob", "service": "other", "digest": digest, "start": 0, "end": 1}),
        json!({"ask": "blob", "service": "s", "digest": "../../etc/passwd", "start": 0, "end": 1}),
        json!({"ask": "blob", "service": "s", "digest": "/etc/passwd", "start": 0, "end": 1}),
        json!({"ask": "chunks", "service": "", "digest": digest}),
        json!({"ask": "chunks", "service": "s", "digest": format!("{digest}/../../requests")}),
        json!({"ask": "captured", "service": "s"}),
        json!({"ask": "captured", "service": "other"}),
        json!({"ask": "predict", "service": "other", "request": {"data": ["1,2"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["1,2", "/etc/passwd"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["http://169.254.169.254/"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["file:///etc/passwd"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["../../etc/passwd"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["/models/a,b.csv"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["secret"]}}),
        json!({"ask": "predict", "service": "s", "request": {"data": ["/9j/x"]}}),
        json!({"ask": "predict", "service": "s",
               "request": {"data": ["1,2"], "parameters": {"output": {"network": {"url": "http://evil"}}}}}),
    ] {
        let failure = grant.answer(&question(asked.clone()), &dev).map(drop).expect_err("too far");
        assert_eq!(failure.kind, RelayFailureKind::Forbidden, "{asked}");
        assert!(failure.text.contains("does not ask for it"), "{asked}: {}", failure.text);
    }
    assert_eq!(dev.asked.load(Ordering::Relaxed), 0);

    // A file of something else: the source is asked for the bundle, and for nothing more.
    let other =
        json!({"ask": "blob", "service": "s", "digest": Digest::of(b"other").to_string(), "start": 0, "end": 1});
    let failure = grant.answer(&question(other), &dev).map(drop).expect_err("no such file");
    assert!(failure.text.contains("no file of s"), "{}", failure.text);
    assert_eq!(dev.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_nobody_knows_is_no_question() {
    for asked in [
        json!({"ask": "get", "path": "/metrics"}),
        json!({"ask": "bundle", "service": "s", "with_training_state": false, "path": "/"}),
        json!({"ask": "blob", "service": "s", "digest": "d", "start": -1, "end": 1}),
    ] {
        assert!(serde_json::from_value::<RelayQuestion>(asked.clone()).is_err(), "{asked}");
    }
}

#[test]
fn errors_of_the_source_keep_their_kind_and_name_it() {
    struct Away;
    impl Source for Away {
        fn address(&self) -> String {
            "dev".into()
        }
        fn describe(&self) -> Result<Option<HostDescription>> {
            Err(Error::PeerAway("dev is away".into()))
        }
        fn bundle(&self, _: &str, _: bool) -> Result<(Vec<u8>, Vec<u8>)> {
            Err(Error::Peer("dev answers 401".into()))
        }
        fn blob(&self, _: &str, _: &Digest, _: Range<u64>) -> Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::io::empty()))
        }
        fn chunks(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn predict(&self, _: &str, _: &Object) -> Result<Vec<Value>> {
            Ok(Vec::new())
        }
        fn captured(&self, _: &str) -> Result<Vec<GoldenCase>> {
            Ok(Vec::new())
        }
    }
    let failure = |asked: Value| grant(json!({})).answer(&question(asked), &Away).map(drop).expect_err("an error");
    let away = failure(json!({"ask": "host"}));
    assert_eq!((away.kind, away.text.as_str()), (RelayFailureKind::Away, "dev is away"));
    let refused = failure(json!({"ask": "bundle", "service": "s", "with_training_state": false}));
    assert_eq!((refused.kind, refused.text.as_str()), (RelayFailureKind::Refused, "dev answers 401"));
}
