//! Templates of the faces that passed, each in a sealed file named by the SHA-256 of the template, in one folder a day:
//! retention removes whole days and needs no key.

use std::fs;
use std::path::{Path, PathBuf};

use interface::{Sha256, UtcMs};
use models::Template;

use super::FaceError;
use super::sealed::{Key, make_folder, read_whole, write_whole};

/// Most templates of a day: a lane sees far fewer people.
pub const MOST_A_DAY: usize = 20_000;

/// The store of templates of passages.
#[derive(Debug)]
pub struct Passages {
    folder: PathBuf,
}

impl Passages {
    /// The store in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Keeps a template and returns its name.
    ///
    /// # Errors
    /// The day is full, or the file cannot be written.
    pub fn keep(&self, key: &Key, template: &Template, now: UtcMs) -> Result<Sha256, FaceError> {
        let day = self.folder.join(day(now));
        make_folder(&self.folder)?;
        make_folder(&day)?;
        let fault = |error| FaceError::file("failed to read the folder", &day, error);
        if fs::read_dir(&day).map_err(fault)?.take(MOST_A_DAY).count() >= MOST_A_DAY {
            return Err(FaceError::Full(format!("{MOST_A_DAY} templates were kept today")));
        }
        let mut bytes = template.to_bytes();
        let name = Sha256::of(&bytes);
        let sealed = key.seal(&name.to_string(), &bytes);
        bytes.fill(0);
        write_whole(&day.join(format!("{name}.sealed")), &sealed?)?;
        Ok(name)
    }

    /// The template called `name`, if it is still kept.
    ///
    /// # Errors
    /// The file cannot be read, or was not written with this key.
    pub fn find(&self, key: &Key, name: Sha256) -> Result<Option<Template>, FaceError> {
        for folder in self.days()? {
            let file = folder.join(format!("{name}.sealed"));
            if let Some(sealed) = read_whole(&file)? {
                let plain = key.open(&name.to_string(), &sealed)?;
                let template = Template::from_bytes(&plain);
                return template
                    .map(Some)
                    .map_err(|error| FaceError::Damaged { file, why: error.to_string() });
            }
        }
        Ok(None)
    }

    /// Deletes the template called `name`. Returns whether there was one.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn delete(&self, name: Sha256) -> Result<bool, FaceError> {
        let mut deleted = false;
        for folder in self.days()? {
            let file = folder.join(format!("{name}.sealed"));
            match fs::remove_file(&file) {
                Ok(()) => deleted = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(FaceError::file("failed to delete", &file, error)),
            }
        }
        Ok(deleted)
    }

    /// Deletes the days that ended `days` days ago or earlier. Returns how many.
    ///
    /// # Errors
    /// A folder cannot be read or removed; the others are removed all the same.
    pub fn retain(&self, now: UtcMs, days: u32) -> Result<usize, FaceError> {
        let oldest = day(UtcMs(now.0 - i64::from(days) * 86_400_000));
        let mut removed = 0;
        let mut failed = None;
        for folder in self.days()? {
            // Days compare as text: 2026-11-24.
            if folder.file_name().is_some_and(|name| name.to_string_lossy().as_ref() < oldest.as_str()) {
                match fs::remove_dir_all(&folder) {
                    Ok(()) => removed += 1,
                    Err(error) => failed = Some(FaceError::file("failed to delete", &folder, error)),
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// The folders of days; nothing else is touched.
    fn days(&self) -> Result<Vec<PathBuf>, FaceError> {
        let fault = |error| FaceError::file("failed to read the folder", &self.folder, error);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(error)),
        };
        let mut days = Vec::new();
        for entry in entries {
            let path = entry.map_err(fault)?.path();
            let named = path.file_name().is_some_and(|name| is_day(&name.to_string_lossy()));
            if named && path.is_dir() {
                days.push(path);
            }
        }
        days.sort();
        Ok(days)
    }
}

/// The day of a time, `2026-11-24`.
fn day(at: UtcMs) -> String {
    at.to_string().chars().take(10).collect()
}

fn is_day(name: &str) -> bool {
    name.len() == 10
        && name
            .char_indices()
            .all(|(at, sign)| if matches!(at, 4 | 7) { sign == '-' } else { sign.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::people::tests::{key, template};

    #[test]
    fn a_template_is_found_by_its_digest_until_its_days_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let (key, passages) = (key(folder.path()), Passages::new(&folder.path().join("passages")));
        let at = |text: &str| UtcMs::parse(text).unwrap();
        let old = passages.keep(&key, &template(1), at("2026-11-01T23:59:59Z")).unwrap();
        let new = passages.keep(&key, &template(2), at("2026-11-02T00:00:01Z")).unwrap();
        assert_eq!(old, Sha256::of(&template(1).to_bytes()));
        assert_eq!(passages.find(&key, old).unwrap(), Some(template(1)));
        fs::create_dir(passages.folder.join("not-a-day")).unwrap();
        assert_eq!(passages.retain(at("2026-11-08T12:00:00Z"), 7).unwrap(), 0);
        assert_eq!(passages.retain(at("2026-11-09T00:00:00Z"), 7).unwrap(), 1);
        assert_eq!(passages.find(&key, old).unwrap(), None);
        assert_eq!(passages.find(&key, new).unwrap(), Some(template(2)));
        assert!(passages.delete(new).unwrap() && !passages.delete(new).unwrap());
        assert!(passages.folder.join("not-a-day").exists());
    }

    #[test]
    fn nothing_of_a_template_can_be_read_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (key, passages) = (key(folder.path()), Passages::new(&folder.path().join("passages")));
        let name = passages.keep(&key, &template(1), UtcMs(0)).unwrap();
        let file = passages.folder.join("1970-01-01").join(format!("{name}.sealed"));
        let bytes = fs::read(&file).unwrap();
        let plain = template(1).to_bytes();
        assert!(!plain.windows(8).any(|part| bytes.windows(8).any(|other| other == part)));
        // Under another name it is not taken for another face.
        let other = Sha256::of(b"other");
        fs::copy(&file, file.with_file_name(format!("{other}.sealed"))).unwrap();
        assert!(passages.find(&key, other).is_err());
    }
}
