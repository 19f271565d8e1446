//! Starts the whole system on loopback ports, and prints where to click.
//!
//! ```sh
//! cargo run -p realguardio
//! cargo run -p realguardio -- --authorization fetch   # or provide, replicate, delegate
//! cargo run -p realguardio -- --help                  # another identity service, and more
//! ```

use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use realguardio::system::{Fault, Options, System};

/// A system of services that `tower-bearer` guards
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let Arguments { options } = Arguments::parse();
    let authorization = options.authorization;
    #[expect(clippy::disallowed_methods, reason = "the whole system goes by the system's clock")]
    let clock = Arc::new(SystemTime::now);
    let mut system = System::start(options, clock).await?;
    println!("RealGuardIO, authorization: {authorization:?}\n");
    println!("  click here           {}", system.gateway.url);
    println!("  identity service     {}", system.issuer);
    println!("  customers            {}", system.customers.url);
    println!("  security systems     {} (REST and gRPC)", system.systems.url);
    println!("  statistics           {}\n", system.statistics.url);
    if system.identity.is_some() {
        println!("Sign in as alice, tom, bob, root or guest; the password is `realguardio`. A machine:\n");
        println!(
            "  curl -u dashboard:realguardio -d grant_type=client_credentials -d scope=stats:read {}/token",
            system.issuer
        );
        println!("  curl -H \"Authorization: Bearer $TOKEN\" {}/statistics\n", system.statistics.url);
    }
    println!("Ctrl-C ends it.");
    tokio::signal::ctrl_c().await?;
    system.gateway.stop().await;
    Ok(())
}
