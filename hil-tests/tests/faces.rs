//! The technician's face commands: the real program on real photographs, from the key to the deletion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hil_tests::agent::{Agent, recognition_files};
use hil_tests::peer::repository;

const MODEL: &str = "face_recognition_sface_2021dec.onnx";

/// Photographs by person, of people with at least three; none, with a note, where there are no photographs or models. They
/// are no part of the repository.
fn people() -> Option<Vec<(String, Vec<PathBuf>)>> {
    let folder = repository().join("../shared/data/faces");
    let Ok(table) = std::fs::read_to_string(folder.join("identities.csv")) else {
        println!("skipped: no photographs in {}", folder.display());
        return None;
    };
    recognition_files(MODEL)?;
    let mut people: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let (file, person) = line.split_once(',').unwrap();
        let picture = folder.join("images").join(file).canonicalize().unwrap();
        people.entry(person.trim().to_owned()).or_default().push(picture);
    }
    people.retain(|_, pictures| pictures.len() >= 3);
    Some(people.into_iter().collect())
}

/// A box with a site file, on which commands are run.
struct Desk(Agent);

impl Desk {
    fn new() -> Self {
        let (library, models) = recognition_files(MODEL).unwrap();
        let text = format!(
            r#"
[site]
id = "RU10702030"
box = "gw-1"
[[lane]]
id = "in-1"
direction = "in"
[[lane.station]]
id = "entry"
position_m = 0.0
[[sensor]]
id = "cab"
station = "in-1/entry"
protocol = "camera/folder"
path = "pictures"
reads = ["face"]
[storage]
directory = "store"
[recognition]
runtime = "{library}"
models = "{models}"
[recognition.faces]
key_file = "face.key"
threshold_verify = 0.36
threshold_watch_list = 0.4
min_quality = 0.3
"#,
            library = library.display(),
            models = models.display(),
        );
        let agent = Agent::new(&text).unwrap();
        std::fs::create_dir(agent.folder().join("pictures")).unwrap();
        Self(agent)
    }

    fn path(&self) -> &Path {
        self.0.folder()
    }

    /// Runs `edge-agent faces …`: whether it ended with 0, and what it said.
    fn faces(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.0.command(&["faces"]).unwrap().args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), said)
    }

    /// The same with the site file.
    fn on_site(&self, command: &str, arguments: &[&str]) -> (bool, String) {
        self.faces(&[&[command, "--config", "site.toml"], arguments].concat())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_person_is_enrolled_found_and_deleted_on_real_photographs() {
    let Some(people) = people() else { return };
    let [(_, one), (_, two), ..] = people.as_slice() else { panic!("two people are needed") };
    let desk = Desk::new();

    let (done, said) = desk.on_site("list", &[]);
    assert!(!done && said.contains("face.key"), "no key yet: {said}");
    assert!(desk.faces(&["key", "face.key"]).0);
    let mode = desk.path().join("face.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400 | (mode & 0o200), "for its owner only");
    assert!(!desk.faces(&["key", "face.key"]).0, "no key is overwritten");

    let (done, said) = desk.on_site("enrol", &["--person", "P-1", text(&one[0]), text(&one[1])]);
    assert!(done && said.contains("P-1: 2 templates"), "{said}");
    let (done, said) = desk.on_site("enrol", &["--person", "P-2", "--days", "10", text(&two[0])]);
    assert!(done && said.contains("P-2: 1 templates"), "{said}");
    let (done, said) = desk.on_site("list", &[]);
    assert!(done && said.contains("P-1: 2 templates") && said.contains("2 people"), "{said}");

    let (same, said) = desk.on_site("compare", &[text(&one[0]), text(&one[2])]);
    assert!(same && said.contains("one person"), "{said}");
    let (same, said) = desk.on_site("compare", &[text(&one[0]), text(&two[0])]);
    assert!(!same && said.contains("not taken for one person"), "{said}");

    let (found, said) = desk.on_site("search", &[text(&one[2])]);
    let first = said.lines().nth(1).unwrap();
    assert!(found && first.contains("P-1  on the watch list"), "{said}");

    // Another key opens nothing, and spoils nothing.
    assert!(desk.faces(&["key", "other.key"]).0);
    let (done, said) = desk.on_site("list", &["--key-file", "other.key"]);
    assert!(!done && said.contains("sealed with another key"), "{said}");

    let (done, said) = desk.on_site("delete", &["P-1"]);
    assert!(done && said.contains("deleted"), "{said}");
    assert!(!desk.on_site("delete", &["P-1"]).0, "there is nobody any more");
    let (found, said) = desk.on_site("search", &[text(&one[2])]);
    assert!(!found && !said.contains("P-1"), "{said}");
    let (done, said) = desk.on_site("enrol", &["--person", "P-3", "site.toml"]);
    assert!(!done && said.contains("site.toml"), "no picture: {said}");
}

#[test]
fn thresholds_are_measured_on_a_folder_of_people() {
    let Some(people) = people() else { return };
    let desk = Desk::new();
    let pictures = desk.path().join("people");
    for (person, files) in people.iter().take(8) {
        std::fs::create_dir_all(pictures.join(person)).unwrap();
        for file in files.iter().take(3) {
            symlink(file, pictures.join(person).join(file.file_name().unwrap())).unwrap();
        }
    }
    let (done, said) =
        desk.on_site("calibrate", &["people", "--verify-fmr", "0.01", "--search-fmr", "0.0001"]);
    assert!(done && said.contains("24 pictures, 0 without a face"), "{said}");
    assert!(said.contains("24 pairs of one person, 252 of two"), "{said}");
    let line = said.lines().find(|line| line.starts_with("threshold_verify = ")).expect("a threshold");
    let threshold: f64 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((0.15..0.6).contains(&threshold), "{line}");
    assert!(said.contains("# threshold_watch_list: cannot be told"), "{said}");
    assert!(!desk.path().join("store").exists(), "nothing is written");
    let (done, said) = desk.on_site("calibrate", &["pictures"]);
    assert!(!done && said.contains("a folder for each of at least two people"), "{said}");
}
