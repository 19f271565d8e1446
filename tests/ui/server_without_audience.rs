//! The audience cannot be left out.

use tower_bearer::{Issuer, ResourceServer};

fn main() {
    let _ = ResourceServer::new().trust(Issuer::new("https://id.example.com/")).build();
    let _ = tower_bearer::config::ResourceServerBuilder::<()>::default();
}
