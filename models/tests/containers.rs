//! The container chain on real models, and on photographs where they lie beside the clone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use models::container::code::is_valid;
use models::{
    ContainerOptions, ContainerReader, Manifest, ModelError, ModelStore, Picture, Runtime, crop_jpeg,
};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runtime and models, or none with a note when set-up has not fetched them.
fn files() -> Option<(Runtime, ModelStore)> {
    let local = root().join(".local");
    let manifest = Manifest::builtin().unwrap();
    let library = local.join("lib").join(&manifest.library_here()?.file);
    if !library.exists() || !local.join("models/PP-OCRv6_rec_small.onnx").exists() {
        println!("skipped: no models in {} (cargo xtask setup fetches them)", local.display());
        return None;
    }
    Some((Runtime::load(&library).unwrap(), ModelStore::open(&local.join("models"), manifest).unwrap()))
}

fn reader(options: ContainerOptions) -> Option<ContainerReader> {
    let (runtime, store) = files()?;
    Some(ContainerReader::load(&runtime, &store, options).unwrap())
}

#[test]
fn photographs_of_containers_are_read_and_none_is_certain_and_wrong() {
    let source = root().join("../shared/data/containers");
    let Ok(labels) = std::fs::read_to_string(source.join("labels.csv")) else {
        println!("skipped: no photographs at {}", source.display());
        return;
    };
    let Some(mut reader) = reader(ContainerOptions::default()) else { return };
    let (mut all, mut right) = (0, 0);
    for line in labels.lines().skip(1) {
        let (file, text) = line.split_once(',').unwrap();
        let codes: Vec<&str> = text.split_whitespace().filter(|word| word.len() == 11).collect();
        let picture = Picture::open(&source.join("images").join(file)).unwrap();
        let reads = reader.read(&picture).unwrap();
        all += codes.len();
        right += codes.iter().filter(|code| reads.iter().any(|r| r.code == **code)).count();
        for read in reads.iter().filter(|r| r.certain) {
            assert!(codes.contains(&read.code.as_str()) && is_valid(&read.code), "{file}: {read:?}");
        }
        if let [code] = codes.as_slice() {
            let read = reads.iter().find(|r| r.code == *code).expect("a gate picture is read");
            assert!(read.certain && read.type_code.is_some(), "{read:?}");
            let crop = Picture::decode(&crop_jpeg(&picture, read.corners).unwrap()).unwrap();
            assert!(crop.width() > crop.height());
        }
    }
    // all but the three columns of signs seven pixels wide, one of them found at the edge of another's close-up
    assert!(right + 3 >= all, "{right} of {all}");
}

#[test]
fn pictures_without_codes_and_odd_ones_are_no_error() {
    let Some(mut reader) = reader(ContainerOptions { wagons: true, ..ContainerOptions::default() }) else {
        return;
    };
    let noise: Vec<u8> = (0..640u32 * 480 * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (w, h) in [(640, 480), (1, 1), (3, 480), (640, 2), (31, 33)] {
        let picture = Picture::from_bgr(w, h, &noise[..(w * h * 3) as usize]).unwrap();
        assert!(reader.read(&picture).unwrap().is_empty(), "{w} x {h}");
        let grey = Picture::from_bgr(w, h, &vec![127; (w * h * 3) as usize]).unwrap();
        assert!(reader.read(&grey).unwrap().is_empty());
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let Some((runtime, store)) = files() else { return };
    for options in [
        ContainerOptions { threads: 0, ..ContainerOptions::default() },
        ContainerOptions { sides: Vec::new(), ..ContainerOptions::default() },
        ContainerOptions { sides: vec![100], ..ContainerOptions::default() },
        ContainerOptions { close_ups: 99, ..ContainerOptions::default() },
        ContainerOptions { max_reads: 0, ..ContainerOptions::default() },
    ] {
        let error = ContainerReader::load(&runtime, &store, options.clone()).unwrap_err();
        assert!(matches!(error, ModelError::Option { .. }), "{options:?} {error}");
    }
}

#[test]
fn a_missing_model_is_named() {
    let Some((runtime, _)) = files() else { return };
    let empty = tempfile::tempdir().unwrap();
    let store = ModelStore::open(empty.path(), Manifest::builtin().unwrap()).unwrap();
    let error = ContainerReader::load(&runtime, &store, ContainerOptions::default()).unwrap_err();
    assert!(error.to_string().contains("PP-OCRv6"), "{error}");
}
