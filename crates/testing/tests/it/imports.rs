//! No folder imports from another that imports from it, however long the way round; files beside each other may, in pairs.
//!
//! The graph is that of the paths which begin with `crate`, `self` or `super`, tests left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// Names from the root of a crate to a module.
type Module = Vec<String>;
/// Modules, and those that each imports from.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// What one file imports.
struct Reader<'a> {
    known: &'a BTreeSet<Module>,
    module: Module,
    found: BTreeSet<Module>,
}

impl Reader<'_> {
    /// Notes the module that a path leads into.
    fn note(&mut self, names: &[String]) {
        let mut path = match names.first().map(String::as_str) {
            Some("crate") => Module::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            Some(_) | None => return,
        };
        for name in &names[1..] {
            match name.as_str() {
                "super" => drop(path.pop()),
                _ => path.push(name.clone()),
            }
        }
        while !self.known.contains(&path) && path.pop().is_some() {}
        self.found.insert(path);
    }

    fn note_use(&mut self, tree: &UseTree, names: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                names.push(path.ident.to_string());
                self.note_use(&path.tree, names);
                names.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, names)),
            UseTree::Name(name) => self.note(&below(names, &name.ident.to_string())),
            UseTree::Rename(name) => self.note(&below(names, &name.ident.to_string())),
            UseTree::Glob(_) => self.note(names),
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.note_use(&item.tree, &mut Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names);
        visit::visit_path(self, path);
    }
}

/// The attributes of those items that tests are told by.
fn attributes(item: &Item) -> &[Attribute] {
    #[expect(clippy::wildcard_enum_match_arm, reason = "others are not left out of a build")]
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::Path(_) | syn::Meta::NameValue(_) => false,
    })
}

fn below(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The source files below a directory, by module.
fn files(directory: &Path, module: &Module, all: &mut BTreeMap<Module, std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources").flatten() {
        let path = entry.path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let inside = || below(module, &name);
        match () {
            // What only tests are compiled with.
            () if name == "tests" || name == "stage" || name == "bin" => {}
            () if path.is_dir() => files(&path, &inside(), all),
            () if path.extension().is_none_or(|extension| extension != "rs") => {}
            () if ["lib", "main", "mod"].contains(&name.as_str()) => drop(all.insert(module.clone(), path)),
            () => drop(all.insert(inside(), path)),
        }
    }
}

fn imports_of(source: &Path) -> Imports {
    let mut all = BTreeMap::new();
    files(source, &Module::new(), &mut all);
    let known: BTreeSet<Module> = all.keys().cloned().collect();
    let read = |(module, path): (&Module, &std::path::PathBuf)| {
        let text = fs::read_to_string(path).expect("a source file");
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader { known: &known, module: module.clone(), found: BTreeSet::new() };
        reader.visit_file(&file);
        (module.clone(), reader.found)
    };
    all.iter().map(read).collect()
}

/// Circles among what stands beside each other in a folder: the names in each.
fn circles(imports: &Imports, folder: &Module) -> Vec<BTreeSet<String>> {
    let beside = |module: &Module| module.strip_prefix(folder.as_slice()).and_then(|rest| rest.first()).cloned();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, targets) in imports {
        let Some(from) = beside(module) else { continue };
        let to = targets.iter().filter_map(beside).filter(|to| *to != from);
        edges.entry(from.clone()).or_default().extend(to);
    }
    let reached = |from: &String| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(name) = left.pop() {
            left.extend(edges.get(name).into_iter().flatten().filter(|next| seen.insert((*next).clone())));
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|name| (name, reached(name))).collect();
    let mutual = |name: &String| -> BTreeSet<String> {
        let both = |other: &&String| {
            reached[name].contains(*other) && reached.get(other).is_some_and(|back| back.contains(name))
        };
        edges.keys().filter(both).cloned().collect()
    };
    let found: BTreeSet<BTreeSet<String>> = edges.keys().map(mutual).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

#[test]
fn no_folders_import_from_each_other() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates");
    let (mut between_folders, mut long) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(crates).expect("the crates").flatten() {
        let (source, name) = (entry.path().join("src"), entry.file_name().to_string_lossy().into_owned());
        let imports = imports_of(&source);
        let folders: BTreeSet<Module> =
            imports.keys().flat_map(|module| (0..module.len()).map(|length| module[..length].to_vec())).collect();
        for folder in &folders {
            let is_folder = |name: &String| folders.contains(&below(folder, name));
            let place = [&below(&[], &name), folder.as_slice()].concat().join("::");
            for circle in circles(&imports, folder) {
                match circle.len() {
                    _ if circle.iter().any(is_folder) => between_folders.push(format!("{place}: {circle:?}")),
                    2 => {}
                    _ => long.push(format!("{place}: {circle:?}")),
                }
            }
        }
    }
    assert!(between_folders.is_empty(), "folders that import from each other: {between_folders:#?}");
    assert!(long.is_empty(), "files that know each other in a longer circle: {long:#?}");
}

#[test]
fn a_circle_is_found_and_a_line_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("a directory");
        fs::write(path, text).expect("written");
    };
    write("lib.rs", "mod a; mod b; mod c; mod d;");
    write("a/mod.rs", "mod inner;");
    write("a/inner.rs", "use crate::b::{Thing, other::{self}};");
    write("b.rs", "fn f() -> super::c::Thing { crate::c::f() }");
    write("c.rs", "#[cfg(test)] mod tests { use crate::d; }\nimpl crate::a::inner::X {}");
    write("d.rs", "use crate::a;");
    let circles = circles(&imports_of(directory.path()), &Module::new());
    assert_eq!(circles, [["a", "b", "c"].map(str::to_owned).into()]);
}
