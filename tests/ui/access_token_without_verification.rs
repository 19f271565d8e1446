//! Whoever holds an access token holds the evidence that it was verified: there is no other way to make one.

use tower_bearer::AccessToken;

fn main() {
    let _ = AccessToken::<()>::default();
}
