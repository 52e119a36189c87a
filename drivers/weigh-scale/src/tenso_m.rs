//! `weigh-scale/tenso_m`: Tenso-M indicators, polled for the gross weight over RS-232, RS-485 or a serial server.

pub mod codec;

use std::time::Duration;

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, ReadingKind, Resource,
    async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::transport::{Link, Parity, SerialSettings, Wire, WireError};
use crate::weighing::{self, Sample, Settings, Weighing, to_kg};
use codec::{
    FrameError, MAX_ADDRESS, Operation, Reply, Splitter, Weight, decode_reply, encode_request, error_words,
};

/// Within this an indicator answers (protocol description).
const REPLY_TIMEOUT: Duration = Duration::from_millis(700);
/// Requests in a row without an answer after which the indicator counts as lost.
const TRIES: u32 = 3;
const PROBE_TIMEOUT: Duration = Duration::from_secs(9);

/// Parameters of `weigh-scale/tenso_m`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// Serial port by its lasting name, `/dev/serial/by-id/…`. Either this or `address`.
    port: Option<String>,
    /// Serial server that the indicator is wired to, `host:port`. Either this or `port`.
    address: Option<String>,
    /// Speed of the serial port: 1200, 2400, 4800, 9600, 19200, 38400, 57600 or 115200. Always 8 data bits, no parity.
    #[serde(default = "default_baud")]
    baud: u32,
    /// The indicator's number on its bus, 1 to 159.
    #[serde(default = "default_device")]
    #[schemars(range(min = 1, max = 159))]
    device: u8,
    /// Unit that the indicator is set to; the protocol does not carry it.
    #[serde(default)]
    unit: Unit,
    /// Milliseconds between two questions, 50 to 5000.
    #[serde(default = "default_poll_ms")]
    #[schemars(range(min = 50, max = 5000))]
    poll_ms: u64,
    /// Below this many kilograms the platform counts as empty.
    #[serde(default = "weighing::default_empty_below_kg")]
    empty_below_kg: u32,
    /// A stable weight that differs by more than this many kilograms is reported again.
    #[serde(default = "weighing::default_change_kg")]
    change_kg: u32,
    /// How many milliseconds the indicator's stable flag must hold.
    #[serde(default = "weighing::default_stable_ms")]
    stable_ms: u64,
}

/// Unit of the display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Unit {
    /// Kilograms.
    #[default]
    Kg,
    /// Tonnes.
    T,
}

fn default_baud() -> u32 {
    9600
}

fn default_device() -> u8 {
    1
}

fn default_poll_ms() -> u64 {
    200
}

/// The protocol `weigh-scale/tenso_m`.
#[derive(Debug)]
pub struct TensoM;

impl Protocol for TensoM {
    fn name(&self) -> &'static str {
        "weigh-scale/tenso_m"
    }

    fn summary(&self) -> &'static str {
        "weighbridge with a Tenso-M indicator, on a serial port or a serial server"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let p: Parameters = parse_parameters(parameters)?;
        let serial = SerialSettings { baud: p.baud, seven_bits: false, parity: Parity::None };
        let wire = Wire::new(p.port, p.address, serial)?;
        if !(1..=MAX_ADDRESS).contains(&p.device) {
            let message = format!("expected 1 to {MAX_ADDRESS}, found {}", p.device);
            return Err(ConfigError::field("device", message));
        }
        if !(50..=5_000).contains(&p.poll_ms) {
            return Err(ConfigError::field("poll_ms", format!("expected 50 to 5000, found {}", p.poll_ms)));
        }
        let settings = Settings::new(p.empty_below_kg, p.change_kg, p.stable_ms)?;
        Ok(Box::new(Scale { wire, device: p.device, unit: p.unit, poll_ms: p.poll_ms, settings }))
    }
}

#[derive(Clone, Debug)]
struct Scale {
    wire: Wire,
    device: u8,
    unit: Unit,
    poll_ms: u64,
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
            "asks the Tenso-M indicator {} on {} for the gross weight every {} ms and reports each vehicle's stable weight",
            self.device,
            self.wire.name(),
            self.poll_ms
        )
    }

    async fn probe(&self) -> ProbeReport {
        match timeout(PROBE_TIMEOUT, self.find_out()).await {
            Ok(Ok(findings)) => ProbeReport::found(findings),
            Ok(Err(fault)) => ProbeReport::failed(vec![fault.to_string()]),
            Err(_) => ProbeReport::failed(vec![self.no_answer(None)]),
        }
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Driver for Scale {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        context.connecting(Some(format!("looking for indicator {} on {}", self.device, self.wire.name())));
        tokio::select! {
            fault = self.weigh(&context) => fault,
            () = context.stopped() => Ok(()),
        }
    }
}

impl Scale {
    /// Polls until the indicator is lost.
    async fn weigh(&self, context: &DriverContext) -> Result<(), DriverFault> {
        let mut bus = self.open().await?;
        let (mut crc, _) = self.detect(&mut bus).await?;
        let mut weighing = Weighing::new(self.settings);
        let start = Instant::now();
        let mut ticks = interval(Duration::from_millis(self.poll_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answer = self.ask(&mut bus, crc).await?;
            crc = answer.crc;
            let sample = match answer.reply {
                Reply::Weight { weight, .. } => self.sample(&weight),
                Reply::Error(code) => {
                    context.degraded(format!("the indicator answers with {}", error_words(code)));
                    weighing.step(elapsed_ms(start), Sample::Invalid);
                    continue;
                }
                Reply::Unsupported => return Err(self.unsupported()),
                Reply::Serial(_) => continue,
            };
            match sample {
                Sample::Gross { .. } => context.online(),
                Sample::Invalid => {
                    context.degraded("overload: the load is above the scale's range, no weight is given");
                }
            }
            if let Some(reading) = weighing.step(elapsed_ms(start), sample) {
                context.observe(reading, None, Vec::new()).await?;
            }
        }
    }

    async fn find_out(&self) -> Result<Vec<String>, DriverFault> {
        let mut bus = self.open().await?;
        let (crc, reply) = self.detect(&mut bus).await?;
        let mut findings =
            vec![format!("indicator {} answers, {} CRC", self.device, if crc { "with" } else { "without" })];
        match reply {
            Reply::Weight { weight, .. } => match self.sample(&weight) {
                Sample::Gross { grams, stable } => {
                    let stable = if stable { "stable" } else { "moving" };
                    findings.push(format!("gross weight now {} kg, {stable}", to_kg(grams)));
                }
                Sample::Invalid => findings.push("the scale is overloaded".to_owned()),
            },
            Reply::Error(code) => findings.push(format!("the indicator answers with {}", error_words(code))),
            Reply::Unsupported => return Err(self.unsupported()),
            Reply::Serial(_) => {}
        }
        if let Some(Answer { reply: Reply::Serial(serial), .. }) =
            bus.exchange(self.device, Operation::Serial, crc).await?
        {
            findings.push(format!("serial number {serial}"));
        }
        Ok(findings)
    }

    async fn open(&self) -> Result<Bus, WireError> {
        Ok(Bus { link: self.wire.open().await?, splitter: Splitter::default(), last_error: None })
    }

    /// Finds out whether the indicator is set to CRC: asks with, then without.
    async fn detect(&self, bus: &mut Bus) -> Result<(bool, Reply), DriverFault> {
        let mut last = None;
        for _ in 0..2 {
            for crc in [true, false] {
                match bus.exchange(self.device, Operation::Gross, crc).await? {
                    // Length or CRC of the request called wrong: the other form is wanted.
                    Some(Answer { reply: reply @ Reply::Error(0x05 | 0x06), .. }) => last = Some(reply),
                    Some(answer) => return Ok((answer.crc, answer.reply)),
                    None => {}
                }
            }
        }
        match last {
            Some(Reply::Error(code)) => Err(DriverFault(format!(
                "indicator {} on {} refuses requests both with and without CRC: {}",
                self.device,
                self.wire.name(),
                error_words(code)
            ))),
            _ => Err(DriverFault(self.no_answer(bus.last_error))),
        }
    }

    async fn ask(&self, bus: &mut Bus, crc: bool) -> Result<Answer, DriverFault> {
        for _ in 0..TRIES {
            if let Some(answer) = bus.exchange(self.device, Operation::Gross, crc).await? {
                return Ok(answer);
            }
        }
        Err(DriverFault(self.no_answer(bus.last_error)))
    }

    fn sample(&self, weight: &Weight) -> Sample {
        let Some(digits) = weight.digits else { return Sample::Invalid };
        let unit_grams: i64 = match self.unit {
            Unit::Kg => 1_000,
            Unit::T => 1_000_000,
        };
        let product = i64::from(digits) * unit_grams;
        let divisor = 10i64.pow(weight.decimals.min(7).into());
        let grams = product.saturating_add(divisor / 2 * product.signum()) / divisor;
        Sample::Gross { grams, stable: weight.stable }
    }

    fn unsupported(&self) -> DriverFault {
        DriverFault(format!("indicator {} does not know the gross weight request (C3)", self.device))
    }

    fn no_answer(&self, last: Option<FrameError>) -> String {
        let heard = match last {
            Some(error) => format!("what came was not understood ({error})"),
            None => "nothing came back".to_owned(),
        };
        format!(
            "indicator {} on {} does not answer, asked with and without CRC: {heard}; check its number, speed and wiring, and that it is set to the Tenso-M protocol",
            self.device,
            self.wire.name()
        )
    }
}

fn elapsed_ms(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

struct Answer {
    reply: Reply,
    crc: bool,
}

struct Bus {
    link: Link,
    splitter: Splitter,
    last_error: Option<FrameError>,
}

impl Bus {
    /// One question; `None` if no fitting answer comes in time. Echoes and answers of other indicators are passed over.
    async fn exchange(
        &mut self,
        device: u8,
        operation: Operation,
        crc: bool,
    ) -> Result<Option<Answer>, WireError> {
        self.link.write(&encode_request(device, operation, crc)).await?;
        let deadline = Instant::now() + REPLY_TIMEOUT;
        let mut buffer = [0u8; 256];
        loop {
            let Ok(read) = timeout_at(deadline, self.link.read(&mut buffer)).await else { return Ok(None) };
            self.splitter.push(buffer.get(..read?).unwrap_or_default());
            while let Some(body) = self.splitter.next_body() {
                match decode_reply(&body) {
                    Ok(frame) if frame.address == device && fits(operation, &frame.reply) => {
                        self.last_error = None;
                        return Ok(Some(Answer { reply: frame.reply, crc: frame.crc }));
                    }
                    Ok(_) => {}
                    Err(error) => self.last_error = Some(error),
                }
            }
        }
    }
}

fn fits(asked: Operation, reply: &Reply) -> bool {
    match reply {
        Reply::Weight { operation, .. } => *operation == asked,
        Reply::Serial(_) => asked == Operation::Serial,
        Reply::Error(_) | Reply::Unsupported => true,
    }
}
