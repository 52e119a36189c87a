//! Face templates against each other: how often one person is refused, how often another is taken for him.
//!
//! Words as in ISO/IEC 19795-1: FNMR, false non-match rate, and FMR, false match rate, over comparisons of two templates;
//! TAR, true accept rate, and FAR, false accept rate, over all pairs, where a picture without a template is a refusal.

use super::figures::{Share, StageSpread, StageTimes, peak_memory_mib};
use super::labels::{Selection, picture_path, table};
use super::plates::stages;
use crate::{ModelError, Picture};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// FMR and FAR at which the others are given, as LFW's and NIST's tables do.
const TARGETS: [f64; 2] = [0.01, 0.001];
/// Draws of the bootstrap.
const DRAWS: usize = 1000;
/// Folds of the accuracy with a threshold of other folds, as in LFW's protocol.
const FOLDS: usize = 10;

/// Pictures of faces and who is on them.
#[derive(Clone, Debug)]
pub struct FacePictures {
    /// File name and place of each picture.
    pub pictures: Vec<(String, PathBuf)>,
    /// `pairs.csv`: two pictures, and whether they show one person.
    pub pairs: Vec<(usize, usize, bool)>,
    /// `identities.csv`, if it is there: pictures of each person.
    pub people: Vec<Vec<usize>>,
}

/// Reads `dir/pairs.csv` (columns `a,b,same`, same is 1 or 0) and, if it is there, `dir/identities.csv` (columns
/// `file,identity`). A half is every second pair and every second person.
///
/// # Errors
/// There is no such folder or table, its columns are others, or a picture is missing.
pub fn face_pictures(dir: &Path, selection: Selection) -> Result<FacePictures, ModelError> {
    let mut result = FacePictures { pictures: Vec::new(), pairs: Vec::new(), people: Vec::new() };
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let (_, rows) = table(dir, "pairs.csv", "a,b,same", |header| header == ["a", "b", "same"])?;
    for (number, row) in selection.of(rows) {
        let [a, b, same] = row.as_slice() else { continue };
        let same = match same.as_str() {
            "1" => true,
            "0" => false,
            other => {
                let reason = format!("line {number}: expected 1 or 0 for `same`, got `{other}`");
                return Err(ModelError::Evaluation { path: dir.join("pairs.csv"), reason });
            }
        };
        let (a, b) = (result.index(dir, a, &mut known)?, result.index(dir, b, &mut known)?);
        result.pairs.push((a, b, same));
    }
    if dir.join("identities.csv").is_file() {
        let (_, rows) =
            table(dir, "identities.csv", "file,identity", |header| header == ["file", "identity"])?;
        let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (_, row) in rows {
            if let [file, person] = row.as_slice() {
                people.entry(person.clone()).or_default().push(file.clone());
            }
        }
        for (_, files) in selection.of(people.into_iter().collect()) {
            let of_one = files.iter().map(|file| result.index(dir, file, &mut known));
            let of_one = of_one.collect::<Result<Vec<_>, _>>()?;
            result.people.push(of_one);
        }
    }
    Ok(result)
}

impl FacePictures {
    fn index(
        &mut self,
        dir: &Path,
        file: &str,
        known: &mut BTreeMap<String, usize>,
    ) -> Result<usize, ModelError> {
        if let Some(index) = known.get(file) {
            return Ok(*index);
        }
        self.pictures.push((file.to_owned(), picture_path(dir, file)?));
        known.insert(file.to_owned(), self.pictures.len() - 1);
        Ok(self.pictures.len() - 1)
    }
}

/// What came of each picture.
#[derive(Clone, Debug, Default)]
pub struct FaceEvaluation {
    /// A template per picture; none where the face was not found or not good enough.
    pub templates: Vec<Option<Vec<f32>>>,
    /// Milliseconds per picture by stage.
    pub times: StageTimes,
}

/// Makes a template of every picture with `template`, which adds its own stages to the times.
///
/// # Errors
/// A picture cannot be read, or what `template` says.
pub fn evaluate_faces(
    pictures: &FacePictures,
    mut template: impl FnMut(&Picture, &mut StageTimes) -> Result<Option<Vec<f32>>, ModelError>,
    mut progress: impl FnMut(),
) -> Result<FaceEvaluation, ModelError> {
    let mut result = FaceEvaluation::default();
    for (_, path) in &pictures.pictures {
        let picture = Picture::open(path)?;
        let begin = std::time::Instant::now();
        result.templates.push(template(&picture, &mut result.times)?);
        result.times.add("total", 1e3 * begin.elapsed().as_secs_f64());
        progress();
    }
    Ok(result)
}

/// One comparison: similarity, if both pictures have a template, and whose.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Comparison {
    similarity: Option<f32>,
    people: (usize, usize),
}

/// Comparisons of one person with himself, and with others.
#[derive(Clone, Debug, Default)]
struct Comparisons {
    same: Vec<Comparison>,
    other: Vec<Comparison>,
    people: usize,
}

/// The cosine of two templates; none if one has no length.
fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && lengths > 0.0).then(|| dot(a, b) / lengths)
}

impl FaceEvaluation {
    fn similarity(&self, a: usize, b: usize) -> Option<f32> {
        let of = |index: usize| self.templates.get(index)?.as_deref();
        cosine(of(a)?, of(b)?)
    }

    /// The pairs of `pairs.csv`: each stands for itself.
    fn pairs(&self, pictures: &FacePictures) -> Comparisons {
        let mut result = Comparisons { people: pictures.pairs.len(), ..Comparisons::default() };
        for (unit, (a, b, same)) in pictures.pairs.iter().enumerate() {
            let one = Comparison { similarity: self.similarity(*a, *b), people: (unit, unit) };
            if *same { result.same.push(one) } else { result.other.push(one) }
        }
        result
    }

    /// Every picture of every person with every other picture.
    fn all_with_all(&self, pictures: &FacePictures) -> Comparisons {
        let mut result = Comparisons { people: pictures.people.len(), ..Comparisons::default() };
        let owned: Vec<(usize, usize)> = pictures
            .people
            .iter()
            .enumerate()
            .flat_map(|(person, files)| files.iter().map(move |file| (person, *file)))
            .collect();
        for (at, (one, a)) in owned.iter().enumerate() {
            for (two, b) in owned.iter().skip(at + 1) {
                let comparison = Comparison { similarity: self.similarity(*a, *b), people: (*one, *two) };
                if one == two { result.same.push(comparison) } else { result.other.push(comparison) }
            }
        }
        result
    }

    /// The figures. `thresholds` are similarities at which the rates are wanted too, such as those in use.
    #[must_use]
    pub fn figures(&self, set: &str, pictures: &FacePictures, thresholds: &[f32]) -> FaceFigures {
        let mut parts = vec![("pairs.csv", self.pairs(pictures))];
        if !pictures.people.is_empty() {
            parts.push(("all with all, identities.csv", self.all_with_all(pictures)));
        }
        let without = |template: &&Option<Vec<f32>>| template.is_none();
        let missing = self.templates.iter().filter(without).count();
        let named = pictures.pictures.iter().zip(&self.templates).filter(|(_, t)| t.is_none());
        FaceFigures {
            set: set.to_owned(),
            pictures: self.templates.len(),
            without_template: Share::new(missing, self.templates.len()),
            without_template_files: named.map(|((file, _), _)| file.clone()).collect(),
            comparisons: parts.iter().map(|(name, part)| part.figures(name, thresholds)).collect(),
            milliseconds: self.times.spreads(),
            inference_percent: super::plates::inference_percent(&self.times),
            peak_memory_mib: peak_memory_mib(None),
        }
    }

    /// Pairs of `pairs.csv` that `threshold` decides wrongly, with their similarity.
    #[must_use]
    pub fn wrong_pairs(&self, pictures: &FacePictures, threshold: f32) -> Vec<WrongPair> {
        let name = |index: &usize| pictures.pictures.get(*index).map(|p| p.0.clone()).unwrap_or_default();
        let judged = pictures.pairs.iter().map(|(a, b, same)| (a, b, *same, self.similarity(*a, *b)));
        let wrong =
            judged.filter(|(_, _, same, similarity)| similarity.is_some_and(|s| s >= threshold) != *same);
        wrong.map(|(a, b, same, similarity)| WrongPair { a: name(a), b: name(b), same, similarity }).collect()
    }
}

/// A pair that was decided wrongly.
#[derive(Clone, Debug, Serialize)]
pub struct WrongPair {
    /// One picture.
    pub a: String,
    /// The other.
    pub b: String,
    /// Whether they show one person.
    pub same: bool,
    /// Cosine; none where a picture has no template.
    pub similarity: Option<f32>,
}

/// Pieces of chance that are the same in every run (SplitMix64, Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(z ^ (z >> 31)) * limit as u128) >> 64) as usize
    }
}

/// The highest first; those without similarity last.
fn falling(comparisons: &[Comparison]) -> Vec<Comparison> {
    let mut sorted = comparisons.to_vec();
    let key = |c: &Comparison| c.similarity.unwrap_or(f32::NEG_INFINITY);
    sorted.sort_by(|a, b| key(b).total_cmp(&key(a)));
    sorted
}

impl Comparisons {
    /// The lowest threshold at which at most `target` of the weight of `other` (falling) reaches it; none where so few
    /// comparisons cannot show such a rate.
    fn threshold(other: &[Comparison], weight: impl Fn(&Comparison) -> f64, target: f64) -> Option<f32> {
        let all: f64 = other.iter().map(&weight).sum();
        if all * target < 1.0 {
            return None;
        }
        let mut passed = 0.0;
        for one in other {
            passed += weight(one);
            if passed > target * all {
                // just above the first one too many
                return one.similarity.map(f32::next_up).or(Some(-1.0));
            }
        }
        Some(-1.0)
    }

    fn reach(comparisons: &[Comparison], threshold: f32) -> usize {
        comparisons.iter().filter(|c| c.similarity.is_some_and(|s| s >= threshold)).count()
    }

    fn figures(&self, name: &str, thresholds: &[f32]) -> ComparisonFigures {
        let (same, other) = (falling(&self.same), falling(&self.other));
        let compared = |all: &[Comparison]| all.iter().filter(|c| c.similarity.is_some()).count();
        let rates = |target: Option<f64>, threshold: f32| {
            let (accepted, matched) = (Self::reach(&same, threshold), Self::reach(&other, threshold));
            Rates {
                target_percent: target.map(|t| 100.0 * t),
                threshold,
                fmr: Share::new(matched, compared(&other)),
                fnmr: Share::new(compared(&same) - accepted, compared(&same)),
                fnmr_bootstrap: target.and_then(|target| self.bootstrap(&same, &other, target)),
                far: Share::new(matched, other.len()),
                tar: Share::new(accepted, same.len()),
            }
        };
        let at_targets = TARGETS.iter().map(|target| {
            let found: Vec<_> = other.iter().filter(|c| c.similarity.is_some()).copied().collect();
            Target {
                fmr_percent: 100.0 * target,
                rates: Self::threshold(&found, |_| 1.0, *target).map(|t| rates(Some(*target), t)),
                pairs_needed: (1.0 / target).round() as usize,
            }
        });
        ComparisonFigures {
            of: name.to_owned(),
            same: same.len(),
            other: other.len(),
            targets: at_targets.collect(),
            at_thresholds: thresholds.iter().map(|t| rates(None, *t)).collect(),
            accuracy_folds: self.accuracy_in_folds(),
        }
    }

    /// The 95 % interval of FNMR at an FMR of `target`, in percent, threshold and all: people are drawn with replacement
    /// (pairs, where people are not known), percentiles of the draws.
    fn bootstrap(&self, same: &[Comparison], other: &[Comparison], target: f64) -> Option<(f64, f64)> {
        let mut chance = Chance(1);
        let mut rates = Vec::with_capacity(DRAWS);
        let found =
            |all: &[Comparison]| all.iter().filter(|c| c.similarity.is_some()).copied().collect::<Vec<_>>();
        let (same, other) = (found(same), found(other));
        for _ in 0..DRAWS {
            let mut drawn = vec![0.0; self.people];
            for _ in 0..self.people {
                if let Some(count) = drawn.get_mut(chance.below(self.people)) {
                    *count += 1.0;
                }
            }
            let weight = |c: &Comparison| {
                let of = |person: usize| drawn.get(person).copied().unwrap_or(0.0);
                if c.people.0 == c.people.1 { of(c.people.0) } else { of(c.people.0) * of(c.people.1) }
            };
            let Some(threshold) = Self::threshold(&other, weight, target) else { continue };
            let all: f64 = same.iter().map(weight).sum();
            let reach = |c: &&Comparison| c.similarity.is_some_and(|s| s >= threshold);
            let accepted: f64 = same.iter().filter(reach).map(weight).sum();
            if all > 0.0 {
                rates.push(100.0 * (1.0 - accepted / all));
            }
        }
        rates.sort_by(f64::total_cmp);
        let at =
            |part: f64| rates.get((part * rates.len().saturating_sub(1) as f64).round() as usize).copied();
        at(0.025).zip(at(0.975))
    }

    /// Right decisions when the threshold of each tenth of the pairs is the best one of the other nine.
    fn accuracy_in_folds(&self) -> Option<Share> {
        let judged: Vec<(usize, f32, bool)> = [(&self.same, true), (&self.other, false)]
            .into_iter()
            .flat_map(|(all, same)| all.iter().enumerate().map(move |(i, c)| (i % FOLDS, c, same)))
            .map(|(fold, c, same)| (fold, c.similarity.unwrap_or(-1.0), same))
            .collect();
        // Where pairs of one kind abound, always saying that kind is nearly always right
        let (same, other) = (self.same.len(), self.other.len());
        if same.min(other) < FOLDS || same.max(other) > 10 * same.min(other) {
            return None;
        }
        let mut right = 0;
        for fold in 0..FOLDS {
            let mut rest: Vec<_> = judged.iter().filter(|j| j.0 != fold).map(|j| (j.1, j.2)).collect();
            rest.sort_by(|a, b| a.0.total_cmp(&b.0));
            // from accepting everything upwards, one more is refused at each step
            let mut score = rest.iter().filter(|r| r.1).count();
            let (mut best, mut threshold) = (score, -1.0);
            for (similarity, same) in &rest {
                score = if *same { score - 1 } else { score + 1 };
                if score > best {
                    (best, threshold) = (score, similarity.next_up());
                }
            }
            right += judged.iter().filter(|j| j.0 == fold && (j.1 >= threshold) == j.2).count();
        }
        Some(Share::new(right, judged.len()))
    }
}

/// Rates at one threshold.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// The FMR that the threshold was set for, in percent; none for a given threshold.
    pub target_percent: Option<f64>,
    /// Least similarity (cosine) that counts as a match.
    pub threshold: f32,
    /// False match rate, with Wilson's interval at this threshold.
    pub fmr: Share,
    /// False non-match rate, with Wilson's interval at this threshold.
    pub fnmr: Share,
    /// FNMR's interval in percent, threshold and all, by bootstrap over people.
    pub fnmr_bootstrap: Option<(f64, f64)>,
    /// False accept rate: of all pairs of others.
    pub far: Share,
    /// True accept rate: of all pairs of one person.
    pub tar: Share,
}

/// Rates at an FMR, if there are pairs enough for it.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// The FMR.
    pub fmr_percent: f64,
    /// The rates; none where there are fewer pairs of others than `pairs_needed`.
    pub rates: Option<Rates>,
    /// Pairs of others without which one false match is already more.
    pub pairs_needed: usize,
}

/// Figures over one set of comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonFigures {
    /// Which comparisons.
    pub of: String,
    /// Pairs of one person.
    pub same: usize,
    /// Pairs of two people.
    pub other: usize,
    /// At each FMR.
    pub targets: Vec<Target>,
    /// At given thresholds.
    pub at_thresholds: Vec<Rates>,
    /// Right decisions in ten folds, each with the best threshold of the nine others.
    pub accuracy_folds: Option<Share>,
}

/// Figures over a folder.
#[derive(Clone, Debug, Serialize)]
pub struct FaceFigures {
    /// On what.
    pub set: String,
    /// Pictures looked at.
    pub pictures: usize,
    /// Pictures without a template: no face, or not good enough.
    pub without_template: Share,
    /// Which.
    pub without_template_files: Vec<String>,
    /// Pairs, and all with all.
    pub comparisons: Vec<ComparisonFigures>,
    /// Per picture by stage.
    pub milliseconds: Vec<StageSpread>,
    /// Part of the time that was spent inside ONNX Runtime, in percent.
    pub inference_percent: Option<f64>,
    /// The process's peak so far.
    pub peak_memory_mib: Option<f64>,
}

impl std::fmt::Display for FaceFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.set)?;
        writeln!(f, "  {:<22} {:>5}", "pictures", self.pictures)?;
        writeln!(
            f,
            "  {:<22} {}  {:?}",
            "without a template", self.without_template, self.without_template_files
        )?;
        for part in &self.comparisons {
            writeln!(f, "  {}: {} pairs of one person, {} of two", part.of, part.same, part.other)?;
            for target in &part.targets {
                match &target.rates {
                    Some(rates) => {
                        writeln!(
                            f,
                            "    at FMR {} %: similarity {:.3}",
                            target.fmr_percent, rates.threshold
                        )?;
                        write_rates(f, rates)?;
                    }
                    None => writeln!(
                        f,
                        "    at FMR {} %: cannot be told from {} pairs, {} are needed",
                        target.fmr_percent, part.other, target.pairs_needed
                    )?,
                }
            }
            for rates in &part.at_thresholds {
                writeln!(f, "    at similarity {:.3}", rates.threshold)?;
                write_rates(f, rates)?;
            }
            if let Some(share) = part.accuracy_folds {
                writeln!(f, "    {:<20} {share}", "right in ten folds")?;
            }
        }
        stages(f, &self.milliseconds)?;
        if let Some(percent) = self.inference_percent {
            writeln!(f, "  {:<22} {percent:>5.1} % of the time", "inside ONNX Runtime")?;
        }
        if let Some(mib) = self.peak_memory_mib {
            writeln!(f, "  {:<22} {mib:>5.0} MiB", "peak memory")?;
        }
        Ok(())
    }
}

fn write_rates(f: &mut std::fmt::Formatter<'_>, rates: &Rates) -> std::fmt::Result {
    let drawn = rates.fnmr_bootstrap.map(|(low, high)| format!(", bootstrap {low:.1} to {high:.1}"));
    writeln!(f, "      {:<6} {}", "FMR", rates.fmr)?;
    writeln!(f, "      {:<6} {}{}", "FNMR", rates.fnmr, drawn.unwrap_or_default())?;
    writeln!(f, "      {:<6} {}", "FAR", rates.far)?;
    writeln!(f, "      {:<6} {}", "TAR", rates.tar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Half;

    fn comparisons(same: &[Option<f32>], other: &[Option<f32>]) -> Comparisons {
        let of = |all: &[Option<f32>]| {
            let one = |(i, s): (usize, &Option<f32>)| Comparison { similarity: *s, people: (i, i) };
            all.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        Comparisons { same: of(same), other: of(other), people: same.len().max(other.len()) }
    }

    #[test]
    fn rates_at_the_threshold_that_lets_one_in_a_hundred_pass() {
        // Others from 0.000 to 0.199; at 1 % two may pass, so the threshold lies above 0.197
        let other: Vec<_> = (0..200).map(|i| Some(i as f32 / 1000.0)).collect();
        let mut same: Vec<_> = (0..18).map(|i| Some(0.5 + i as f32 / 100.0)).collect();
        same.extend([Some(0.197), None]);
        let figures = comparisons(&same, &other).figures("test", &[0.1]);
        let rates = figures.targets[0].rates.as_ref().unwrap();
        assert_eq!((rates.fmr.n, rates.fmr.of), (2, 200));
        assert!(rates.threshold > 0.197 && rates.threshold < 0.198);
        assert_eq!((rates.fnmr.n, rates.fnmr.of), (1, 19));
        assert_eq!((rates.tar.n, rates.tar.of), (18, 20));
        let (low, high) = rates.fnmr_bootstrap.unwrap();
        assert!(low <= rates.fnmr.percent.unwrap() && rates.fnmr.percent.unwrap() <= high && high < 40.0);
        assert!(figures.targets[1].rates.is_none(), "200 pairs cannot show 0.1 %");
        assert_eq!((figures.at_thresholds[0].fmr.n, figures.at_thresholds[0].fnmr.n), (100, 0));
        let text = comparisons(&same, &other).figures("test", &[]);
        assert_eq!(format!("{text:?}"), format!("{:?}", comparisons(&same, &other).figures("test", &[])));
    }

    #[test]
    fn folds_decide_with_the_threshold_of_the_others() {
        let apart = comparisons(&[Some(0.9); 10], &[Some(0.1); 10]);
        assert_eq!(apart.accuracy_in_folds().unwrap().n, 20);
        let alike = comparisons(&[Some(0.5); 10], &[Some(0.5); 10]);
        assert_eq!(alike.accuracy_in_folds().unwrap().n, 10);
        assert_eq!(comparisons(&[Some(0.9)], &[Some(0.1)]).accuracy_in_folds(), None);
        assert_eq!(comparisons(&[Some(0.9); 10], &[Some(0.1); 101]).accuracy_in_folds(), None);
    }

    fn folder(pairs: &str, identities: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pairs.csv"), pairs).unwrap();
        if let Some(identities) = identities {
            std::fs::write(dir.path().join("identities.csv"), identities).unwrap();
        }
        std::fs::create_dir(dir.path().join("images")).unwrap();
        for (index, name) in ["a1", "a2", "b1", "b2"].iter().enumerate() {
            let jpeg = Picture::from_bgr(8, 8, &[40 + 50 * index as u8; 192]).unwrap().jpeg(95).unwrap();
            std::fs::write(dir.path().join("images").join(format!("{name}.jpg")), jpeg).unwrap();
        }
        dir
    }

    #[test]
    fn a_folder_is_read_and_compared() {
        let people = "file,identity\na1.jpg,A\na2.jpg,A\nb1.jpg,B\nb2.jpg,B\n";
        let dir = folder("a,b,same\r\na1.jpg,a2.jpg,1\r\na1.jpg,b1.jpg,0\r\n", Some(people));
        let pictures = face_pictures(dir.path(), Selection::default()).unwrap();
        assert_eq!((pictures.pictures.len(), pictures.pairs.len(), pictures.people.len()), (4, 2, 2));
        // The template turns with the grey value; the last picture has none
        let got = evaluate_faces(
            &pictures,
            |picture, times| {
                times.add("grey", 1.0);
                let grey = f32::from(picture.bgr()?[0]);
                Ok((grey < 180.0).then(|| vec![(grey / 100.0).cos(), (grey / 100.0).sin()]))
            },
            || (),
        )
        .unwrap();
        let figures = got.figures("test", &pictures, &[0.5]);
        assert_eq!((figures.without_template.n, figures.without_template.of), (1, 4));
        assert_eq!(figures.without_template_files, ["b2.jpg"]);
        let all = &figures.comparisons[1];
        assert_eq!((all.same, all.other), (2, 4));
        assert_eq!((all.at_thresholds[0].tar.n, all.at_thresholds[0].fnmr.of), (1, 1));
        assert_eq!(got.wrong_pairs(&pictures, 0.999).len(), 1);
        assert!(figures.to_string().contains("cannot be told from 1 pairs"));
    }

    #[test]
    fn halves_and_bad_tables() {
        let dir = folder("a,b,same\na1.jpg,a2.jpg,1\na1.jpg,b1.jpg,0\nb1.jpg,b2.jpg,1\n", None);
        let half = |half| face_pictures(dir.path(), Selection { half, limit: None }).unwrap().pairs.len();
        assert_eq!((half(Half::Tune), half(Half::Report)), (2, 1));
        let error =
            |pairs| face_pictures(folder(pairs, None).path(), Selection::default()).unwrap_err().to_string();
        assert!(error("a,b\n").contains("expected the columns a,b,same"));
        assert!(error("a,b,same\na1.jpg,a2.jpg,yes\n").contains("expected 1 or 0"));
        assert!(error("a,b,same\na1.jpg,zz.jpg,1\n").contains("no such file"));
    }
}
