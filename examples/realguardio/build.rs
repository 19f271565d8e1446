//! Generates the gRPC service from its description.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptions = protox::compile(["proto/systems.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptions)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
