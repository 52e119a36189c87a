//! `evaluate faces`.

use crate::progress::Progress;
use crate::{Common, Fault};
use models::Picture;
use models::evaluate::faces::{FaceFigures, FacePictures, WrongPair, evaluate_faces, face_pictures};
use models::face::{FaceOptions, FaceReader};
use serde::Serialize;

/// Options of `evaluate faces`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Least quality of a face that gets a template, 0 to 1.
    #[arg(long, value_name = "Q")]
    least_quality: Option<f32>,
    /// Give the rates at these similarities too, such as the one in use.
    #[arg(long, value_delimiter = ',', value_name = "S")]
    thresholds: Vec<f32>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    what: &'static str,
    threads: u8,
    half: String,
    sets: Vec<Set>,
}

/// One folder.
#[derive(Serialize)]
struct Set {
    #[serde(flatten)]
    figures: FaceFigures,
    /// Pairs of `pairs.csv` that are decided wrongly at the first threshold given, or else at the one for FMR 1 %.
    failures: Vec<WrongPair>,
}

pub fn run(options: &Options) -> Result<(), Fault> {
    let common = &options.common;
    let read = |dir| face_pictures(dir, common.selection());
    let sets: Vec<FacePictures> = common.folders.iter().map(|dir| read(dir)).collect::<Result<_, _>>()?;
    if !common.peer.is_empty() {
        return Err("no peer reads faces; expected none".into());
    }
    let (runtime, store) = common.runtime()?;
    let mut how = FaceOptions { threads: common.threads.into(), ..FaceOptions::default() };
    how.least_quality = options.least_quality.unwrap_or(how.least_quality);
    let mut reader = FaceReader::load(&runtime, &store, how)?;
    let mut report =
        Report { what: "faces", threads: common.threads, half: common.half_name(), sets: Vec::new() };
    for (dir, pictures) in common.folders.iter().zip(&sets) {
        let name = dir.display().to_string();
        if let Some((_, first)) = pictures.pictures.first() {
            reader.read(&Picture::open(first)?)?;
        }
        let mut progress = Progress::new(&name, pictures.pictures.len());
        let got = evaluate_faces(
            pictures,
            |picture, times| {
                let faces = reader.read(picture)?;
                let spent = reader.milliseconds();
                times.add("detect", spent.detect);
                times.add("align", spent.align);
                times.add("template", spent.template);
                // The largest face is the one the picture is of
                Ok(faces.into_iter().next().and_then(|face| face.template).map(|t| t.values().to_vec()))
            },
            || progress.step(),
        )?;
        let figures = got.figures(&name, pictures, &options.thresholds);
        println!("{figures}");
        let first_of = |figures: &FaceFigures| {
            Some(figures.comparisons.last()?.targets.first()?.rates.as_ref()?.threshold)
        };
        let threshold = options.thresholds.first().copied().or_else(|| first_of(&figures));
        let failures = threshold.map(|t| got.wrong_pairs(pictures, t)).unwrap_or_default();
        if common.failures {
            for pair in &failures {
                let similarity = pair.similarity.map_or_else(|| "no template".into(), |s| format!("{s:.3}"));
                let what = if pair.same { "one person" } else { "two people" };
                println!("  {} {} {what}: {similarity}", pair.a, pair.b);
            }
            println!();
        }
        report.sets.push(Set { figures, failures });
    }
    common.write_json(&report)
}
