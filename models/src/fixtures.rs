//! What tests of several modules need.

use crate::{Manifest, Picture, Runtime};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A session of committed weights, or none with a note where set-up has not fetched ONNX Runtime.
pub(crate) fn committed(weights: &str) -> Option<ort::session::Session> {
    let file = &Manifest::builtin().unwrap().library_here()?.file.clone();
    let library: PathBuf = root().join("../.local/lib").join(file);
    if !library.exists() {
        println!("skipped: no {} (cargo xtask models fetches it)", library.display());
        return None;
    }
    let bytes = std::fs::read(root().join("weights").join(weights)).unwrap();
    Some(Runtime::load(&library).unwrap().session(&bytes, 1).unwrap())
}

/// A rendered scene with two plates.
pub(crate) fn plate_scene() -> Picture {
    Picture::open(&root().join("tests/vectors/plate_scene.jpg")).unwrap()
}
