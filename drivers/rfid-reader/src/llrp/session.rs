//! The running driver: sets the reader up, then passes on what it reports.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use interface::{Driver, DriverContext, DriverFault, Reading, Stopped};
use tokio::time::Instant;

use super::link::{Link, event};
use super::message::{Message, status_name};
use super::parameter::Parameter;
use super::report::{Repeats, TagReport};
use super::{Settings, numbers};

pub(super) struct LlrpDriver(pub Settings);

/// Why a session ended.
enum End {
    Stopped,
    Fault(DriverFault),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<DriverFault> for End {
    fn from(fault: DriverFault) -> Self {
        Self::Fault(fault)
    }
}

#[async_trait]
impl Driver for LlrpDriver {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        context.connecting(Some(format!("connecting to the RFID reader at {}", self.0.address)));
        let link = tokio::select! {
            biased;
            () = context.stopped() => return Ok(()),
            link = Link::open(&self.0) => link?,
        };
        let mut session = Session::new(&self.0, &context, link);
        let end = tokio::select! {
            biased;
            () = context.stopped() => End::Stopped,
            end = session.run() => end,
        };
        session.log_losses();
        match end {
            End::Stopped => {
                session.link.close().await;
                Ok(())
            }
            End::Fault(fault) => Err(fault),
        }
    }
}

struct Session<'a> {
    settings: &'a Settings,
    context: &'a DriverContext,
    link: Link,
    repeats: Repeats,
    trouble: Trouble,
    weak: u64,
    damaged: u64,
}

impl<'a> Session<'a> {
    fn new(settings: &'a Settings, context: &'a DriverContext, link: Link) -> Self {
        let (repeats, trouble) = (Repeats::default(), Trouble::default());
        Self { settings, context, link, repeats, trouble, weak: 0, damaged: 0 }
    }

    /// Runs until something ends it.
    async fn run(&mut self) -> End {
        match self.set_up().await {
            Ok(()) => self.listen().await.unwrap_or_else(|end| end),
            Err(fault) => End::Fault(fault),
        }
    }

    async fn set_up(&mut self) -> Result<(), DriverFault> {
        let capabilities = self
            .link
            .command(&Message::GetReaderCapabilities { requested: 0, parameters: Vec::new() })
            .await?;
        if let Some(missing) = missing_antenna(&self.settings.antennas, &capabilities) {
            return Err(self.link.fault(missing));
        }
        self.link.command(&reader_config(self.settings.keepalive)).await?;
        // What another client left behind. A reader that has nothing to delete may call that an error.
        let deleted =
            self.link.request(&Message::DeleteRoSpec { ro_spec: 0, parameters: Vec::new() }).await?;
        if let Some((code @ 1.., text)) = deleted.status() {
            tracing::debug!(code, text, "DELETE_ROSPEC for all was refused");
        }
        let antennas = connected_antennas(&mut self.link).await?;
        self.trouble.starts_with(&antennas, &self.settings.antennas);
        self.link.command(&Message::AddRoSpec { parameters: vec![ro_spec(&self.settings.antennas)] }).await?;
        self.link.command(&Message::EnableRoSpec { ro_spec: RO_SPEC, parameters: Vec::new() }).await?;
        self.link.command(&Message::StartRoSpec { ro_spec: RO_SPEC, parameters: Vec::new() }).await?;
        // Has no answer; a reader that does not know it (it is optional) sends ERROR_MESSAGE 109, which is only logged.
        self.link.send(&Message::EnableEventsAndReports { parameters: Vec::new() }).await?;
        Ok(())
    }

    async fn listen(&mut self) -> Result<End, End> {
        loop {
            match self.trouble.words(Instant::now()) {
                None => self.context.online(),
                Some(words) => self.context.degraded(words),
            }
            match self.link.next().await? {
                Message::RoAccessReport { parameters } => self.report(&parameters).await?,
                message @ Message::ReaderEventNotification { .. } => self.events(event(&message))?,
                message @ Message::ErrorMessage { .. } => {
                    let (code, text) = message.status().unwrap_or_default();
                    tracing::debug!(
                        code,
                        name = status_name(code),
                        text,
                        "the RFID reader did not take a message"
                    );
                }
                _ => {}
            }
        }
    }

    async fn report(&mut self, parameters: &[Parameter]) -> Result<(), Stopped> {
        for parameter in parameters {
            match parameter {
                Parameter::TagReportData { parameters } => match TagReport::read(parameters) {
                    Some(tag) => self.tag(tag).await?,
                    None => self.count_damaged("a tag report without an EPC"),
                },
                Parameter::Undecoded(bytes) => {
                    tracing::debug!(bytes = bytes.len(), "undecoded end of a report");
                    self.count_damaged("a report that could not be read to its end");
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn tag(&mut self, tag: TagReport) -> Result<(), Stopped> {
        let rssi_dbm = tag.rssi_dbm.map(f64::from);
        if let (Some(floor), Some(rssi)) = (self.settings.rssi_floor_dbm, rssi_dbm)
            && rssi < floor
        {
            self.weak += 1;
            if self.weak.is_power_of_two() {
                tracing::debug!(sensor = %self.context.sensor(), dropped = self.weak, floor, "reads under the floor");
            }
            return Ok(());
        }
        if !self.repeats.passes(&tag, Instant::now().into_std()) {
            return Ok(());
        }
        let reading = Reading::Tag { epc: tag.hex(), rssi_dbm, antenna: tag.antenna };
        self.context.observe(reading, tag.seen, Vec::new()).await
    }

    fn events(&mut self, events: &[Parameter]) -> Result<(), DriverFault> {
        for parameter in events {
            match parameter {
                Parameter::AntennaEvent { kind, antenna, .. } => self.trouble.antenna(*antenna, *kind != 0),
                Parameter::ReaderException { message, .. } => {
                    self.trouble.exception(Instant::now(), format!("the reader reports a fault: {message}"));
                }
                Parameter::ReportBufferOverflow { .. } => {
                    let words =
                        "the reader's memory was full and tag reads are lost: the network is too slow for it";
                    self.trouble.exception(Instant::now(), words.to_owned());
                }
                Parameter::ConnectionAttempt { status, .. } => {
                    tracing::warn!(sensor = %self.context.sensor(), status, "another client tries to use this reader");
                }
                Parameter::ConnectionClose { .. } => {
                    let why = "closed the connection by itself; it was restarted, or another client took it";
                    return Err(self.link.fault(why.to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn count_damaged(&mut self, what: &str) {
        self.damaged += 1;
        if self.damaged.is_power_of_two() {
            tracing::warn!(sensor = %self.context.sensor(), so_far = self.damaged, "the RFID reader sent {what}");
        }
    }

    fn log_losses(&self) {
        if self.weak > 0 || self.damaged > 0 {
            let sensor = self.context.sensor();
            tracing::info!(%sensor, weak = self.weak, damaged = self.damaged, "tag reads dropped in this connection");
        }
    }
}

/// The one ROSpec this driver uses.
const RO_SPEC: u32 = 1;

/// Keep-alive, exceptions, antennas and full buffers; nothing held back.
fn reader_config(keepalive: Duration) -> Message {
    let on = |event| Parameter::EventNotificationState { event, flags: 0x80, parameters: Vec::new() };
    let period = u32::try_from(keepalive.as_millis()).unwrap_or(u32::MAX);
    Message::SetReaderConfig {
        flags: 0,
        parameters: vec![
            // NotificationEventType: 3 buffer fill, 4 reader exception, 8 antenna.
            Parameter::ReaderEventNotificationSpec { parameters: vec![on(3), on(4), on(8)] },
            Parameter::KeepaliveSpec { kind: 1, period, parameters: Vec::new() },
            Parameter::EventsAndReports { flags: 0, parameters: Vec::new() },
        ],
    }
}

/// Inventory without end on `antennas` (none: all), every read reported at once.
fn ro_spec(antennas: &[u16]) -> Parameter {
    let none = Vec::new;
    let antennas = if antennas.is_empty() { vec![0] } else { antennas.to_vec() };
    // AntennaID, PeakRSSI, FirstSeenTimestamp, LastSeenTimestamp.
    let content = 0x1000 | 0x0400 | 0x0200 | 0x0100;
    Parameter::RoSpec {
        id: RO_SPEC,
        priority: 0,
        state: 0,
        parameters: vec![
            Parameter::RoBoundarySpec {
                parameters: vec![
                    Parameter::RoSpecStartTrigger { kind: 0, parameters: none() },
                    Parameter::RoSpecStopTrigger { kind: 0, duration: 0, parameters: none() },
                ],
            },
            Parameter::AiSpec {
                antennas,
                parameters: vec![
                    Parameter::AiSpecStopTrigger { kind: 0, duration: 0, parameters: none() },
                    Parameter::InventoryParameterSpec { id: 1, protocol: 1, parameters: none() },
                ],
            },
            Parameter::RoReportSpec {
                trigger: 1,
                n: 1,
                parameters: vec![Parameter::TagReportContentSelector { flags: content, parameters: none() }],
            },
        ],
    }
}

/// Says so if `listed` names an antenna that the reader does not have.
pub(super) fn missing_antenna(listed: &[u16], capabilities: &Message) -> Option<String> {
    let count = capabilities.parameters().iter().find_map(|parameter| match parameter {
        Parameter::GeneralDeviceCapabilities { max_antennas, .. } => Some(*max_antennas),
        _ => None,
    })?;
    let missing = listed.iter().find(|antenna| **antenna > count)?;
    Some(format!("has {count} antennas, but `antennas` lists {missing}"))
}

/// Every antenna with whether it is connected. Empty where the reader does not tell; that is no error.
pub(super) async fn connected_antennas(link: &mut Link) -> Result<Vec<(u16, bool)>, DriverFault> {
    let request = Message::GetReaderConfig {
        antenna: 0,
        requested: 2,
        gpi_port: 0,
        gpo_port: 0,
        parameters: Vec::new(),
    };
    let answer = link.request(&request).await?;
    let antennas = answer.parameters().iter().filter_map(|parameter| match parameter {
        Parameter::AntennaProperties { flags, antenna, .. } => Some((*antenna, flags & 0x80 != 0)),
        _ => None,
    });
    Ok(antennas.collect())
}

/// What is wrong with a reader that answers.
#[derive(Debug, Default)]
struct Trouble {
    /// Antennas in use; empty for all.
    used: Vec<u16>,
    disconnected: BTreeSet<u16>,
    exception: Option<(Instant, String)>,
}

/// How long a reader's exception is shown: the reader never says that one is over.
const EXCEPTION_SHOWN: Duration = Duration::from_secs(60);

impl Trouble {
    /// Takes in the antennas as they are when a session begins. Where all antennas are used, a socket without an
    /// antenna is no fault, unless there is none at all.
    fn starts_with(&mut self, antennas: &[(u16, bool)], used: &[u16]) {
        self.used = used.to_vec();
        let none_at_all = antennas.iter().all(|(_, connected)| !connected);
        if !used.is_empty() || none_at_all {
            antennas.iter().for_each(|(antenna, connected)| self.antenna(*antenna, *connected));
        }
    }

    fn antenna(&mut self, antenna: u16, connected: bool) {
        if connected {
            self.disconnected.remove(&antenna);
        } else if self.used.is_empty() || self.used.contains(&antenna) {
            self.disconnected.insert(antenna);
        }
    }

    fn exception(&mut self, now: Instant, words: String) {
        self.exception = Some((now, words));
    }

    fn words(&self, now: Instant) -> Option<String> {
        let antennas = (!self.disconnected.is_empty()).then(|| {
            let list = numbers(&self.disconnected);
            format!(
                "not connected: antenna {list}; check the cable, or list the antennas in use in `antennas`"
            )
        });
        let shown = |since: &Instant| now.saturating_duration_since(*since) < EXCEPTION_SHOWN;
        let exception =
            self.exception.as_ref().filter(|(since, _)| shown(since)).map(|(_, words)| words.clone());
        match (antennas, exception) {
            (Some(antennas), Some(exception)) => Some(format!("{antennas}; {exception}")),
            (antennas, exception) => antennas.or(exception),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_socket_is_no_trouble_but_a_cut_cable_is() {
        let now = Instant::now();
        let mut all = Trouble::default();
        all.starts_with(&[(1, true), (2, false)], &[]);
        assert_eq!(all.words(now), None);
        all.antenna(1, false);
        assert!(all.words(now).unwrap().contains("antenna 1"));
        all.antenna(1, true);
        assert_eq!(all.words(now), None);

        let mut listed = Trouble::default();
        listed.starts_with(&[(1, true), (2, false), (3, false)], &[1, 2]);
        assert!(listed.words(now).unwrap().starts_with("not connected: antenna 2;"));

        let mut none = Trouble::default();
        none.starts_with(&[(1, false), (2, false)], &[]);
        assert!(none.words(now).unwrap().contains("1, 2"));
    }

    #[test]
    fn an_exception_is_shown_for_a_minute() {
        let now = Instant::now();
        let mut trouble = Trouble::default();
        trouble.exception(now, "hot".into());
        assert_eq!(trouble.words(now + Duration::from_secs(59)).as_deref(), Some("hot"));
        assert_eq!(trouble.words(now + Duration::from_secs(60)), None);
    }
}
