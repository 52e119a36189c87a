//! Records and sub-records: what the services of EGTS say (GOST 33472-2015, service layer).

use super::bytes::{Fields, put_u24};
use super::transport::TooLong;

/// Service number: authorisation.
pub const AUTH: u8 = 1;
/// Service number: positions and sensors.
pub const TELEDATA: u8 = 2;
/// More records than this in one packet are refused, so that the answer to them always fits one packet.
pub const MAX_RECORDS: usize = 4096;
/// Seconds from 1970-01-01 to 2010-01-01, where the time of EGTS begins.
pub const EPOCH_S: i64 = 1_262_304_000;

/// One record of a service, with its sub-records still as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the record, RN; the sender counts them.
    pub number: u16,
    /// The five upper bits of the flags: where the services are, priority. Carried as they are.
    pub flags: u8,
    /// Object that the record is about, OID. A record without one is about the object of the record before it.
    pub object: Option<u32>,
    /// Event that caused the record, EVID.
    pub event: Option<u32>,
    /// Time of the record, seconds since 2010-01-01T00:00:00Z.
    pub time: Option<u32>,
    /// Service that sent it.
    pub source: u8,
    /// Service that it is for.
    pub recipient: u8,
    /// The sub-records.
    pub data: Vec<u8>,
}

impl Record {
    /// A record from `service` to the same service of the other side.
    pub fn new(number: u16, service: u8, subrecords: &[Subrecord]) -> Result<Self, TooLong> {
        let mut data = Vec::new();
        for subrecord in subrecords {
            subrecord.encode(&mut data)?;
        }
        let (source, recipient) = (service, service);
        Ok(Self { number, flags: 0, object: None, event: None, time: None, source, recipient, data })
    }

    /// The sub-records; `None` if the bytes are not made of sub-records, or one is too short for its type.
    pub fn subrecords(&self) -> Option<Vec<Subrecord>> {
        let mut fields = Fields(&self.data);
        let mut subrecords = Vec::new();
        while !fields.is_empty() {
            let kind = fields.u8()?;
            let length = fields.u16()?;
            let data = fields.take(usize::from(length))?;
            subrecords.push(Subrecord::decode(self.source, kind, data)?);
        }
        Some(subrecords)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let length = u16::try_from(self.data.len()).map_err(|_| TooLong(self.data.len()))?;
        out.extend(length.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        let present = |field: Option<u32>, bit: u8| if field.is_some() { bit } else { 0 };
        out.push(
            (self.flags & 0xF8) | present(self.object, 1) | present(self.event, 2) | present(self.time, 4),
        );
        for field in [self.object, self.event, self.time].into_iter().flatten() {
            out.extend(field.to_le_bytes());
        }
        out.extend([self.source, self.recipient]);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// All records of a packet; `None` if the bytes are not made of records, or there are more than [`MAX_RECORDS`].
pub(super) fn decode_all(data: &[u8]) -> Option<Vec<Record>> {
    let mut fields = Fields(data);
    let mut records = Vec::new();
    while !fields.is_empty() {
        if records.len() == MAX_RECORDS {
            return None;
        }
        let length = usize::from(fields.u16()?);
        let number = fields.u16()?;
        let flags = fields.u8()?;
        let mut optional = |bit: u8| if flags & bit == 0 { Some(None) } else { fields.u32().map(Some) };
        let (object, event, time) = (optional(1)?, optional(2)?, optional(4)?);
        let (source, recipient) = (fields.u8()?, fields.u8()?);
        let data = fields.take(length)?.to_vec();
        records.push(Record { number, flags: flags & 0xF8, object, event, time, source, recipient, data });
    }
    Some(records)
}

/// One sub-record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subrecord {
    /// 0 of every service: what came of a record.
    RecordResponse {
        /// RN of the record.
        record: u16,
        /// Result code.
        result: u8,
    },
    /// 1 of AUTH: who the terminal is.
    TermIdentity(TermIdentity),
    /// 5 of AUTH: who the platform is.
    DispatcherIdentity {
        /// Kind of the platform.
        kind: u8,
        /// Its number.
        id: u32,
        /// Its description, in the sender's own encoding.
        description: Vec<u8>,
    },
    /// 7 of AUTH: user name and password, as one sender wrote them.
    AuthInfo(Vec<u8>),
    /// 9 of AUTH: what came of the authorisation.
    ResultCode(u8),
    /// 16 of TELEDATA: position and state.
    PosData(PosData),
    /// 18 of TELEDATA: further inputs.
    AdSensors(AdSensors),
    /// 20 of TELEDATA; some senders say 21.
    State(State),
    /// Anything else, skipped by its length.
    Other {
        /// SRT.
        kind: u8,
        /// SRD.
        data: Vec<u8>,
    },
}

/// Who a terminal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermIdentity {
    /// The terminal's number at its operator, TID; 0 if it has none.
    pub terminal: u32,
    /// Number of its home platform, HDID.
    pub home: Option<u16>,
    /// IMEI, 15 characters.
    pub imei: Option<[u8; 15]>,
    /// IMSI, 16 characters.
    pub imsi: Option<[u8; 16]>,
    /// Language, ISO 639-2.
    pub language: Option<[u8; 3]>,
    /// Whether it uses the simple order of services (SSRA).
    pub simple: bool,
    /// Mobile network, NID.
    pub network: Option<u32>,
    /// Largest packet that it takes, bytes (BS).
    pub buffer: Option<u16>,
    /// Telephone number, 15 characters.
    pub msisdn: Option<[u8; 15]>,
}

/// Position and state of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PosData {
    /// Time of the position, seconds since 2010-01-01T00:00:00Z (NTM).
    pub time: u32,
    /// Absolute latitude, 90 degrees / 0xFFFFFFFF.
    pub latitude: u32,
    /// Absolute longitude, 180 degrees / 0xFFFFFFFF.
    pub longitude: u32,
    /// Flags: 0 valid, 1 three-dimensional, 2 PZ-90, 3 from memory, 4 moving, 5 south, 6 west. Bit 7 follows `altitude`.
    pub flags: u8,
    /// Bits 0 to 13: speed, 0.1 km/h; bit 14: below sea level; bit 15: bit 8 of the course.
    pub speed: u16,
    /// Lower eight bits of the course, degrees.
    pub course: u8,
    /// Odometer, 0.1 km, 24 bits.
    pub odometer: u32,
    /// Digital inputs 1 to 8.
    pub inputs: u8,
    /// What caused the report, SRC.
    pub cause: u8,
    /// Altitude, metres, 24 bits.
    pub altitude: Option<u32>,
    /// Data of the cause.
    pub cause_data: Option<u16>,
}

impl PosData {
    /// Whether it was kept in the terminal's memory while there was no connection.
    pub fn from_memory(&self) -> bool {
        self.flags & 0x08 != 0
    }

    /// Latitude, degrees; `None` without a fix.
    pub fn latitude_deg(&self) -> Option<f64> {
        let degrees = f64::from(self.latitude) * 90.0 / f64::from(u32::MAX);
        (self.flags & 1 != 0).then_some(if self.flags & 0x20 == 0 { degrees } else { -degrees })
    }

    /// Longitude, degrees; `None` without a fix.
    pub fn longitude_deg(&self) -> Option<f64> {
        let degrees = f64::from(self.longitude) * 180.0 / f64::from(u32::MAX);
        (self.flags & 1 != 0).then_some(if self.flags & 0x40 == 0 { degrees } else { -degrees })
    }

    /// Speed, 0.1 km/h.
    pub fn speed_dkmh(&self) -> u16 {
        self.speed & 0x3FFF
    }

    /// Course, degrees.
    pub fn course_deg(&self) -> u16 {
        u16::from(self.course) | if self.speed & 0x8000 == 0 { 0 } else { 0x100 }
    }
}

/// Further digital inputs, outputs and analogue inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdSensors {
    /// Digital outputs.
    pub outputs: u8,
    /// Octets of further digital inputs, ADIO1 to ADIO8.
    pub inputs: [Option<u8>; 8],
    /// Analogue inputs, ANS1 to ANS8, 24 bits.
    pub analogue: [Option<u32>; 8],
}

/// State of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// SRT that the sender used, 20 or 21.
    pub kind: u8,
    /// Mode of work.
    pub mode: u8,
    /// Main supply, 0.1 V.
    pub main_dv: u8,
    /// Backup battery, 0.1 V.
    pub backup_dv: u8,
    /// Internal battery, 0.1 V.
    pub internal_dv: u8,
    /// 0 on backup battery, 1 on internal battery, 2 navigation module on.
    pub flags: u8,
}

impl Subrecord {
    /// Reads the data of a sub-record; `None` if they are too short for the type.
    fn decode(service: u8, kind: u8, data: &[u8]) -> Option<Self> {
        let mut fields = Fields(data);
        Some(match (service, kind) {
            (_, 0) => Self::RecordResponse { record: fields.u16()?, result: fields.u8()? },
            (AUTH, 1) => Self::TermIdentity(TermIdentity::decode(fields)?),
            (AUTH, 5) => {
                let (kind, id) = (fields.u8()?, fields.u32()?);
                Self::DispatcherIdentity { kind, id, description: fields.0.to_vec() }
            }
            (AUTH, 7) => Self::AuthInfo(data.to_vec()),
            (AUTH, 9) => Self::ResultCode(fields.u8()?),
            (TELEDATA, 16) => Self::PosData(PosData::decode(fields)?),
            (TELEDATA, 18) => Self::AdSensors(AdSensors::decode(fields)?),
            (TELEDATA, 20 | 21) if data.len() == 5 => Self::State(State {
                kind,
                mode: fields.u8()?,
                main_dv: fields.u8()?,
                backup_dv: fields.u8()?,
                internal_dv: fields.u8()?,
                flags: fields.u8()?,
            }),
            _ => Self::Other { kind, data: data.to_vec() },
        })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let mut data = Vec::new();
        let kind = match self {
            Self::RecordResponse { record, result } => {
                data.extend(record.to_le_bytes());
                data.push(*result);
                0
            }
            Self::TermIdentity(identity) => {
                identity.encode(&mut data);
                1
            }
            Self::DispatcherIdentity { kind, id, description } => {
                data.push(*kind);
                data.extend(id.to_le_bytes());
                data.extend_from_slice(description);
                5
            }
            Self::AuthInfo(text) => {
                data.extend_from_slice(text);
                7
            }
            Self::ResultCode(result) => {
                data.push(*result);
                9
            }
            Self::PosData(position) => {
                position.encode(&mut data);
                16
            }
            Self::AdSensors(sensors) => {
                sensors.encode(&mut data);
                18
            }
            Self::State(state) => {
                data.extend([state.mode, state.main_dv, state.backup_dv, state.internal_dv, state.flags]);
                state.kind
            }
            Self::Other { kind, data: bytes } => {
                data.extend_from_slice(bytes);
                *kind
            }
        };
        let length = u16::try_from(data.len()).map_err(|_| TooLong(data.len()))?;
        out.push(kind);
        out.extend(length.to_le_bytes());
        out.extend_from_slice(&data);
        Ok(())
    }
}

impl TermIdentity {
    fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let terminal = fields.u32()?;
        let flags = fields.u8()?;
        let has = |bit: u8| flags & (1 << bit) != 0;
        Some(Self {
            terminal,
            home: if has(0) { Some(fields.u16()?) } else { None },
            imei: if has(1) { Some(text(&mut fields)?) } else { None },
            imsi: if has(2) { Some(text(&mut fields)?) } else { None },
            language: if has(3) { Some(text(&mut fields)?) } else { None },
            simple: has(4),
            network: if has(5) { Some(fields.u24()?) } else { None },
            buffer: if has(6) { Some(fields.u16()?) } else { None },
            msisdn: if has(7) { Some(text(&mut fields)?) } else { None },
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.terminal.to_le_bytes());
        let flags = [
            self.home.is_some(),
            self.imei.is_some(),
            self.imsi.is_some(),
            self.language.is_some(),
            self.simple,
            self.network.is_some(),
            self.buffer.is_some(),
            self.msisdn.is_some(),
        ];
        out.push(bits(flags));
        out.extend(self.home.iter().flat_map(|home| home.to_le_bytes()));
        out.extend(self.imei.iter().flatten());
        out.extend(self.imsi.iter().flatten());
        out.extend(self.language.iter().flatten());
        if let Some(network) = self.network {
            put_u24(out, network);
        }
        out.extend(self.buffer.iter().flat_map(|buffer| buffer.to_le_bytes()));
        out.extend(self.msisdn.iter().flatten());
    }
}

impl PosData {
    fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let mut position = Self {
            time: fields.u32()?,
            latitude: fields.u32()?,
            longitude: fields.u32()?,
            flags: fields.u8()?,
            speed: fields.u16()?,
            course: fields.u8()?,
            odometer: fields.u24()?,
            inputs: fields.u8()?,
            cause: fields.u8()?,
            altitude: None,
            cause_data: None,
        };
        if position.flags & 0x80 != 0 {
            position.altitude = Some(fields.u24()?);
            position.flags &= 0x7F;
        }
        position.cause_data = fields.u16();
        Some(position)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.time.to_le_bytes());
        out.extend(self.latitude.to_le_bytes());
        out.extend(self.longitude.to_le_bytes());
        out.push((self.flags & 0x7F) | if self.altitude.is_some() { 0x80 } else { 0 });
        out.extend(self.speed.to_le_bytes());
        out.push(self.course);
        put_u24(out, self.odometer);
        out.extend([self.inputs, self.cause]);
        if let Some(altitude) = self.altitude {
            put_u24(out, altitude);
        }
        out.extend(self.cause_data.iter().flat_map(|data| data.to_le_bytes()));
    }
}

impl AdSensors {
    fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let digital = fields.u8()?;
        let mut sensors = Self { outputs: fields.u8()?, ..Self::default() };
        let analogue = fields.u8()?;
        for (bit, input) in sensors.inputs.iter_mut().enumerate() {
            if digital & (1 << bit) != 0 {
                *input = Some(fields.u8()?);
            }
        }
        for (bit, input) in sensors.analogue.iter_mut().enumerate() {
            if analogue & (1 << bit) != 0 {
                *input = Some(fields.u24()?);
            }
        }
        Some(sensors)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(bits(self.inputs.map(|input| input.is_some())));
        out.push(self.outputs);
        out.push(bits(self.analogue.map(|input| input.is_some())));
        out.extend(self.inputs.iter().flatten());
        for value in self.analogue.iter().flatten() {
            put_u24(out, *value);
        }
    }
}

fn text<const N: usize>(fields: &mut Fields<'_>) -> Option<[u8; N]> {
    fields.take(N)?.try_into().ok()
}

/// A byte from its bits, the lowest first.
fn bits(flags: [bool; 8]) -> u8 {
    flags.iter().rev().fold(0, |byte, flag| (byte << 1) | u8::from(*flag))
}
