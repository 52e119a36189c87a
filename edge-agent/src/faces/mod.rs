//! Faces on the box: who is enrolled, who passed, and the commands of the technician.
//!
//! Templates are personal data. They are sealed on disk (`sealed.rs`), never logged, never sent; a packet names a
//! template by its SHA-256. What is kept has an end: `people.rs` for the watch list, `passages.rs` for who passed.

pub mod calibrate;
pub mod commands;
pub mod passages;
pub mod people;
pub mod sealed;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use firmware_config::{Faces, Site};
use interface::{Sha256, UtcMs};
use models::Template;
use models::face::Match;

use passages::Passages;
use people::{People, Person};
use sealed::Key;

/// Folder of the templates of passages, below the store.
const PASSAGES: &str = "passages";

/// Why a face store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The site file says nothing of faces.
    #[error(
        "the site file has no [recognition.faces]: it names the key and says how long templates are kept"
    )]
    NotConfigured,
    /// The key cannot be used.
    #[error("the key of the face store: {0}")]
    Key(String),
    /// A file is not what this key sealed.
    #[error(
        "{name} cannot be opened with the key {key}: it was sealed with another key, or changed since",
        key = key.display()
    )]
    Sealed {
        /// What it should be.
        name: String,
        /// The key's file.
        key: PathBuf,
    },
    /// A file opens and makes no sense.
    #[error("{file} is damaged: {why}", file = file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing more fits.
    #[error("the face store is full: {0}")]
    Full(String),
    /// A person's id is no name.
    #[error("not an id of a person: {0}")]
    Id(String),
    /// The system has no random numbers.
    #[error("the system gave no random numbers")]
    Random,
    /// A file or folder cannot be used.
    #[error("{what} {path}: {error}", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl FaceError {
    fn file(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::File { what, path: path.to_owned(), error }
    }
}

/// Where faces of `site` are kept.
pub fn folder(site: &Site, settings: &Faces) -> PathBuf {
    settings.store.clone().unwrap_or_else(|| site.storage.directory.join("faces"))
}

/// Opens the face stores of `site`.
///
/// # Errors
/// The site file says nothing of faces, or as for [`FaceDesk::open`].
pub fn open(site: &Site) -> Result<FaceDesk, FaceError> {
    let faces = site.recognition.as_ref().and_then(|recognition| recognition.faces.as_ref());
    let settings = faces.ok_or(FaceError::NotConfigured)?;
    FaceDesk::open(&folder(site, settings), settings)
}

/// The face stores of a site, opened with its key. Shared by all workers.
#[derive(Debug)]
pub struct FaceDesk {
    /// The site's settings.
    pub settings: Faces,
    key: Key,
    people: People,
    passages: Passages,
    /// The watch list as it was read last, and the state of its file then.
    list: Mutex<WatchList>,
}

#[derive(Debug, Default)]
struct WatchList {
    changed: Option<(SystemTime, u64)>,
    people: Vec<Person>,
}

/// Somebody of the watch list.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Who.
    pub person: String,
    /// Cosine, -1 to 1.
    pub similarity: f32,
}

impl FaceDesk {
    /// Opens the stores in `folder` with the key that `settings` names.
    ///
    /// # Errors
    /// The key cannot be used, or the watch list was sealed with another one.
    pub fn open(folder: &Path, settings: &Faces) -> Result<Self, FaceError> {
        let key = Key::read(&settings.key_file)?;
        let people = People::new(folder);
        people.all(&key)?;
        Ok(Self {
            settings: settings.clone(),
            key,
            people,
            passages: Passages::new(&folder.join(PASSAGES)),
            list: Mutex::default(),
        })
    }

    /// The people of the watch list.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Keeps the template of a passage and returns its name.
    ///
    /// # Errors
    /// The store is full or cannot be written.
    pub fn keep(&self, template: &Template, now: UtcMs) -> Result<Sha256, FaceError> {
        self.passages.keep(&self.key, template, now)
    }

    /// Who of the watch list it may be, the most alike first, at most `most`. Whoever has expired is not looked for.
    ///
    /// # Errors
    /// The watch list has changed and cannot be read.
    pub fn search(
        &self,
        template: &Template,
        threshold: f32,
        most: usize,
        now: UtcMs,
    ) -> Result<Vec<Hit>, FaceError> {
        // Replaced whole, so a thread that panicked while it held the lock left nothing half done.
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.people.changed();
        if changed != list.changed {
            *list = WatchList { people: self.people.all(&self.key)?, changed };
        }
        let current = list.people.iter().filter(|person| person.expires_at > now);
        let entries =
            current.flat_map(|it| it.templates.iter().map(move |template| (it.id.as_str(), template)));
        let found = models::face::search(template, entries, threshold, most);
        Ok(found
            .into_iter()
            .map(|Match { person, similarity }| Hit { person: person.to_owned(), similarity })
            .collect())
    }
}

/// Deletes what has been kept long enough: passages in `folder` in any case, people where the key is at hand. Returns how
/// many people and how many days of passages.
///
/// # Errors
/// Something cannot be deleted; the rest is all the same.
pub fn retain(
    desk: Option<&FaceDesk>,
    folder: &Path,
    retention_days: u32,
    now: UtcMs,
) -> Result<(usize, usize), FaceError> {
    let days = Passages::new(&folder.join(PASSAGES)).retain(now, retention_days);
    let people = desk.map_or(Ok(0), |desk| desk.people.retain(&desk.key, now));
    Ok((people?, days?))
}
