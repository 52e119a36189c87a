//! What is wrong with a model is found before the start and named, with what was expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use models::{
    ContainerOptions, ContainerReader, FaceOptions, FaceReader, Manifest, ModelError, ModelStore, Runtime,
    check,
};
use std::path::{Path, PathBuf};

/// ONNX Runtime and a copy of the models of `task`, or none with a note when set-up has not fetched them.
fn models(task: &str) -> Option<(Runtime, Manifest, tempfile::TempDir)> {
    let local = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.local");
    let manifest = Manifest::builtin().unwrap();
    let library = local.join("lib").join(&manifest.library_here()?.file);
    let folder = tempfile::tempdir().unwrap();
    for entry in manifest.model.iter().filter(|entry| entry.tasks.iter().any(|one| one == task)) {
        let source = local.join("models").join(&entry.file);
        if !library.exists() || !source.exists() {
            println!("skipped: {} is missing (cargo xtask setup fetches it)", source.display());
            return None;
        }
        std::os::unix::fs::symlink(source.canonicalize().unwrap(), folder.path().join(&entry.file)).unwrap();
    }
    Some((Runtime::load(&library).unwrap(), manifest, folder))
}

/// Puts other bytes in the place of a model.
fn replace(folder: &Path, file: &str, bytes: &[u8]) {
    std::fs::remove_file(folder.join(file)).unwrap();
    std::fs::write(folder.join(file), bytes).unwrap();
}

#[test]
fn the_models_of_every_task_are_as_the_manifest_says() {
    for task in ["plate", "face", "container"] {
        let Some((runtime, manifest, folder)) = models(task) else { return };
        let found = check(&runtime, folder.path(), &manifest, task);
        assert!(found.is_empty(), "{task}: {found:?}");
    }
}

#[test]
fn each_problem_is_named_with_what_was_expected() {
    let Some((runtime, mut manifest, folder)) = models("face") else { return };
    let say = |manifest: &Manifest| {
        let found = check(&runtime, folder.path(), manifest, "face");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let entry = manifest.model.iter().position(|m| m.name == "face-finder").unwrap();

    manifest.model[entry].inputs = vec![vec![1, 3, 320, 320]];
    let wrong = say(&manifest);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("`face-finder`") && wrong[0].contains("[1, 3, 320, 320]"), "{wrong:?}");
    assert!(wrong[0].contains("it has [1, 3, 640, 640]"), "{wrong:?}");
    manifest.model[entry].inputs.clear();
    manifest.model[entry].outputs = vec![vec![1, 4]];
    assert!(say(&manifest)[0].contains("expected outputs of [1, 4]"));
    manifest.model[entry].outputs.clear();

    // Both at once: none hides another
    let (finder, template) = ("face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx");
    let whole = std::fs::read(folder.path().join(finder)).unwrap();
    replace(folder.path(), finder, &whole[..1000]);
    std::fs::remove_file(folder.path().join(template)).unwrap();
    let wrong = say(&manifest);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains("has 1000 bytes, expected 232589") && wrong[1].contains("is missing"));
    assert!(wrong.iter().all(|line| line.contains("cargo xtask setup")), "{wrong:?}");

    let mut other = whole.clone();
    other[100_000] ^= 1;
    replace(folder.path(), finder, &other);
    assert!(say(&manifest)[0].contains("has SHA-256"), "{:?}", say(&manifest));
}

/// What the daemon does: a model that does not fit is an error of its reader's loading, not of the first picture.
#[test]
fn a_model_of_another_shape_is_not_loaded() {
    let wrong = |manifest: &Manifest, name: &str| {
        let mut manifest = manifest.clone();
        let entry = manifest.model.iter_mut().find(|entry| entry.name == name).unwrap();
        entry.outputs = vec![vec![1, 4]];
        manifest
    };
    let named = |error: ModelError, name: &str| match &error {
        ModelError::ModelShape { name: found, reason } => {
            assert!(found == name && reason.contains("expected outputs of [1, 4]"), "{error}");
        }
        _ => panic!("{error}"),
    };
    let Some((runtime, manifest, folder)) = models("face") else { return };
    let load = |manifest| {
        let store = ModelStore::open(folder.path(), manifest).unwrap();
        FaceReader::load(&runtime, &store, FaceOptions::default())
    };
    assert!(load(manifest.clone()).is_ok());
    named(load(wrong(&manifest, "face-template")).unwrap_err(), "face-template");
    let Some((runtime, manifest, folder)) = models("container") else { return };
    let store = ModelStore::open(folder.path(), wrong(&manifest, "text-reader")).unwrap();
    named(ContainerReader::load(&runtime, &store, ContainerOptions::default()).unwrap_err(), "text-reader");
}
