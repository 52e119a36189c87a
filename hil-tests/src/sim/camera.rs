//! Cameras: GStreamer's RTSP server as a process, which serves picture files as live H.264 video.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::peer::repository;
use crate::scene::{Scene, empty_road};

/// How long the server may take to listen.
const START: Duration = Duration::from_secs(60);

/// A running server with one stream for each camera. Ends when dropped.
#[derive(Debug)]
pub struct RtspServer {
    child: Child,
    orders: Mutex<ChildStdin>,
    port: u16,
    pictures: TempDir,
}

impl RtspServer {
    /// Serves the empty road on `rtsp://127.0.0.1:PORT/<camera>` for each of `cameras`, on a free port.
    pub async fn start(cameras: &[&str]) -> anyhow::Result<Self> {
        Self::start_on(0, cameras).await
    }

    /// The same on a given port.
    pub async fn start_on(port: u16, cameras: &[&str]) -> anyhow::Result<Self> {
        let cameras: Vec<String> = cameras.iter().map(|&camera| camera.to_owned()).collect();
        tokio::task::spawn_blocking(move || Self::start_blocking(port, &cameras)).await?
    }

    fn start_blocking(port: u16, cameras: &[String]) -> anyhow::Result<Self> {
        let pictures = tempfile::tempdir().context("failed to make a folder for pictures")?;
        let empty = pictures.path().join("empty.yuv");
        empty_road(1)?.write_i420(&empty)?;
        let script = repository().join("hil-tests/peers/rtsp_server.py");
        // Debian's own Python has GStreamer's bindings; an environment's has not.
        let mut child = Command::new("/usr/bin/python3")
            .arg(&script)
            .args(["--port", &port.to_string(), "--empty"])
            .arg(&empty)
            .args(cameras)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start /usr/bin/python3: run `cargo xtask setup`")?;
        let (Some(orders), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the server has no pipes");
        };
        let mut server = Self { child, orders: Mutex::new(orders), port, pictures };
        let (sender, first_line) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = first_line.recv_timeout(START).context("the RTSP server did not start in time")?;
        server.port =
            line.trim().strip_prefix("ready ").and_then(|port| port.parse().ok()).with_context(|| {
                format!(
                    "the RTSP server did not start (it said `{}`): GStreamer's bindings may be missing, \
                     run `cargo xtask setup`",
                    line.trim()
                )
            })?;
        Ok(server)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Address of a camera's stream.
    pub fn url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.port)
    }

    /// Makes a picture ready to be shown.
    pub fn prepare(&self, name: &str, scene: &Scene) -> anyhow::Result<PathBuf> {
        let file = self.pictures.path().join(format!("{name}.yuv"));
        scene.write_i420(&file)?;
        Ok(file)
    }

    /// A camera sees a picture made by [`RtspServer::prepare`] from now on.
    pub fn show(&self, camera: &str, picture: &Path) -> anyhow::Result<()> {
        self.order(&format!("show {camera} {}", picture.display()))
    }

    /// A camera sees the empty road from now on.
    pub fn empty(&self, camera: &str) -> anyhow::Result<()> {
        self.order(&format!("empty {camera}"))
    }

    /// A camera hangs: its picture does not change any more.
    pub fn freeze(&self, camera: &str) -> anyhow::Result<()> {
        self.order(&format!("freeze {camera}"))
    }

    /// A camera sends no pictures any more, but keeps its connections.
    pub fn stall(&self, camera: &str) -> anyhow::Result<()> {
        self.order(&format!("stall {camera}"))
    }

    /// Ends [`RtspServer::freeze`] and [`RtspServer::stall`].
    pub fn resume(&self, camera: &str) -> anyhow::Result<()> {
        self.order(&format!("resume {camera}"))
    }

    fn order(&self, line: &str) -> anyhow::Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(orders, "{line}").and_then(|()| orders.flush()).context("the RTSP server has ended")
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
