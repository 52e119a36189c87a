//! The program under test as a process, with a site file and a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use models::Manifest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{Peer, free_port, local, wait_until};

/// The program lies beside the tests' own; `cargo test --workspace` and `cargo xtask test` build it.
///
/// # Errors
/// It was not built.
pub fn edge_agent() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program's own file")?;
    let folder = own.parent().and_then(Path::parent).context("this program lies in no target folder")?;
    let program = folder.join("edge-agent");
    ensure!(program.exists(), "{} is missing: run `cargo build -p edge-agent`", program.display());
    Ok(program)
}

/// ONNX Runtime and the folder of models, or none with a note when set-up has not fetched them; `model` is one of the files.
pub fn recognition_files(model: &str) -> Option<(PathBuf, PathBuf)> {
    let library = local().join("lib").join(&Manifest::builtin().ok()?.library_here()?.file);
    let models = local().join("models");
    if !library.exists() || !models.join(model).exists() {
        println!("skipped: no {model} in {} (cargo xtask setup fetches it)", local().display());
        return None;
    }
    Some((library.canonicalize().ok()?, models.canonicalize().ok()?))
}

/// A folder with a site file, where commands are run and the daemon is started and stopped.
#[derive(Debug)]
pub struct Agent {
    folder: tempfile::TempDir,
    metrics: u16,
    daemon: Option<Peer>,
}

impl Agent {
    /// Writes `site` with a place for the daemon's metrics to the folder's `site.toml`.
    ///
    /// # Errors
    /// There is no room for a folder, or no free port.
    pub fn new(site: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let metrics = free_port()?;
        let site = format!("{site}\n[status]\nlisten = \"127.0.0.1:{metrics}\"\n");
        std::fs::write(folder.path().join("site.toml"), site)?;
        Ok(Self { folder, metrics, daemon: None })
    }

    /// The folder, in which commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The site file.
    pub fn site(&self) -> PathBuf {
        self.folder().join("site.toml")
    }

    /// The program with these arguments.
    ///
    /// # Errors
    /// It was not built.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(edge_agent()?);
        command.args(arguments).current_dir(self.folder());
        Ok(command)
    }

    /// Starts the daemon; what it says goes to [`Agent::log`].
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.folder().join("log"))?;
        let mut command = self.command(&["run", "site.toml"])?;
        self.daemon = Some(Peer::spawn(command.stderr(Stdio::from(log)))?);
        Ok(())
    }

    /// What the daemon has said so far, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// What the daemon counts; empty while it does not answer.
    pub async fn metrics(&self) -> String {
        let mut text = String::new();
        if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.metrics)).await {
            let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
            let _ = stream.read_to_string(&mut text).await;
        }
        text
    }

    /// Waits until the metrics have this text.
    ///
    /// # Errors
    /// They never had it; the error has them and the log.
    pub async fn wait_for_metric(&self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let seen = wait_until(text, limit, async || self.metrics().await.contains(text)).await;
        match seen {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error}\n{}\n{}", self.metrics().await, self.log()),
        }
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Ends the daemon with SIGTERM.
    ///
    /// # Errors
    /// It does not run, or does not end well.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.daemon.take().context("the daemon does not run")?;
        let id = nix::unistd::Pid::from_raw(i32::try_from(daemon.0.id())?);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM)?;
        let status = daemon.0.wait()?;
        ensure!(status.success(), "the daemon ended with {status}\n{}", self.log());
        Ok(())
    }

    /// Every event of the outbox, its payload read.
    ///
    /// # Errors
    /// The program fails, or prints something else.
    pub fn outbox(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let output = self.command(&["outbox", "site.toml", "export"])?.output()?;
        ensure!(output.status.success(), "{output:?}");
        let event = |line: &str| {
            let mut event: serde_json::Value = serde_json::from_str(line)?;
            let payload =
                event.get("payload").and_then(|it| it.as_str()).context("an event without payload")?;
            let payload = serde_json::from_str(payload)?;
            if let Some(place) = event.get_mut("payload") {
                *place = payload;
            }
            Ok(event)
        };
        String::from_utf8(output.stdout)?.lines().map(event).collect()
    }
}
