//! `radiation-portal/tsa`: TSA and Rapiscan portal controllers (SC-770 type) that send gross counts as ASCII lines.
//!
//! The controller's RS-232 port is reached through a serial server; the driver is its one TCP client and only listens.

pub mod codec;
pub mod occupancy;

use std::sync::Arc;
use std::time::Duration;

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, Reading, ReadingKind,
    Resource, Stopped, Verdict, async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use codec::{Lines, Record, parse_line};
use occupancy::{Event, Portal};

/// How long a serial server may take to accept a connection on a site's own network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a probe listens: background comes about every 5 s, and a probe may take ten seconds.
const PROBE_LISTENS: Duration = Duration::from_millis(7_500);
const PROBE_CONNECTS: Duration = Duration::from_secs(2);

/// Parameters of `radiation-portal/tsa`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// Serial server that the portal's controller is wired to, `host:port`.
    address: String,
    /// Also report the portal's occupancy sensor as presence at its station.
    #[serde(default = "default_presence")]
    presence: bool,
    /// Gamma alarm threshold in standard deviations of the background, where the portal does not send its own (SG1).
    /// Only used to note that counts were high; the alarm itself is the portal's.
    #[serde(default)]
    sigma: Option<f64>,
    /// Seconds without a usable line after which the portal counts as lost. It sends at least every 5 s.
    #[serde(default = "default_silence_s")]
    #[schemars(range(min = 1, max = 300))]
    silence_s: u64,
}

fn default_presence() -> bool {
    true
}

/// Three backgrounds missed (background is sent about every 5 s).
fn default_silence_s() -> u64 {
    15
}

/// The protocol `radiation-portal/tsa`.
#[derive(Debug)]
pub struct Tsa;

impl Protocol for Tsa {
    fn name(&self) -> &'static str {
        "radiation-portal/tsa"
    }

    fn summary(&self) -> &'static str {
        "TSA or Rapiscan radiation portal that sends gross counts as ASCII lines, through a serial server"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let parameters: Parameters = parse_parameters(parameters)?;
        check_address(&parameters.address)?;
        if !(1..=300).contains(&parameters.silence_s) {
            let found = parameters.silence_s;
            return Err(ConfigError::field("silence_s", format!("expected 1 to 300 seconds, found {found}")));
        }
        if let Some(sigma) = parameters.sigma.filter(|sigma| !(0.5..=50.0).contains(sigma)) {
            let message = format!("expected 0.5 to 50 standard deviations, found {sigma}");
            return Err(ConfigError::field("sigma", message));
        }
        let portal = Portal::new(parameters.sigma);
        Ok(Box::new(Session { parameters, portal: Arc::new(Mutex::new(portal)), start: Instant::now() }))
    }
}

fn check_address(address: &str) -> Result<(), ConfigError> {
    let good = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
    if !good {
        let message = format!("expected host:port such as 10.0.0.20:4001, found `{address}`");
        return Err(ConfigError::field("address", message));
    }
    Ok(())
}

/// Plan and driver in one: what is known of the portal outlives a lost connection, so that occupancies missed
/// meanwhile show as a gap in the portal's numbers.
#[derive(Clone)]
struct Session {
    parameters: Parameters,
    portal: Arc<Mutex<Portal>>,
    start: Instant,
}

#[async_trait]
impl Plan for Session {
    fn claims(&self) -> Vec<Resource> {
        vec![Resource::Endpoint(self.parameters.address.clone())]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        let mut kinds = vec![ReadingKind::Radiation, ReadingKind::Anomaly];
        if self.parameters.presence {
            kinds.push(ReadingKind::Presence);
        }
        kinds
    }

    fn explain(&self) -> String {
        let presence = if self.parameters.presence { ", and its occupancy sensor as presence" } else { "" };
        format!(
            "listens to the radiation portal at {} and reports the counts and alarms of each occupancy{presence}",
            self.parameters.address
        )
    }

    async fn probe(&self) -> ProbeReport {
        probe(&self.parameters.address).await
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Driver for Session {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        let mut portal = self.portal.lock().await;
        let address = &self.parameters.address;
        context.connecting(Some(format!("connecting to {address}")));
        let mut stream = tokio::select! {
            connected = connect(address, CONNECT_TIMEOUT) => connected.map_err(DriverFault)?,
            () = context.stopped() => return Ok(()),
        };
        let ended = tokio::select! {
            fault = self.listen(&mut portal, &mut stream, &context) => fault,
            () = context.stopped() => Ok(()),
        };
        let events = portal.disconnected(self.now_ms());
        if self.tell(events, &context).await.is_err() {
            return Ok(());
        }
        ended
    }
}

impl Session {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Listens until the connection is lost.
    async fn listen(
        &self,
        portal: &mut Portal,
        stream: &mut TcpStream,
        context: &DriverContext,
    ) -> Result<(), DriverFault> {
        let address = &self.parameters.address;
        let silence = Duration::from_secs(self.parameters.silence_s);
        let mut lines = Lines::default();
        let mut buffer = [0u8; 1024];
        let mut last_good = Instant::now();
        let mut unreadable = 0u64;
        let mut last_error = None;
        loop {
            let read = match timeout_at(last_good + silence, stream.read(&mut buffer)).await {
                Ok(Ok(0)) => return Err(DriverFault(format!("{address} closed the connection"))),
                Ok(Ok(read)) => read,
                Ok(Err(error)) => return Err(DriverFault(format!("connection to {address} lost: {error}"))),
                Err(_) => return Err(DriverFault(silent(address, silence, unreadable, last_error))),
            };
            lines.push(buffer.get(..read).unwrap_or_default());
            while let Some(line) = lines.next_line() {
                let line = line.and_then(|raw| match parse_line(&raw) {
                    Ok(record) => Ok((record, raw)),
                    Err(error) => {
                        portal.unreadable(&raw);
                        Err(error)
                    }
                });
                match line {
                    Ok((record, raw)) => {
                        last_good = Instant::now();
                        let events = portal.step(self.now_ms(), &record, &raw);
                        match portal.problems() {
                            Some(problems) => context.degraded(problems),
                            None => context.online(),
                        }
                        self.tell(events, context).await?;
                    }
                    Err(error) => {
                        unreadable += 1;
                        // The first line after connecting is often half a line; a flood must not fill the log.
                        if unreadable.is_power_of_two() {
                            tracing::warn!(sensor = %context.sensor(), unreadable, %error, "line skipped");
                        }
                        last_error = Some(error);
                    }
                }
            }
        }
    }

    async fn tell(&self, events: Vec<Event>, context: &DriverContext) -> Result<(), Stopped> {
        for event in events {
            match event {
                Event::Occupied if self.parameters.presence => {
                    context.observe(Reading::Presence { occupied: true }, None, Vec::new()).await?;
                }
                Event::Free if self.parameters.presence => {
                    context.observe(Reading::Presence { occupied: false }, None, Vec::new()).await?;
                }
                Event::Occupied | Event::Free => {}
                Event::Ended(occupancy) => {
                    let sensor = context.sensor();
                    if let Some(note) = &occupancy.note {
                        tracing::warn!(%sensor, number = occupancy.number, alarm = %occupancy.alarm, note, "occupancy not measured as it should be");
                    }
                    if occupancy.above_threshold && occupancy.alarm == interface::RadiationAlarm::None {
                        tracing::warn!(%sensor, number = occupancy.number, sigma = occupancy.gamma_sigma, "gamma sum above the threshold, but the portal called no alarm");
                    }
                    let reading = occupancy.reading();
                    context.observe(reading, None, vec![occupancy.evidence]).await?;
                }
                Event::Lost { first, last } if first == last => {
                    anomaly(context, format!("lost radiation occupancy {first}")).await?;
                }
                Event::Lost { first, last } => {
                    anomaly(context, format!("lost radiation occupancies {first} to {last}")).await?;
                }
                Event::CounterRestarted { from, to } => {
                    anomaly(context, format!("radiation occupancy number went back from {from} to {to}"))
                        .await?;
                }
                Event::Tampered { switches } => {
                    anomaly(context, format!("radiation portal tamper switch open ({switches})")).await?;
                }
            }
        }
        Ok(())
    }
}

async fn anomaly(context: &DriverContext, label: String) -> Result<(), Stopped> {
    let verdict = Verdict { label: Some(label), ..Verdict::default() };
    context.observe(Reading::Anomaly(verdict), None, Vec::new()).await
}

async fn connect(address: &str, limit: Duration) -> Result<TcpStream, String> {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!(
            "failed to connect to {address}: {error}; check that the serial server is on, and that nobody else is connected to it"
        )),
        Err(_) => Err(format!(
            "failed to connect to {address}: no answer within {limit:?}; check the network and the address"
        )),
    }
}

fn silent(address: &str, silence: Duration, unreadable: u64, last: Option<codec::LineError>) -> String {
    match last {
        None => format!(
            "nothing from the portal at {address} for {} s, it should send at least every 5 s; check the wire between portal and serial server",
            silence.as_secs()
        ),
        Some(error) => format!(
            "no usable line from the portal at {address} for {} s, {unreadable} unreadable lines (the last: {error}); check the serial server's speed and parity",
            silence.as_secs()
        ),
    }
}

async fn probe(address: &str) -> ProbeReport {
    let mut stream = match connect(address, PROBE_CONNECTS).await {
        Ok(stream) => stream,
        Err(error) => return ProbeReport::failed(vec![error]),
    };
    let mut findings = vec![format!("{address} accepts the connection")];
    let mut portal = Portal::new(None);
    let (mut lines, mut buffer) = (Lines::default(), [0u8; 1024]);
    let (mut good, mut bad, mut last_error) = (0u32, 0u64, None);
    let mut setup_sigma = None;
    let end = Instant::now() + PROBE_LISTENS;
    while portal.gamma_background_cps().is_none() {
        let read = match timeout_at(end, stream.read(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => read,
            Ok(_) => {
                findings.push("the connection was closed: somebody else may be connected".to_owned());
                break;
            }
            Err(_) => break,
        };
        lines.push(buffer.get(..read).unwrap_or_default());
        while let Some(line) = lines.next_line() {
            match line.and_then(|raw| parse_line(&raw)) {
                Ok(record) => {
                    good += 1;
                    if let Record::GammaSetup { sigma, .. } = record {
                        setup_sigma = Some(sigma);
                    }
                    portal.step(0, &record, &[]);
                }
                Err(error) => {
                    bad += 1;
                    last_error = Some(error);
                }
            }
        }
    }
    findings.push(format!("{good} lines read, {bad} not readable"));
    if let Some(background) = portal.gamma_background_cps() {
        findings.push(format!("gamma background {background} counts/s over all detectors"));
    }
    if portal.is_occupied() {
        findings.push("a vehicle stands in the portal".to_owned());
    }
    if let Some(sigma) = setup_sigma {
        findings.push(format!("alarm threshold {sigma} standard deviations"));
    }
    if let Some(problems) = portal.problems() {
        findings.push(problems);
    }
    if good == 0 {
        findings.push(silent(address, PROBE_LISTENS, bad, last_error));
        return ProbeReport::failed(findings);
    }
    ProbeReport::found(findings)
}
