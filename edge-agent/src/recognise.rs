//! `edge-agent recognise`: plates in picture files, as JSON.

use std::path::{Path, PathBuf};

use anyhow::Context;
use models::{Manifest, ModelStore, Picture, PlateOptions, PlateRead, PlateReader, Runtime};
use serde::Serialize;

/// What was found in one picture.
#[derive(Debug, Serialize)]
struct Recognised<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    plates: Vec<PlateRead>,
}

/// Loads ONNX Runtime and a plate reader for `countries`.
pub fn load_reader(
    runtime: &Path,
    models: &Path,
    countries: &[String],
    threads: usize,
) -> anyhow::Result<PlateReader> {
    let runtime = Runtime::load(runtime)?;
    let store = ModelStore::open(models, Manifest::builtin()?)?;
    let options = PlateOptions { countries: countries.to_vec(), threads, ..PlateOptions::default() };
    Ok(PlateReader::load(&runtime, &store, options)?)
}

/// Reads every picture, prints one JSON object a line, and draws copies into `draw_into`. Returns how many pictures
/// could not be read.
pub fn recognise(
    reader: &mut PlateReader,
    files: &[PathBuf],
    draw_into: Option<&Path>,
) -> anyhow::Result<usize> {
    let mut failed = 0;
    for file in files {
        let name = file.display().to_string();
        let result = match Picture::open(file)
            .and_then(|picture| reader.read(&picture).map(|plates| (picture, plates)))
        {
            Ok((picture, plates)) => {
                if let Some(folder) = draw_into {
                    draw(&picture, &plates, file, folder)?;
                }
                Recognised {
                    file: &name,
                    width: Some(picture.width()),
                    height: Some(picture.height()),
                    error: None,
                    plates,
                }
            }
            Err(error) => {
                failed += 1;
                Recognised {
                    file: &name,
                    width: None,
                    height: None,
                    error: Some(error.to_string()),
                    plates: Vec::new(),
                }
            }
        };
        println!("{}", serde_json::to_string(&result)?);
    }
    Ok(failed)
}

fn draw(picture: &Picture, plates: &[PlateRead], file: &Path, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let copy = folder.join(file.file_stem().unwrap_or_default()).with_extension("jpg");
    std::fs::write(&copy, models::annotate(picture, plates)?)
        .with_context(|| format!("failed to write {}", copy.display()))
}
