//! Turns proto/ into Rust, without protoc, and keeps the description for reflection.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 2] = ["tierline/v1/desk.proto", "tierline/v1/ticketing.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("tierline.v1.pb");
    std::fs::write(&out, files.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".")
        // For `tierline agent`, which prints what comes.
        .message_attribute(".", "#[derive(serde::Serialize)]")
        .enum_attribute(".", "#[derive(serde::Serialize)] #[serde(rename_all = \"snake_case\")]")
        .compile_fds(files)?;
    Ok(())
}
