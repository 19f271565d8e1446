//! Why is this token refused? Reads one from standard input and tells step by step what a service would make of it.
//!
//! `cargo run --example explain -- --issuer https://id.example.com/ --audience https://api.example.com < token`
//!
//! The keys are fetched from the issuer, by discovery or from `--jwks-uri`. Ends with 0 if the token is accepted, with 1 if it is refused, and with 2 if
//! it was called wrongly. `--json` prints data in place of a table. Both show claims of the token.

use std::io::Read;
use std::process::ExitCode;

use tower_bearer::{Issuer, ResourceServer};

const USAGE: &str = "usage: explain --issuer ISSUER --audience AUDIENCE [--jwks-uri URL] [--json] < token";

#[derive(Default)]
struct Arguments {
    issuer: Option<String>,
    audience: Option<String>,
    jwks_uri: Option<String>,
    json: bool,
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match &*word {
            "--issuer" => arguments.issuer = Some(words.next()?),
            "--audience" => arguments.audience = Some(words.next()?),
            "--jwks-uri" => arguments.jwks_uri = Some(words.next()?),
            "--json" => arguments.json = true,
            _ => return None,
        }
    }
    Some(arguments)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Some(Arguments { issuer: Some(issuer), audience: Some(audience), jwks_uri, json }) = arguments() else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let issuer = Issuer::new(issuer);
    let issuer = if let Some(uri) = jwks_uri { issuer.jwks_uri(uri) } else { issuer };
    let server = match ResourceServer::new(audience).trust(issuer).build() {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return Ok(ExitCode::from(2));
        }
    };
    let mut token = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut token) {
        eprintln!("{error}\n{USAGE}");
        return Ok(ExitCode::from(2));
    }
    let explanation = server.explain(token.trim()).await;
    if json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        println!("{explanation}");
    }
    Ok(if explanation.accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
