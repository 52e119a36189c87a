//! Loading ONNX Runtime: every wrong file gives an error that names it. One test, since a process loads it once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use models::{Manifest, ModelError, Runtime};
use std::path::{Path, PathBuf};

fn local() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local")
}

#[test]
fn wrong_libraries_are_named_and_the_right_one_loads_once() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("libonnxruntime.so");
    let error = Runtime::load(&missing).unwrap_err();
    assert!(matches!(error, ModelError::LibraryMissing { .. }));
    let text = error.to_string();
    assert!(text.contains("libonnxruntime.so") && text.contains("cargo xtask setup"), "{text}");

    let garbage = folder.path().join("garbage.so");
    std::fs::write(&garbage, "not a library").unwrap();
    let error = Runtime::load(&garbage).unwrap_err();
    assert!(matches!(error, ModelError::LibraryUnusable { .. }));
    assert!(error.to_string().contains("garbage.so"), "{error}");
    assert!(Runtime::load(folder.path()).is_err(), "a folder");

    // a library that is not ONNX Runtime
    for other in ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"] {
        if Path::new(other).exists() {
            assert!(matches!(Runtime::load(other.as_ref()), Err(ModelError::LibraryUnusable { .. })));
        }
    }

    let manifest = Manifest::builtin().unwrap();
    let library = local().join("lib").join(&manifest.library_here().expect("an entry for this machine").file);
    if !library.exists() {
        println!("skipped the rest: no {} (cargo xtask setup fetches it)", library.display());
        return;
    }
    Runtime::load(&library).unwrap();
    Runtime::load(&library).expect("the same file again");
    let copy = folder.path().join("copy.so");
    std::fs::copy(&library, &copy).unwrap();
    assert!(matches!(Runtime::load(&copy), Err(ModelError::LibraryConflict { .. })));
}
