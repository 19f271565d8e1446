//! The order of the modules in `src/lib.rs` is the order of their dependencies: a module uses only those above it.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

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

/// A file without what is compiled for tests only, and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn modules(lib: &str) -> Vec<&str> {
    let names = lib.lines().filter_map(|line| line.strip_prefix("mod ").or_else(|| line.strip_prefix("pub mod ")));
    names.filter_map(|rest| rest.strip_suffix(';')).collect()
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let order = modules(&lib);
    assert!(order.len() > 20, "the modules of lib.rs: {order:?}");
    let place = |name: &str| order.iter().position(|module| *module == name);

    let (mut uses, mut upward) = (0, Vec::new());
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        if inside.ends_with("lib") || inside.ends_with("tests") || inside.ends_with("vectors") {
            continue;
        }
        let module = inside.iter().next().unwrap().to_str().unwrap().to_owned();
        let own = place(&module).unwrap_or_else(|| panic!("{module} is not declared in lib.rs"));
        let code = code(&path);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let used: String = rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            // `$crate::Name` in a macro is the public name of something
            let Some(used_place) = place(&used) else { continue };
            uses += 1;
            if used_place > own {
                upward.push(format!("{module} uses {used} ({})", path.display()));
            }
        }
    }
    assert!(uses > 100, "only {uses} uses were found: has the way to write them changed?");
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn rooms_are_small() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&src).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut sizes: Vec<_> = sources.map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path)).collect();
    sizes.sort();
    let (largest, path) = sizes.last().unwrap();
    assert!(*largest <= 400, "{} has {largest} lines", path.display());
    let (median, _) = &sizes[sizes.len() / 2];
    assert!(*median <= 180, "the median file has {median} lines");
}

#[test]
fn only_the_pure_rust_back_end_touches_jsonwebtoken_and_one_back_end_of_it() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let lines: Vec<_> =
        manifest.lines().filter(|line| !line.starts_with('#') && line.contains("jsonwebtoken")).collect();
    let [feature, dependency] = lines[..] else { panic!("{lines:#?}") };
    assert!(feature.starts_with("rust-crypto = ") && feature.contains("\"jsonwebtoken/rust_crypto\""), "{feature}");
    assert!(dependency.contains("optional = true") && dependency.contains("default-features = false"), "{dependency}");
    assert!(!manifest.contains("aws_lc_rs"), "jsonwebtoken with two back ends makes the application's calls panic");
}
