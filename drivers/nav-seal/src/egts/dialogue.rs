//! What one connection says and what it is answered. Pure: packets in, packets and readings out.

use interface::{Reading, UtcMs};

use super::record::{AUTH, Record, Subrecord, TELEDATA, TermIdentity};
use super::seal::{self, Report, Seals};
use super::transport::{BAD_DATA, Body, ID_NOT_FOUND, Incoming, OK, Packet};

/// One connection's side of the talk.
#[derive(Debug, Default)]
pub struct Dialogue {
    /// Who the other side says it is, if it is a terminal.
    terminal: Option<String>,
    next_packet: u16,
    next_record: u16,
}

/// What follows from a packet.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be handed over before anything is answered.
    pub readings: Vec<(Reading, Option<UtcMs>)>,
    /// To be sent, in this order.
    pub answers: Vec<Packet>,
    /// Whether to close the connection afterwards.
    pub close: bool,
}

impl Dialogue {
    /// Takes in what came at `now_ms` (monotonic). `listed` are the seals that may report; empty means any.
    pub fn receive(
        &mut self,
        incoming: Incoming,
        seals: &mut Seals,
        listed: &[String],
        now_ms: u64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let packet = match incoming {
            Incoming::Packet(packet) => packet,
            Incoming::Refused(refusal) => {
                if refusal.respond {
                    let answer = self.packet(response(refusal.id, refusal.result, Vec::new()));
                    outcome.answers.push(answer);
                }
                return outcome;
            }
        };
        let (Body::AppData(records) | Body::Signed { records, .. }) = packet.body else { return outcome };
        let (mut said, mut authorisation, mut object) = (Vec::new(), None, None);
        for record in &records {
            object = record.object.or(object);
            let result = match record.subrecords() {
                None => BAD_DATA,
                Some(subrecords) if record.source == AUTH => {
                    authorisation = self.authorise(&subrecords, listed).or(authorisation);
                    OK
                }
                Some(subrecords) if record.source == TELEDATA => {
                    let id = object.filter(|object| *object != 0).map(|object| object.to_string());
                    match id.or_else(|| self.terminal.clone()).filter(|id| may_report(id, listed)) {
                        None => ID_NOT_FOUND,
                        Some(id) => {
                            if !seals.repeated(&id, packet.id, record.number, &record.data) {
                                outcome.readings.extend(readings(&id, record, subrecords, seals, now_ms));
                            }
                            OK
                        }
                    }
                }
                Some(_) => OK,
            };
            let response = Subrecord::RecordResponse { record: record.number, result };
            said.extend(self.record(record.source, record.recipient, &response));
        }
        let answer = self.packet(response(packet.id, OK, said));
        outcome.answers.push(answer);
        if let Some(result) = authorisation {
            let record = self.record(AUTH, AUTH, &Subrecord::ResultCode(result));
            let answer = self.packet(Body::AppData(record.into_iter().collect()));
            outcome.answers.push(answer);
            outcome.close = result != OK;
        }
        outcome
    }

    /// The result code for an authorisation; `None` if the sub-records hold none.
    fn authorise(&mut self, subrecords: &[Subrecord], listed: &[String]) -> Option<u8> {
        subrecords.iter().rev().find_map(|subrecord| match subrecord {
            Subrecord::TermIdentity(identity) => {
                self.terminal = terminal_number(identity);
                let allowed = self.terminal.as_deref().is_some_and(|id| may_report(id, listed));
                Some(if allowed { OK } else { ID_NOT_FOUND })
            }
            Subrecord::DispatcherIdentity { .. } | Subrecord::AuthInfo(_) => Some(OK),
            _ => None,
        })
    }

    fn packet(&mut self, body: Body) -> Packet {
        let id = self.next_packet;
        self.next_packet = id.wrapping_add(1);
        Packet { id, priority: 0, route: None, body }
    }

    /// A record that answers one from service `source` to `recipient`.
    fn record(&mut self, source: u8, recipient: u8, subrecord: &Subrecord) -> Option<Record> {
        let number = self.next_record;
        self.next_record = number.wrapping_add(1);
        let record = Record::new(number, recipient, std::slice::from_ref(subrecord)).ok()?;
        Some(Record { recipient: source, ..record })
    }
}

fn response(to: u16, result: u8, records: Vec<Record>) -> Body {
    Body::Response { to, result, records }
}

fn may_report(id: &str, listed: &[String]) -> bool {
    listed.is_empty() || listed.iter().any(|listed| listed == id)
}

/// TID, or where that is 0 the IMEI.
pub(super) fn terminal_number(identity: &TermIdentity) -> Option<String> {
    if identity.terminal != 0 {
        return Some(identity.terminal.to_string());
    }
    let imei: String =
        identity.imei?.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
    (!imei.is_empty()).then_some(imei)
}

/// The readings that one record gives. Each POS_DATA begins a new report; AD_SENSORS belongs to the one before it.
fn readings(
    id: &str,
    record: &Record,
    subrecords: Vec<Subrecord>,
    seals: &mut Seals,
    now_ms: u64,
) -> Vec<(Reading, Option<UtcMs>)> {
    let mut reports: Vec<Report> = Vec::new();
    for subrecord in subrecords {
        match subrecord {
            Subrecord::PosData(position) => {
                let mut report = Report {
                    cause: Some(position.cause),
                    time: Some(position.time),
                    from_memory: position.from_memory(),
                    ..Report::default()
                };
                let [first, ..] = &mut report.inputs;
                *first = Some(position.inputs);
                reports.push(report);
            }
            Subrecord::AdSensors(sensors) => {
                if reports.is_empty() {
                    reports.push(Report { time: record.time, ..Report::default() });
                }
                if let Some(Report { inputs: [_, further @ ..], .. }) = reports.last_mut() {
                    *further = sensors.inputs;
                }
            }
            _ => {}
        }
    }
    let tell = |report: Report| {
        let state = seals.report(id, &report, now_ms)?;
        Some((Reading::Seal { seal_id: id.to_owned(), state }, report.time.map(seal::utc)))
    };
    reports.into_iter().filter_map(tell).collect()
}
