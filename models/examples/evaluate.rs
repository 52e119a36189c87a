//! Measures the plate reader on folders of labelled pictures (`labels.csv` and `images/`):
//!
//! `cargo run -p models --example evaluate -- DIR… [--countries RU,KZ] [--threads 2] [--failures] [--calibration]`

use models::{Evaluation, Manifest, ModelError, ModelStore, PlateOptions, PlateReader, Runtime, evaluate};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = PlateOptions::default();
    let (mut folders, mut failures, mut calibration) = (Vec::<PathBuf>::new(), false, false);
    let mut local = PathBuf::from(".local");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--countries" => options.countries = value()?.split(',').map(str::to_owned).collect(),
            "--threads" => options.threads = value()?.parse()?,
            "--max-reads" => options.max_reads = value()?.parse()?,
            "--local" => local = value()?.into(),
            "--failures" => failures = true,
            "--calibration" => calibration = true,
            folder => folders.push(folder.into()),
        }
    }
    let mut reader = load(&local, options)?;
    let mut all: Vec<(f64, Option<bool>)> = Vec::new();
    for folder in folders {
        let got = evaluate(&folder, &mut reader)?;
        println!("{}\n{got}\n", folder.display());
        if failures {
            print_failures(&got);
        }
        let reads =
            got.outcomes.iter().filter_map(|o| o.read.as_ref().map(|r| (r.margin, Some(r.text == o.label))));
        all.extend(reads);
        all.extend(got.elsewhere.iter().map(|(_, r)| (r.margin, None)));
    }
    if calibration {
        print_calibration(all);
    }
    Ok(())
}

fn load(local: &Path, options: PlateOptions) -> Result<PlateReader, ModelError> {
    let manifest = Manifest::builtin()?;
    let library = manifest.library_here().map_or("libonnxruntime.so", |l| l.file.as_str());
    let runtime = Runtime::load(&local.join("lib").join(library))?;
    PlateReader::load(&runtime, &ModelStore::open(&local.join("models"), manifest)?, options)
}

fn print_failures(got: &Evaluation) {
    for outcome in &got.outcomes {
        match &outcome.read {
            Some(r) if r.text == outcome.label => {}
            Some(r) => println!(
                "  {} {}: {} margin {:.2} {:?} {:?}",
                outcome.file,
                outcome.label,
                r.text,
                r.margin,
                r.detector,
                r.candidates.iter().skip(1).map(|c| &c.text).collect::<Vec<_>>()
            ),
            None => println!("  {} {}: nothing", outcome.file, outcome.label),
        }
    }
    let elsewhere: Vec<_> = got.elsewhere.iter().map(|(file, r)| (file, &r.text, r.certain)).collect();
    println!("  elsewhere: {elsewhere:?}\n");
}

/// Reads by margin: of labelled plates, right ones, and those away from labels (unlabelled plates and false ones).
fn print_calibration(mut all: Vec<(f64, Option<bool>)>) {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let limits = [-9.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 9.0];
    println!("margin       labelled  right  elsewhere");
    for pair in limits.windows(2) {
        if let &[low, high] = pair {
            let inside = all.iter().filter(|(m, _)| (low..high).contains(m)).map(|(_, kind)| *kind);
            let count = |kind: Option<bool>| inside.clone().filter(|k| *k == kind).count();
            let (right, wrong) = (count(Some(true)), count(Some(false)));
            println!("{low:>4} to {high:<4} {:>9} {right:>6} {:>10}", right + wrong, count(None));
        }
    }
    let wrong = all.iter().filter(|(_, kind)| *kind == Some(false));
    println!("largest margin of a wrong read: {:.2}", wrong.map(|(m, _)| *m).fold(f64::MIN, f64::max));
}
