//! Accuracy on a folder of labelled pictures: every figure in a document has a command that measures it.

use crate::plate::rectify::{bounds, overlap};
use crate::{ModelError, Picture, PlateRead, PlateReader, StageMilliseconds};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A read counts as being of the labelled plate when the boxes overlap this much (IoU).
const SAME_PLACE: f32 = 0.3;

/// What happened to one labelled plate.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Picture file.
    pub file: String,
    /// Right text.
    pub label: String,
    /// The read that counts for this label: the right one if there is one, else the first on its place.
    pub read: Option<PlateRead>,
}

/// Figures over a folder.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Pictures read.
    pub pictures: usize,
    /// One per labelled plate.
    pub outcomes: Vec<Outcome>,
    /// Reads that are certain and whose text is none of the picture's labels (O as 0, I as 1: labels mix them up), on a labelled place or in a set without
    /// places: file and text. Each is to be looked at: it is an error, or a real plate without a label.
    pub wrong_but_certain: Vec<(String, String)>,
    /// Reads away from every labelled place, with their file. Unlabelled plates and false ones.
    pub elsewhere: Vec<(String, PlateRead)>,
    /// Milliseconds per picture, sorted.
    pub milliseconds: Vec<f64>,
    /// Mean milliseconds by stage.
    pub stages: StageMilliseconds,
}

/// O as 0 and I as 1: the plates of some countries do not tell them apart.
fn folded(text: &str) -> String {
    text.replace('O', "0").replace('I', "1")
}

impl Evaluation {
    fn count(&self, test: impl Fn(&Outcome, &PlateRead) -> bool) -> usize {
        self.outcomes.iter().filter(|o| o.read.as_ref().is_some_and(|r| test(o, r))).count()
    }

    /// Labelled plates with a read on their place.
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

    /// The time that this part of the pictures stays below.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let last = self.milliseconds.len().checked_sub(1)?;
        self.milliseconds.get((part * last as f64).round() as usize).copied()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.outcomes.len();
        let line = |name: &str, n: usize| {
            format!("{name:<20} {n:>5} of {all}  {:>5.1} %", 100.0 * n as f64 / all.max(1) as f64)
        };
        writeln!(f, "{:<20} {:>5}", "pictures", self.pictures)?;
        writeln!(f, "{}", line("found", self.found()))?;
        writeln!(f, "{}", line("exact", self.exact()))?;
        writeln!(f, "{}", line("exact, O=0 I=1", self.exact_folded()))?;
        writeln!(f, "{}", line("certain", self.certain()))?;
        writeln!(
            f,
            "{:<20} {:>5}  {:?}",
            "wrong but certain",
            self.wrong_but_certain.len(),
            self.wrong_but_certain
        )?;
        let certain: Vec<_> =
            self.elsewhere.iter().filter(|e| e.1.certain).map(|e| (&e.0, &e.1.text)).collect();
        writeln!(
            f,
            "{:<20} {:>5}  {:.2} per picture, certain: {certain:?}",
            "away from labels",
            self.elsewhere.len(),
            self.elsewhere.len() as f64 / self.pictures.max(1) as f64,
        )?;
        let (median, p95) = (self.quantile(0.5).unwrap_or(0.0), self.quantile(0.95).unwrap_or(0.0));
        writeln!(f, "{:<20} {median:>5.0} median, {p95:.0} at 95 %", "milliseconds")?;
        let s = self.stages;
        write!(
            f,
            "{:<20} {:>5.0} mean: detect {:.0}, rectify {:.0}, read {:.0}, decode {:.0}",
            "", s.total, s.detect, s.rectify, s.read, s.decode
        )
    }
}

/// A labelled plate: text and, where the set has places, its box (left, top, right, bottom).
type Label = (String, Option<[f32; 4]>);

/// Reads every picture that `dir/labels.csv` names (columns `file,text`, then nothing, `xmin,ymin,xmax,ymax` or
/// `x,y,w,h`) from `dir/images` and compares. Pictures without a labelled text are left out.
///
/// # Errors
/// The labels cannot be read, or a picture cannot be.
pub fn evaluate(dir: &Path, reader: &mut PlateReader) -> Result<Evaluation, ModelError> {
    let mut result = Evaluation::default();
    for (file, labels) in labels(dir)? {
        let picture = Picture::open(&dir.join("images").join(&file))?;
        let reads = reader.read(&picture)?;
        result.pictures += 1;
        let spent = reader.milliseconds();
        result.milliseconds.push(spent.total);
        let s = &mut result.stages;
        for (sum, one) in [
            (&mut s.detect, spent.detect),
            (&mut s.rectify, spent.rectify),
            (&mut s.read, spent.read),
            (&mut s.decode, spent.decode),
            (&mut s.total, spent.total),
        ] {
            *sum += one;
        }
        compare(&mut result, &file, &labels, &reads);
    }
    result.milliseconds.sort_by(f64::total_cmp);
    let (n, s) = (result.pictures.max(1) as f64, result.stages);
    result.stages = StageMilliseconds {
        detect: s.detect / n,
        rectify: s.rectify / n,
        read: s.read / n,
        decode: s.decode / n,
        total: s.total / n,
    };
    Ok(result)
}

fn compare(result: &mut Evaluation, file: &str, labels: &[Label], reads: &[PlateRead]) {
    let on = |place: &Option<[f32; 4]>, read: &PlateRead| {
        place.is_none_or(|place| overlap(place, bounds(&read.corners)).0 >= SAME_PLACE)
    };
    for (label, place) in labels {
        let mut here = reads.iter().filter(|r| on(place, r));
        let right = here.clone().find(|r| r.text == *label);
        let right = right.or_else(|| here.clone().find(|r| folded(&r.text) == folded(label)));
        let read = right.or_else(|| here.next()).cloned();
        result.outcomes.push(Outcome { file: file.into(), label: label.clone(), read });
    }
    for read in reads {
        if !labels.iter().any(|(_, place)| on(place, read)) {
            result.elsewhere.push((file.into(), read.clone()));
        } else if read.certain && !labels.iter().any(|(label, _)| folded(label) == folded(&read.text)) {
            result.wrong_but_certain.push((file.into(), read.text.clone()));
        }
    }
}

fn labels(dir: &Path) -> Result<BTreeMap<String, Vec<Label>>, ModelError> {
    let path = dir.join("labels.csv");
    let fault = |reason: String| ModelError::Evaluation { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|e| fault(e.to_string()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let sizes = match header.as_slice() {
        ["file", "text"] | ["file", "text", "xmin", "ymin", "xmax", "ymax"] => false,
        ["file", "text", "x", "y", "w", "h"] => true,
        other => {
            return Err(fault(format!(
                "expected the columns file,text[,xmin,ymin,xmax,ymax | ,x,y,w,h], got {other:?}"
            )));
        }
    };
    let mut all: BTreeMap<String, Vec<Label>> = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [file, text, place @ ..] = fields.as_slice() else {
            return Err(fault(format!("line {}: expected file,text, got `{line}`", number + 2)));
        };
        if text.is_empty() {
            continue;
        }
        let numbers: Vec<f32> = place.iter().filter_map(|v| v.parse().ok()).collect();
        let place = match *numbers.as_slice() {
            [x, y, w, h] if sizes => Some([x, y, x + w, y + h]),
            [left, top, right, bottom] => Some([left, top, right, bottom]),
            _ => None,
        };
        all.entry((*file).to_owned()).or_default().push((text.to_uppercase().replace(' ', ""), place));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_all_three_layouts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("labels.csv"), text).unwrap();
        write("file,text\n1.jpg,a 001\n2.jpg,\n");
        assert_eq!(labels(dir.path()).unwrap()["1.jpg"], [("A001".to_owned(), None)]);
        write("file,text,x,y,w,h\n1.jpg,A1,1,2,3,4\n1.jpg,B2,5,5,1,1\n");
        let got = labels(dir.path()).unwrap();
        assert_eq!(got["1.jpg"][0].1, Some([1.0, 2.0, 4.0, 6.0]));
        assert_eq!(got["1.jpg"].len(), 2);
        write("file,text,xmin,ymin,xmax,ymax\n1.jpg,A1,1,2,3,4\n");
        assert_eq!(labels(dir.path()).unwrap()["1.jpg"][0].1, Some([1.0, 2.0, 3.0, 4.0]));
        write("picture;text\n");
        assert!(labels(dir.path()).unwrap_err().to_string().contains("file,text"));
        std::fs::remove_file(dir.path().join("labels.csv")).unwrap();
        assert!(labels(dir.path()).is_err());
    }
}
