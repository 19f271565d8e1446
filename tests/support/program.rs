//! Servers from other packages, which a machine may or may not have.

#![allow(unreachable_pub, reason = "a module of test binaries")]

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Tells whether the tests against this program are left out, and says why. They are where it is not installed,
/// unless `TOWER_BEARER_INTEROP=all` says that everything must be.
pub fn left_out(program: &str) -> bool {
    let choice = std::env::var("TOWER_BEARER_INTEROP").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let why = if choice == "skip" {
        "as TOWER_BEARER_INTEROP=skip says".to_owned()
    } else if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return false;
    } else {
        format!("`{program}` is not on the PATH (Debian: apt-get install {program})")
    };
    assert_ne!(choice, "all", "{why}");
    eprintln!("left out: {why}");
    true
}

/// A port of the loopback that is free now.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Waits until something listens there.
pub async fn listening(port: u16) {
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing listens on port {port}");
}
