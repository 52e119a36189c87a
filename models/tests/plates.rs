//! The whole chain on real models, and on photographs where they lie beside the clone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use models::{
    Consensus, ConsensusOptions, Manifest, ModelError, ModelStore, Picture, PlateOptions, PlateReader,
    Runtime, annotate, crop_jpeg, evaluate,
};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The reader, or none with a note when set-up has not fetched the models.
fn reader(countries: &[&str]) -> Option<PlateReader> {
    let local = root().join(".local");
    let manifest = Manifest::builtin().unwrap();
    let library = local.join("lib").join(&manifest.library_here()?.file);
    let there = |file: &str| local.join("models").join(file).exists();
    if !library.exists() || !there("plate-corners.onnx") || !there("plate-text.onnx") {
        println!("skipped: no models in {} (cargo xtask setup fetches them)", local.display());
        return None;
    }
    let runtime = Runtime::load(&library).unwrap();
    let store = ModelStore::open(&local.join("models"), manifest).unwrap();
    store.verify().unwrap();
    let countries = countries.iter().map(|c| (*c).to_owned()).collect();
    Some(PlateReader::load(&runtime, &store, PlateOptions { countries, ..PlateOptions::default() }).unwrap())
}

/// The first `count` labelled photographs of a country as a folder of their own, or none with a note.
fn photographs(country: &str, count: usize) -> Option<tempfile::TempDir> {
    let source = root().join("../shared/data/plates").join(country);
    let Ok(labels) = std::fs::read_to_string(source.join("labels.csv")) else {
        println!("skipped: no photographs at {}", source.display());
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let some: Vec<&str> = labels.lines().take(count + 1).collect();
    std::fs::write(folder.path().join("labels.csv"), some.join("\n")).unwrap();
    std::os::unix::fs::symlink(source.canonicalize().unwrap().join("images"), folder.path().join("images"))
        .unwrap();
    Some(folder)
}

#[test]
fn photographs_are_read() {
    // Plates in the background of the Kazakh photographs that have no label; looked at, and right.
    let unlabelled = ["436MCB02", "924HDA10"];
    for (country, expected, least) in [("ru", "RU", 0.8), ("kz", "KZ", 0.8)] {
        let Some(folder) = photographs(country, 15) else { continue };
        let Some(mut reader) = reader(&["RU", "KZ"]) else { return };
        let got = evaluate(folder.path(), &mut reader).unwrap();
        println!("{country}\n{got}");
        assert!(got.exact() as f64 >= least * got.outcomes.len() as f64, "{country}\n{got}");
        assert!(2 * got.certain() >= got.outcomes.len() / 2, "{country}\n{got}");
        let wrong = got.wrong_but_certain.iter().filter(|wrong| !unlabelled.contains(&wrong.text.as_str()));
        assert_eq!(wrong.count(), 0, "{country}\n{got}");
        let right = got.outcomes.iter().filter(|o| o.read.as_ref().is_some_and(|r| r.text == o.label));
        for read in right.filter_map(|o| o.read.as_ref()).filter(|r| r.certain) {
            assert_eq!(read.country.as_deref(), Some(expected), "{read:?}");
        }
    }
}

#[test]
fn frames_become_one_result_and_evidence() {
    let Some(folder) = photographs("kz", 1) else { return };
    let Some(mut reader) = reader(&["KZ"]) else { return };
    let labels = std::fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    let (file, label) = labels.lines().nth(1).unwrap().split_once(',').unwrap();
    let picture = Picture::open(&folder.path().join("images").join(file)).unwrap();
    let reads = reader.read(&picture).unwrap();
    let read = reads.iter().find(|r| r.text == label).expect("the label is read");
    assert!(read.candidates[0].text == label && read.milliseconds.total > 0.0);

    let drawn = Picture::decode(&annotate(&picture, &reads).unwrap()).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (picture.width(), picture.height()));
    let crop = Picture::decode(&crop_jpeg(&picture, read.corners).unwrap()).unwrap();
    assert!(crop.width() > crop.height() && crop.width() < picture.width());
    assert!(crop_jpeg(&picture, [[f32::INFINITY; 2]; 4]).is_err());

    let mut consensus = Consensus::new(ConsensusOptions::default());
    for frame in 0..3 {
        consensus.add(frame * 100, &reads, frame);
    }
    let results = consensus.finish();
    let result = results.iter().find(|r| r.text == label).expect("one result for the label");
    assert_eq!(result.frames_agreeing, 3);
    assert!(result.probability >= read.probability);
}

#[test]
fn pictures_without_plates_and_odd_ones_are_no_error() {
    let Some(mut open) = reader(&[]) else { return };
    let noise: Vec<u8> = (0..640u32 * 480 * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (w, h) in [(640, 480), (1, 1), (3, 480), (640, 2), (31, 33)] {
        let picture = Picture::from_bgr(w, h, &noise[..(w * h * 3) as usize]).unwrap();
        let reads = open.read(&picture).unwrap();
        assert!(reads.iter().all(|r| !r.certain), "{w} x {h}: {reads:?}");
        let grey = Picture::from_bgr(w, h, &vec![127; (w * h * 3) as usize]).unwrap();
        assert!(open.read(&grey).unwrap().is_empty());
    }
}

#[test]
fn nothing_is_certain_without_countries() {
    let Some(folder) = photographs("kz", 3) else { return };
    let Some(mut open) = reader(&[]) else { return };
    let got = evaluate(folder.path(), &mut open).unwrap();
    assert!(got.found() > 0 && got.certain() == 0 && got.wrong_but_certain.is_empty(), "{got}");
}

#[test]
fn options_out_of_range_are_refused() {
    let Some(_) = reader(&[]) else { return };
    let local = root().join(".local");
    let manifest = Manifest::builtin().unwrap();
    let runtime = Runtime::load(&local.join("lib").join(&manifest.library_here().unwrap().file)).unwrap();
    let store = ModelStore::open(&local.join("models"), manifest).unwrap();
    for options in [
        PlateOptions { threads: 0, ..PlateOptions::default() },
        PlateOptions { max_reads: 0, ..PlateOptions::default() },
        PlateOptions { countries: vec!["ZZ".into()], ..PlateOptions::default() },
    ] {
        let error = PlateReader::load(&runtime, &store, options.clone()).unwrap_err();
        assert!(matches!(error, ModelError::Option { .. }), "{options:?} {error}");
    }
}
