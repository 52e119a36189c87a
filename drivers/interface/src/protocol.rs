//! The traits that every protocol implements.

use std::fmt;

use async_trait::async_trait;

use crate::{ConfigError, DriverContext, ReadingKind, Sight};

/// A `protocol = "…"` of the site file. Each driver crate lists its protocols in one static list.
pub trait Protocol: Send + Sync {
    /// The word in the site file.
    fn name(&self) -> &'static str;

    /// What it is for, in one line, for `edge-agent check` and the generated schema.
    fn summary(&self) -> &'static str;

    /// JSON Schema of the parameters.
    fn schema(&self) -> schemars::Schema;

    /// Reads and checks the parameters (the sensor's table without `id`, `station` and `protocol`).
    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError>;
}

/// A sensor that is configured but not started.
#[async_trait]
pub trait Plan: Send + Sync {
    /// What it will use exclusively; two plans with the same claim are refused before anything starts.
    fn claims(&self) -> Vec<Resource>;

    /// Kinds of readings it can give.
    fn readings(&self) -> Vec<ReadingKind>;

    /// What will run, in one plain sentence for the technician.
    fn explain(&self) -> String;

    /// For cameras: what recognition is to look for in the pictures.
    fn recognition(&self) -> Option<Sight> {
        None
    }

    /// Whether it takes gate commands.
    fn is_gate(&self) -> bool {
        false
    }

    /// Talks to the device once and says what it found. Never takes longer than ten seconds.
    async fn probe(&self) -> ProbeReport;

    /// A driver that is ready to run; called again after a fault.
    fn start(&self) -> Box<dyn Driver>;
}

/// A running sensor.
#[async_trait]
pub trait Driver: Send {
    /// Runs until it is told to stop (`Ok`) or the device is lost (`Err`); the supervisor then starts a new one.
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault>;
}

/// Why a driver ended. The text says what was tried, what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DriverFault(pub String);

impl From<crate::Stopped> for DriverFault {
    fn from(stopped: crate::Stopped) -> Self {
        Self(stopped.to_string())
    }
}

/// What `edge-agent probe` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// Whether the device answered as it should.
    pub ok: bool,
    /// What was found, one line each; the last lines say what to do if `ok` is false.
    pub findings: Vec<String>,
}

impl ProbeReport {
    /// A report of a device that answered.
    pub fn found(findings: Vec<String>) -> Self {
        Self { ok: true, findings }
    }

    /// A report of a device that did not.
    pub fn failed(findings: Vec<String>) -> Self {
        Self { ok: false, findings }
    }
}

/// Something that only one sensor can use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A serial port, by device path.
    SerialPort(String),
    /// A device reached as a client that serves one client only, `host:port`.
    Endpoint(String),
    /// A local address that is listened on.
    Listen(String),
    /// A folder that is watched.
    Folder(String),
    /// One input or output of a remote I/O module, in words.
    Terminal(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SerialPort(port) => write!(f, "serial port {port}"),
            Self::Endpoint(endpoint) => write!(f, "device {endpoint}"),
            Self::Listen(address) => write!(f, "local address {address}"),
            Self::Folder(path) => write!(f, "folder {path}"),
            Self::Terminal(terminal) => write!(f, "terminal {terminal}"),
        }
    }
}

/// The protocol called `name`, if it is in `list`.
pub fn find_protocol<'a>(list: &[&'a dyn Protocol], name: &str) -> Option<&'a dyn Protocol> {
    list.iter().copied().find(|protocol| protocol.name() == name)
}
