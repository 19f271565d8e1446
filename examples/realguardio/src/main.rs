//! Starts the whole system on loopback ports, and prints where to click.
//!
//! ```sh
//! cargo run -p realguardio
//! cargo run -p realguardio -- --authorization fetch   # or provide, replicate, delegate
//! cargo run -p realguardio -- --tokens opaque         # or jwt
//! cargo run -p realguardio -- --help                  # another identity service, and more
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use realguardio::system::{Fault, Options, System};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let options = Options::parse();
    // refusals, and what does not work; RUST_LOG says otherwise
    let filter = EnvFilter::try_from_default_env().or_else(|_| "realguardio=info,tower_bearer=debug".parse())?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let (authorization, tokens) = (options.authorization, options.tokens);
    #[expect(clippy::disallowed_methods, reason = "the whole system goes by the system's clock")]
    let clock = Arc::new(SystemTime::now);
    let mut system = System::start(options, clock).await?;
    println!("RealGuardIO, authorization: {authorization:?}, tokens: {tokens:?}\n");
    println!("  click here           {}", system.gateway.url);
    println!("  identity service     {}", system.issuer);
    println!("  customers            {}", system.customers.url);
    println!("  security systems     {} (REST and gRPC)", system.systems.url);
    println!("  statistics           {}\n", system.statistics.url);
    if system.identity.is_some() {
        println!("Sign in as alice, tom, bob, root or guest; the password is `realguardio`.");
        println!("All sessions of a user end at {}/sign-out. A machine:\n", system.issuer);
        let form = "-d grant_type=client_credentials -d scope=stats:read";
        let token = format!("curl -s -u dashboard:realguardio {form} {}/token", system.issuer);
        println!("  TOKEN=$({token} | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')");
        println!("  curl -H \"Authorization: Bearer $TOKEN\" {}/statistics\n", system.statistics.url);
    }
    println!("Ctrl-C ends it.");
    tokio::signal::ctrl_c().await?;
    system.gateway.stop().await;
    Ok(())
}
