//! The daemon as a process, and what has to be installed.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::{Peer, local, wait_until};

/// How long the daemon may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(20);
/// Lines of its log that are shown when it fails.
const TAIL: usize = 25;

/// Files that set-up brings.
#[derive(Debug)]
pub struct Installed {
    /// The daemon.
    pub edge_agent: PathBuf,
    /// ONNX Runtime.
    pub runtime: PathBuf,
    /// Folder of the models.
    pub models: PathBuf,
}

impl Installed {
    /// Looks for everything and says all that is missing.
    pub fn find() -> anyhow::Result<Self> {
        let mut missing = Vec::new();
        if !Path::new("/usr/sbin/mosquitto").is_file() {
            missing.push("mosquitto, the MQTT broker".to_owned());
        }
        let bindings =
            "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('GstApp', '1.0')";
        let python = Command::new("/usr/bin/python3").args(["-c", bindings]).stderr(Stdio::null()).status();
        if !python.is_ok_and(|status| status.success()) {
            missing.push("GStreamer's RTSP server with its Python bindings".to_owned());
        }
        let runtime = newest(&local().join("lib"), "libonnxruntime.so");
        if runtime.is_none() {
            missing.push("ONNX Runtime in .local/lib".to_owned());
        }
        let models = local().join("models");
        if newest(&models, "PP-OCR").is_none() {
            missing.push("the models in .local/models".to_owned());
        }
        if !missing.is_empty() {
            bail!("missing: {}; run `cargo xtask setup`", missing.join("; "));
        }
        let here = std::env::current_exe().context("failed to find this program's own file")?;
        let edge_agent = here.with_file_name("edge-agent");
        if !edge_agent.is_file() {
            bail!("{} is not built: start the demo by `cargo xtask demo`", edge_agent.display());
        }
        Ok(Self { edge_agent, runtime: runtime.unwrap_or_default(), models: models.canonicalize()? })
    }
}

/// The last by name of the files in `folder` whose names begin with `prefix`.
fn newest(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    entries.filter(named).max().and_then(|path| path.canonicalize().ok())
}

/// `edge-agent run` as a process; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    site: PathBuf,
    log: PathBuf,
    metrics_port: u16,
    process: Option<Peer>,
}

impl Daemon {
    /// Starts it on the site file `site`; what it says goes to `log`.
    pub fn start(program: &Path, site: &Path, log: &Path, metrics_port: u16) -> anyhow::Result<Self> {
        let mut daemon = Self {
            program: program.to_owned(),
            site: site.to_owned(),
            log: log.to_owned(),
            metrics_port,
            process: None,
        };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Starts it again.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let log = File::options().append(true).create(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg(&self.site).stdout(log.try_clone()?).stderr(log);
        // A Ctrl-C is for the demo, which ends the daemon in order.
        command.process_group(0);
        self.process = Some(Peer::spawn(&mut command)?);
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// An error with the end of its log, if it has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(Peer(child)) = &mut self.process
            && let Some(status) = child.try_wait()?
        {
            bail!(
                "edge-agent has ended ({status}); its log {} ends with\n{}",
                self.log.display(),
                self.tail()
            );
        }
        Ok(())
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL);
        lines.iter().skip(from).map(|line| format!("    {line}\n")).collect()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(Peer(child)) = &mut self.process else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)
            .context("failed to end the daemon")?;
        let mut status = None;
        let ended = wait_until("the daemon to end", ENDING, async || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        ended.await?;
        self.process = None;
        match status {
            Some(status) if !status.success() => {
                bail!("edge-agent ended with {status}; its log ends with\n{}", self.tail())
            }
            _ => Ok(()),
        }
    }

    /// Its numbers, as far as the page can be read now.
    pub async fn metrics(&self) -> Option<Metrics> {
        timeout(Duration::from_secs(2), read_metrics(self.metrics_port)).await.ok()?.ok()
    }
}

/// The numbers of the metrics page.
#[derive(Debug, Default)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// The value of a series without labels.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(series, _)| series == name).map(|(_, value)| *value)
    }

    /// Whether a sensor answers; `None` if it is not known.
    pub fn sensor_up(&self, sensor: &str) -> Option<bool> {
        let label = format!("sensor=\"{sensor}\"");
        let mut series = self.0.iter().filter(|(series, _)| series.starts_with("edge_agent_sensor_up{"));
        series.find(|(series, _)| series.contains(&label)).map(|(_, value)| *value > 0.5)
    }
}

async fn read_metrics(port: u16) -> anyhow::Result<Metrics> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await?;
    let page = String::from_utf8_lossy(&page);
    let lines = page.lines().filter(|line| line.starts_with("edge_agent_"));
    let series = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    Ok(Metrics(series.collect()))
}
