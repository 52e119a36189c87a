//! mosquitto as a process, on a free loopback port.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

use crate::certificates::Party;
use crate::peer::{Peer, free_port, wait_for_port};

/// Where Debian puts it; not on every user's PATH.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// How a broker is to be set up.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The broker's own certificate: TLS, and clients need one too, whose common name is their user name. Without it: plain, and
    /// everyone may connect.
    pub tls: Option<Party>,
    /// Lines of an access list (mosquitto.conf(5), `acl_file`). Without it everyone may do everything.
    pub access: Option<String>,
    /// Largest packet it takes and says so in CONNACK, bytes.
    pub max_packet_size: Option<u32>,
    /// Largest payload it takes without saying so beforehand, bytes.
    pub message_size_limit: Option<u32>,
    /// Keep sessions and retained messages on disk. They are written at an orderly end only: kill -9 loses them.
    pub persistence: bool,
}

/// The access list of a checkpoint: each box, by its certificate's name `<box>`, to its own topics, and the IISPP's
/// consumer to those of every box.
pub fn checkpoint_access(site: &str, boxes: &[&str], consumer: &str) -> String {
    let mut text = String::new();
    for name in boxes {
        let own = format!("ckpt/v1/{site}/{name}");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "user {name}");
        for topic in ["status", "health/#", "load", "lane/#", "alarm", "orphan", "cmd/+/+/result"] {
            let _ = writeln!(text, "topic write {own}/{topic}");
        }
        for topic in ["receipt", "cmd/+/+"] {
            let _ = writeln!(text, "topic read {own}/{topic}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "user {consumer}\ntopic read ckpt/v1/#");
    let _ = writeln!(text, "topic write ckpt/v1/+/+/receipt\ntopic write ckpt/v1/+/+/cmd/+/+");
    text
}

/// A mosquitto; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    /// The port it listens on.
    pub port: u16,
    folder: PathBuf,
    process: Option<Peer>,
}

impl Broker {
    /// Writes the configuration into `folder` and starts it.
    pub async fn start(folder: &Path, settings: &Settings) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let port = free_port()?;
        write_configuration(folder, port, settings)?;
        let mut broker = Self { port, folder: folder.to_owned(), process: None };
        broker.start_again().await?;
        Ok(broker)
    }

    /// Ends it as a power cut would, and waits until it is gone. What it held in memory is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let log = fs::File::options().append(true).create(true).open(self.log())?;
        let mut command = Command::new(MOSQUITTO);
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(log);
        self.process = Some(Peer::spawn(&mut command)?);
        wait_for_port(self.port, Duration::from_secs(30))
            .await
            .with_context(|| fs::read_to_string(self.log()).unwrap_or_default())
    }

    /// Forgets what was persisted: with [`Broker::kill`] before it, a broker that lost its disk.
    pub fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.folder.join("mosquitto.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Replaces the access list and has the broker read it (SIGHUP).
    pub fn set_access(&self, access: &str) -> anyhow::Result<()> {
        fs::write(self.folder.join("access"), access)?;
        if let Some(Peer(child)) = &self.process {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP)?;
        }
        Ok(())
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.folder.join("mosquitto.log")
    }
}

fn write_configuration(folder: &Path, port: u16, settings: &Settings) -> anyhow::Result<()> {
    let mut text = format!("listener {port} 127.0.0.1\nlog_dest stderr\nlog_timestamp_format %H:%M:%S\n");
    // A test's consumer that is away must not lose more than it would with a real broker; the default is 1000.
    text.push_str("max_queued_messages 10000\n");
    if fs::metadata("/proc/self")?.uid() == 0 {
        // It would otherwise become the user mosquitto, who cannot read the keys.
        text.push_str("user root\n");
    }
    match &settings.tls {
        None => text.push_str("allow_anonymous true\n"),
        Some(Party { ca, certificate, key }) => {
            writeln!(text, "cafile {}", ca.display())?;
            writeln!(text, "certfile {}\nkeyfile {}", certificate.display(), key.display())?;
            text.push_str("require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n");
        }
    }
    if let Some(access) = &settings.access {
        let file = folder.join("access");
        fs::write(&file, access)?;
        writeln!(text, "acl_file {}", file.display())?;
    }
    if let Some(size) = settings.max_packet_size {
        writeln!(text, "max_packet_size {size}")?;
    }
    if let Some(size) = settings.message_size_limit {
        writeln!(text, "message_size_limit {size}")?;
    }
    if settings.persistence {
        writeln!(text, "persistence true\npersistence_location {}/", folder.display())?;
    }
    fs::write(folder.join("mosquitto.conf"), text)?;
    Ok(())
}
