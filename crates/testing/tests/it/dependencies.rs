//! What `deny.toml` says of dependencies, as far as it can be told without a network: licences, versions, sources.
//!
//! The file is that of `cargo deny`, which looks at advisories besides. It must not say by itself what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use spdx::{Expression, Licensee, ParseMode};
use toml::{Table, Value};

/// A crate that is compiled into something of this workspace.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: String,
    /// Where it is from, if not from the registry of crates.io.
    origin: Option<String>,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn rules() -> Table {
    std::fs::read_to_string(root().join("deny.toml")).expect("read").parse().expect("TOML")
}

fn list<'a>(table: &'a Table, section: &str, key: &str) -> &'a [Value] {
    table[section][key].as_array().expect("a list")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a text")
}

/// All that Cargo would compile for the target, tests included.
fn packages(rules: &Table) -> Vec<Package> {
    let target = list(rules, "graph", "targets")[0].as_str().expect("a target");
    let options = ["--workspace", "--locked", "--prefix", "none", "--format", "{p}|{l}", "--target", target];
    let mut tree = Command::new(env!("CARGO"));
    tree.arg("tree").args(options).args(["-e", "normal,build,dev"]).current_dir(root());
    let output = tree.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines: BTreeSet<&str> = lines.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    lines.into_iter().filter_map(package).collect()
}

/// `name v1.2.3|MIT`, with ` (proc-macro)` or ` (path or address)` behind the version.
fn package(line: &str) -> Option<Package> {
    let (crate_of, licence) = line.split_once('|')?;
    let mut words = crate_of.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let origin = words.find(|word| *word != "(proc-macro)");
    Some(Package {
        name: name.into(),
        version: version.into(),
        licence: licence.into(),
        origin: origin.map(Into::into),
    })
}

fn is_own(package: &Package) -> bool {
    package.origin.as_ref().is_some_and(|origin| origin.starts_with("(/"))
}

#[test]
fn licences_are_permissive() {
    let rules = rules();
    let licensees = |names: &[Value]| -> Vec<Licensee> {
        names.iter().map(|name| Licensee::parse(name.as_str().expect("a text")).expect("a licence")).collect()
    };
    let allowed = licensees(list(&rules, "licenses", "allow"));
    let exceptions = list(&rules, "licenses", "exceptions");
    let mut used = BTreeSet::new();
    for package in packages(&rules) {
        let expression = Expression::parse_mode(&package.licence, ParseMode::LAX).expect("an expression of licences");
        let exception = exceptions.iter().find(|exception| text(exception, "crate") == package.name);
        let more = exception.map_or(Vec::new(), |exception| licensees(exception["allow"].as_array().expect("a list")));
        used.extend(exception.map(|_| package.name.clone()));
        let is_allowed = expression.evaluate(|one| allowed.iter().chain(&more).any(|licensee| licensee.satisfies(one)));
        assert!(is_allowed, "{package:?}");
    }
    assert_eq!(used.len(), exceptions.len(), "each exception is of a crate that is used");
}

#[test]
fn only_known_crates_are_there_in_several_versions() {
    let rules = rules();
    let skipped: BTreeSet<&str> = list(&rules, "bans", "skip").iter().map(|skip| text(skip, "crate")).collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages(&rules) {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let is_skipped = |name: &str, version: &str| {
        skipped.iter().any(|skip| {
            skip.split_once('@').is_some_and(|(of, begin)| {
                let rest = version.strip_prefix(begin);
                of == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
    };
    let mut known = 0;
    for (name, versions) in &versions {
        let others: Vec<_> = versions.iter().filter(|version| !is_skipped(name, version)).collect();
        assert!(others.len() == 1, "{name}: {versions:?}, beside those that deny.toml knows: {others:?}");
        known += versions.len() - others.len();
    }
    assert_eq!(known, skipped.len(), "each version that deny.toml knows is there");
}

#[test]
fn crates_are_from_the_registry() {
    for package in packages(&rules()) {
        assert!(package.origin.is_none() || is_own(&package), "{package:?}");
    }
}
