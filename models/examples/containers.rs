//! Reads the container codes in pictures, a line of JSON each: `cargo run -p models --example containers -- PICTURE …`;
//! `--wagons` reads the numbers of railway wagons too.
#![allow(clippy::print_stdout, reason = "an example that prints")]
use models::{ContainerOptions, ContainerReader, Manifest, ModelStore, Picture, Runtime};
use std::path::Path;

fn main() -> Result<(), models::ModelError> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local");
    let manifest = Manifest::builtin()?;
    let file = manifest.library_here().map(|library| library.file.clone()).unwrap_or_default();
    let runtime = Runtime::load(&local.join("lib").join(file))?;
    let store = ModelStore::open(&local.join("models"), manifest)?;
    let (flags, paths): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let wagons = flags.iter().any(|flag| flag == "--wagons");
    let options = ContainerOptions { wagons, ..ContainerOptions::default() };
    let mut reader = ContainerReader::load(&runtime, &store, options)?;
    for path in paths {
        let reads = reader.read(&Picture::open(path.as_ref())?)?;
        let spent = reader.milliseconds();
        println!("{}", serde_json::json!({ "file": path, "reads": reads, "milliseconds": spent }));
    }
    Ok(())
}
