//! What must not compile, and what the compiler says then.
//!
//! The texts are those of one compiler; on others only the programs in doc comments are checked (`compile_fail`).

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

/// The compiler whose words are kept in `tests/ui/*.stderr`.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn what_must_not_compile_does_not_and_says_why() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap().stdout;
    if !version.starts_with(COMPILER.as_bytes()) {
        eprintln!("left out: the texts are those of {COMPILER}x");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
