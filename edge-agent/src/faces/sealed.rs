//! Bytes on disk that only the holder of the key can read, and that nobody can change unseen: ChaCha20-Poly1305
//! (RFC 8439) by `ring`, with a random nonce for each writing.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use firmware_config::FileReference;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use super::FaceError;

/// First word of a key file; the key follows as 64 hexadecimal digits.
const KEY_WORD: &str = "edge-agent-face-key-1";
/// Key length, bytes.
const KEY_BYTES: usize = 32;
/// First bytes of a sealed file.
const MAGIC: &[u8; 8] = b"EAFACES1";
/// Largest sealed file that is read: far beyond the bounds of the stores.
const MOST_BYTES: u64 = 256 << 20;

/// The key of a face store.
pub struct Key {
    key: LessSafeKey,
    file: PathBuf,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.file.display())
    }
}

impl Key {
    /// Makes a new key in `file`, readable for its owner only.
    ///
    /// # Errors
    /// The file is there already (a key that is overwritten takes its templates with it), or cannot be written.
    pub fn create(file: &Path) -> Result<(), FaceError> {
        let fault = |error: std::io::Error| FaceError::file("failed to create the key file", file, error);
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| FaceError::Random)?;
        let mut open =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(fault)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(open, "{KEY_WORD} {digits}").and_then(|()| open.sync_all()).map_err(fault)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// The file is missing, is no key, or others than its owner may read it. A systemd credential is not asked for its
    /// mode: systemd alone decides who sees it.
    pub fn read(reference: &FileReference) -> Result<Self, FaceError> {
        let file = reference.path().map_err(|error| FaceError::Key(error.to_string()))?;
        let fault = |error| FaceError::file("failed to read the key file", &file, error);
        let open = File::open(&file).map_err(fault)?;
        let metadata = open.metadata().map_err(fault)?;
        let mode = metadata.permissions().mode() & 0o777;
        if matches!(reference, FileReference::Path(_)) && mode & 0o077 != 0 {
            return Err(FaceError::Key(format!(
                "{} may be read by others than its owner (mode {mode:03o}): run `chmod 600 {0}`",
                file.display()
            )));
        }
        let mut text = String::new();
        open.take(1024).read_to_string(&mut text).map_err(fault)?;
        let digits = text.trim().strip_prefix(KEY_WORD).map(str::trim);
        let bytes: Option<Vec<u8>> =
            digits.filter(|it| it.len() == KEY_BYTES * 2 && it.is_ascii()).and_then(|it| {
                (0..KEY_BYTES)
                    .map(|at| it.get(at * 2..at * 2 + 2).and_then(|two| u8::from_str_radix(two, 16).ok()))
                    .collect()
            });
        let no_key = || {
            FaceError::Key(format!(
                "{} is no key: expected one line `{KEY_WORD} …` as written by `edge-agent faces key FILE`",
                file.display()
            ))
        };
        let unbound =
            UnboundKey::new(&CHACHA20_POLY1305, &bytes.ok_or_else(no_key)?).map_err(|_| no_key())?;
        Ok(Self { key: LessSafeKey::new(unbound), file: file.clone() })
    }

    /// Seals `content`; `name` must be given again when it is opened, so that one file cannot stand in for another.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn seal(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, FaceError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| FaceError::Random)?;
        let mut body = content.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut body)
            .map_err(|_| FaceError::Random)?;
        let mut sealed = MAGIC.to_vec();
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`Key::seal`] made.
    ///
    /// # Errors
    /// Not sealed by this key under this name, or changed since.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, FaceError> {
        let refused = || FaceError::Sealed { name: name.to_owned(), key: self.file.clone() };
        let rest = sealed.strip_prefix(MAGIC.as_slice()).ok_or_else(refused)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut body = body.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(name), &mut body).map_err(|_| refused())?.len();
        body.truncate(length);
        Ok(body)
    }
}

/// Writes a file so that after a crash it is the old or the new one, never a part: draft, sync, rename, sync of the
/// folder. It belongs to whoever owns the folder, also when root writes it: the daemon must be able to read it.
pub(super) fn write_whole(file: &Path, bytes: &[u8]) -> Result<(), FaceError> {
    let fault = |error: std::io::Error| FaceError::file("failed to write", file, error);
    let folder = file.parent().unwrap_or(Path::new("."));
    let draft = file.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        own_like(folder, &open)?;
        open.write_all(bytes)?;
        open.sync_all()?;
        std::fs::rename(&draft, file)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(fault)
}

/// Gives a new file or folder to the owner of the folder above, where we may.
pub(super) fn own_like(folder: &Path, new: &File) -> std::io::Result<()> {
    let owner = std::fs::metadata(folder)?;
    let now = new.metadata()?;
    if (owner.uid(), owner.gid()) != (now.uid(), now.gid()) && rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(new, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Makes a folder that only its owner can look into; it belongs to the owner of the folder above.
pub(super) fn make_folder(folder: &Path) -> Result<(), FaceError> {
    let fault = |error: std::io::Error| FaceError::file("failed to make the folder", folder, error);
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let make = || -> std::io::Result<()> {
        std::fs::create_dir_all(parent)?;
        std::fs::create_dir(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        own_like(parent, &File::open(folder)?)
    };
    make().map_err(fault)
}

/// The content of a file; `None` where there is none.
pub(super) fn read_whole(file: &Path) -> Result<Option<Vec<u8>>, FaceError> {
    let fault = |error: std::io::Error| FaceError::file("failed to read", file, error);
    let open = match File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    let mut bytes = Vec::new();
    open.take(MOST_BYTES).read_to_end(&mut bytes).map_err(fault)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &Path, name: &str) -> Key {
        let file = folder.join(name);
        Key::create(&file).unwrap();
        Key::read(&FileReference::Path(file)).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_by_its_key_and_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (key(folder.path(), "a"), key(folder.path(), "b"));
        let sealed = own.seal("people", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, own.seal("people", b"secret").unwrap(), "a nonce of its own each time");
        assert_eq!(own.open("people", &sealed).unwrap(), b"secret");
        assert!(other.open("people", &sealed).is_err());
        assert!(own.open("passages", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(own.open("people", &changed).is_err(), "byte {at}");
            assert!(own.open("people", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        Key::create(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Key::create(&file).is_err());
        let reference = FileReference::Path(file.clone());
        assert!(Key::read(&reference).is_ok());
        for mode in [0o640, 0o604, 0o644] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Key::read(&reference).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:03o}")), "{error}");
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "something else").unwrap();
        assert!(Key::read(&reference).unwrap_err().to_string().contains("edge-agent faces key"));
    }
}
