//! Memory stays flat over pictures of mixed sizes. One test, since it looks at the memory of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use models::{
    ContainerOptions, ContainerReader, Manifest, ModelStore, Picture, PlateOptions, PlateReader, Runtime,
};
use std::path::{Path, PathBuf};

/// How many pictures are read; `PICTURES=1000` looks longer. Half of them have gone each way through the readers, the sure and
/// the doubtful one, for which ONNX Runtime takes what it keeps.
const PICTURES: usize = 18;
/// A plate and a container reader together take 230 MiB, 480 to 600 with what the C library keeps; with ONNX Runtime's arena 840
/// and more, MiB.
const MOST_MIB: f64 = 400.0;
/// So often it is tried: what the C library keeps of smaller blocks varies, on a busy machine by 1.14 once. What is never given
/// back shows each time.
const TRIES: usize = 3;

/// Resident memory of this process, MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// A copy of other size, by the nearest pixels.
fn scaled(picture: &Picture, width: u32, height: u32) -> Picture {
    let (from, own) = (picture.bgr().unwrap(), picture.width() as usize);
    let mut bgr = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        let row = (y * picture.height() / height) as usize;
        for x in 0..width {
            let at = (row * own + (x * picture.width() / width) as usize) * 3;
            bgr.extend_from_slice(&from[at..at + 3]);
        }
    }
    Picture::from_bgr(width, height, &bgr).unwrap()
}

/// From this size on the C library gives a block back as soon as it is free. Left to itself it keeps 100 MiB for a picture or
/// two, as it happens, and the largest value is a matter of luck.
const GIVEN_BACK: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "4194304");

#[test]
fn memory_stays_flat_over_pictures_of_mixed_sizes() {
    let (name, value) = GIVEN_BACK;
    if std::env::var_os(name).is_none() {
        // it is read when a process starts
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "--nocapture"]).arg("memory_stays_flat_over_pictures_of_mixed_sizes");
        again.env(name, value);
        assert!((0..TRIES).any(|_| again.status().unwrap().success()));
        return;
    }
    let local = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.local");
    let manifest = Manifest::builtin().unwrap();
    let library = local.join("lib").join(&manifest.library_here().expect("an entry for this machine").file);
    let Ok(store) = ModelStore::open(&local.join("models"), manifest) else {
        println!("skipped: no models (cargo xtask setup fetches them)");
        return;
    };
    let runtime = Runtime::load(&library).unwrap();
    let options = PlateOptions { countries: vec!["RU".into()], threads: 1, ..PlateOptions::default() };
    let mut plates = PlateReader::load(&runtime, &store, options).unwrap();
    let options = ContainerOptions { threads: 1, ..ContainerOptions::default() };
    let mut containers = ContainerReader::load(&runtime, &store, options).unwrap();
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/plate_scene.jpg");
    let scene = Picture::open(&scene).unwrap();
    let pictures = std::env::var("PICTURES").ok().and_then(|it| it.parse().ok()).unwrap_or(PICTURES);
    let (mut half, mut most) = (0.0, 0.0f64);
    let begin = std::time::Instant::now();
    for number in 0..pictures as u32 {
        // Sides from 1500 down to 300 pixels, hardly ever the same twice, the largest first.
        let picture = scaled(&scene, 1500 - number * 677 % 1201, 1500 - number * 389 % 1201);
        plates.read(&picture).unwrap();
        containers.read(&picture).unwrap();
        most = most.max(resident());
        if number as usize + 1 == pictures / 2 {
            half = most;
        }
    }
    let ratio = most / half;
    println!(
        "{pictures} pictures in {:.1} s: most resident memory {half:.0} MiB in the first half, {most:.0} MiB in all, \
         ratio {ratio:.3}",
        begin.elapsed().as_secs_f64()
    );
    assert!(ratio < 1.1, "{ratio}");
    assert!(most < MOST_MIB, "{most} MiB");
}
