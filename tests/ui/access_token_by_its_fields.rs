//! Its fields are private.

use tower_bearer::AccessToken;

fn anything<T>() -> T {
    loop {}
}

fn main() {
    let _ = AccessToken::<()> { inner: anything() };
}
