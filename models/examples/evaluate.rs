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
    let mut all: Vec<(f64, bool)> = Vec::new();
    for folder in folders {
        let got = evaluate(&folder, &mut reader)?;
        println!("{}\n{got}\n", folder.display());
        if failures {
            print_failures(&got);
        }
        let reads =
            got.outcomes.iter().filter_map(|o| o.read.as_ref().map(|r| (r.margin, r.text == o.label)));
        all.extend(reads);
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
    println!("  elsewhere: {:?}\n", got.elsewhere);
}

/// Share of right reads by margin, and the worst wrong margin.
fn print_calibration(mut all: Vec<(f64, bool)>) {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let limits = [-7.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 9.0];
    println!("margin       reads  right");
    for pair in limits.windows(2) {
        if let &[low, high] = pair {
            let inside: Vec<_> = all.iter().filter(|(m, _)| (low..high).contains(m)).collect();
            let right = inside.iter().filter(|(_, right)| *right).count();
            println!("{low:>4} to {high:<4} {:>6} {right:>6}", inside.len());
        }
    }
    let worst = all.iter().filter(|(_, right)| !right).map(|(m, _)| *m).fold(f64::MIN, f64::max);
    println!("largest margin of a wrong read: {worst:.2}");
}
