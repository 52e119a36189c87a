//! Evidence on disk: bytes named by their SHA-256, bounded, the oldest removed first.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use interface::Sha256;

/// A directory of evidence files.
#[derive(Debug)]
pub struct EvidenceStore {
    directory: PathBuf,
    max_bytes: u64,
    bytes: u64,
    /// File names with sizes, oldest first.
    files: VecDeque<(String, u64)>,
}

impl EvidenceStore {
    /// Opens the store in `directory` and counts what is there.
    pub fn open(directory: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                found.push((metadata.modified()?, name, metadata.len()));
            }
        }
        found.sort();
        let files: VecDeque<_> = found.into_iter().map(|(_, name, bytes)| (name, bytes)).collect();
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { directory: directory.to_owned(), max_bytes, bytes, files })
    }

    /// Keeps `bytes` and returns their name. Removes the oldest evidence where the limit asks for it.
    pub fn keep(&mut self, bytes: &[u8]) -> io::Result<Sha256> {
        let name = Sha256::of(bytes);
        let file_name = format!("{name}.{}", extension(bytes));
        let path = self.directory.join(&file_name);
        if path.exists() {
            return Ok(name);
        }
        let draft = self.directory.join("draft.tmp");
        fs::write(&draft, bytes)?;
        fs::rename(&draft, &path)?;
        self.bytes += bytes.len() as u64;
        self.files.push_back((file_name, bytes.len() as u64));
        while self.bytes > self.max_bytes && self.files.len() > 1 {
            let Some((oldest, size)) = self.files.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(size);
            match fs::remove_file(self.directory.join(&oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(name)
    }
}

/// Ending by the first bytes, so that a person can open the file.
fn extension(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        "jpg"
    } else if bytes.starts_with(b"\x89PNG") {
        "png"
    } else if std::str::from_utf8(bytes).is_ok() {
        "txt"
    } else {
        "bin"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_found_by_its_digest_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = EvidenceStore::open(directory.path(), 10).unwrap();
        let first = store.keep(b"aaaa").unwrap();
        assert_eq!(store.keep(b"aaaa").unwrap(), first);
        store.keep(b"bbbb").unwrap();
        let last = store.keep(b"cccc").unwrap();
        assert!(!directory.path().join(format!("{first}.txt")).exists());
        assert_eq!(fs::read(directory.path().join(format!("{last}.txt"))).unwrap(), b"cccc");
        assert_eq!(EvidenceStore::open(directory.path(), 10).unwrap().bytes, 8);
    }
}
