//! What holds the house together: which files use which, how large they are, what they do not
//! touch.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::uses::{Graph, Source};

/// The cycles of files that are meant, each with the reason.
const CYCLES: &[(&[&str], &str)] = &[(
    &["issuer/presets.rs", "issuer/presets/hosted.rs", "issuer/presets/microsoft.rs", "issuer/presets/workloads.rs"],
    "the table of presets is declared in parts, by the macro of the whole",
)];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Which files of `src` use which.
fn files() -> Graph {
    let source = Source::read(&|path| fs::read_to_string(root("src").join(path)).unwrap());
    let graph = source.graph();
    let uses: usize = graph.values().map(BTreeSet::len).sum();
    assert!(graph.len() > 100 && uses > 400, "only {uses} uses were found: has the way to write them changed?");
    graph
}

/// The top module of a file.
fn top(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Which top modules use which.
fn modules() -> Graph {
    let mut modules = Graph::new();
    for (file, used) in files() {
        let others = used.iter().map(|used| top(used)).filter(|used| *used != top(&file));
        modules.entry(top(&file).to_owned()).or_default().extend(others.map(str::to_owned));
    }
    modules
}

/// All that is used by what this one uses, and so on.
fn reachable<'g>(graph: &'g Graph, from: &str) -> BTreeSet<&'g str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = graph[from].iter().map(String::as_str).collect();
    while let Some(name) = next.pop() {
        if found.insert(name) {
            next.extend(graph[name].iter().map(String::as_str));
        }
    }
    found
}

#[test]
fn a_use_is_seen_however_it_is_written() {
    let text_of = |path: &str| match path {
        "lib.rs" => "mod a; mod b; pub use crate::b::B;",
        "a.rs" => "mod one; mod two; pub use self::one::One; pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
        "a/one.rs" => "use super::{A, two}; /// crate::b::B\npub struct One(two::Two);",
        "a/two.rs" => "mod inner { use super::f; } fn f(_: &'static str) -> crate::B { \"crate::a::One\" }",
        "b.rs" => "use crate::a::{One as Own}; pub(super) struct B(Own);",
        other => panic!("{other}"),
    };
    let graph = Source::read(&|path| text_of(path).to_owned()).graph();
    let lines = graph.iter().map(|(file, used)| format!("{file} {used:?}"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [r#"a.rs {}"#, r#"a/one.rs {"a.rs", "a/two.rs"}"#, r#"a/two.rs {"b.rs"}"#, r#"b.rs {"a/one.rs"}"#]
    );
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let lib = fs::read_to_string(root("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| line.strip_prefix("mod ").or_else(|| line.strip_prefix("pub mod ")));
    let order: Vec<_> = names.filter_map(|rest| rest.strip_suffix(';')).collect();
    let place = |name: &str| order.iter().position(|module| *module == name).unwrap();
    for (file, used) in files() {
        for other in used {
            assert!(place(top(&other)) <= place(top(&file)), "{file} uses {other}, whose module is declared below");
        }
    }
}

#[test]
fn no_files_use_each_other_but_for_a_reason() {
    let files = files();
    let reached: BTreeMap<&str, _> = files.keys().map(|file| (file.as_str(), reachable(&files, file))).collect();
    // the files that a file reaches, and that reach it
    let cycle = |file: &&str| -> Vec<&str> {
        reached[*file].iter().copied().filter(|other| reached[other].contains(*file)).collect()
    };
    let cycles: BTreeSet<_> = reached.keys().map(cycle).filter(|cycle| !cycle.is_empty()).collect();
    let listed: BTreeSet<_> = CYCLES.iter().map(|(cycle, _)| cycle.to_vec()).collect();
    for cycle in cycles.difference(&listed) {
        println!("a cycle that is not listed: {cycle:#?}");
        for file in cycle {
            let used = files[*file].iter().filter(|used| cycle.contains(&used.as_str()));
            println!("  {file} uses {:?}", used.collect::<Vec<_>>());
        }
    }
    assert_eq!(cycles, listed, "the cycles that there are, and those that are listed with a reason");
}

#[test]
fn the_diagram_of_the_modules_is_up_to_date() {
    let modules = modules();
    let mut diagram = String::from("```mermaid\nflowchart TD\n");
    for (module, used) in &modules {
        // what is also reached by way of another is left out
        let further: BTreeSet<_> = used.iter().flat_map(|used| reachable(&modules, used)).collect();
        let used: Vec<_> = used.iter().map(String::as_str).filter(|used| !further.contains(used)).collect();
        if !used.is_empty() {
            diagram += &format!("    {module} --> {}\n", used.join(" & "));
        }
    }
    diagram += "```\n";
    let text = fs::read_to_string(root("ARCHITECTURE.md")).unwrap();
    let begin = text.find("```mermaid\n").unwrap();
    let end = begin + text[begin..].find("\n```\n").unwrap() + "\n```\n".len();
    if std::env::var_os("UPDATE_DIAGRAM").is_some() {
        fs::write(root("ARCHITECTURE.md"), [&text[..begin], &diagram, &text[end..]].concat()).unwrap();
    } else {
        assert_eq!(text[begin..end], diagram, "`UPDATE_DIAGRAM=1 cargo test --test layering` writes it anew");
    }
}

/// All source files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn rooms_are_small() {
    let sources =
        sources(&root("src")).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut sizes: Vec<_> = sources.map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path)).collect();
    sizes.sort();
    let (largest, path) = sizes.last().unwrap();
    assert!(*largest <= 400, "{} has {largest} lines", path.display());
    let (median, _) = &sizes[sizes.len() / 2];
    assert!(*median <= 180, "the median file has {median} lines");
}

#[test]
fn only_the_pure_rust_back_end_touches_jsonwebtoken_and_one_back_end_of_it() {
    let manifest = fs::read_to_string(root("Cargo.toml")).unwrap();
    let lines: Vec<_> =
        manifest.lines().filter(|line| !line.starts_with('#') && line.contains("jsonwebtoken")).collect();
    let [feature, dependency] = lines[..] else { panic!("{lines:#?}") };
    assert!(feature.starts_with("rust-crypto = ") && feature.contains("\"jsonwebtoken/rust_crypto\""), "{feature}");
    assert!(dependency.contains("optional = true") && dependency.contains("default-features = false"), "{dependency}");
    assert!(!manifest.contains("aws_lc_rs"), "jsonwebtoken with two back ends makes the application's calls panic");
}
