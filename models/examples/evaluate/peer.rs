//! Programs that others wrote, run as processes on the same pictures: a file name in, a JSON line with reads out.

use crate::Fault;
use models::evaluate::{SeenPlate, peak_memory_mib, processor_milliseconds};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// SimpleLPR, a proprietary plate reader in its trial form.
    Simplelpr,
    /// RapidOCR, a general text reader.
    Rapidocr,
}

impl Kind {
    /// As in `--peer`, `models/peers/` and `.local/peers/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simplelpr => "simplelpr",
            Self::Rapidocr => "rapidocr",
        }
    }
}

/// A running program. It ends with its standard input.
pub struct Peer {
    kind: Kind,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it calls itself, with version.
    pub title: String,
}

/// The first line of a peer.
#[derive(Deserialize)]
struct Ready {
    ready: String,
}

/// The answer to one picture.
#[derive(Deserialize)]
pub struct Answer {
    /// From the picture's file to the reads, without starting and loading.
    pub ms: f64,
    /// What it read.
    pub reads: Vec<Read>,
    /// Why it could not.
    pub error: Option<String>,
}

/// One text.
#[derive(Deserialize)]
pub struct Read {
    /// As the program wrote it.
    pub text: String,
    /// Left, top, right, bottom.
    pub place: Option<[f32; 4]>,
    /// As the program claims, 0 to 1.
    pub confidence: Option<f64>,
    /// Other readings.
    #[serde(default)]
    pub candidates: Vec<String>,
}

impl From<&Read> for SeenPlate {
    fn from(read: &Read) -> Self {
        Self {
            text: read.text.clone(),
            place: read.place,
            probability: read.confidence,
            candidates: read.candidates.clone(),
            ..Self::default()
        }
    }
}

impl Peer {
    /// Starts the program and waits until it has loaded its models.
    pub fn start(kind: Kind, local: &Path, threads: u8, countries: &[String]) -> Result<Self, Fault> {
        let python = local.join("peers").join(kind.name()).join("bin/python");
        if !python.exists() {
            let (path, name) = (python.display(), kind.name());
            return Err(
                format!("{path} is missing: `cargo xtask evaluate … --peer {name}` installs it").into()
            );
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/");
        let mut child = Command::new(python)
            .arg(format!("{script}run_{}.py", kind.name()))
            .args(["--threads", &threads.to_string(), "--countries", &countries.join(",")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a peer without pipes".into());
        };
        let mut peer = Self { kind, child, input, output: BufReader::new(output), title: String::new() };
        peer.title = peer.line::<Ready>()?.ready;
        Ok(peer)
    }

    /// Reads one picture.
    pub fn read(&mut self, picture: &Path) -> Result<Answer, Fault> {
        let request = serde_json::json!({ "file": picture.canonicalize()? });
        writeln!(self.input, "{request}")?;
        let answer: Answer = self.line()?;
        match answer.error {
            Some(error) => Err(format!("{} on {}: {error}", self.kind.name(), picture.display()).into()),
            None => Ok(answer),
        }
    }

    /// The most memory it has held so far.
    pub fn peak_memory_mib(&self) -> Option<f64> {
        peak_memory_mib(Some(self.child.id()))
    }

    /// Processor time it has used so far.
    pub fn processor_milliseconds(&self) -> Option<f64> {
        processor_milliseconds(Some(self.child.id()))
    }

    fn line<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, Fault> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("{} ended early: see its words above", self.kind.name()).into());
        }
        serde_json::from_str(&line)
            .map_err(|e| format!("{} said `{}`: {e}", self.kind.name(), line.trim()).into())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
