//! Messages (LLRP 1.0.1, section 16.1). One table, from which reading and writing follow.

use super::field::{Cursor, Field, ToEnd};
use super::frame::{Frame, TooLong};
use super::parameter::{Parameter, write_all};

/// A message that is shorter than its fixed fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} of {bytes} bytes is too short for its fields")]
pub struct MessageError {
    name: &'static str,
    bytes: usize,
}

macro_rules! messages {
    ($($(#[$doc:meta])* $kind:literal $text:literal $name:ident { $($field:ident: $type:ty),* };)*) => {
        /// A message. Fields are named as in the standard; `parameters` follow them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Message {
            $($(#[$doc])* $name { $($field: $type,)* parameters: Vec<Parameter> },)*
            /// A message that is not in the table.
            Other { kind: u16, body: Vec<u8> },
        }

        impl Message {
            /// Reads what a frame means.
            pub fn decode(frame: &Frame) -> Result<Self, MessageError> {
                let cursor = &mut Cursor(&frame.body);
                match frame.kind {
                    $($kind => {
                        let short = || MessageError { name: $text, bytes: frame.body.len() };
                        let _ = &short;
                        $(let $field = Field::read(cursor).ok_or_else(short)?;)*
                        Ok(Self::$name { $($field,)* parameters: Parameter::decode_all(cursor.0) })
                    })*
                    kind => Ok(Self::Other { kind, body: frame.body.clone() }),
                }
            }

            /// The frame of this message: version 1, which readers of every version understand.
            pub fn frame(&self, id: u32) -> Result<Frame, TooLong> {
                let mut body = Vec::new();
                match self {
                    $(Self::$name { $($field,)* parameters } => {
                        $($field.write(&mut body)?;)*
                        write_all(parameters, &mut body)?;
                    })*
                    Self::Other { body: bytes, .. } => body.extend_from_slice(bytes),
                }
                Ok(Frame { version: 1, kind: self.kind(), id, body })
            }

            /// The name in the standard.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $text,)*
                    Self::Other { .. } => "a message of another type",
                }
            }

            /// Message type.
            pub fn kind(&self) -> u16 {
                match self {
                    $(Self::$name { .. } => $kind,)*
                    Self::Other { kind, .. } => *kind,
                }
            }

            /// The parameters behind the fixed fields.
            pub fn parameters(&self) -> &[Parameter] {
                match self {
                    $(Self::$name { parameters, .. } => parameters,)*
                    Self::Other { .. } => &[],
                }
            }
        }
    };
}

messages! {
    /// What can you do? 0 asks for everything.
    1 "GET_READER_CAPABILITIES" GetReaderCapabilities { requested: u8 };
    /// How are you set? `requested` 0 is everything, 2 the antennas; antenna and ports 0 are all of them.
    2 "GET_READER_CONFIG" GetReaderConfig { antenna: u16, requested: u8, gpi_port: u16, gpo_port: u16 };
    /// Be set so. Highest bit of `flags`: back to the factory's settings first.
    3 "SET_READER_CONFIG" SetReaderConfig { flags: u8 };
    /// Answer to 14.
    4 "CLOSE_CONNECTION_RESPONSE" CloseConnectionResponse {};
    /// Answer to 1.
    11 "GET_READER_CAPABILITIES_RESPONSE" GetReaderCapabilitiesResponse {};
    /// Answer to 2.
    12 "GET_READER_CONFIG_RESPONSE" GetReaderConfigResponse {};
    /// Answer to 3.
    13 "SET_READER_CONFIG_RESPONSE" SetReaderConfigResponse {};
    /// The client leaves.
    14 "CLOSE_CONNECTION" CloseConnection {};
    /// Here is a ROSpec.
    20 "ADD_ROSPEC" AddRoSpec {};
    /// Forget a ROSpec; 0 is all of them.
    21 "DELETE_ROSPEC" DeleteRoSpec { ro_spec: u32 };
    /// Start a ROSpec.
    22 "START_ROSPEC" StartRoSpec { ro_spec: u32 };
    /// Stop a ROSpec.
    23 "STOP_ROSPEC" StopRoSpec { ro_spec: u32 };
    /// Let a ROSpec be started.
    24 "ENABLE_ROSPEC" EnableRoSpec { ro_spec: u32 };
    /// Let a ROSpec not be started.
    25 "DISABLE_ROSPEC" DisableRoSpec { ro_spec: u32 };
    /// Answer to 20.
    30 "ADD_ROSPEC_RESPONSE" AddRoSpecResponse {};
    /// Answer to 21.
    31 "DELETE_ROSPEC_RESPONSE" DeleteRoSpecResponse {};
    /// Answer to 22.
    32 "START_ROSPEC_RESPONSE" StartRoSpecResponse {};
    /// Answer to 23.
    33 "STOP_ROSPEC_RESPONSE" StopRoSpecResponse {};
    /// Answer to 24.
    34 "ENABLE_ROSPEC_RESPONSE" EnableRoSpecResponse {};
    /// Answer to 25.
    35 "DISABLE_ROSPEC_RESPONSE" DisableRoSpecResponse {};
    /// Tags that were read.
    61 "RO_ACCESS_REPORT" RoAccessReport {};
    /// The reader is there.
    62 "KEEPALIVE" Keepalive {};
    /// Something happened.
    63 "READER_EVENT_NOTIFICATION" ReaderEventNotification {};
    /// Send what was held back. Has no answer.
    64 "ENABLE_EVENTS_AND_REPORTS" EnableEventsAndReports {};
    /// Answer to 62.
    72 "KEEPALIVE_ACK" KeepaliveAck {};
    /// Answer to what was not understood.
    100 "ERROR_MESSAGE" ErrorMessage {};
    /// A manufacturer's own, by its Private Enterprise Number (IANA).
    1023 "CUSTOM_MESSAGE" CustomMessage { vendor: u32, subtype: u8, data: ToEnd };
}

impl Message {
    /// Type of the answer to this request; `None` for messages that have none.
    pub fn answer_kind(&self) -> Option<u16> {
        match self.kind() {
            14 => Some(4),
            kind @ (1..=3 | 20..=25) => Some(kind + 10),
            _ => None,
        }
    }

    /// Code and text of the LLRPStatus, if there is one.
    pub fn status(&self) -> Option<(u16, String)> {
        self.parameters().iter().find_map(|parameter| match parameter {
            Parameter::LlrpStatus { code, description, .. } => Some((*code, description.to_string())),
            _ => None,
        })
    }
}

/// The name of an LLRPStatus code (LLRP 1.0.1, section 14.2.1).
pub fn status_name(code: u16) -> &'static str {
    match code {
        0 => "M_Success",
        100 => "M_ParameterError",
        101 => "M_FieldError",
        102 => "M_UnexpectedParameter",
        103 => "M_MissingParameter",
        104 => "M_DuplicateParameter",
        105 => "M_OverflowParameter",
        106 => "M_OverflowField",
        107 => "M_UnknownParameter",
        108 => "M_UnknownField",
        109 => "M_UnsupportedMessage",
        110 => "M_UnsupportedVersion",
        111 => "M_UnsupportedParameter",
        200 => "P_ParameterError",
        201 => "P_FieldError",
        202 => "P_UnexpectedParameter",
        203 => "P_MissingParameter",
        204 => "P_DuplicateParameter",
        205 => "P_OverflowParameter",
        206 => "P_OverflowField",
        207 => "P_UnknownParameter",
        208 => "P_UnknownField",
        209 => "P_UnsupportedParameter",
        300 => "A_Invalid",
        301 => "A_OutOfRange",
        401 => "R_DeviceError",
        _ => "a code that LLRP 1.0.1 does not have",
    }
}
