//! The types of the site file. Their doc comments become the descriptions of the JSON Schema.

use std::fmt;
use std::path::{Path, PathBuf};

use interface::ReadingKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a name that becomes a level of an MQTT topic may look like. Topic levels must not hold `/`, `+`, `#` or spaces.
pub(crate) const NAME_PATTERN: &str = "^[A-Za-z0-9_.-]+$";

/// Whether `text` fits [`NAME_PATTERN`].
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// The site file of a border checkpoint's edge controller. Relative paths are relative to this file's folder. A change
/// takes effect when the daemon is restarted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "edge-agent site file")]
#[allow(dead_code)] // its parts are read one by one, so that each can have its own errors; the whole is for the schema
pub(crate) struct SiteFile {
    /// Which checkpoint and which box this is.
    site: SiteName,
    /// The driving lanes.
    #[schemars(length(min = 1))]
    lane: Vec<Lane>,
    /// The devices.
    #[serde(default)]
    sensor: Vec<SensorHead>,
    /// Where packets go. Without it they stay in the outbox.
    iispp: Option<Iispp>,
    /// Where data is kept, and how much of it.
    #[serde(default)]
    storage: Storage,
    /// Recognition on the box. Without it cameras give no readings.
    recognition: Option<Recognition>,
    /// The local metrics page.
    #[serde(default)]
    status: Status,
    /// Time limits of the passage engine.
    #[serde(default)]
    timing: Timing,
}

/// A device. Every key but these three belongs to its protocol.
#[derive(JsonSchema)]
#[allow(dead_code)] // read from the tree, see `sensors`
pub(crate) struct SensorHead {
    /// Name of the sensor, unique at the checkpoint.
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME_PATTERN))]
    id: String,
    /// Where it stands: `lane/station`.
    station: String,
    /// How it speaks.
    protocol: String,
}

/// Which checkpoint and which box this is. Both names stand in every topic and every packet: a change makes a new
/// source for the IISPP. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteName {
    /// Customs office code or UN/LOCODE.
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME_PATTERN))]
    pub id: String,
    /// Name of this box at the site.
    #[serde(rename = "box")]
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME_PATTERN))]
    pub box_id: String,
}

/// Which way a lane is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the country.
    In,
    /// Out of the country.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// A driving lane. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Name of the lane, unique at the checkpoint.
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME_PATTERN))]
    pub id: String,
    /// Which way it is driven.
    pub direction: Direction,
    /// Positions along the lane where sensors stand, in driving order.
    #[serde(rename = "station")]
    #[schemars(length(min = 1))]
    pub stations: Vec<Station>,
}

/// A position along a lane where sensors stand. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Name of the station, unique in its lane.
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME_PATTERN))]
    pub id: String,
    /// Distance from the start of the lane, metres; each station of a lane is further than the one before.
    #[schemars(range(min = 0.0, max = 100_000.0))]
    pub position_m: f64,
    /// Readings without which a packet is incomplete. Default: none.
    #[serde(default)]
    pub required: Vec<ReadingKind>,
    /// How long after the vehicle should have been here its readings may come, seconds. Default 60.
    #[serde(default = "deadline_s")]
    #[schemars(range(min = 0.001, max = 86_400.0))]
    pub deadline_s: f64,
}

impl Station {
    /// `deadline_s` in milliseconds.
    pub fn deadline_ms(&self) -> u64 {
        // Between 1 and 86 400 000 after validation; a float-to-integer cast saturates and does not wrap.
        (self.deadline_s * 1000.0).round() as u64
    }
}

fn deadline_s() -> f64 {
    60.0
}

/// The connection to the IISPP: an MQTT 5 broker. A change needs a restart; nothing in the outbox is lost by it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iispp {
    /// Name or address of the broker. With TLS it must stand in the broker's certificate.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// TCP port of the broker. Default 8883, MQTT over TLS (IANA service `secure-mqtt`).
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The certificates. Required unless `insecure_plaintext` is set.
    pub tls: Option<Tls>,
    /// Speak without TLS. Only allowed to a broker on this machine (a loopback address). Default false.
    #[serde(default)]
    pub insecure_plaintext: bool,
    /// MQTT keep-alive, seconds. Default 30.
    #[serde(default = "keep_alive_s")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_s: u16,
    /// How many messages may wait for the broker's acknowledgement at a time. Default 64.
    #[serde(default = "window")]
    #[schemars(range(min = 1, max = 1000))]
    pub window: u16,
    /// How long a message that the broker has acknowledged may wait for the IISPP's receipt before it is sent again,
    /// seconds. Default 60.
    #[serde(default = "receipt_timeout_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub receipt_timeout_s: u32,
}

fn port() -> u16 {
    8883
}

fn keep_alive_s() -> u16 {
    30
}

fn window() -> u16 {
    64
}

fn receipt_timeout_s() -> u32 {
    60
}

/// Mutual TLS with PEM files.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates of the authorities that may sign the broker's certificate.
    pub ca_file: FileReference,
    /// This box's certificate, with its chain.
    pub certificate_file: FileReference,
    /// The private key of this box's certificate.
    pub key_file: FileReference,
}

impl Tls {
    /// The same files, with relative paths made relative to `folder`.
    pub(crate) fn below(self, folder: &Path) -> Self {
        Self {
            ca_file: self.ca_file.below(folder),
            certificate_file: self.certificate_file.below(folder),
            key_file: self.key_file.below(folder),
        }
    }
}

/// A file: its path, or `credential:NAME` for a systemd credential (`LoadCredential=NAME:…` in the unit), which is
/// read from `$CREDENTIALS_DIRECTORY/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String", extend("minLength" = 1))]
pub enum FileReference {
    /// A path; absolute once the site file is loaded from an absolute path.
    Path(PathBuf),
    /// The name of a systemd credential.
    Credential(String),
}

impl From<String> for FileReference {
    fn from(text: String) -> Self {
        match text.strip_prefix("credential:") {
            Some(name) => Self::Credential(name.to_owned()),
            None => Self::Path(PathBuf::from(text)),
        }
    }
}

impl fmt::Display for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

/// A systemd credential was named where systemd gave none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "credential `{0}` cannot be found: $CREDENTIALS_DIRECTORY is not set; start the daemon by its systemd unit, with \
     LoadCredential={0}:/path/of/the/file in it"
)]
pub struct NoCredential(pub String);

impl FileReference {
    /// The path of the file; credentials are looked for where systemd put them for this process.
    ///
    /// # Errors
    ///
    /// A credential is named and `$CREDENTIALS_DIRECTORY` is not set.
    pub fn path(&self) -> Result<PathBuf, NoCredential> {
        self.path_in(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())
    }

    /// The reference with a relative path made relative to `folder`.
    pub(crate) fn below(self, folder: &Path) -> Self {
        match self {
            Self::Path(path) => Self::Path(folder.join(path)),
            credential @ Self::Credential(_) => credential,
        }
    }

    pub(crate) fn path_in(&self, credentials: Option<&Path>) -> Result<PathBuf, NoCredential> {
        match (self, credentials) {
            (Self::Path(path), _) => Ok(path.clone()),
            (Self::Credential(name), Some(directory)) => Ok(directory.join(name)),
            (Self::Credential(name), None) => Err(NoCredential(name.clone())),
        }
    }
}

/// Where data is kept, and how much of it. A change needs a restart. The oldest journal and evidence is deleted when
/// the limit is reached; a full outbox refuses new packets aloud and keeps what it has.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Folder for the journal, the outbox and the evidence. Default `/var/lib/edge-agent`.
    #[schemars(length(min = 1))]
    pub directory: PathBuf,
    /// Most disk space for the journal of observations, MiB. Default 1024.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub journal_max_mib: u64,
    /// Most disk space for packets that wait for the IISPP, MiB. Default 2048.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub outbox_max_mib: u64,
    /// Most messages that wait for the IISPP. Default 1 000 000.
    #[schemars(range(min = 100, max = 100_000_000))]
    pub outbox_max_events: u64,
    /// Most disk space for evidence (pictures, measurement files), MiB. Default 8192.
    #[schemars(range(min = 16, max = 16_777_216))]
    pub evidence_max_mib: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/edge-agent"),
            journal_max_mib: 1024,
            outbox_max_mib: 2048,
            outbox_max_events: 1_000_000,
            evidence_max_mib: 8192,
        }
    }
}

/// Recognition on the box. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recognition {
    /// ONNX Runtime's shared library, `libonnxruntime.so` or with its version behind.
    #[schemars(length(min = 1))]
    pub runtime: PathBuf,
    /// Folder of the models.
    #[schemars(length(min = 1))]
    pub models: PathBuf,
    /// Threads of one worker. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub threads: u16,
    /// Workers that recognise at the same time and share all cameras; each holds its own copy of the models. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub workers: u16,
    /// Faces. Without it none are read.
    pub faces: Option<Faces>,
}

/// Faces on the box: templates are kept encrypted and never leave it. A change needs a restart. No liveness: a shown
/// photograph of a face reads like the face.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Faces {
    /// The key that templates are encrypted with: a file that `edge-agent faces key FILE` has made, readable for its
    /// owner only, or `credential:NAME`. Without the key its templates are lost.
    pub key_file: FileReference,
    /// Folder of the templates. Default: `faces` below `storage.directory`.
    #[schemars(length(min = 1))]
    pub store: Option<PathBuf>,
    /// Least likeness (cosine) at which two pictures count as one person. `edge-agent faces calibrate` measures it on
    /// pictures of this site; there is no value that fits everywhere. Without it a comparison gives the likeness alone.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold_verify: Option<f64>,
    /// Least likeness at which somebody counts as a person of the watch list; higher than `threshold_verify`, since
    /// everybody is compared with everybody on it. Without it nobody is looked for.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold_watch_list: Option<f64>,
    /// Least quality of a face that gets a template, 0 to 1. Default 0.3.
    #[serde(default = "min_quality")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_quality: f64,
    /// How long templates of those who passed are kept, days. Default 7.
    #[serde(default = "retention_days")]
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: u32,
    /// How long people who were enrolled stay on the watch list, days. Default 365.
    #[serde(default = "enrolment_days")]
    #[schemars(range(min = 1, max = 3650))]
    pub enrolment_days: u32,
}

fn min_quality() -> f64 {
    0.3
}

fn retention_days() -> u32 {
    7
}

fn enrolment_days() -> u32 {
    365
}

fn one() -> u16 {
    1
}

/// The local metrics page. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// `address:port` to serve Prometheus metrics on; loopback addresses only; port 0 takes any free port.
    /// Default `127.0.0.1:9464` (the port of OpenTelemetry's Prometheus exporter).
    pub listen: std::net::SocketAddr,
}

impl Default for Status {
    fn default() -> Self {
        Self { listen: std::net::SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// Time limits of the passage engine. Defaults fit lanes of 20 to 300 m with stops. A change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// How long after a packet is sealed a late observation still makes a new revision of it, seconds. Default 120.
    #[schemars(range(min = 0, max = 86_400))]
    pub amendment_window_s: u64,
    /// How long a packet waits for a decision before its passage counts as closed without one, seconds. Default 600.
    #[schemars(range(min = 1, max = 86_400))]
    pub decision_s: u64,
    /// How long a passage may live without any observation before it is given up, seconds. Default 1800.
    #[schemars(range(min = 1, max = 604_800))]
    pub expiry_s: u64,
    /// How long changes are gathered before a new revision is published, milliseconds. Default 2000.
    #[schemars(range(min = 0, max = 600_000))]
    pub gather_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { amendment_window_s: 120, decision_s: 600, expiry_s: 1800, gather_ms: 2000 }
    }
}
