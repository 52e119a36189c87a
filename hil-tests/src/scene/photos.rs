//! Photographs with labels: folders with a `labels.csv` (`file,text,…`, a line for each plate) and an `images/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::peer::repository;

/// One photograph of a vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// The picture file.
    pub file: PathBuf,
    /// What its plates say, by a person's eye; at least one.
    pub plates: Vec<String>,
    /// The country of the folder, ISO 3166-1 alpha-2, if its name is one.
    pub country: Option<String>,
    /// Whether it shows one plate and no more.
    pub single: bool,
}

/// Photographs to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Photos(Vec<Photo>);

/// Where photographs lie beside the clone, as far as they do.
pub fn default_directories() -> Vec<PathBuf> {
    let plates = repository().join("../shared/data/plates");
    let folders = ["ru", "kz"].iter().map(|country| plates.join(country));
    folders.filter(|folder| folder.join("labels.csv").is_file()).collect()
}

impl Photos {
    /// Reads the labels of each directory, or of its subfolders where it has none itself.
    pub fn open(directories: &[PathBuf]) -> anyhow::Result<Self> {
        let mut photos = Vec::new();
        for directory in directories {
            let found = photos.len();
            for folder in folders_with_labels(directory)? {
                read_folder(&folder, &mut photos)?;
            }
            let message = "expected labels.csv with a line `file,text` and pictures in images/, in it or in its \
                           subfolders";
            ensure!(photos.len() > found, "no labelled photographs in {}: {message}", directory.display());
        }
        Ok(Self(photos))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `count` photographs, or all there are, in an order that `seed` makes; no plate twice, those with a single plate
    /// first.
    pub fn choose(&self, seed: u64, count: usize) -> Vec<Photo> {
        let mut order: Vec<&Photo> = self.0.iter().collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        order.sort_by_key(|photo| !photo.single);
        let mut seen = BTreeSet::new();
        let mut chosen = Vec::new();
        for photo in order {
            if chosen.len() < count && photo.plates.iter().all(|plate| !seen.contains(plate)) {
                seen.extend(&photo.plates);
                chosen.push(photo.clone());
            }
        }
        chosen
    }
}

fn folders_with_labels(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if directory.join("labels.csv").is_file() {
        return Ok(vec![directory.to_owned()]);
    }
    let context = || format!("failed to read the folder {}", directory.display());
    let entries = std::fs::read_dir(directory).with_context(context)?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(context)?.path();
        if path.join("labels.csv").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn read_folder(folder: &Path, photos: &mut Vec<Photo>) -> anyhow::Result<()> {
    let labels = folder.join("labels.csv");
    let text =
        std::fs::read_to_string(&labels).with_context(|| format!("failed to read {}", labels.display()))?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    ensure!(
        head.starts_with(&["file", "text"]),
        "{}: expected a first line `file,text`, found `{}`",
        labels.display(),
        head.join(",")
    );
    let mut plates: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let mut columns = line.split(',').map(str::trim);
        if let (Some(file), Some(text)) = (columns.next(), columns.next()) {
            plates.entry(file).or_default().push(text);
        }
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().to_uppercase());
    let country = name.filter(|name| name.len() == 2 && name.chars().all(|c| c.is_ascii_uppercase()));
    for (file, texts) in plates {
        let file = folder.join("images").join(file);
        let readable: Vec<String> =
            texts.iter().filter(|text| !text.is_empty()).map(|&text| text.to_owned()).collect();
        if !readable.is_empty() && file.is_file() {
            photos.push(Photo { file, plates: readable, country: country.clone(), single: texts.len() == 1 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_chosen_without_repeats() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("ru");
        std::fs::create_dir_all(folder.join("images")).unwrap();
        let mut labels = "file,text,xmin\n".to_owned();
        for number in 0..20 {
            labels.push_str(&format!("{number}.jpg,A{number:03}AA77,1\n"));
            std::fs::write(folder.join(format!("images/{number}.jpg")), b"").unwrap();
        }
        labels.push_str("3.jpg,,7\n20.jpg,B001BB77\n4.jpg,A005AA77,1\n");
        std::fs::write(folder.join("labels.csv"), labels).unwrap();

        let photos = Photos::open(&[directory.path().to_owned()]).unwrap();
        assert_eq!(photos.len(), 20, "20.jpg is not there");
        let chosen = photos.choose(1, 100);
        assert_eq!(chosen, photos.choose(1, 100));
        assert_ne!(chosen, photos.choose(2, 100));
        assert_eq!(chosen.len(), 19, "one of 4.jpg and 5.jpg shows a plate of the other");
        assert_eq!(chosen.last().unwrap().file.file_name().unwrap(), "3.jpg");
        assert_eq!(chosen[0].country.as_deref(), Some("RU"));
        assert!(Photos::open(&[folder.join("images")]).is_err());
    }
}
