use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A service that answers with what is in these files.
struct Own(&'static [&'static str]);

impl OwnFiles for Own {
    fn is_library_file(&self, name: &str) -> bool {
        name.ends_with(".json") || name.ends_with(".caffemodel")
    }

    fn is_served(&self, relative: &Path) -> bool {
        self.0.iter().any(|served| Path::new(served).starts_with(relative))
    }
}

const CONFIG_JSON: &str = r#"{"mllib":"caffe","parameters":{"input":{"connector":"csv"}}}"#;

/// A repository below a directory whose name would match a substring test.
fn filled(parent: &Path) -> Repository {
    let root = parent.join("my.json.models");
    fs::create_dir_all(root.join("runs/1")).unwrap();
    fs::create_dir_all(root.join("train.lmdb")).unwrap();
    for name in [
        "a.caffemodel",
        "corresp.txt",
        "runs/1/service.json",
        "runs/1/model.onnx",
        "runs/1/weights",
        "mine",
        "train.lmdb/data.mdb",
    ] {
        fs::write(root.join(name), "x").unwrap();
    }
    fs::write(root.join("config.json"), CONFIG_JSON).unwrap();
    fs::write(root.join("published"), "runs/1\n").unwrap();
    Repository::open(root, false).unwrap()
}

/// All names below a directory.
fn names(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path.clone());
            }
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn each_clear_removes_what_it_says() {
    let all = 12;
    let cases: [(&str, Option<usize>, &[&str]); 6] = [
        ("mem", Some(all), &[]),
        ("bogus", Some(all), &[]),
        ("index", Some(all), &[]),
        ("lib", Some(4), &["corresp.txt", "mine", "train.lmdb", "train.lmdb/data.mdb"]),
        ("full", Some(0), &[]),
        ("dir", None, &[]),
    ];
    for (text, left, expected) in cases {
        let parent = tempfile::tempdir().unwrap();
        let repository = filled(parent.path());
        let own = Own(&["runs/1/weights", "mine"]);
        assert_eq!(
            repository.clear(Clear::named(text).unwrap_or_default(), &own).unwrap(),
            Cleared::default(),
            "{text}"
        );
        match left {
            Some(count) => {
                let found = names(repository.root());
                assert_eq!(found.len(), count, "{text}: {found:?}");
                assert!(expected.is_empty() || found == expected, "{text}: {found:?}");
            }
            None => assert!(!repository.root().exists()),
        }
    }
}

#[test]
fn what_is_not_of_the_service_stays_and_is_named() {
    for clear in [Clear::Full, Clear::Directory] {
        let parent = tempfile::tempdir().unwrap();
        let repository = filled(parent.path());
        let root = repository.root();
        for directory in ["photos/2020", "runs/2/deep", "runs/mine", "runs/3", "runs/4", "corresp.d", "test.lmdb"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for file in [
            "notes.txt",
            "package.json",
            "photos/2020/config.json",
            "runs/2/service.json",
            "runs/2/thesis.tex",
            "runs/4/model.onnx",
            "published",
            "test.lmdb/letter",
        ] {
            fs::write(root.join(file), "x").unwrap();
        }
        // Names of ours on what is none of ours.
        fs::write(root.join("metrics.json"), "{}").unwrap();
        fs::create_dir(root.join("vocab.dat")).unwrap();
        fs::write(root.join("names.bin"), "x").unwrap();
        let cleared = repository.clear(clear, &Own(&["mine"])).unwrap();
        let left = [
            "corresp.d",
            "metrics.json",
            "names.bin",
            "notes.txt",
            "package.json",
            "photos",
            "published",
            "runs/1/weights",
            "runs/2/deep",
            "runs/2/thesis.tex",
            "runs/4",
            "runs/mine",
            "test.lmdb/letter",
            "vocab.dat",
        ];
        let mut found = cleared.left;
        found.sort();
        assert_eq!((found, cleared.count), (left.map(str::to_owned).to_vec(), left.len()), "{clear:?}");
        for name in left.into_iter().chain(["photos/2020/config.json"]) {
            assert!(root.join(name).exists(), "{clear:?}: {name}");
        }
        assert!(!root.join("config.json").exists() && !root.join("runs/1/model.onnx").exists());
    }
}

#[test]
fn weights_in_directories_of_their_own_go_and_what_lies_beside_them_stays() {
    let parent = tempfile::tempdir().unwrap();
    let repository = filled(parent.path());
    let root = repository.root();
    for directory in ["weights/deep", "more", "elsewhere"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for file in ["weights/0.bin", "weights/deep/1.bin", "weights/letter", "more/2.bin"] {
        fs::write(root.join(file), "x").unwrap();
    }
    symlink(parent.path(), root.join("weights/link")).unwrap();
    let own = Own(&["weights/0.bin", "weights/deep/1.bin", "more/2.bin", "runs/1/weights", "mine"]);
    let mut left = repository.clear(Clear::Full, &own).unwrap().left;
    left.sort();
    assert_eq!(left, ["elsewhere", "weights/letter", "weights/link"]);
    assert_eq!(names(root), ["elsewhere", "weights", "weights/letter", "weights/link"]);
}

#[test]
fn of_many_names_some_are_told() {
    let parent = tempfile::tempdir().unwrap();
    let repository = filled(parent.path());
    for number in 0..100 {
        fs::write(repository.root().join(format!("note-{number}")), "x").unwrap();
    }
    use std::os::unix::ffi::OsStrExt as _;
    fs::write(repository.root().join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    let cleared = repository.clear(Clear::Full, &Own(&["mine", "runs/1/weights"])).unwrap();
    assert_eq!((cleared.left.len(), cleared.count), (NAMED, 101));
}

#[test]
fn no_link_is_followed_wherever_it_is() {
    let parent = tempfile::tempdir().unwrap();
    let outside = parent.path().join("outside");
    fs::create_dir_all(outside.join("1")).unwrap();
    for name in ["config.json", "corresp.txt", "service.json", "1/service.json", "data.mdb"] {
        fs::write(outside.join(name), CONFIG_JSON).unwrap();
    }
    let before = names(&outside);
    let repository = filled(parent.path());
    let root = repository.root();
    fs::remove_dir_all(root.join("runs")).unwrap();
    fs::remove_file(root.join("config.json")).unwrap();
    for (name, target) in [
        ("runs", outside.clone()),
        ("config.json", outside.join("config.json")),
        ("test.lmdb", outside.clone()),
        ("vocab.dat", outside.join("corresp.txt")),
    ] {
        symlink(target, root.join(name)).unwrap();
    }
    fs::create_dir_all(root.join("names.bin")).unwrap();
    symlink(outside.join("data.mdb"), root.join("names.bin/data.mdb")).unwrap();
    let cleared = repository.clear(Clear::Directory, &Own(&["mine"])).unwrap();
    assert_eq!(cleared.count, 5, "{cleared:?}");
    assert_eq!(names(&outside), before);
    let other = tempfile::tempdir().unwrap();
    let repository = filled(other.path());
    symlink(&outside, repository.root().join("runs/2")).unwrap();
    let cleared = repository.clear(Clear::Full, &Own(&["mine"])).unwrap();
    assert!(cleared.left.contains(&"runs/2".to_owned()), "{cleared:?}");
    assert_eq!(names(&outside), before);
}

#[test]
fn a_directory_that_became_a_link_is_not_cleared() {
    let parent = tempfile::tempdir().unwrap();
    // As large a part of the path as there is: the directory itself, and one above it.
    for place in ["models/iris", "models"] {
        let base = parent.path().join(place.replace('/', "-"));
        fs::create_dir_all(base.join("models/iris")).unwrap();
        let precious = base.join("precious/iris");
        fs::create_dir_all(&precious).unwrap();
        fs::write(precious.join("corresp.txt"), "x").unwrap();
        let repository = Repository::open(base.join("models/iris"), false).unwrap();
        fs::rename(base.join(place), base.join("away")).unwrap();
        let target = if place == "models" { base.join("precious") } else { precious.clone() };
        symlink(target, base.join(place)).unwrap();
        assert!(repository.check_unmoved().is_err(), "{place}");
        for clear in [Clear::Library, Clear::Full, Clear::Directory, Clear::Index] {
            assert!(repository.clear(clear, &Own(&[])).is_err(), "{place}");
        }
        assert!(precious.join("corresp.txt").exists());
    }
}

#[test]
fn a_link_that_was_there_at_first_leads_to_the_directory_and_stays() {
    let parent = tempfile::tempdir().unwrap();
    let repository = filled(parent.path());
    let linked = parent.path().join("linked");
    symlink(repository.root(), &linked).unwrap();
    let through = Repository::open(linked.clone(), false).unwrap();
    let cleared = through.clear(Clear::Directory, &Own(&["mine", "runs/1/weights"])).unwrap();
    assert_eq!(cleared, Cleared::default());
    assert!(fs::symlink_metadata(linked).is_ok() && !repository.root().exists());
}
