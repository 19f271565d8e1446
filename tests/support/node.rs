//! Authorization servers in Node.js, which set themselves up on first use (`npm ci` in `tests/interop`).

#![allow(unreachable_pub, reason = "a module of test binaries")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const MISSING: &str = "this test needs Node.js 20.12 or newer with npm on the PATH; \
                       set TOWER_BEARER_INTEROP=skip to leave it out on purpose";

/// The tests of a binary run side by side; one of them installs, and the others wait for it.
static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();

/// Tells whether these tests shall not run, and says so.
pub fn left_out() -> bool {
    let skip = std::env::var("TOWER_BEARER_INTEROP").is_ok_and(|choice| choice == "skip");
    if skip {
        eprintln!("left out, as TOWER_BEARER_INTEROP=skip says");
    }
    skip
}

/// Starts one. Returns its issuer, and the process, which ends with its standard input and so with this value.
pub async fn start(script: &str, arguments: &[&str]) -> (String, Child) {
    let folder = INSTALLED.get_or_init(install).await;
    let mut node = Command::new("node");
    node.arg(script).args(arguments).current_dir(folder);
    node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = node.kill_on_drop(true).spawn().unwrap_or_else(|_| panic!("{MISSING}"));
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let started: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("`node {script}` did not start; {MISSING}"));
    (started["issuer"].as_str().unwrap().to_owned(), process)
}

async fn install() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.ancestors().map(|folder| folder.join("tests/interop")).find(|folder| folder.is_dir()).unwrap();
    // what npm writes last: an installation that was broken off is done again, as is one of other versions
    let written = |file: &str| folder.join(file).metadata().and_then(|metadata| metadata.modified()).ok();
    if written("node_modules/.package-lock.json") < written("package-lock.json") {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).stdout(Stdio::null());
        let status = npm.status().await.unwrap_or_else(|_| panic!("{MISSING}"));
        assert!(status.success(), "npm ci in {} failed; {MISSING}", folder.display());
    }
    folder
}
