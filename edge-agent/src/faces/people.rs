//! The watch list: people who were enrolled, each with several templates, in one sealed file.
//!
//! One file and not the database of the outbox: deletion must remove the bytes, and a log-structured store keeps what was
//! deleted for as long as it likes. The file is small (1 MiB for a thousand people with two pictures each) and is
//! rewritten whole with every change. Pictures are not kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use interface::UtcMs;
use models::Template;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::FaceError;
use super::sealed::{Key, make_folder, own_like, read_whole, write_whole};

/// Most people.
pub const MOST_PEOPLE: usize = 10_000;
/// Most templates of a person.
pub const MOST_TEMPLATES: usize = 20;
/// Longest id of a person, characters.
const MOST_ID: usize = 64;
/// Name of the file, and what it is sealed under.
const NAME: &str = "people.sealed";
const VERSION: u32 = 1;

/// An enrolled person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// What the technician calls them; means nothing here.
    pub id: String,
    /// When the newest template was taken.
    pub enrolled_at: UtcMs,
    /// When all of it is deleted.
    pub expires_at: UtcMs,
    /// At least one.
    pub templates: Vec<Template>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    people: Vec<StoredPerson>,
}

#[derive(Serialize, Deserialize)]
struct StoredPerson {
    id: String,
    enrolled_at: UtcMs,
    expires_at: UtcMs,
    /// Hexadecimal digits.
    templates: Vec<String>,
}

/// The store of enrolled people.
#[derive(Debug)]
pub struct People {
    folder: PathBuf,
}

impl People {
    /// The store in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Everybody, expired ones included, by id.
    ///
    /// # Errors
    /// The file cannot be read, or was not written with this key.
    pub fn all(&self, key: &Key) -> Result<Vec<Person>, FaceError> {
        let Some(sealed) = read_whole(&self.file())? else { return Ok(Vec::new()) };
        let damaged = |why: String| FaceError::Damaged { file: self.file(), why };
        let mut plain = key.open(NAME, &sealed)?;
        let stored: Result<Stored, _> = serde_json::from_slice(&plain);
        plain.fill(0);
        let stored = stored.map_err(|error| damaged(error.to_string()))?;
        if stored.version != VERSION {
            return Err(damaged(format!("version {}, expected {VERSION}", stored.version)));
        }
        let person = |it: StoredPerson| {
            let templates = it.templates.iter().map(|digits| {
                let bytes =
                    unhex(digits).ok_or_else(|| damaged("a template is not hexadecimal".to_owned()))?;
                Template::from_bytes(&bytes).map_err(|error| damaged(error.to_string()))
            });
            Ok(Person {
                id: it.id,
                enrolled_at: it.enrolled_at,
                expires_at: it.expires_at,
                templates: templates.collect::<Result<_, FaceError>>()?,
            })
        };
        stored.people.into_iter().map(person).collect()
    }

    /// Adds templates to a person; all their templates then expire at `expires_at`. Returns how many they have now.
    ///
    /// # Errors
    /// The id is no name, the store or the person is full, or the file cannot be written.
    pub fn enrol(
        &self,
        key: &Key,
        id: &str,
        templates: &[Template],
        now: UtcMs,
        expires_at: UtcMs,
    ) -> Result<usize, FaceError> {
        check_id(id)?;
        self.change(key, |people| {
            let at = match people.binary_search_by(|person| person.id.as_str().cmp(id)) {
                Ok(at) => at,
                Err(_) if people.len() >= MOST_PEOPLE => {
                    return Err(FaceError::Full(format!("{MOST_PEOPLE} people are enrolled; delete some first")));
                }
                Err(at) => {
                    let new = Person { id: id.to_owned(), enrolled_at: now, expires_at, templates: Vec::new() };
                    people.insert(at, new);
                    at
                }
            };
            let Some(person) = people.get_mut(at) else { return Ok(0) };
            if person.templates.len() + templates.len() > MOST_TEMPLATES {
                return Err(FaceError::Full(format!(
                    "{id} has {} templates and would get {} more, {MOST_TEMPLATES} are allowed: delete the person and \
                     enrol the best pictures",
                    person.templates.len(),
                    templates.len()
                )));
            }
            person.templates.extend_from_slice(templates);
            (person.enrolled_at, person.expires_at) = (now, expires_at);
            Ok(person.templates.len())
        })
    }

    /// Deletes a person with all templates. Returns whether there was one.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn delete(&self, key: &Key, id: &str) -> Result<bool, FaceError> {
        self.change(key, |people| {
            let before = people.len();
            people.retain(|person| person.id != id);
            Ok(people.len() < before)
        })
    }

    /// Deletes who has expired. Returns how many.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn retain(&self, key: &Key, now: UtcMs) -> Result<usize, FaceError> {
        if self.all(key)?.iter().all(|person| person.expires_at > now) {
            return Ok(0);
        }
        self.change(key, |people| {
            let before = people.len();
            people.retain(|person| person.expires_at > now);
            Ok(before - people.len())
        })
    }

    /// When the file was changed last: tells the daemon that somebody enrolled or deleted.
    pub fn changed(&self) -> Option<(SystemTime, u64)> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(self.file()).ok()?;
        Some((metadata.modified().ok()?, metadata.ino()))
    }

    /// Reads, changes and writes the whole file. Others wait: the daemon and the command line may both want to.
    fn change<T>(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Vec<Person>) -> Result<T, FaceError>,
    ) -> Result<T, FaceError> {
        make_folder(&self.folder)?;
        let lock = self.folder.join("lock");
        let fault = |error: std::io::Error| FaceError::file("failed to lock", &lock, error);
        let locked = File::options().create(true).truncate(false).write(true).open(&lock).map_err(fault)?;
        own_like(&self.folder, &locked).map_err(fault)?;
        flock(&locked, FlockOperation::LockExclusive).map_err(|error| fault(error.into()))?;
        let mut people = self.all(key)?;
        let result = change(&mut people)?;
        people.sort_by(|a, b| a.id.cmp(&b.id));
        let stored = |person: &Person| StoredPerson {
            id: person.id.clone(),
            enrolled_at: person.enrolled_at,
            expires_at: person.expires_at,
            templates: person.templates.iter().map(|template| hex(&template.to_bytes())).collect(),
        };
        let stored = Stored { version: VERSION, people: people.iter().map(stored).collect() };
        let mut plain = serde_json::to_vec(&stored)
            .map_err(|error| FaceError::Damaged { file: self.file(), why: error.to_string() })?;
        let sealed = key.seal(NAME, &plain);
        plain.fill(0);
        write_whole(&self.file(), &sealed?)?;
        Ok(result)
    }

    fn file(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

/// Ids stand in readings: what may stand there is what a name may hold elsewhere in the site file.
fn check_id(id: &str) -> Result<(), FaceError> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.' | '-');
    if id.is_empty() || id.len() > MOST_ID || !id.chars().all(fits) {
        return Err(FaceError::Id(format!(
            "\"{}\": expected 1 to {MOST_ID} of A-Z a-z 0-9 _ . -",
            id.escape_debug()
        )));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let two = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    digits
        .len()
        .is_multiple_of(2)
        .then(|| (0..digits.len()).step_by(2).map(two).collect::<Option<_>>())
        .flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use firmware_config::FileReference;

    use super::*;

    const DAY: i64 = 86_400_000;

    pub fn template(seed: u8) -> Template {
        let values: Vec<f32> =
            (0..128u32).map(|at| ((at * 7 + u32::from(seed) * 31) % 97) as f32 - 48.0).collect();
        Template::new(&values).unwrap()
    }

    pub fn key(folder: &Path) -> Key {
        let file = folder.join("key");
        if !file.exists() {
            Key::create(&file).unwrap();
        }
        Key::read(&FileReference::Path(file)).unwrap()
    }

    #[test]
    fn people_are_enrolled_with_several_pictures_found_again_and_deleted_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let (key, people) = (key(folder.path()), People::new(&folder.path().join("faces")));
        assert!(people.all(&key).unwrap().is_empty());
        let (now, expires) = (UtcMs(DAY), UtcMs(10 * DAY));
        assert_eq!(people.enrol(&key, "b-7", &[template(1), template(2)], now, expires).unwrap(), 2);
        assert_eq!(people.enrol(&key, "a.1", &[template(3)], now, expires).unwrap(), 1);
        assert_eq!(people.enrol(&key, "b-7", &[template(4)], UtcMs(2 * DAY), UtcMs(11 * DAY)).unwrap(), 3);
        let again = People::new(&folder.path().join("faces")).all(&key).unwrap();
        assert_eq!(again.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a.1", "b-7"]);
        assert_eq!(again[1].templates, [template(1), template(2), template(4)]);
        assert_eq!(again[1].expires_at, UtcMs(11 * DAY));

        let whole = std::fs::read(people.file()).unwrap();
        assert!(people.delete(&key, "b-7").unwrap());
        assert!(!people.delete(&key, "b-7").unwrap());
        assert_eq!(people.all(&key).unwrap().len(), 1);
        let left: Vec<_> = std::fs::read_dir(people.folder.clone()).unwrap().map(|it| it.unwrap()).collect();
        assert!(left.iter().all(|file| std::fs::read(file.path()).unwrap() != whole), "no copy stays behind");
    }

    #[test]
    fn who_has_expired_is_deleted_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (key, people) = (key(folder.path()), People::new(folder.path()));
        people.enrol(&key, "short", &[template(1)], UtcMs(0), UtcMs(DAY)).unwrap();
        people.enrol(&key, "long", &[template(2)], UtcMs(0), UtcMs(3 * DAY)).unwrap();
        assert_eq!(people.retain(&key, UtcMs(DAY - 1)).unwrap(), 0);
        assert_eq!(people.retain(&key, UtcMs(DAY)).unwrap(), 1);
        assert_eq!(people.all(&key).unwrap()[0].id, "long");
    }

    #[test]
    fn the_store_is_bounded_and_ids_are_names() {
        let folder = tempfile::tempdir().unwrap();
        let (key, people) = (key(folder.path()), People::new(folder.path()));
        let many = vec![template(1); MOST_TEMPLATES];
        people.enrol(&key, "a", &many, UtcMs(0), UtcMs(DAY)).unwrap();
        let full = people.enrol(&key, "a", &[template(2)], UtcMs(0), UtcMs(DAY)).unwrap_err();
        assert!(matches!(full, FaceError::Full(_)), "{full}");
        assert_eq!(people.all(&key).unwrap()[0].templates.len(), MOST_TEMPLATES);
        for id in ["", "a b", "a/b", "Ы", &"x".repeat(65)] {
            assert!(matches!(
                people.enrol(&key, id, &[template(1)], UtcMs(0), UtcMs(1)),
                Err(FaceError::Id(_))
            ));
        }
    }

    #[test]
    fn another_key_opens_nothing_and_spoils_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (own, people) = (key(folder.path()), People::new(folder.path()));
        people.enrol(&own, "a", &[template(1)], UtcMs(0), UtcMs(DAY)).unwrap();
        let other = folder.path().join("other");
        Key::create(&other).unwrap();
        let other = Key::read(&FileReference::Path(other)).unwrap();
        assert!(matches!(people.all(&other), Err(FaceError::Sealed { .. })));
        assert!(people.enrol(&other, "b", &[template(1)], UtcMs(0), UtcMs(DAY)).is_err());
        assert!(people.delete(&other, "a").is_err());
        assert_eq!(people.all(&own).unwrap().len(), 1);
    }
}
