//! Folders of labelled pictures: `labels.csv` beside `images/`.

use crate::ModelError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The columns that `labels.csv` may have.
const COLUMNS: &str = "file,text or file,text,xmin,ymin,xmax,ymax or file,text,x,y,w,h";

/// Which of the pictures are looked at, in the order of their file names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Half {
    /// All.
    #[default]
    All,
    /// The first, third, fifth …: thresholds may be set on these.
    Tune,
    /// The second, fourth …: figures that thresholds were not set on.
    Report,
}

impl std::str::FromStr for Half {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "tune" => Ok(Self::Tune),
            "report" => Ok(Self::Report),
            other => Err(format!("expected tune, report or all, got `{other}`")),
        }
    }
}

/// Which pictures of a folder are measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// One half or all.
    pub half: Half,
    /// At most this many.
    pub limit: Option<usize>,
}

impl Selection {
    /// The chosen ones of `all`, which are in the order of their names.
    #[must_use]
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let wanted = |index: usize| match self.half {
            Half::All => true,
            Half::Tune => index.is_multiple_of(2),
            Half::Report => !index.is_multiple_of(2),
        };
        let chosen = all.into_iter().enumerate().filter(|(index, _)| wanted(*index)).map(|(_, one)| one);
        chosen.take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// One thing with a right text.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The text as it stands in `labels.csv`, in upper case; empty for what nobody can read.
    pub text: String,
    /// Left, top, right, bottom in pixels, where the set has places.
    pub place: Option<[f32; 4]>,
}

/// A picture and what is on it.
#[derive(Clone, Debug)]
pub struct LabelledPicture {
    /// File name.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// What can be read on it, and what nobody can (with an empty text).
    pub labels: Vec<Label>,
}

/// Column names, and rows with their line numbers.
pub(crate) type Table = (Vec<String>, Vec<(usize, Vec<String>)>);

/// The lines of `dir/NAME` after a header that `expected` takes, each as its fields with its line number.
pub(crate) fn table(
    dir: &Path,
    name: &str,
    expected: &str,
    accepts: impl Fn(&[&str]) -> bool,
) -> Result<Table, ModelError> {
    let path = dir.join(name);
    let fault = |reason: String| ModelError::Evaluation { path: path.clone(), reason };
    if !dir.is_dir() {
        let reason = format!("expected a folder with {name} ({expected}) and images/, it is no folder");
        return Err(ModelError::Evaluation { path: dir.to_path_buf(), reason });
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|e| fault(format!("expected a table with the columns {expected}: {e}")))?;
    let fields = |line: &str| line.split(',').map(|f| f.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header = fields(lines.next().unwrap_or_default());
    if !accepts(&header.iter().map(String::as_str).collect::<Vec<_>>()) {
        return Err(fault(format!("expected the columns {expected}, got {}", header.join(","))));
    }
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = fields(line);
        if row.len() != header.len() {
            let (want, got, number) = (header.len(), row.len(), index + 2);
            return Err(fault(format!("line {number}: expected {want} fields, got {got}: `{line}`")));
        }
        rows.push((index + 2, row));
    }
    if rows.is_empty() {
        return Err(fault("expected at least one picture, the table is empty".into()));
    }
    Ok((header, rows))
}

/// Where the picture called `file` is.
pub(crate) fn picture_path(dir: &Path, file: &str) -> Result<PathBuf, ModelError> {
    let path = dir.join("images").join(file);
    if path.is_file() {
        return Ok(path);
    }
    let reason = "expected a picture, as the table beside images/ names it; there is no such file".into();
    Err(ModelError::Evaluation { path, reason })
}

/// The pictures that `dir/labels.csv` names, in the order of their names. An empty text means that nobody can read what
/// is there.
///
/// # Errors
/// There is no such folder or table, its columns are others, a number is none, or a picture is missing.
pub fn labelled_pictures(dir: &Path) -> Result<Vec<LabelledPicture>, ModelError> {
    let (header, rows) = table(dir, "labels.csv", COLUMNS, |header| {
        matches!(
            header,
            ["file", "text"]
                | ["file", "text", "xmin", "ymin", "xmax", "ymax"]
                | ["file", "text", "x", "y", "w", "h"]
        )
    })?;
    let sizes = header.get(2).is_some_and(|name| name == "x");
    let mut all: BTreeMap<String, Vec<Label>> = BTreeMap::new();
    for (number, row) in rows {
        let [file, text, place @ ..] = row.as_slice() else { continue };
        let labels = all.entry(file.clone()).or_default();
        labels.push(Label {
            text: text.to_uppercase(),
            place: box_of(place, sizes).map_err(|reason| ModelError::Evaluation {
                path: dir.join("labels.csv"),
                reason: format!("line {number}: {reason}"),
            })?,
        });
    }
    all.into_iter()
        .map(|(file, labels)| Ok(LabelledPicture { path: picture_path(dir, &file)?, file, labels }))
        .collect()
}

fn box_of(fields: &[String], sizes: bool) -> Result<Option<[f32; 4]>, String> {
    // A set with places may have labels without one
    if fields.iter().all(String::is_empty) {
        return Ok(None);
    }
    let number =
        |field: &String| field.parse::<f32>().map_err(|_| format!("expected a number, got `{field}`"));
    let numbers: Vec<f32> = fields.iter().map(number).collect::<Result<_, _>>()?;
    Ok(match *numbers.as_slice() {
        [x, y, w, h] if sizes => Some([x, y, x + w, y + h]),
        [left, top, right, bottom] => Some([left, top, right, bottom]),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `labels.csv` and empty files for the pictures named.
    fn folder(table: &str, pictures: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("labels.csv"), table).unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        for picture in pictures {
            std::fs::write(dir.path().join("images").join(picture), b"").unwrap();
        }
        dir
    }

    fn places(table: &str) -> Vec<Option<[f32; 4]>> {
        let dir = folder(table, &["1.jpg"]);
        let [one] = <[LabelledPicture; 1]>::try_from(labelled_pictures(dir.path()).unwrap()).unwrap();
        one.labels.iter().map(|label| label.place).collect()
    }

    #[test]
    fn labels_in_all_three_layouts() {
        let dir = folder("file,text\r\n2.jpg,\r\n1.jpg,a 001\r\n", &["1.jpg", "2.jpg"]);
        let got = labelled_pictures(dir.path()).unwrap();
        assert_eq!(got.iter().map(|p| p.file.as_str()).collect::<Vec<_>>(), ["1.jpg", "2.jpg"]);
        assert_eq!(got[0].labels, [Label { text: "A 001".into(), place: None }]);
        assert_eq!(got[1].labels, [Label { text: String::new(), place: None }]);
        let sizes = "file,text,x,y,w,h\n1.jpg,A1,1,2,3,4\n1.jpg,B2,,,,\n";
        assert_eq!(places(sizes), [Some([1.0, 2.0, 4.0, 6.0]), None]);
        assert_eq!(places("file,text,xmin,ymin,xmax,ymax\n1.jpg,A1,1,2,3,4\n"), [Some([1.0, 2.0, 3.0, 4.0])]);
    }

    #[test]
    fn a_bad_folder_says_what_was_expected() {
        let error =
            |table: &str| labelled_pictures(folder(table, &["1.jpg"]).path()).unwrap_err().to_string();
        assert!(error("picture;text\n").contains("expected the columns file,text"));
        assert!(error("file,text\n").contains("at least one picture"));
        assert!(error("file,text\n1.jpg\n").contains("line 2: expected 2 fields, got 1"));
        assert!(error("file,text\n2.jpg,A\n").contains("no such file"));
        assert!(error("file,text,x,y,w,h\n1.jpg,A,1,2,3,b\n").contains("line 2: expected a number, got `b`"));
        let gone = labelled_pictures(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(gone.contains("expected a folder with labels.csv"), "{gone}");
    }

    #[test]
    fn halves_are_every_second_picture_and_disjoint() {
        let of = |half, limit| Selection { half, limit }.of(vec![1, 2, 3, 4, 5]);
        assert_eq!(of(Half::Tune, None), [1, 3, 5]);
        assert_eq!(of(Half::Report, None), [2, 4]);
        assert_eq!(of(Half::All, Some(2)), [1, 2]);
        assert_eq!("report".parse(), Ok(Half::Report));
        assert!("half".parse::<Half>().unwrap_err().contains("tune, report or all"));
    }
}
