//! Container codes (ISO 6346) against labels.

use super::figures::{
    ReliabilityBin, Share, StageSpread, StageTimes, peak_memory_mib, reliability, right_signs,
};
use super::labels::LabelledPicture;
use super::plates::{Named, inference_percent, stages};
use crate::container::code::{CODE_SIGNS, is_valid, is_well_formed};
use crate::{CheckDigit, ContainerRead, ModelError, Picture};
use serde::Serialize;

/// What a reader says of one code.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenCode {
    /// The code, as given: 11 signs for a container.
    pub code: String,
    /// Size and type code beside it.
    pub type_code: Option<String>,
    /// Whether the check digit was seen, not computed.
    pub check_digit_seen: bool,
    /// Whether the reader calls it safe to act on.
    pub certain: bool,
    /// Chance that it is right as the reader claims.
    pub probability: Option<f64>,
    /// Other readings, best first.
    pub candidates: Vec<String>,
}

impl From<&ContainerRead> for SeenCode {
    fn from(read: &ContainerRead) -> Self {
        Self {
            code: read.code.clone(),
            type_code: read.type_code.clone(),
            check_digit_seen: matches!(read.check_digit, CheckDigit::Read | CheckDigit::Joined),
            certain: read.certain,
            probability: Some(read.probability),
            candidates: read.candidates.iter().skip(1).map(|c| c.code.clone()).collect(),
        }
    }
}

/// The container codes in a text that has none of its own, such as a general text reader gives: eleven signs in a row that
/// have the form of a code.
#[must_use]
pub fn codes_in(text: &str) -> Vec<SeenCode> {
    let signs: Vec<char> = text.chars().collect();
    let window = |window: &[char]| window.iter().collect::<String>();
    let codes = signs.windows(CODE_SIGNS).map(window).filter(|code| {
        code.char_indices()
            .last()
            .and_then(|(at, last)| Some((code.get(..at)?, last)))
            .is_some_and(|(ten, last)| is_well_formed(ten) && last.is_ascii_digit())
    });
    codes.map(|code| SeenCode { code, check_digit_seen: true, ..SeenCode::default() }).collect()
}

/// Outcomes over a folder.
#[derive(Clone, Debug, Default)]
pub struct ContainerEvaluation {
    /// Pictures read.
    pub pictures: usize,
    /// Each labelled code with the nearest read.
    pub outcomes: Vec<(String, String, Option<SeenCode>)>,
    /// Labelled type codes, and those of them that were read.
    pub type_codes: (usize, usize),
    /// Reads that are no labelled code and yet fit their check digit, and whose check digit was seen.
    pub wrong_but_valid: Vec<Named>,
    /// Reads that are certain and no labelled code.
    pub wrong_but_certain: Vec<Named>,
    /// Reads that belong to no label.
    pub elsewhere: usize,
    /// Reads altogether, and those of them whose check digit fits.
    pub reads: (usize, usize),
    /// Milliseconds per picture by stage.
    pub times: StageTimes,
}

impl ContainerEvaluation {
    /// Compares the reads of one picture with its label: codes with blanks between them, in any order; what has not 11
    /// signs is a type code. An empty label means that nobody can read what is there.
    pub fn add(&mut self, picture: &LabelledPicture, reads: &[SeenCode]) {
        self.pictures += 1;
        let words: Vec<&str> = picture.labels.iter().flat_map(|l| l.text.split_whitespace()).collect();
        let (codes, types): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.len() == CODE_SIGNS);
        let unreadable = picture.labels.iter().any(|label| label.text.trim().is_empty());
        let given = nearest(&codes, reads);
        for (code, read) in codes.iter().zip(&given) {
            let read = read.and_then(|index| reads.get(index)).cloned();
            self.outcomes.push((picture.file.clone(), (*code).to_owned(), read));
        }
        let mut seen: Vec<&str> = reads.iter().filter_map(|read| read.type_code.as_deref()).collect();
        for wanted in &types {
            self.type_codes.0 += 1;
            if let Some(at) = seen.iter().position(|one| one == wanted) {
                seen.swap_remove(at);
                self.type_codes.1 += 1;
            }
        }
        for (index, read) in reads.iter().enumerate() {
            let valid = is_valid(&read.code);
            self.reads.0 += 1;
            self.reads.1 += usize::from(valid);
            if codes.contains(&read.code.as_str()) || unreadable {
                continue;
            }
            self.elsewhere += usize::from(!given.contains(&Some(index)));
            let named = Named {
                file: picture.file.clone(),
                text: read.code.clone(),
                labels: codes.iter().map(|code| (*code).to_owned()).collect(),
            };
            if valid && read.check_digit_seen {
                self.wrong_but_valid.push(named.clone());
            }
            if read.certain {
                self.wrong_but_certain.push(named);
            }
        }
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self, set: &str, process: Option<u32>) -> ContainerFigures {
        let all = self.outcomes.len();
        let count = |test: &dyn Fn(&str, &SeenCode) -> bool| {
            let found = self.outcomes.iter().filter_map(|(_, code, read)| Some((code, read.as_ref()?)));
            Share::new(found.filter(|(code, read)| test(code, read)).count(), all)
        };
        let right = |o: &(String, String, Option<SeenCode>)| {
            o.2.as_ref().map_or(0, |read| right_signs(&o.1, &read.code))
        };
        let claims: Vec<(f64, bool)> = self
            .outcomes
            .iter()
            .filter_map(|(_, code, read)| Some((read.as_ref()?.probability?, read.as_ref()?.code == *code)))
            .collect();
        ContainerFigures {
            set: set.to_owned(),
            pictures: self.pictures,
            labelled: all,
            labels_not_valid: self.outcomes.iter().filter(|o| !is_valid(&o.1)).map(|o| o.1.clone()).collect(),
            found: count(&|_, _| true),
            exact: count(&|code, read| code == read.code),
            owner_and_serial: count(&|code, read| {
                code.get(..CODE_SIGNS - 1) == read.code.get(..CODE_SIGNS - 1)
            }),
            in_candidates: count(&|code, read| {
                code == read.code || read.candidates.iter().any(|candidate| candidate == code)
            }),
            right_signs: Share::new(self.outcomes.iter().map(right).sum(), CODE_SIGNS * all),
            certain: count(&|_, read| read.certain),
            type_codes: Share::new(self.type_codes.1, self.type_codes.0),
            valid_reads: Share::new(self.reads.1, self.reads.0),
            wrong_but_valid: self.wrong_but_valid.clone(),
            wrong_but_certain: self.wrong_but_certain.clone(),
            reads_without_label: self.elsewhere,
            milliseconds: self.times.spreads(),
            inference_percent: inference_percent(&self.times),
            peak_memory_mib: peak_memory_mib(process),
            reliability: reliability(&claims),
        }
    }
}

/// For each label the index of its read: the same text first, then the fewest errors, at most three.
fn nearest(codes: &[&str], reads: &[SeenCode]) -> Vec<Option<usize>> {
    /// More errors than this make it another code.
    const ERRORS: usize = 3;
    let mut pairs = Vec::new();
    for (label, code) in codes.iter().enumerate() {
        for (index, read) in reads.iter().enumerate() {
            let errors = strsim::levenshtein(code, &read.code);
            if errors <= ERRORS {
                pairs.push((errors, index, label));
            }
        }
    }
    pairs.sort_unstable();
    let mut given = vec![None; codes.len()];
    for (_, index, label) in pairs {
        if !given.contains(&Some(index))
            && let Some(slot @ None) = given.get_mut(label)
        {
            *slot = Some(index);
        }
    }
    given
}

/// Reads every picture with `read`, which adds its own stages to the times, and compares.
///
/// # Errors
/// A picture cannot be read, or what `read` says.
pub fn evaluate_containers(
    pictures: &[LabelledPicture],
    mut read: impl FnMut(&Picture, &mut StageTimes) -> Result<Vec<SeenCode>, ModelError>,
    mut progress: impl FnMut(),
) -> Result<ContainerEvaluation, ModelError> {
    let mut result = ContainerEvaluation::default();
    for picture in pictures {
        let begin = std::time::Instant::now();
        let opened = Picture::open(&picture.path)?;
        result.times.add("open file", 1e3 * begin.elapsed().as_secs_f64());
        let reads = read(&opened, &mut result.times)?;
        result.times.add("file to reads", 1e3 * begin.elapsed().as_secs_f64());
        result.add(picture, &reads);
        progress();
    }
    Ok(result)
}

/// Figures over a folder.
#[derive(Clone, Debug, Serialize)]
pub struct ContainerFigures {
    /// On what.
    pub set: String,
    /// Pictures read.
    pub pictures: usize,
    /// Labelled codes.
    pub labelled: usize,
    /// Labels whose own check digit does not fit: a label or a container is wrong.
    pub labels_not_valid: Vec<String>,
    /// Codes with a read that differs in at most three signs.
    pub found: Share,
    /// Read exactly.
    pub exact: Share,
    /// Owner, category and serial number right, whatever the check digit.
    pub owner_and_serial: Share,
    /// The code is among the candidates.
    pub in_candidates: Share,
    /// Signs of the labels less the edits from label to read.
    pub right_signs: Share,
    /// Called certain, right or wrong.
    pub certain: Share,
    /// Type codes read, of those labelled.
    pub type_codes: Share,
    /// Reads whose check digit fits, of all reads.
    pub valid_reads: Share,
    /// Reads whose check digit was seen and fits and which are none of the labels. One wrong sign in eleven passes the check
    /// digit by chance.
    pub wrong_but_valid: Vec<Named>,
    /// Certain reads that are none of the labels.
    pub wrong_but_certain: Vec<Named>,
    /// Reads that are near no label.
    pub reads_without_label: usize,
    /// Per picture by stage.
    pub milliseconds: Vec<StageSpread>,
    /// Part of the time that was spent inside ONNX Runtime, in percent.
    pub inference_percent: Option<f64>,
    /// The process's peak so far.
    pub peak_memory_mib: Option<f64>,
    /// Claimed probability against what came true.
    pub reliability: Vec<ReliabilityBin>,
}

impl std::fmt::Display for ContainerFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.set)?;
        writeln!(f, "  {:<22} {:>5} with {} labelled codes", "pictures", self.pictures, self.labelled)?;
        if !self.labels_not_valid.is_empty() {
            writeln!(f, "  {:<22} {}", "labels not valid", self.labels_not_valid.join(" "))?;
        }
        for (name, share) in [
            ("found", self.found),
            ("exact", self.exact),
            ("owner and serial", self.owner_and_serial),
            ("in the candidates", self.in_candidates),
            ("right signs", self.right_signs),
            ("certain", self.certain),
            ("type codes", self.type_codes),
            ("check digit fits", self.valid_reads),
        ] {
            writeln!(f, "  {name:<22} {share}")?;
        }
        for (name, all) in
            [("wrong but valid", &self.wrong_but_valid), ("wrong but certain", &self.wrong_but_certain)]
        {
            writeln!(f, "  {name:<22} {:>5}", all.len())?;
            for one in all {
                writeln!(f, "    {}: {} for {}", one.file, one.text, one.labels.join(" "))?;
            }
        }
        writeln!(f, "  {:<22} {:>5}", "reads without a label", self.reads_without_label)?;
        stages(f, &self.milliseconds)?;
        if let Some(percent) = self.inference_percent {
            writeln!(f, "  {:<22} {percent:>5.1} % of the time", "inside ONNX Runtime")?;
        }
        if let Some(mib) = self.peak_memory_mib {
            writeln!(f, "  {:<22} {mib:>5.0} MiB", "peak memory")?;
        }
        write!(f, "{}", super::plates::Reliability(&self.reliability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Label;

    fn seen(code: &str, type_code: Option<&str>, certain: bool) -> SeenCode {
        SeenCode {
            code: code.into(),
            type_code: type_code.map(str::to_owned),
            check_digit_seen: true,
            certain,
            ..SeenCode::default()
        }
    }

    fn over(label: &str, reads: &[SeenCode]) -> ContainerEvaluation {
        let mut result = ContainerEvaluation::default();
        let labels = vec![Label { text: label.into(), place: None }];
        result.add(&LabelledPicture { file: "1.jpg".into(), path: "1.jpg".into(), labels }, reads);
        result
    }

    #[test]
    fn codes_are_found_in_running_text() {
        let codes = |text| codes_in(text).into_iter().map(|seen| seen.code).collect::<Vec<_>>();
        assert_eq!(codes("MAXCSQU305438322G1"), ["CSQU3054383"]);
        assert!(codes("CSQU305438").is_empty() && codes("CSQX3054383é").is_empty());
    }

    #[test]
    fn codes_are_scored_by_text_in_any_order() {
        let label = "CSQU3054383 22G1 DFSU4119250";
        let got = over(label, &[seen("DFSU4119251", None, false), seen("CSQU3054383", Some("22G1"), true)]);
        let figures = got.figures("test", None);
        assert_eq!((figures.labelled, figures.found.n, figures.exact.n), (2, 2, 1));
        assert_eq!((figures.owner_and_serial.n, figures.certain.n, figures.type_codes.n), (2, 1, 1));
        assert_eq!((figures.valid_reads.n, figures.valid_reads.of), (1, 2));
        assert_eq!(figures.right_signs.n, 21);
        assert!(figures.wrong_but_valid.is_empty() && figures.wrong_but_certain.is_empty());
        assert!(figures.to_string().contains("exact"));
    }

    #[test]
    fn a_wrong_code_that_fits_its_check_digit_is_listed() {
        let got = over("DFSU4119250", &[seen("CSQU3054383", None, true)]);
        assert_eq!((got.wrong_but_valid.len(), got.wrong_but_certain.len(), got.elsewhere), (1, 1, 1));
        let computed = SeenCode { check_digit_seen: false, ..seen("CSQU3054383", None, false) };
        assert!(over("DFSU4119250", &[computed]).wrong_but_valid.is_empty());
        let unreadable = over("", &[seen("CSQU3054383", None, true)]);
        assert!(unreadable.wrong_but_valid.is_empty() && unreadable.elsewhere == 0);
    }
}
