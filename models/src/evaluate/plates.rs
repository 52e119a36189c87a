//! Plate reads against labels.

use super::figures::{
    ReliabilityBin, Share, StageSpread, StageTimes, peak_memory_mib, reliability, right_signs,
};
use super::labels::{LabelledPicture, labelled_pictures};
use crate::plate::rectify::{bounds, overlap};
use crate::{ModelError, Picture, PlateRead, PlateReader, StageMilliseconds};
use serde::Serialize;
use std::path::Path;

/// A read stands in the place of a label when the boxes overlap this much (IoU).
const SAME_PLACE: f32 = 0.3;

/// What a reader, ours or another's, says of one plate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenPlate {
    /// A-Z and 0-9.
    pub text: String,
    /// The country of its format, where the reader says one.
    pub country: Option<String>,
    /// Where it is, if the reader says so: left, top, right, bottom.
    pub place: Option<[f32; 4]>,
    /// Whether the reader calls it safe to act on.
    pub certain: bool,
    /// Chance that it is right as the reader claims.
    pub probability: Option<f64>,
    /// Our reader's margin in nats.
    pub margin: Option<f64>,
    /// Other readings, best first.
    pub candidates: Vec<String>,
}

impl From<&PlateRead> for SeenPlate {
    fn from(read: &PlateRead) -> Self {
        Self {
            text: read.text.clone(),
            country: read.country.clone(),
            place: Some(bounds(&read.corners)),
            certain: read.certain,
            probability: Some(read.probability),
            margin: Some(read.margin),
            candidates: read.candidates.iter().skip(1).map(|c| c.text.clone()).collect(),
        }
    }
}

/// What happened to one labelled plate.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Picture file.
    pub file: String,
    /// Right text.
    pub label: String,
    /// The read that counts for this label.
    pub read: Option<SeenPlate>,
}

/// A text in a picture that is to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Picture file.
    pub file: String,
    /// What was read.
    pub text: String,
    /// What the labels of the picture say.
    pub labels: Vec<String>,
}

/// Outcomes over a folder.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Pictures read.
    pub pictures: usize,
    /// One per labelled plate that can be read.
    pub outcomes: Vec<Outcome>,
    /// Reads that are certain and whose text is none of the picture's labels (O as 0, I as 1: labels mix them up), in a
    /// labelled place or in a set without places. Each is to be looked at: it is an error, or a plate without a label.
    pub wrong_but_certain: Vec<Named>,
    /// Reads that are no labelled plate's and in no labelled place, with their file: plates without a label, and false ones.
    pub elsewhere: Vec<(String, SeenPlate)>,
    /// Milliseconds per picture by stage.
    pub times: StageTimes,
}

/// O as 0 and I as 1: the plates of some countries do not tell them apart.
fn folded(text: &str) -> String {
    text.replace('O', "0").replace('I', "1")
}

/// The letters and digits of a label.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

impl Evaluation {
    fn count(&self, test: impl Fn(&Outcome, &SeenPlate) -> bool) -> usize {
        self.outcomes.iter().filter(|o| o.read.as_ref().is_some_and(|r| test(o, r))).count()
    }

    /// Labelled plates with a read.
    #[must_use]
    pub fn found(&self) -> usize {
        self.count(|_, _| true)
    }

    /// Labelled plates read exactly.
    #[must_use]
    pub fn exact(&self) -> usize {
        self.count(|o, r| o.label == r.text)
    }

    /// Labelled plates read exactly but for O and 0, I and 1.
    #[must_use]
    pub fn exact_folded(&self) -> usize {
        self.count(|o, r| folded(&o.label) == folded(&r.text))
    }

    /// Labelled plates read with certainty, right or wrong.
    #[must_use]
    pub fn certain(&self) -> usize {
        self.count(|_, r| r.certain)
    }

    /// Compares the reads of one picture with its labels. A read counts for one label at most: first by text, wherever
    /// it stands; then by place; in a picture without places the rest by the fewest errors. What is left over in no
    /// labelled place is "elsewhere", but for one read each in place of an unreadable label without a place.
    pub fn add(&mut self, picture: &LabelledPicture, reads: &[SeenPlate]) {
        self.pictures += 1;
        let labels: Vec<(String, Option<[f32; 4]>)> =
            picture.labels.iter().map(|l| (plain(&l.text), l.place)).collect();
        let given = matched(&labels, reads);
        for ((label, _), read) in labels.iter().zip(&given).filter(|((label, _), _)| !label.is_empty()) {
            let read = read.and_then(|index| reads.get(index)).cloned();
            self.outcomes.push(Outcome { file: picture.file.clone(), label: label.clone(), read });
        }
        let texts: Vec<String> = labels.iter().map(|(label, _)| label.clone()).collect();
        let placed = |read: &SeenPlate| labels.iter().any(|(_, place)| in_place(*place, read));
        // A read anywhere may be of an unreadable plate whose place nobody wrote down
        let mut excused = labels.iter().filter(|(text, place)| text.is_empty() && place.is_none()).count();
        let anywhere = labels.iter().all(|(_, place)| place.is_none());
        for (index, read) in reads.iter().enumerate() {
            let here = given.contains(&Some(index)) || placed(read);
            let right = texts.iter().any(|text| folded(text) == folded(&read.text));
            let unreadable = labels.iter().any(|(text, place)| text.is_empty() && in_place(*place, read));
            if !here && !right && excused > 0 {
                excused -= 1;
                continue;
            }
            if !here {
                self.elsewhere.push((picture.file.clone(), read.clone()));
            }
            if read.certain && !right && !unreadable && (here || anywhere) {
                let labels = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
                let (file, text) = (picture.file.clone(), read.text.clone());
                self.wrong_but_certain.push(Named { file, text, labels });
            }
        }
    }

    /// Adds the outcomes of another folder.
    pub fn append(&mut self, other: &Self) {
        self.pictures += other.pictures;
        self.outcomes.extend_from_slice(&other.outcomes);
        self.wrong_but_certain.extend_from_slice(&other.wrong_but_certain);
        self.elsewhere.extend_from_slice(&other.elsewhere);
        self.times.append(&other.times);
    }

    /// The figures. `set` says on what, `process` whose peak memory belongs to them.
    #[must_use]
    pub fn figures(&self, set: &str, process: Option<u32>) -> PlateFigures {
        let all = self.outcomes.len();
        let share = |n| Share::new(n, all);
        let signs: usize = self.outcomes.iter().map(|o| o.label.chars().count()).sum();
        let right = |o: &Outcome| o.read.as_ref().map_or(0, |r| right_signs(&o.label, &r.text));
        let any = |o: &Outcome, r: &SeenPlate| {
            let mut texts = std::iter::once(&r.text).chain(&r.candidates);
            texts.any(|text| folded(text) == folded(&o.label))
        };
        let claims: Vec<(f64, bool)> = self
            .outcomes
            .iter()
            .filter_map(|o| o.read.as_ref().map(|r| (o, r)))
            .filter_map(|(o, r)| Some((r.probability?, folded(&r.text) == folded(&o.label))))
            .collect();
        let named = |(file, read): &(String, SeenPlate)| Named {
            file: file.clone(),
            text: read.text.clone(),
            labels: self.outcomes.iter().filter(|o| o.file == *file).map(|o| o.label.clone()).collect(),
        };
        PlateFigures {
            set: set.to_owned(),
            pictures: self.pictures,
            labelled: all,
            found: share(self.found()),
            exact: share(self.exact()),
            exact_folded: share(self.exact_folded()),
            any_candidate_folded: share(self.count(any)),
            right_signs: Share::new(self.outcomes.iter().map(right).sum(), signs),
            certain: share(self.certain()),
            wrong_but_certain: self.wrong_but_certain.clone(),
            certain_elsewhere: self
                .elsewhere
                .iter()
                .filter(|e| e.1.certain)
                .map(named)
                .filter(|n| !self.wrong_but_certain.contains(n))
                .collect(),
            false_plates: self.elsewhere.len(),
            false_plates_per_picture: self.elsewhere.len() as f64 / self.pictures.max(1) as f64,
            milliseconds: self.times.spreads(),
            inference_percent: inference_percent(&self.times),
            peak_memory_mib: peak_memory_mib(process),
            reliability: reliability(&claims),
        }
    }

    /// Labelled plates that were not read exactly (O and 0, I and 1 told apart), a line each.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        let wrong = |o: &&Outcome| o.read.as_ref().is_none_or(|r| r.text != o.label);
        let failure = |o: &Outcome| Failure {
            file: o.file.clone(),
            label: o.label.clone(),
            read: o.read.as_ref().map(|r| r.text.clone()),
            probability: o.read.as_ref().and_then(|r| r.probability),
            margin: o.read.as_ref().and_then(|r| r.margin),
            certain: o.read.as_ref().is_some_and(|r| r.certain),
            only_look_alikes: o.read.as_ref().is_some_and(|r| folded(&r.text) == folded(&o.label)),
            candidates: o.read.as_ref().map(|r| r.candidates.clone()).unwrap_or_default(),
        };
        self.outcomes.iter().filter(wrong).map(failure).collect()
    }
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.figures("all", None).fmt(f)
    }
}

fn in_place(place: Option<[f32; 4]>, read: &SeenPlate) -> bool {
    place.zip(read.place).is_some_and(|(label, read)| overlap(label, read).0 >= SAME_PLACE)
}

/// For each label the index of its read.
fn matched(labels: &[(String, Option<[f32; 4]>)], reads: &[SeenPlate]) -> Vec<Option<usize>> {
    // A picture without places is scored by text alone; and so is a reader that gives none
    let anywhere = labels.iter().all(|(_, place)| place.is_none());
    let mut pairs = Vec::new();
    for (label, (text, place)) in labels.iter().enumerate().filter(|(_, (text, _))| !text.is_empty()) {
        for (index, read) in reads.iter().enumerate() {
            let here = in_place(*place, read);
            let rank = if *text == read.text {
                0
            } else if folded(text) == folded(&read.text) {
                1
            } else if here {
                2
            } else if anywhere || read.place.is_none() {
                3
            } else {
                continue;
            };
            pairs.push((rank, !here, strsim::levenshtein(text, &read.text), index, label));
        }
    }
    pairs.sort_unstable();
    let mut given = vec![None; labels.len()];
    for (_, _, _, index, label) in pairs {
        if !given.contains(&Some(index))
            && let Some(slot @ None) = given.get_mut(label)
        {
            *slot = Some(index);
        }
    }
    given
}

/// A labelled plate that was not read as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Picture file.
    pub file: String,
    /// Right text.
    pub label: String,
    /// What was read, if anything.
    pub read: Option<String>,
    /// As claimed.
    pub probability: Option<f64>,
    /// In nats.
    pub margin: Option<f64>,
    /// Whether it was called certain.
    pub certain: bool,
    /// Differs by O and 0, I and 1 only.
    pub only_look_alikes: bool,
    /// Other readings.
    pub candidates: Vec<String>,
}

/// Figures over a folder.
#[derive(Clone, Debug, Serialize)]
pub struct PlateFigures {
    /// On what.
    pub set: String,
    /// Pictures read.
    pub pictures: usize,
    /// Labelled plates that can be read.
    pub labelled: usize,
    /// Labelled plates with a read in their place, or, in a picture without places, anywhere.
    pub found: Share,
    /// Read exactly.
    pub exact: Share,
    /// Read exactly but for O and 0, I and 1.
    pub exact_folded: Share,
    /// The same in any of the candidates.
    pub any_candidate_folded: Share,
    /// Signs of the labels less the edits from label to read.
    pub right_signs: Share,
    /// Called certain, right or wrong.
    pub certain: Share,
    /// See [`Evaluation::wrong_but_certain`].
    pub wrong_but_certain: Vec<Named>,
    /// Certain reads in no labelled place of a set with places: plates without a label, or errors. Look at each.
    pub certain_elsewhere: Vec<Named>,
    /// Reads that are no labelled plate's.
    pub false_plates: usize,
    /// The same per picture.
    pub false_plates_per_picture: f64,
    /// Per picture by stage.
    pub milliseconds: Vec<StageSpread>,
    /// Part of the reader's time that was spent inside ONNX Runtime, in percent.
    pub inference_percent: Option<f64>,
    /// The process's peak so far.
    pub peak_memory_mib: Option<f64>,
    /// Claimed probability against what came true (O as 0, I as 1), over labelled plates with a read.
    pub reliability: Vec<ReliabilityBin>,
}

impl std::fmt::Display for PlateFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |all: &[Named]| {
            let one = |n: &Named| format!("\n    {}: {} for {}", n.file, n.text, n.labels.join(" "));
            all.iter().map(one).collect::<String>()
        };
        writeln!(f, "{}", self.set)?;
        writeln!(f, "  {:<22} {:>5} with {} labelled plates", "pictures", self.pictures, self.labelled)?;
        writeln!(f, "  {:<22} {}", "found", self.found)?;
        writeln!(f, "  {:<22} {}", "exact", self.exact)?;
        writeln!(f, "  {:<22} {}", "exact, O=0 I=1", self.exact_folded)?;
        writeln!(f, "  {:<22} {}", "in the candidates", self.any_candidate_folded)?;
        writeln!(f, "  {:<22} {}", "right signs", self.right_signs)?;
        writeln!(f, "  {:<22} {}", "certain", self.certain)?;
        let wrong = &self.wrong_but_certain;
        writeln!(f, "  {:<22} {:>5}{}", "wrong but certain", wrong.len(), names(wrong))?;
        let elsewhere = &self.certain_elsewhere;
        writeln!(f, "  {:<22} {:>5}{}", "certain, no label there", elsewhere.len(), names(elsewhere))?;
        let (all, each) = (self.false_plates, self.false_plates_per_picture);
        writeln!(f, "  {:<22} {all:>5}, {each:.3} per picture", "reads without a label")?;
        stages(f, &self.milliseconds)?;
        if let Some(percent) = self.inference_percent {
            writeln!(f, "  {:<22} {percent:>5.1} % of the time", "inside ONNX Runtime")?;
        }
        if let Some(mib) = self.peak_memory_mib {
            writeln!(f, "  {:<22} {mib:>5.0} MiB", "peak memory")?;
        }
        write!(f, "{}", Reliability(&self.reliability))
    }
}

/// Part of stage "total" that is stage "inference", in percent, where a reader measures it.
pub(crate) fn inference_percent(times: &StageTimes) -> Option<f64> {
    let (inference, total) = (times.sum("inference"), times.sum("total"));
    (inference > 0.0 && total > 0.0).then(|| 100.0 * inference / total)
}

/// Lines of a table of stages.
pub(crate) fn stages(f: &mut std::fmt::Formatter<'_>, stages: &[StageSpread]) -> std::fmt::Result {
    for StageSpread { stage, spread } in stages {
        let (median, p95, mean) = (spread.median, spread.p95, spread.mean);
        writeln!(f, "  {:<22} {median:>7.1} median {p95:>7.1} p95 {mean:>7.1} mean", format!("ms {stage}"))?;
    }
    Ok(())
}

/// A reliability diagram as lines of a table.
pub(crate) struct Reliability<'a>(pub(crate) &'a [ReliabilityBin]);

impl std::fmt::Display for Reliability<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.0.is_empty() {
            writeln!(f, "  probability   claimed      seen right")?;
        }
        for bin in self.0 {
            writeln!(f, "  {:.2} to {:.2}  {:>6.1} %  {}", bin.from, bin.to, bin.claimed, bin.seen)?;
        }
        Ok(())
    }
}

/// Adds the reader's times of one picture.
pub fn add_stages(times: &mut StageTimes, spent: &StageMilliseconds) {
    for (stage, milliseconds) in [
        ("detect", spent.detect),
        ("rectify", spent.rectify),
        ("read", spent.read),
        ("decode", spent.decode),
        ("inference", spent.inference),
        ("total", spent.total),
    ] {
        // A reader that does not measure a stage leaves it 0: missing is never zero
        if stage != "inference" || milliseconds > 0.0 {
            times.add(stage, milliseconds);
        }
    }
}

/// Reads every picture of a folder and compares.
///
/// # Errors
/// The labels cannot be read, or a picture cannot be.
pub fn evaluate(dir: &Path, reader: &mut PlateReader) -> Result<Evaluation, ModelError> {
    let mut result = Evaluation::default();
    for picture in labelled_pictures(dir)? {
        let reads = reader.read(&Picture::open(&picture.path)?)?;
        add_stages(&mut result.times, &reader.milliseconds());
        result.add(&picture, &reads.iter().map(SeenPlate::from).collect::<Vec<_>>());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Label;

    fn picture(labels: &[(&str, Option<[f32; 4]>)]) -> LabelledPicture {
        let label = |(text, place): &(&str, _)| Label { text: (*text).into(), place: *place };
        LabelledPicture {
            file: "1.jpg".into(),
            path: "1.jpg".into(),
            labels: labels.iter().map(label).collect(),
        }
    }

    fn read(text: &str, place: Option<[f32; 4]>, certain: bool) -> SeenPlate {
        let probability = Some(if certain { 0.995 } else { 0.4 });
        SeenPlate { text: text.into(), place, certain, probability, ..SeenPlate::default() }
    }

    fn over(labels: &[(&str, Option<[f32; 4]>)], reads: &[SeenPlate]) -> Evaluation {
        let mut result = Evaluation::default();
        result.add(&picture(labels), reads);
        result
    }

    const A: Option<[f32; 4]> = Some([0.0, 0.0, 100.0, 20.0]);
    const B: Option<[f32; 4]> = Some([200.0, 0.0, 300.0, 20.0]);
    const C: Option<[f32; 4]> = Some([200.0, 90.0, 300.0, 110.0]);

    #[test]
    fn several_plates_are_scored_by_text_over_all_labels() {
        let labels = [("A 001-MP05", None), ("B0", None), ("C3", None)];
        let got = over(&labels, &[read("C3", B, true), read("BO", A, true), read("A001MP5", C, false)]);
        assert_eq!((got.found(), got.exact(), got.exact_folded(), got.certain()), (3, 1, 2, 2));
        assert!(got.wrong_but_certain.is_empty() && got.elsewhere.is_empty());
        let figures = got.figures("test", None);
        assert_eq!((figures.right_signs.n, figures.right_signs.of), (7 + 1 + 2, 12));
        assert_eq!(got.failures().len(), 2);
        assert!(got.failures()[1].only_look_alikes);
    }

    #[test]
    fn a_read_counts_for_one_label_only() {
        let got = over(&[("A1", None), ("A1", None)], &[read("A1", A, true)]);
        assert_eq!((got.found(), got.exact()), (1, 1));
    }

    #[test]
    fn with_places_a_read_counts_where_it_stands_or_by_its_text() {
        let got =
            over(&[("A1", A), ("B2", B)], &[read("X9", A, false), read("B2", C, true), read("Z", C, false)]);
        assert_eq!((got.found(), got.exact()), (2, 1));
        assert_eq!(got.elsewhere.len(), 1);
        let missed = over(&[("A1", A)], &[read("X9", B, true)]);
        assert_eq!((missed.found(), missed.elsewhere.len()), (0, 1));
        assert_eq!(missed.figures("", None).certain_elsewhere.len(), 1);
    }

    #[test]
    fn a_wrong_text_that_is_certain_is_listed() {
        let wrong = |labels: &[_], reads: &[_]| over(labels, reads).wrong_but_certain.len();
        assert_eq!(wrong(&[("A1", A)], &[read("A7", A, true)]), 1);
        assert_eq!(wrong(&[("A1", A)], &[read("A1", A, true), read("A7", A, true)]), 1);
        assert_eq!(wrong(&[("A1", A)], &[read("A7", A, false)]), 0);
        assert_eq!(wrong(&[("A1", None)], &[read("A7", A, true)]), 1);
        assert_eq!(wrong(&[("AO", A)], &[read("A0", A, true)]), 0);
    }

    #[test]
    fn what_nobody_can_read_is_neither_scored_nor_false() {
        let got = over(&[("", A)], &[read("X1", A, true)]);
        assert!(got.outcomes.is_empty() && got.elsewhere.is_empty() && got.wrong_but_certain.is_empty());
        let without_place = over(&[("", None)], &[read("X1", A, true), read("X2", B, false)]);
        assert_eq!(without_place.elsewhere.len(), 1);
        assert!(without_place.outcomes.is_empty() && without_place.wrong_but_certain.is_empty());
        let two = over(&[("A1", None)], &[read("A1", A, true), read("X1", B, true)]);
        assert_eq!((two.wrong_but_certain.len(), two.elsewhere.len()), (1, 1));
        assert!(two.figures("", None).certain_elsewhere.is_empty());
    }

    #[test]
    fn figures_of_nothing_are_no_figures() {
        let figures = Evaluation::default().figures("empty", None);
        assert_eq!(figures.exact.percent, None);
        assert!(figures.to_string().contains("0 of 0"));
    }
}
