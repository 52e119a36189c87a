//! Parameters: the typed parts of a message (LLRP 1.0.1, section 16.2). One table, from which reading and writing
//! follow.
//!
//! Invariant: whatever bytes are read, writing what was read gives the same bytes. A TLV that is not in the table, or
//! does not fit it, is kept as [`Parameter::Unknown`]; what cannot even be divided into parameters (a TV that is not
//! in the table has no length) is kept as [`Parameter::Undecoded`] and ends its parent.

use super::field::{BitString, Cursor, Field, Text, ToEnd};
use super::frame::TooLong;

/// How deep parameters lie within parameters: 5 in the standard. Deeper ones are kept as [`Parameter::Unknown`],
/// so that a crafted message cannot exhaust the stack.
const MAX_DEPTH: u8 = 8;

macro_rules! parameters {
    (
        tv { $($(#[$tv_doc:meta])* $tv_kind:literal $tv:ident($tv_type:ty);)* }
        tlv { $($(#[$doc:meta])* $kind:literal $name:ident { $($field:ident: $type:ty),* };)* }
    ) => {
        /// A parameter. Fields are named, and have the units, as in the standard; `parameters` are those inside.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Parameter {
            $($(#[$tv_doc])* $tv($tv_type),)*
            $($(#[$doc])* $name { $($field: $type,)* parameters: Vec<Parameter> },)*
            /// A TLV that is not in the table or does not fit it.
            Unknown { kind: u16, body: Vec<u8> },
            /// Bytes that are not parameters; always the last of its parent.
            Undecoded(Vec<u8>),
        }

        fn read_tv(kind: u8, cursor: &mut Cursor<'_>) -> Option<Parameter> {
            match kind {
                $($tv_kind => Field::read(cursor).map(Parameter::$tv),)*
                _ => None,
            }
        }

        fn read_tlv(kind: u16, cursor: &mut Cursor<'_>, depth: u8) -> Option<Parameter> {
            match kind {
                $($kind => {
                    $(let $field = Field::read(cursor)?;)*
                    Some(Parameter::$name { $($field,)* parameters: read_to_end(cursor, depth) })
                })*
                _ => None,
            }
        }

        impl Parameter {
            fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
                match self {
                    $(Self::$tv(value) => {
                        out.push(0x80 | $tv_kind);
                        value.write(out)
                    })*
                    $(Self::$name { $($field,)* parameters } => write_tlv($kind, out, |out| {
                        $($field.write(out)?;)*
                        write_all(parameters, out)
                    }),)*
                    Self::Unknown { kind, body } => write_tlv(*kind, out, |out| {
                        out.extend_from_slice(body);
                        Ok(())
                    }),
                    Self::Undecoded(bytes) => {
                        out.extend_from_slice(bytes);
                        Ok(())
                    }
                }
            }
        }
    };
}

parameters! {
    tv {
        /// Antenna, from 1.
        1 AntennaId(u16);
        /// UTC of the first read, microseconds since 1970.
        2 FirstSeenUtc(u64);
        /// The same by the reader's uptime.
        3 FirstSeenUptime(u64);
        /// UTC of the last read, microseconds since 1970.
        4 LastSeenUtc(u64);
        /// The same by the reader's uptime.
        5 LastSeenUptime(u64);
        /// Strongest signal, dBm.
        6 PeakRssi(i8);
        /// Frequency channel.
        7 ChannelIndex(u16);
        /// Reads since the last report.
        8 TagSeenCount(u16);
        /// Which ROSpec.
        9 RoSpecId(u32);
        /// Which inventory parameters.
        10 InventoryParameterSpecId(u16);
        /// CRC of the tag's EPC memory.
        11 C1g2Crc(u16);
        /// Protocol control word of the tag.
        12 C1g2Pc(u16);
        /// An EPC of 96 bits.
        13 Epc96([u8; 12]);
        /// Which spec within the ROSpec.
        14 SpecIndex(u16);
        /// Result of a client request.
        15 ClientRequestOpSpecResult(u16);
        /// Which AccessSpec.
        16 AccessSpecId(u32);
        /// Which OpSpec.
        17 OpSpecId(u16);
        /// Collisions and empty slots, 16 bits each.
        18 C1g2SingulationDetails(u32);
        /// Extended protocol control, first word (LLRP 1.1).
        19 C1g2XpcW1(u16);
        /// Extended protocol control, second word (LLRP 1.1).
        20 C1g2XpcW2(u16);
    }
    tlv {
        /// Microseconds since 1970.
        128 UtcTimestamp { microseconds: u64 };
        /// Microseconds since the reader started.
        129 Uptime { microseconds: u64 };
        /// What the reader is. Of `flags` the highest bit: antenna properties can be set; the next: it has a UTC clock.
        137 GeneralDeviceCapabilities { max_antennas: u16, flags: u16, manufacturer: u32, model: u32, firmware: Text };
        /// One step of sensitivity, dB above the most sensitive.
        139 ReceiveSensitivityTableEntry { index: u16, value: i16 };
        /// How many general purpose inputs and outputs there are.
        141 GpioCapabilities { inputs: u16, outputs: u16 };
        /// How much of LLRP the reader can do.
        142 LlrpCapabilities {
            flags: u8, priority_levels: u8, client_request_timeout: u16, max_ro_specs: u32, max_specs_per_ro_spec: u32,
            max_inventory_specs_per_ai_spec: u32, max_access_specs: u32, max_op_specs_per_access_spec: u32
        };
        /// Where the reader may be used: ISO 3166-1 numeric country code, and the standard it keeps.
        143 RegulatoryCapabilities { country: u16, standard: u16 };
        /// What it can do in the UHF band.
        144 UhfBandCapabilities {};
        /// One step of transmit power, 1/100 dBm.
        145 TransmitPowerLevelTableEntry { index: u16, value: i16 };
        /// A reader operation: where, when and how tags are looked for.
        177 RoSpec { id: u32, priority: u8, state: u8 };
        /// When a ROSpec starts and stops.
        178 RoBoundarySpec {};
        /// 0 null (by START_ROSPEC), 1 at once, 2 periodic, 3 GPI.
        179 RoSpecStartTrigger { kind: u8 };
        /// 0 null (by STOP_ROSPEC), 1 after a duration in milliseconds, 2 GPI with time-out.
        182 RoSpecStopTrigger { kind: u8, duration: u32 };
        /// Antennas to look at; 0 is all of them.
        183 AiSpec { antennas: Vec<u16> };
        /// 0 null, 1 after a duration in milliseconds, 2 GPI, 3 tag observation.
        184 AiSpecStopTrigger { kind: u8, duration: u32 };
        /// Air protocol; 1 is EPCglobal class 1 generation 2.
        186 InventoryParameterSpec { id: u16, protocol: u8 };
        /// 0 none, 1 every `period` milliseconds.
        220 KeepaliveSpec { kind: u8, period: u32 };
        /// Of `flags` the highest bit: connected. Gain in 1/100 dBi.
        221 AntennaProperties { flags: u8, antenna: u16, gain: i16 };
        /// Highest bit: hold events and reports after a reconnection until they are asked for.
        226 EventsAndReports { flags: u8 };
        /// 0 none, 1 upon `n` tags or at the end of an AISpec, 2 upon `n` tags or at the end of the ROSpec.
        237 RoReportSpec { trigger: u8, n: u16 };
        /// Which values come with a tag.
        238 TagReportContentSelector { flags: u16 };
        /// One tag. Its EPC is `Epc96` or `EpcData`.
        240 TagReportData {};
        /// An EPC of any length.
        241 EpcData { epc: BitString };
        /// Which events are sent.
        244 ReaderEventNotificationSpec {};
        /// One kind of event; highest bit of `flags`: it is sent.
        245 EventNotificationState { event: u16, flags: u8 };
        /// What happened, behind a time.
        246 ReaderEventNotificationData {};
        /// A general purpose input changed; highest bit of `state`: it is on.
        248 GpiEvent { port: u16, state: u8 };
        /// A ROSpec started (0), ended (1) or was preempted (2).
        249 RoSpecEvent { kind: u8, ro_spec: u32, preempting: u32 };
        /// The reader's buffer of reports fills.
        250 ReportBufferLevelWarning { percent: u8 };
        /// The reader's buffer of reports overflowed: reports are lost.
        251 ReportBufferOverflow {};
        /// Something went wrong in the reader.
        252 ReaderException { message: Text };
        /// An antenna was disconnected (0) or connected (1).
        255 AntennaEvent { kind: u8, antenna: u16 };
        /// The reader's first word: 0 is success.
        256 ConnectionAttempt { status: u16 };
        /// The reader closes the connection.
        257 ConnectionClose {};
        /// Whether a request was carried out: 0 is success.
        287 LlrpStatus { code: u16, description: Text };
        /// Which field was wrong.
        288 FieldError { field: u16, code: u16 };
        /// Which parameter was wrong.
        289 ParameterError { kind: u16, code: u16 };
        /// A manufacturer's own, by its Private Enterprise Number (IANA).
        1023 Custom { vendor: u32, subtype: u32, data: ToEnd };
    }
}

impl Parameter {
    /// The parameters inside this one.
    pub fn decode_all(bytes: &[u8]) -> Vec<Self> {
        read_to_end(&mut Cursor(bytes), MAX_DEPTH)
    }

    /// The bytes of `parameters`, one after the other.
    pub fn encode_all(parameters: &[Self]) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        write_all(parameters, &mut out)?;
        Ok(out)
    }
}

pub(super) fn read_to_end(cursor: &mut Cursor<'_>, depth: u8) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    while !cursor.0.is_empty() {
        let here = *cursor;
        match read_one(cursor, depth) {
            Some(parameter) => parameters.push(parameter),
            None => {
                parameters.push(Parameter::Undecoded(here.0.to_vec()));
                *cursor = Cursor(&[]);
            }
        }
    }
    parameters
}

fn read_one(cursor: &mut Cursor<'_>, depth: u8) -> Option<Parameter> {
    let first = *cursor.0.first()?;
    if first & 0x80 != 0 {
        cursor.take(1)?;
        return read_tv(first & 0x7f, cursor);
    }
    let kind = u16::read(cursor).filter(|kind| *kind <= 0x3ff)?;
    let length = usize::from(u16::read(cursor)?);
    let body = cursor.take(length.checked_sub(4)?)?;
    let decoded = depth.checked_sub(1).and_then(|depth| read_tlv(kind, &mut Cursor(body), depth));
    Some(decoded.unwrap_or_else(|| Parameter::Unknown { kind, body: body.to_vec() }))
}

pub(super) fn write_all(parameters: &[Parameter], out: &mut Vec<u8>) -> Result<(), TooLong> {
    parameters.iter().try_for_each(|parameter| parameter.write(out))
}

fn write_tlv(
    kind: u16,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    let mut inner = Vec::new();
    body(&mut inner)?;
    let length = inner.len() + 4;
    kind.write(out)?;
    u16::try_from(length).map_err(|_| TooLong(length))?.write(out)?;
    out.extend_from_slice(&inner);
    Ok(())
}
