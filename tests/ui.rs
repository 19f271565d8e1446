//! What must not compile, and what the compiler says then.
//!
//! Each program of `tests/ui` is compiled against the library as it was built for this test, so
//! that nothing is built twice. `UI=overwrite cargo test --test ui` rewrites the texts.
//!
//! The texts are those of one compiler; on others only the programs in doc comments are checked (`compile_fail`).

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The compiler whose words are kept in `tests/ui/*.stderr`.
const COMPILER: &str = "rustc 1.95.";

/// The crates that the programs use.
const CRATES: &[&str] = &["axum", "tower", "tower_bearer", "tower_http"];

#[test]
fn what_must_not_compile_does_not_and_says_why() {
    let version = rustc().arg("--version").output().unwrap().stdout;
    if !version.starts_with(COMPILER.as_bytes()) {
        eprintln!("left out: the texts are those of {COMPILER}x");
        return;
    }
    let overwrite = std::env::var("UI").is_ok_and(|choice| choice == "overwrite");
    let mut programs: Vec<PathBuf> =
        Path::new("tests/ui").read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    programs.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    assert!(!programs.is_empty());
    let mut wrong = String::new();
    for program in programs {
        let (said, kept) = (compile(&program), program.with_extension("stderr"));
        if overwrite {
            std::fs::write(kept, said).unwrap();
        } else if std::fs::read_to_string(kept).unwrap_or_default() != said {
            writeln!(wrong, "{}, now:\n{said}", program.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Returns what the compiler says: each message and what belongs to it, without the library's own
/// lines.
fn compile(program: &Path) -> String {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap();
    let mut rustc = rustc();
    rustc.args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--error-format=json", "-L"]);
    rustc.arg(built).arg("--out-dir").arg(env!("CARGO_TARGET_TMPDIR")).arg(program);
    for name in CRATES {
        rustc.arg("--extern").arg(newest(built, name));
    }
    let output = rustc.output().unwrap();
    assert!(!output.status.success(), "{} compiles", program.display());
    let mut said = String::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value["message"].as_str().unwrap_or_default().to_owned();
        // "aborting due to …" and the like
        let Some(at) = message["spans"].as_array().unwrap().first() else { continue };
        let code = message["code"]["code"].as_str().unwrap_or("no code");
        writeln!(said, "{}: {} ({code})", at["line_start"], text(&message)).unwrap();
        for label in message["spans"].as_array().unwrap().iter().filter_map(|span| span["label"].as_str()) {
            writeln!(said, "    here: {label}").unwrap();
        }
        for child in message["children"].as_array().unwrap() {
            writeln!(said, "    {}: {}", child["level"].as_str().unwrap(), text(child)).unwrap();
        }
    }
    said
}

/// Finds the library that was built last.
fn newest(built: &Path, name: &str) -> OsString {
    let start = format!("lib{name}-");
    let files = built.read_dir().unwrap().map(|file| file.unwrap().path());
    let libraries = files.filter(|file| {
        let file = file.file_name().unwrap().to_string_lossy().into_owned();
        file.starts_with(&start) && file.ends_with(".rlib")
    });
    let newest = libraries.max_by_key(|library| library.metadata().unwrap().modified().unwrap()).unwrap();
    let mut argument = OsString::from(format!("{name}="));
    argument.push(newest);
    argument
}
