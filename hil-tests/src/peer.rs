//! Programs that others wrote, run as separate processes.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The repository's root.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where `cargo xtask setup` puts what is not a Debian package: models, ONNX Runtime, Python programs.
pub fn local() -> PathBuf {
    repository().join(".local")
}

/// A program of the Python environment that `cargo xtask setup` makes.
pub fn python_program(name: &str) -> anyhow::Result<PathBuf> {
    let path = local().join("python/bin").join(name);
    if !path.exists() {
        bail!("{} is missing: run `cargo xtask setup`", path.display());
    }
    Ok(path)
}

/// A loopback port that nobody listens on at this moment.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("failed to bind a loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// A child process that is killed when dropped.
#[derive(Debug)]
pub struct Peer(pub Child);

impl Peer {
    /// Starts `command` without a terminal.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {:?}", command.get_program()))?;
        Ok(Self(child))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `condition` holds, at most `limit`; fails with `what` if it never does.
pub async fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    while !condition().await {
        if Instant::now() > end {
            bail!("waited {limit:?} for {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until something accepts connections on a loopback port.
pub async fn wait_for_port(port: u16, limit: Duration) -> anyhow::Result<()> {
    wait_until(&format!("port {port}"), limit, async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await
}
