//! `weigh-scale/toledo_continuous`: METTLER TOLEDO and compatible indicators that send their display without being
//! asked, over RS-232 or a serial server.

pub mod codec;

use std::time::Duration;

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, ReadingKind, Resource,
    async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::transport::{Link, Parity, SerialSettings, Wire, WireError};
use crate::weighing::{self, Sample, Settings, Weighing, to_kg};
use codec::{Frame, Splitter};

/// Indicators send several times a second; the slowest setting known sends once a second.
const SILENCE: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// Parameters of `weigh-scale/toledo_continuous`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// Serial port by its lasting name, `/dev/serial/by-id/…`. Either this or `address`.
    port: Option<String>,
    /// Serial server that the indicator is wired to, `host:port`. Either this or `port`.
    address: Option<String>,
    /// Speed of the serial port: 1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200.
    #[serde(default = "default_baud")]
    baud: u32,
    /// Data bits, 7 or 8. 8 without parity also reads an indicator that sends 7 with parity: the parity bit is dropped.
    #[serde(default = "default_data_bits")]
    #[schemars(range(min = 7, max = 8))]
    data_bits: u8,
    /// Parity of the serial port.
    #[serde(default)]
    parity: Parity,
    /// Whether frames must carry a checksum, or it is checked where there is one.
    #[serde(default)]
    checksum: ChecksumRule,
    /// Below this many kilograms the platform counts as empty.
    #[serde(default = "weighing::default_empty_below_kg")]
    empty_below_kg: u32,
    /// A stable weight that differs by more than this many kilograms is reported again.
    #[serde(default = "weighing::default_change_kg")]
    change_kg: u32,
    /// How many milliseconds the indicator must be without motion.
    #[serde(default = "weighing::default_stable_ms")]
    stable_ms: u64,
}

/// What is expected of the checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ChecksumRule {
    /// Checked where there is one.
    #[default]
    Auto,
    /// Frames without a right one are rejected.
    Required,
}

fn default_baud() -> u32 {
    9600
}

fn default_data_bits() -> u8 {
    8
}

/// The protocol `weigh-scale/toledo_continuous`.
#[derive(Debug)]
pub struct ToledoContinuous;

impl Protocol for ToledoContinuous {
    fn name(&self) -> &'static str {
        "weigh-scale/toledo_continuous"
    }

    fn summary(&self) -> &'static str {
        "weighbridge whose indicator sends the Toledo continuous output, on a serial port or a serial server"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let p: Parameters = parse_parameters(parameters)?;
        if !(7..=8).contains(&p.data_bits) {
            return Err(ConfigError::field("data_bits", format!("expected 7 or 8, found {}", p.data_bits)));
        }
        let serial = SerialSettings { baud: p.baud, seven_bits: p.data_bits == 7, parity: p.parity };
        let wire = Wire::new(p.port, p.address, serial)?;
        let settings = Settings::new(p.empty_below_kg, p.change_kg, p.stable_ms)?;
        Ok(Box::new(Scale { wire, required: p.checksum == ChecksumRule::Required, settings }))
    }
}

#[derive(Clone, Debug)]
struct Scale {
    wire: Wire,
    required: bool,
    settings: Settings,
}

#[async_trait]
impl Plan for Scale {
    fn claims(&self) -> Vec<Resource> {
        vec![self.wire.claim()]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        vec![ReadingKind::Weight]
    }

    fn explain(&self) -> String {
        format!(
            "listens to the continuous output of the weighing indicator on {} and reports each vehicle's stable weight",
            self.wire.name()
        )
    }

    async fn probe(&self) -> ProbeReport {
        match timeout(PROBE_TIMEOUT, self.find_out()).await {
            Ok(Ok(findings)) => ProbeReport::found(findings),
            Ok(Err(fault)) => ProbeReport::failed(vec![fault.to_string()]),
            Err(_) => ProbeReport::failed(vec![format!("nothing usable came on {}", self.wire.name())]),
        }
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Driver for Scale {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        context.connecting(Some(format!("listening on {}", self.wire.name())));
        tokio::select! {
            fault = self.weigh(&context) => fault,
            () = context.stopped() => Ok(()),
        }
    }
}

impl Scale {
    /// Listens until the indicator is lost.
    async fn weigh(&self, context: &DriverContext) -> Result<(), DriverFault> {
        let mut stream = self.open().await?;
        let mut weighing = Weighing::new(self.settings);
        let start = Instant::now();
        loop {
            let frame = stream.next(self.wire.name()).await?;
            let sample = match frame.gross_grams() {
                Ok(grams) => {
                    if frame.zeroed {
                        context.online();
                    } else {
                        context.degraded(
                            "the scale was not zeroed after power-up: weights may be off by what lay on it",
                        );
                    }
                    Sample::Gross { grams, stable: !frame.motion }
                }
                Err(problem) => {
                    context.degraded(problem.to_string());
                    Sample::Invalid
                }
            };
            let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            if let Some(reading) = weighing.step(now_ms, sample) {
                context.observe(reading, None, Vec::new()).await?;
            }
        }
    }

    async fn find_out(&self) -> Result<Vec<String>, DriverFault> {
        let mut stream = self.open().await?;
        stream.next(self.wire.name()).await?;
        let frame = stream.next(self.wire.name()).await?;
        let checksum = match stream.splitter.checksum() {
            Some(true) => "with checksum",
            Some(false) => "without checksum",
            None => "checksum not known yet",
        };
        let form = if frame.short { "short form without tare" } else { "long form" };
        let mut findings = vec![format!("{} sends Toledo frames, {form}, {checksum}", self.wire.name())];
        findings.push(match frame.gross_grams() {
            Ok(grams) => {
                let motion = if frame.motion { "moving" } else { "stable" };
                format!("gross weight now {} kg, {motion}", to_kg(grams))
            }
            Err(problem) => problem.to_string(),
        });
        if !frame.zeroed {
            findings.push("the scale was not zeroed after power-up".to_owned());
        }
        Ok(findings)
    }

    async fn open(&self) -> Result<Stream, WireError> {
        Ok(Stream { link: self.wire.open().await?, splitter: Splitter::new(self.required) })
    }
}

struct Stream {
    link: Link,
    splitter: Splitter,
}

impl Stream {
    async fn next(&mut self, name: &str) -> Result<Frame, DriverFault> {
        let deadline = Instant::now() + SILENCE;
        let mut buffer = [0u8; 256];
        let mut bytes = 0usize;
        loop {
            if let Some(frame) = self.splitter.next_frame() {
                return Ok(frame);
            }
            let Ok(read) = timeout_at(deadline, self.link.read(&mut buffer)).await else {
                let heard = match bytes {
                    0 => "nothing came".to_owned(),
                    _ => format!("{bytes} bytes came, but no Toledo frame"),
                };
                return Err(DriverFault(format!(
                    "no weight on {name} for {} s, {heard}; check that the indicator is set to continuous output, and speed, data bits and parity",
                    SILENCE.as_secs()
                )));
            };
            let read = read?;
            bytes = bytes.saturating_add(read);
            self.splitter.push(buffer.get(..read).unwrap_or_default());
        }
    }
}
