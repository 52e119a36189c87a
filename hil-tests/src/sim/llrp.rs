//! A simulated RFID reader: LLRP 1.0.1 on a TCP socket of the loopback, one client at a time, as readers are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use interface::UtcMs;
use rfid_reader::llrp::field::{BitString, Text};
use rfid_reader::llrp::frame::{Frame, FrameBuffer};
use rfid_reader::llrp::message::Message;
use rfid_reader::llrp::parameter::Parameter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often each tag in the field is reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// A client that takes no data for so long is dropped.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// How many antennas the reader has.
pub const ANTENNAS: u16 = 4;

/// The simulated reader; see [`LlrpReader::start`].
#[derive(Debug)]
pub struct LlrpReader {
    started: Instant,
    utc: Option<UtcMs>,
    tags: BTreeMap<(Vec<u8>, u16), i8>,
    client: Option<Client>,
    silent: bool,
    seen: watch::Sender<Seen>,
}

/// What the reader has seen of its clients.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that were refused because there was one already.
    pub refused: u64,
    /// Keep-alives that were answered.
    pub keepalive_acks: u64,
    /// Clients that said goodbye.
    pub goodbyes: u64,
    /// Names of the messages of the newest client in order, without keep-alive answers; the first 100.
    pub messages: Vec<&'static str>,
}

/// The hand on a simulated reader. The reader ends when this is dropped.
#[derive(Debug)]
pub struct LlrpHandle {
    commands: mpsc::Sender<Command>,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

enum Command {
    Show { epc: Vec<u8>, antenna: u16, rssi_dbm: i8 },
    Hide { epc: Vec<u8> },
    Drop,
    Silence,
    Raw(Vec<u8>),
    Event(Parameter),
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    frames: FrameBuffer,
    chunk: Vec<u8>,
    keepalive: Option<Duration>,
    next_keepalive: Instant,
    rospec: Option<RoSpec>,
    next_id: u32,
}

#[derive(Debug)]
struct RoSpec {
    id: u32,
    antennas: Vec<u16>,
    enabled: bool,
    active: bool,
}

impl Drop for LlrpHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LlrpHandle {
    /// Brings a tag into the field of an antenna: it is reported ten times a second until it is hidden.
    /// `epc` in hexadecimal digits.
    pub async fn show_tag(&self, epc: &str, antenna: u16, rssi_dbm: i8) -> anyhow::Result<()> {
        self.send(Command::Show { epc: bytes(epc)?, antenna, rssi_dbm }).await
    }

    /// Takes a tag out of the field of every antenna.
    pub async fn hide_tag(&self, epc: &str) -> anyhow::Result<()> {
        self.send(Command::Hide { epc: bytes(epc)? }).await
    }

    /// Cuts the connection; the next one is accepted.
    pub async fn drop_connection(&self) -> anyhow::Result<()> {
        self.send(Command::Drop).await
    }

    /// Says nothing any more to the connected client, but keeps the connection.
    pub async fn silence(&self) -> anyhow::Result<()> {
        self.send(Command::Silence).await
    }

    /// Sends bytes that need not be LLRP.
    pub async fn send_raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.send(Command::Raw(bytes.to_vec())).await
    }

    /// Says that an antenna was connected or disconnected.
    pub async fn antenna_event(&self, antenna: u16, connected: bool) -> anyhow::Result<()> {
        let parameters = Vec::new();
        self.send(Command::Event(Parameter::AntennaEvent { kind: connected.into(), antenna, parameters }))
            .await
    }

    /// Says that something went wrong in the reader.
    pub async fn exception(&self, words: &str) -> anyhow::Result<()> {
        let parameters = Vec::new();
        self.send(Command::Event(Parameter::ReaderException { message: words.into(), parameters })).await
    }

    /// What the reader has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    async fn send(&self, command: Command) -> anyhow::Result<()> {
        self.commands.send(command).await.map_err(|_| anyhow!("the simulated RFID reader has ended"))
    }
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0);
    let digits = digits.with_context(|| format!("expected pairs of hexadecimal digits, found `{hex}`"))?;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

impl LlrpReader {
    /// Starts a reader without a clock: its reports carry no UTC.
    pub async fn start() -> anyhow::Result<(LlrpHandle, SocketAddr)> {
        Self::start_with_clock(None).await
    }

    /// Starts a reader whose clock shows `utc` now.
    pub async fn start_with_clock(utc: Option<UtcMs>) -> anyhow::Result<(LlrpHandle, SocketAddr)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("failed to bind a loopback port")?;
        let address = listener.local_addr()?;
        let (command_sender, commands) = mpsc::channel(64);
        let (seen_sender, seen) = watch::channel(Seen::default());
        let reader = Self {
            started: Instant::now(),
            utc,
            tags: BTreeMap::new(),
            client: None,
            silent: false,
            seen: seen_sender,
        };
        let task = tokio::spawn(reader.run(listener, commands));
        Ok((LlrpHandle { commands: command_sender, seen, task }, address))
    }

    async fn run(mut self, listener: TcpListener, mut commands: mpsc::Receiver<Command>) {
        let mut tick = interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.accept(stream).await,
                    Err(_) => return,
                },
                received = receive(self.client.as_mut()) => match received {
                    Ok(()) => self.answer().await,
                    Err(error) => Err(error),
                },
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = tick.tick() => self.report().await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "the simulated RFID reader lost its client");
                self.client = None;
            }
        }
    }

    async fn accept(&mut self, mut stream: TcpStream) -> anyhow::Result<()> {
        // ConnectionAttemptStatusType: 0 success, 2 there is a client already.
        let status = if self.client.is_some() { 2 } else { 0 };
        let greeting = self.notification(Parameter::ConnectionAttempt { status, parameters: Vec::new() });
        let bytes = greeting.frame(0)?.encode()?;
        if status != 0 {
            self.seen.send_modify(|seen| seen.refused += 1);
            let _ = timeout(WRITE_LIMIT, stream.write_all(&bytes)).await;
            return Ok(());
        }
        self.seen.send_modify(|seen| {
            seen.connections += 1;
            seen.messages.clear();
        });
        self.silent = false;
        self.client = Some(Client {
            stream,
            frames: FrameBuffer::default(),
            chunk: vec![0; 4096],
            keepalive: None,
            next_keepalive: Instant::now(),
            rospec: None,
            next_id: 1,
        });
        self.write(&bytes).await
    }

    /// Answers every whole message that has arrived.
    async fn answer(&mut self) -> anyhow::Result<()> {
        while let Some(client) = self.client.as_mut()
            && let Some(frame) = client.frames.pop()?
        {
            let request = Message::decode(&frame)?;
            self.seen.send_modify(|seen| match request {
                Message::KeepaliveAck { .. } => seen.keepalive_acks += 1,
                _ if seen.messages.len() < 100 => seen.messages.push(request.name()),
                _ => {}
            });
            if let Some(answer) = client.carry_out(&request, self.utc.is_some()) {
                let goodbye = matches!(answer, Message::CloseConnectionResponse { .. });
                self.send(&answer, Some(&frame)).await?;
                if goodbye {
                    self.seen.send_modify(|seen| seen.goodbyes += 1);
                    self.client = None;
                }
            }
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Show { epc, antenna, rssi_dbm } => {
                self.tags.insert((epc, antenna), rssi_dbm);
            }
            Command::Hide { epc } => self.tags.retain(|(known, _), _| *known != epc),
            Command::Drop => self.client = None,
            Command::Silence => self.silent = true,
            Command::Raw(bytes) => self.write(&bytes).await?,
            Command::Event(event) => {
                let notification = self.notification(event);
                self.send(&notification, None).await?;
            }
        }
        Ok(())
    }

    /// Sends the keep-alive if it is due, and a report of every tag that an active antenna sees.
    async fn report(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let Some(client) = self.client.as_mut() else { return Ok(()) };
        let keepalive_due = client.keepalive.is_some() && client.next_keepalive <= now;
        client.next_keepalive =
            if keepalive_due { now + client.keepalive.unwrap_or_default() } else { client.next_keepalive };
        let antennas =
            client.rospec.as_ref().filter(|rospec| rospec.active).map(|rospec| rospec.antennas.clone());
        if keepalive_due {
            self.send(&Message::Keepalive { parameters: Vec::new() }, None).await?;
        }
        let Some(antennas) = antennas else { return Ok(()) };
        let seen = |antenna: &u16| antennas.contains(antenna) || antennas.contains(&0);
        let visible = self.tags.iter().filter(|((_, antenna), _)| seen(antenna));
        let tags: Vec<Parameter> =
            visible.map(|((epc, antenna), rssi_dbm)| self.tag(epc, *antenna, *rssi_dbm)).collect();
        for tag in tags {
            self.send(&Message::RoAccessReport { parameters: vec![tag] }, None).await?;
        }
        Ok(())
    }

    fn tag(&self, epc: &[u8], antenna: u16, rssi_dbm: i8) -> Parameter {
        let epc = match epc.try_into() {
            Ok(epc) => Parameter::Epc96(epc),
            Err(_) => Parameter::EpcData {
                epc: BitString {
                    bits: u16::try_from(epc.len() * 8).unwrap_or(u16::MAX),
                    bytes: epc.to_vec(),
                },
                parameters: Vec::new(),
            },
        };
        let mut parameters = vec![epc, Parameter::AntennaId(antenna), Parameter::PeakRssi(rssi_dbm)];
        match self.microseconds_utc() {
            Some(now) => parameters.extend([Parameter::FirstSeenUtc(now), Parameter::LastSeenUtc(now)]),
            None => {
                let now = self.uptime();
                parameters.extend([Parameter::FirstSeenUptime(now), Parameter::LastSeenUptime(now)]);
            }
        }
        Parameter::TagReportData { parameters }
    }

    fn notification(&self, event: Parameter) -> Message {
        let parameters = Vec::new();
        let time = match self.microseconds_utc() {
            Some(microseconds) => Parameter::UtcTimestamp { microseconds, parameters },
            None => Parameter::Uptime { microseconds: self.uptime(), parameters },
        };
        let data = Parameter::ReaderEventNotificationData { parameters: vec![time, event] };
        Message::ReaderEventNotification { parameters: vec![data] }
    }

    fn uptime(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn microseconds_utc(&self) -> Option<u64> {
        let started = u64::try_from(self.utc?.0).ok()?;
        Some(started.saturating_mul(1000).saturating_add(self.uptime()))
    }

    /// Sends an answer to `request`, or a message of the reader's own.
    async fn send(&mut self, message: &Message, request: Option<&Frame>) -> anyhow::Result<()> {
        let Some(client) = self.client.as_mut() else { return Ok(()) };
        let id = match request {
            Some(request) => request.id,
            None => {
                client.next_id = client.next_id.wrapping_add(1);
                client.next_id
            }
        };
        let bytes = message.frame(id)?.encode()?;
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.client.as_mut() {
            Some(client) if !self.silent => {
                timeout(WRITE_LIMIT, client.stream.write_all(bytes))
                    .await
                    .context("the client takes no data")??;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Waits for bytes of the client, for ever if there is none. Dropping this future loses nothing.
async fn receive(client: Option<&mut Client>) -> anyhow::Result<()> {
    let Some(client) = client else { return std::future::pending().await };
    match client.stream.read(&mut client.chunk).await? {
        0 => bail!("the client went away"),
        count => client.frames.push(client.chunk.get(..count).unwrap_or_default()),
    }
    Ok(())
}

/// LLRPStatus: 0 success, 300 a value that is not allowed, 109 a message that is not known.
fn status(code: u16, words: &str) -> Vec<Parameter> {
    vec![Parameter::LlrpStatus { code, description: Text::from(words), parameters: Vec::new() }]
}

impl Client {
    /// Does what `request` says and gives the answer, if it has one.
    fn carry_out(&mut self, request: &Message, has_clock: bool) -> Option<Message> {
        let done = || status(0, "");
        Some(match request {
            Message::KeepaliveAck { .. } | Message::EnableEventsAndReports { .. } => return None,
            Message::GetReaderCapabilities { .. } => {
                Message::GetReaderCapabilitiesResponse { parameters: capabilities(has_clock) }
            }
            Message::GetReaderConfig { .. } => {
                let antenna = |antenna| Parameter::AntennaProperties {
                    flags: 0x80,
                    antenna,
                    gain: 600,
                    parameters: Vec::new(),
                };
                let parameters = done().into_iter().chain((1..=ANTENNAS).map(antenna)).collect();
                Message::GetReaderConfigResponse { parameters }
            }
            Message::SetReaderConfig { parameters, .. } => {
                for parameter in parameters {
                    if let Parameter::KeepaliveSpec { kind, period, .. } = parameter {
                        let period = Duration::from_millis((*period).into());
                        self.keepalive = (*kind == 1).then_some(period);
                        self.next_keepalive = Instant::now() + period;
                    }
                }
                Message::SetReaderConfigResponse { parameters: done() }
            }
            Message::AddRoSpec { parameters } => {
                Message::AddRoSpecResponse { parameters: self.add_rospec(parameters) }
            }
            Message::EnableRoSpec { ro_spec, .. } => {
                let parameters = self.with_rospec(*ro_spec, |rospec| rospec.enabled = true);
                Message::EnableRoSpecResponse { parameters }
            }
            Message::StartRoSpec { ro_spec, .. } => {
                let parameters = self.with_rospec(*ro_spec, |rospec| rospec.active = rospec.enabled);
                Message::StartRoSpecResponse { parameters }
            }
            Message::StopRoSpec { ro_spec, .. } => {
                let parameters = self.with_rospec(*ro_spec, |rospec| rospec.active = false);
                Message::StopRoSpecResponse { parameters }
            }
            Message::DeleteRoSpec { ro_spec, .. } => {
                self.rospec.take_if(|rospec| *ro_spec == 0 || rospec.id == *ro_spec);
                Message::DeleteRoSpecResponse { parameters: done() }
            }
            Message::CloseConnection { .. } => Message::CloseConnectionResponse { parameters: done() },
            _ => Message::ErrorMessage { parameters: status(109, "unsupported message") },
        })
    }

    fn add_rospec(&mut self, parameters: &[Parameter]) -> Vec<Parameter> {
        let [Parameter::RoSpec { id, parameters, .. }] = parameters else {
            return status(103, "expected one ROSpec");
        };
        let antennas = parameters.iter().find_map(|parameter| match parameter {
            Parameter::AiSpec { antennas, .. } => Some(antennas.clone()),
            _ => None,
        });
        match antennas {
            Some(antennas)
                if antennas.iter().all(|antenna| *antenna <= ANTENNAS) && self.rospec.is_none() =>
            {
                self.rospec = Some(RoSpec { id: *id, antennas, enabled: false, active: false });
                status(0, "")
            }
            _ => status(300, "expected one AISpec with antennas of this reader, and no other ROSpec"),
        }
    }

    fn with_rospec(&mut self, id: u32, change: impl FnOnce(&mut RoSpec)) -> Vec<Parameter> {
        match self.rospec.as_mut().filter(|rospec| rospec.id == id) {
            Some(rospec) => {
                change(rospec);
                status(0, "")
            }
            None => status(300, "no such ROSpec"),
        }
    }
}

/// Everything that the standard demands of a reader's capabilities.
fn capabilities(has_clock: bool) -> Vec<Parameter> {
    let none = Vec::new;
    let mut general = vec![
        Parameter::ReceiveSensitivityTableEntry { index: 1, value: 0, parameters: none() },
        Parameter::GpioCapabilities { inputs: 0, outputs: 0, parameters: none() },
    ];
    // PerAntennaAirProtocol: antenna, number of protocols, 1 for class 1 generation 2.
    general.extend((1..=ANTENNAS).map(|antenna| Parameter::Unknown {
        kind: 140,
        body: [&antenna.to_be_bytes()[..], &[0, 1, 1]].concat(),
    }));
    let power =
        |index, value| Parameter::TransmitPowerLevelTableEntry { index, value, parameters: Vec::new() };
    let band = vec![
        power(1, 1000),
        power(2, 3000),
        // FrequencyInformation: no hopping, FixedFrequencyTable (type 148) of one frequency, 866,300 kHz.
        Parameter::Unknown { kind: 146, body: vec![0, 0, 148, 0, 10, 0, 1, 0, 0x0d, 0x37, 0xfc] },
        // C1G2UHFRFModeTable: one mode (type 329) with id 1, everything else 0.
        Parameter::Unknown { kind: 328, body: [&[1, 73, 0, 32, 0, 0, 0, 1][..], &[0; 24]].concat() },
    ];
    let mut parameters = status(0, "");
    parameters.extend([
        Parameter::GeneralDeviceCapabilities {
            max_antennas: ANTENNAS,
            flags: if has_clock { 0x4000 } else { 0 },
            // No manufacturer has this number.
            manufacturer: 0,
            model: 1,
            firmware: Text::from("simulator"),
            parameters: general,
        },
        Parameter::LlrpCapabilities {
            flags: 0,
            priority_levels: 1,
            client_request_timeout: 0,
            max_ro_specs: 1,
            max_specs_per_ro_spec: 1,
            max_inventory_specs_per_ai_spec: 1,
            max_access_specs: 0,
            max_op_specs_per_access_spec: 0,
            parameters: none(),
        },
        // 643 is the Russian Federation, 2 is ETSI EN 302 208.
        Parameter::RegulatoryCapabilities {
            country: 643,
            standard: 2,
            parameters: vec![Parameter::UhfBandCapabilities { parameters: band }],
        },
    ]);
    parameters
}
