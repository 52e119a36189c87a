//! Thresholds from pictures of a site: how often one person is refused, and another taken for him.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use models::evaluate::faces::{FaceEvaluation, FacePictures, evaluate_faces, face_pictures};
use models::evaluate::{Selection, Share};
use models::{FaceReader, Picture};

/// Pictures of a folder are of this many at most: bounds the comparisons.
const MOST_PICTURES: usize = 20_000;

/// Likenesses of pictures of one person and of two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Likenesses {
    /// Two pictures of one person.
    pub same: Vec<f32>,
    /// Pictures of two people.
    pub other: Vec<f32>,
}

/// A threshold with what it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Least likeness that counts as one person.
    pub threshold: f32,
    /// False match rate: pairs of two people that are taken for one.
    pub fmr: Share,
    /// False non-match rate: pairs of one person that are not.
    pub fnmr: Share,
}

impl Likenesses {
    /// What a threshold does.
    pub fn rates(&self, threshold: f32) -> Rates {
        let matches = |of: &[f32]| of.iter().filter(|likeness| **likeness >= threshold).count();
        let missed = self.same.len() - matches(&self.same);
        Rates {
            threshold,
            fmr: Share::new(matches(&self.other), self.other.len()),
            fnmr: Share::new(missed, self.same.len()),
        }
    }

    /// The least threshold, in thousandths, whose false match rate is `fmr` at most; `None` where there are too few pairs
    /// to tell: with fewer than `1 / fmr`, a single false match is more.
    pub fn at_fmr(&self, fmr: f64) -> Option<Rates> {
        if (self.other.len() as f64) * fmr < 1.0 {
            return None;
        }
        let fits = |thousandths: u16| {
            let rates = self.rates(f32::from(thousandths) / 1000.0);
            (rates.fmr.n as f64 <= fmr * rates.fmr.of as f64).then_some(rates)
        };
        // The rate falls as the threshold rises.
        let (mut low, mut high) = (0u16, 1000u16);
        while low < high {
            let middle = low.midpoint(high);
            if fits(middle).is_some() { high = middle } else { low = middle + 1 }
        }
        fits(low)
    }
}

/// Reads the pictures below `folder`: a `pairs.csv` (columns a,b,same; pictures in `images/`), or one folder per person.
pub fn pictures(folder: &Path) -> anyhow::Result<FacePictures> {
    if folder.join("pairs.csv").is_file() {
        return Ok(face_pictures(folder, Selection::default())?);
    }
    let list = |folder: &Path| -> anyhow::Result<Vec<PathBuf>> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
        let mut paths = entries.map(|entry| entry.map(|it| it.path())).collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths)
    };
    let mut found = FacePictures { pictures: Vec::new(), pairs: Vec::new(), people: Vec::new() };
    for person in list(folder)?.into_iter().filter(|path| path.is_dir()) {
        let mut own = Vec::new();
        for file in list(&person)?.into_iter().filter(|path| is_picture(path)) {
            own.push(found.pictures.len());
            let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
            found.pictures.push((name, file));
        }
        found.people.push(own);
    }
    let several = found.people.iter().filter(|pictures| pictures.len() > 1).count();
    anyhow::ensure!(
        found.people.len() > 1 && several > 0,
        "{}: expected `pairs.csv`, or a folder for each of at least two people with several pictures; found {} folders, {} \
         of them with two pictures or more",
        folder.display(),
        found.people.len(),
        several
    );
    anyhow::ensure!(
        found.pictures.len() <= MOST_PICTURES,
        "{}: {} pictures, at most {MOST_PICTURES} are compared",
        folder.display(),
        found.pictures.len()
    );
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ["jpg", "jpeg", "png", "bmp"].contains(&ending.as_str()))
}

/// Compares the pictures: every one with every other where it is known who is on them, else the given pairs.
pub fn likenesses(pictures: &FacePictures, found: &FaceEvaluation) -> Likenesses {
    let template = |index: usize| found.templates.get(index).and_then(Option::as_ref);
    let likeness = |a: usize, b: usize| {
        let product = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        template(a).zip(template(b)).map(product)
    };
    let mut result = Likenesses::default();
    if pictures.people.is_empty() {
        for (a, b, same) in &pictures.pairs {
            if let Some(value) = likeness(*a, *b) {
                if *same { result.same.push(value) } else { result.other.push(value) }
            }
        }
        return result;
    }
    let owned: Vec<(usize, usize)> = pictures
        .people
        .iter()
        .enumerate()
        .flat_map(|(person, files)| files.iter().map(move |file| (person, *file)))
        .collect();
    for (at, (one, a)) in owned.iter().enumerate() {
        for (two, b) in owned.iter().skip(at + 1) {
            if let Some(value) = likeness(*a, *b) {
                if one == two { result.same.push(value) } else { result.other.push(value) }
            }
        }
    }
    result
}

/// Templates of all pictures; the largest face of each.
pub fn templates(pictures: &FacePictures, reader: &mut FaceReader) -> anyhow::Result<FaceEvaluation> {
    let largest = |picture: &Picture, _: &mut _| {
        let face = reader.read(picture)?.into_iter().next();
        Ok(face.and_then(|face| face.template).map(|template| template.values().to_vec()))
    };
    Ok(evaluate_faces(pictures, largest, || ())?)
}

/// The table, and the lines for the site file.
pub fn report(likenesses: &Likenesses, verify_fmr: f64, search_fmr: f64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, likenesses, verify_fmr, search_fmr);
    text
}

fn write_report(
    f: &mut String,
    likenesses: &Likenesses,
    verify_fmr: f64,
    search_fmr: f64,
) -> std::fmt::Result {
    writeln!(f, "{} pairs of one person, {} of two\n", likenesses.same.len(), likenesses.other.len())?;
    writeln!(f, "threshold  taken for another (FMR, 95 % interval)       refused (FNMR, 95 % interval)")?;
    for step in 3..=14u8 {
        let rates = likenesses.rates(f32::from(step) * 0.05);
        writeln!(f, "     {:.2}  {:46}  {}", rates.threshold, rates.fmr.to_string(), rates.fnmr)?;
    }
    writeln!(f, "\nfor the site file:\n\n[recognition.faces]")?;
    for (key, fmr) in [("threshold_verify", verify_fmr), ("threshold_watch_list", search_fmr)] {
        match likenesses.at_fmr(fmr) {
            Some(rates) => writeln!(
                f,
                "{key} = {:.3}  # at most {} % of two people are taken for one, {:.1} % of one person are refused \
                 ({:.1} to {:.1})",
                rates.threshold,
                fmr * 100.0,
                rates.fnmr.percent.unwrap_or(0.0),
                rates.fnmr.low,
                rates.fnmr.high
            )?,
            None => writeln!(
                f,
                "# {key}: cannot be told for {} % from {} pairs of two people, {:.0} are needed: add people",
                fmr * 100.0,
                likenesses.other.len(),
                (1.0 / fmr).ceil()
            )?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Likenesses {
        // 1000 pairs of two people from 0.000 to 0.499 (each value twice), 100 of one person from 0.30 to 0.795
        let other = (0..1000u16).map(|at| f32::from(at / 2) / 1000.0).collect();
        let same = (0..100u16).map(|at| 0.3 + f32::from(at) * 0.005).collect();
        Likenesses { same, other }
    }

    #[test]
    fn the_threshold_is_the_least_that_keeps_the_rate() {
        let likenesses = sample();
        let rates = likenesses.at_fmr(0.01).unwrap();
        // 10 of 1000 may be above: 0.495 to 0.499, twice each
        assert!((rates.threshold - 0.495).abs() < 1e-6, "{rates:?}");
        assert_eq!((rates.fmr.n, rates.fnmr.n), (10, 39));
        assert!(likenesses.rates(0.494).fmr.n > 10);
        assert!(likenesses.at_fmr(0.001).is_some(), "1000 pairs are enough for one in a thousand");
        assert!(likenesses.at_fmr(0.0005).is_none());
    }

    #[test]
    fn the_report_says_what_cannot_be_told() {
        let text = report(&sample(), 0.01, 0.0001);
        assert!(text.contains("threshold_verify = 0.495"), "{text}");
        assert!(text.contains("# threshold_watch_list: cannot be told for 0.01 % from 1000 pairs"), "{text}");
    }

    #[test]
    fn folders_of_people_are_read_and_a_wrong_folder_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["anna/1.jpg", "anna/2.JPG", "anna/notes.txt", "boris/1.png", "boris/2.png"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = pictures(folder.path()).unwrap();
        assert_eq!(found.people, [vec![0, 1], vec![2, 3]]);
        assert_eq!(found.pictures[0].0, "anna/1.jpg");
        let templates = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]].map(|it| Some(it.to_vec())).to_vec();
        let likenesses = likenesses(&found, &FaceEvaluation { templates, ..FaceEvaluation::default() });
        assert_eq!((likenesses.same.len(), likenesses.other.len()), (2, 4));
        let wrong = pictures(&folder.path().join("anna")).unwrap_err().to_string();
        assert!(wrong.contains("pairs.csv") && wrong.contains("0 folders"), "{wrong}");
    }
}
