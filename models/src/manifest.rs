//! Which files the models come from, and the check that they are the right ones.

use crate::ModelError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The checked-in list of models and libraries (`models/manifest.toml`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// ONNX Runtime's library, one entry per processor architecture.
    #[serde(default)]
    pub library: Vec<LibraryEntry>,
    /// The models.
    #[serde(default)]
    pub model: Vec<ModelEntry>,
}

/// A shared library for one architecture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryEntry {
    /// What it is.
    pub name: String,
    /// `std::env::consts::ARCH` of the machine it is for.
    pub arch: String,
    /// File name in the library folder.
    pub file: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// SPDX licence.
    pub licence: String,
    /// Where it comes from.
    pub source: Source,
}

/// One model file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The name the code asks for.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// File name in the models folder.
    pub file: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// SPDX licence.
    pub licence: String,
    /// Layout of input and output.
    pub input: String,
    /// Which tasks need it: `plate`, `face`, `container`.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Shapes of its inputs, all 32-bit floats; -1 is a side of any length. Compared by [`crate::check()`].
    #[serde(default)]
    pub inputs: Vec<Vec<i64>>,
    /// Shapes of its outputs, likewise.
    #[serde(default)]
    pub outputs: Vec<Vec<i64>>,
    /// Thresholds the code uses with it.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f64>,
    /// Where the measured accuracy is written down, with the command that measures it.
    pub measured: String,
    /// Where it comes from.
    pub source: Source,
}

/// Where a file comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "ecosystem", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A file inside a wheel of the Python package index.
    Pypi {
        /// Package name.
        package: String,
        /// Exact version.
        version: String,
        /// pip's `--platform`, where the package is not the same for all.
        platform: Option<String>,
        /// pip's `--python-version`, where the package is not the same for all.
        python: Option<String>,
        /// File name of the wheel.
        archive: String,
        /// SHA-256 of the wheel.
        archive_sha256: String,
        /// Path of the file inside the wheel.
        path: String,
    },
    /// A file of this repository: trained here.
    Repository {
        /// Path from the repository's root.
        path: String,
    },
}

impl Manifest {
    /// The text of the manifest this version was built with.
    pub const BUILTIN: &str = include_str!("../manifest.toml");

    /// The manifest this version was built with.
    ///
    /// # Errors
    /// Never for the checked-in file (a test reads it).
    pub fn builtin() -> Result<Self, ModelError> {
        Self::parse(Self::BUILTIN)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The text is not TOML, a field is missing or unknown, a hash is not 64 hexadecimal digits, or a file name
    /// has a path separator.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let manifest: Self = toml::from_str(text).map_err(|e| ModelError::Manifest(e.to_string()))?;
        let entries = manifest.library.iter().map(|l| (&l.file, &l.sha256, &l.source));
        for (file, sha256, source) in
            entries.chain(manifest.model.iter().map(|m| (&m.file, &m.sha256, &m.source)))
        {
            let archive = match source {
                Source::Pypi { archive_sha256, .. } => Some(archive_sha256),
                Source::Repository { .. } => None,
            };
            for hash in std::iter::once(sha256).chain(archive) {
                let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if hash.len() != 64 || !hash.bytes().all(hex) {
                    return Err(ModelError::Manifest(format!(
                        "{file}: expected a SHA-256 of 64 lower-case hexadecimal digits, got `{hash}`"
                    )));
                }
            }
            if file.contains(['/', '\\']) || file.starts_with('.') || file.is_empty() {
                return Err(ModelError::Manifest(format!("expected a plain file name, got `{file}`")));
            }
        }
        Ok(manifest)
    }

    /// ONNX Runtime's library for this machine's architecture, if there is one.
    #[must_use]
    pub fn library_here(&self) -> Option<&LibraryEntry> {
        self.library.iter().find(|l| l.arch == std::env::consts::ARCH)
    }
}

/// The folder of model files.
#[derive(Clone, Debug)]
pub struct ModelStore {
    folder: PathBuf,
    manifest: Manifest,
}

impl ModelStore {
    /// Opens `folder`. A model file is checked when it is loaded, on the very bytes that are used: one that is missing
    /// keeps only its own kind of recognition from working.
    ///
    /// # Errors
    /// The folder is not there.
    pub fn open(folder: &Path, manifest: Manifest) -> Result<Self, ModelError> {
        if !folder.is_dir() {
            let reason = "is missing, or is no folder".to_owned();
            return Err(ModelError::ModelFile { path: folder.to_path_buf(), reason });
        }
        Ok(Self { folder: folder.to_path_buf(), manifest })
    }

    /// Every model file that is missing or has the wrong size: quick, for a check before the start.
    #[must_use]
    pub fn problems(&self) -> Vec<ModelError> {
        let check = |entry: &ModelEntry| check_size(&self.folder.join(&entry.file), entry.bytes).err();
        self.manifest.model.iter().filter_map(check).collect()
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads and hashes every model file.
    ///
    /// # Errors
    /// Names the first file that is not what the manifest says.
    pub fn verify(&self) -> Result<(), ModelError> {
        self.manifest.model.iter().try_for_each(|entry| self.bytes(&entry.name).map(drop))
    }

    /// The checked bytes of a model.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let Some(entry) = self.manifest.model.iter().find(|m| m.name == name) else {
            let known: Vec<_> = self.manifest.model.iter().map(|m| m.name.as_str()).collect();
            return Err(ModelError::ModelUnknown { name: name.into(), known: known.join(", ") });
        };
        let path = self.folder.join(&entry.file);
        check_size(&path, entry.bytes)?;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).and_then(|f| f.take(entry.bytes + 1).read_to_end(&mut bytes));
        let fault = |reason: String| ModelError::ModelFile { path: path.clone(), reason };
        file.map_err(|e| fault(format!("cannot be read ({e})")))?;
        let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if found != entry.sha256 {
            return Err(fault(format!("has SHA-256 {found}, expected {}", entry.sha256)));
        }
        Ok(bytes)
    }
}

fn check_size(path: &Path, expected: u64) -> Result<(), ModelError> {
    let fault = |reason: String| ModelError::ModelFile { path: path.to_path_buf(), reason };
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => fault("is missing".into()),
        _ => fault(format!("cannot be read ({e})")),
    })?;
    if meta.len() != expected {
        return Err(fault(format!("has {} bytes, expected {expected}", meta.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_manifest_is_valid() {
        let manifest = Manifest::builtin().unwrap();
        for name in [
            "text-finder",
            "text-reader",
            "second-reader",
            "plate-corners",
            "plate-text",
            "plate-finder",
            "face-finder",
            "face-template",
        ] {
            assert_eq!(manifest.model.iter().filter(|m| m.name == name).count(), 1, "{name}");
        }
        assert!(manifest.library.iter().any(|l| l.arch == "x86_64"));
        assert!(manifest.library.iter().any(|l| l.arch == "aarch64"));
        assert!(manifest.model.iter().all(|m| ["Apache-2.0", "MIT"].contains(&m.licence.as_str())));
    }

    #[test]
    fn committed_weights_are_those_of_the_manifest() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut count = 0;
        for model in Manifest::builtin().unwrap().model {
            let Source::Repository { path } = model.source else { continue };
            let bytes = std::fs::read(root.join(&path)).unwrap();
            let sha256: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!((bytes.len() as u64, sha256), (model.bytes, model.sha256), "{path}");
            assert_eq!(Path::new(&path).file_name().unwrap().to_str(), Some(model.file.as_str()));
            count += 1;
        }
        assert_eq!(count, 2, "plate-corners and plate-text");
    }

    #[test]
    fn a_source_is_a_wheel_or_this_repository() {
        let entry = Manifest::BUILTIN.split("\n[[model]]").nth(1).unwrap();
        let head = entry.split("[model.source]").next().unwrap();
        let with = |source: &str| Manifest::parse(&format!("[[model]]{head}[model.source]\n{source}"));
        let here = with("ecosystem = \"repository\"\npath = \"models/weights/a.onnx\"").unwrap();
        assert!(
            matches!(&here.model[0].source, Source::Repository { path } if path == "models/weights/a.onnx")
        );
        for wrong in [
            "ecosystem = \"repository\"",
            "ecosystem = \"repository\"\npath = \"a\"\nversion = \"1\"",
            "ecosystem = \"pypi\"\npath = \"a\"",
            "ecosystem = \"web\"\npath = \"a\"",
        ] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bad_manifest_is_refused() {
        assert!(Manifest::parse("[[model]]\nname = 1").is_err());
        let hash = Manifest::BUILTIN.replace("090f04ab", "090F04AB");
        assert!(Manifest::parse(&hash).unwrap_err().to_string().contains("PP-OCRv6_det_small.onnx"));
        let path = Manifest::BUILTIN.replace("file = \"clp_det.onnx\"", "file = \"../clp_det.onnx\"");
        assert!(Manifest::parse(&path).is_err());
    }

    fn store_of(bytes: &[u8], sha256: &str, length: u64) -> (tempfile::TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::builtin().unwrap();
        manifest.model.truncate(1);
        let entry = &mut manifest.model[0];
        entry.sha256 = sha256.into();
        entry.bytes = length;
        std::fs::write(folder.path().join(&entry.file), bytes).unwrap();
        (folder, manifest)
    }

    #[test]
    fn missing_truncated_and_wrong_files_are_named() {
        // SHA-256 of "abc": FIPS 180-4 example
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let (folder, manifest) = store_of(b"abc", abc, 3);
        let store = ModelStore::open(folder.path(), manifest.clone()).unwrap();
        store.verify().unwrap();

        let file = folder.path().join(&manifest.model[0].file);
        std::fs::write(&file, b"abd").unwrap();
        let wrong = store.verify().unwrap_err().to_string();
        assert!(wrong.contains("PP-OCRv6_det_small.onnx has SHA-256"), "{wrong}");

        std::fs::write(&file, b"ab").unwrap();
        let short = store.problems().remove(0).to_string();
        assert!(short.contains("has 2 bytes, expected 3") && short.contains("cargo xtask setup"), "{short}");

        std::fs::remove_file(&file).unwrap();
        let gone = store.verify().unwrap_err().to_string();
        assert!(gone.contains("PP-OCRv6_det_small.onnx is missing"), "{gone}");
        assert!(ModelStore::open(&file, manifest).is_err(), "a folder that is not there");
        assert!(matches!(store.bytes("nothing"), Err(ModelError::ModelUnknown { .. })));
    }
}
