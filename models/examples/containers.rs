//! Reads the container codes in pictures: `cargo run -p models --example containers -- picture.jpg …`.
use models::{ContainerOptions, ContainerReader, Manifest, ModelStore, Picture, Runtime};
use std::path::Path;

fn main() -> Result<(), models::ModelError> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local");
    let manifest = Manifest::builtin()?;
    let file = manifest.library_here().map(|library| library.file.clone()).unwrap_or_default();
    let runtime = Runtime::load(&local.join("lib").join(file))?;
    let store = ModelStore::open(&local.join("models"), manifest)?;
    let mut reader = ContainerReader::load(&runtime, &store, ContainerOptions::default())?;
    for path in std::env::args().skip(1) {
        let reads = reader.read(&Picture::open(path.as_ref())?)?;
        println!("{path}: {} codes, {:?}", reads.len(), reader.milliseconds());
        for read in reads {
            println!(
                "  {} {} {:?} {:?} margin {:.1} probability {:.2} certain {}",
                read.code,
                read.type_code.unwrap_or_default(),
                read.check_digit,
                read.arrangement,
                read.margin,
                read.probability,
                read.certain
            );
        }
    }
    Ok(())
}
