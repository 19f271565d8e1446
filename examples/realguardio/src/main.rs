//! Starts the whole system on loopback ports, and prints where to click.
//!
//! ```sh
//! cargo run -p realguardio
//! cargo run -p realguardio -- --authorization fetch   # or provide, replicate, delegate
//! ```

use realguardio::system::{Authorization, System};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let authorization = match arguments.as_slice() {
        [] => Authorization::Replicate,
        [name, way] if name == "--authorization" => way.parse()?,
        _ => return Err("usage: realguardio [--authorization provide|fetch|replicate|delegate]".into()),
    };
    let system = System::start(authorization).await?;
    println!("RealGuardIO, authorization: {authorization:?}\n");
    println!("  click here           {}", system.gateway);
    println!("  identity service     {}", system.issuer);
    println!("  customers            {}", system.customers);
    println!("  security systems     {} (REST and gRPC)", system.systems);
    println!("  statistics           {}\n", system.statistics);
    println!("Sign in as alice, tom, bob, root or guest; the password is `realguardio`. Ctrl-C ends it.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
