//! `cargo xtask evaluate plates | faces | containers DIR…`: accuracy and time on folders of labelled pictures.

mod containers;
mod faces;
mod peer;
mod plates;
mod progress;

use clap::{Parser, Subcommand};
use models::evaluate::{Half, Selection};
use models::{Manifest, ModelStore, Runtime};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures recognition on folders of labelled pictures (`images/` beside `labels.csv` or `pairs.csv`).
#[derive(Parser)]
#[command(name = "cargo xtask evaluate", bin_name = "cargo xtask evaluate")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Plates: `labels.csv` with file,text and, if known, the box as xmin,ymin,xmax,ymax or x,y,w,h. An empty text is a
    /// plate that nobody can read.
    Plates(plates::Options),
    /// Faces: `pairs.csv` with a,b,same (1 or 0) and, if it is there, `identities.csv` with file,identity.
    Faces(faces::Options),
    /// Container codes: `labels.csv` with file,text where the text is the codes and type codes with blanks between them.
    Containers(containers::Options),
}

/// What all have in common.
#[derive(clap::Args, Clone)]
struct Common {
    /// Folders to measure on.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Threads of one inference.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Every second picture in the order of names: tune (first, third …), report (second, fourth …), or all.
    #[arg(long, default_value = "all")]
    half: Half,
    /// At most this many pictures of each folder.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List what was not read right.
    #[arg(long)]
    failures: bool,
    /// Run another program on the same pictures as well and print the ratios.
    #[arg(long, value_name = "NAME")]
    peer: Vec<peer::Kind>,
    /// Where models, ONNX Runtime and peers are.
    #[arg(long, default_value = ".local", value_name = "DIR")]
    local: PathBuf,
}

impl Common {
    fn selection(&self) -> Selection {
        Selection { half: self.half, limit: self.limit }
    }

    fn half_name(&self) -> String {
        format!("{:?}", self.half).to_lowercase()
    }

    fn runtime(&self) -> Result<(Runtime, ModelStore), models::ModelError> {
        let manifest = Manifest::builtin()?;
        let library = manifest.library_here().map_or("libonnxruntime.so", |l| l.file.as_str());
        let runtime = Runtime::load(&self.local.join("lib").join(library))?;
        Ok((runtime, ModelStore::open(&self.local.join("models"), manifest)?))
    }

    /// Writes `figures` where `--json` says.
    fn write_json(&self, figures: &impl serde::Serialize) -> Result<(), Fault> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(figures)?;
        std::fs::write(path, text).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
        Ok(())
    }
}

/// Any error; all of them end the run with their text.
type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Plates(options) => plates::run(&options),
        What::Faces(options) => faces::run(&options),
        What::Containers(options) => containers::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
