//! Binary EPCs of 96 bits: GS1 EPC Tag Data Standard 1.13, chapter 14.
//!
//! Only what fits the standard exactly is decoded: a field that does not fit its number of digits is an error, never
//! cut. Windshield tags and ISO 17363-17367 tags carry other numbers, so an error here is an ordinary answer.

use std::fmt;

/// A decoded EPC. Numbers of fixed width keep their leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Epc {
    /// Trade item (header 0x30).
    Sgtin {
        /// Filter value, 0 to 7.
        filter: u8,
        /// GS1 company prefix.
        company: String,
        /// Indicator digit and item reference.
        item: String,
        /// Serial number.
        serial: u64,
    },
    /// Logistic unit (header 0x31).
    Sscc {
        /// Filter value, 0 to 7.
        filter: u8,
        /// GS1 company prefix.
        company: String,
        /// Extension digit and serial reference.
        serial: String,
    },
    /// Location (header 0x32).
    Sgln {
        /// Filter value, 0 to 7.
        filter: u8,
        /// GS1 company prefix.
        company: String,
        /// Location reference; empty behind a company prefix of 12 digits.
        location: String,
        /// Extension, 0 for none.
        extension: u64,
    },
    /// Returnable asset (header 0x33).
    Grai {
        /// Filter value, 0 to 7.
        filter: u8,
        /// GS1 company prefix.
        company: String,
        /// Asset type; empty behind a company prefix of 12 digits.
        asset_type: String,
        /// Serial number.
        serial: u64,
    },
    /// Individual asset (header 0x34).
    Giai {
        /// Filter value, 0 to 7.
        filter: u8,
        /// GS1 company prefix.
        company: String,
        /// Individual asset reference.
        asset: u64,
    },
    /// General identifier (header 0x35).
    Gid {
        /// General manager number.
        manager: u32,
        /// Object class.
        class: u32,
        /// Serial number.
        serial: u64,
    },
}

/// Why bytes are not a 96-bit EPC of the standard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpcError {
    /// Another length.
    #[error("expected 12 bytes, found {0}")]
    Length(usize),
    /// Another scheme, or none.
    #[error(
        "header {0:#04x} is none of 0x30 SGTIN-96, 0x31 SSCC-96, 0x32 SGLN-96, 0x33 GRAI-96, 0x34 GIAI-96, 0x35 GID-96"
    )]
    Header(u8),
    /// The partition says how the bits are shared out; 7 is not assigned.
    #[error("partition {0} is not assigned, expected 0 to 6")]
    Partition(u8),
    /// A number that needs more digits than the standard gives it.
    #[error("{field} {value} has more than {digits} digits")]
    TooLarge {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// How many digits there may be.
        digits: u8,
    },
    /// Bits that must be zero are not.
    #[error("the last 24 bits of an SSCC-96 must be zero, found {0:#08x}")]
    Padding(u32),
}

/// Bits and digits of the company prefix by partition: the same for every scheme (TDS 1.13, chapter 14).
const COMPANY: [(u8, u8); 7] = [(40, 12), (37, 11), (34, 10), (30, 9), (27, 8), (24, 7), (20, 6)];

/// Decodes 12 bytes as read from the tag's EPC memory.
pub fn decode(bytes: &[u8]) -> Result<Epc, EpcError> {
    let epc: [u8; 12] = bytes.try_into().map_err(|_| EpcError::Length(bytes.len()))?;
    let mut bits = Bits::new(epc);
    let header = bits.take(8) as u8;
    if header == 0x35 {
        return Ok(Epc::Gid {
            manager: bits.take(28) as u32,
            class: bits.take(24) as u32,
            serial: bits.take(36),
        });
    }
    // Bits of company prefix and reference together; digits of both together.
    let (shared_bits, shared_digits) = match header {
        0x30 => (44, 13),
        0x31 => (58, 17),
        0x32 => (41, 12),
        0x33 => (44, 12),
        0x34 => (82, 25),
        other => return Err(EpcError::Header(other)),
    };
    let filter = bits.take(3) as u8;
    let partition = bits.take(3) as u8;
    let &(company_bits, company_digits) =
        COMPANY.get(usize::from(partition)).ok_or(EpcError::Partition(partition))?;
    let company = digits("company prefix", bits.take(company_bits), company_digits)?;
    let reference = bits.take(shared_bits - company_bits);
    let reference_digits = shared_digits - company_digits;
    match header {
        0x30 => Ok(Epc::Sgtin {
            filter,
            company,
            item: digits("item reference", reference, reference_digits)?,
            serial: bits.take(38),
        }),
        0x31 => {
            let serial = digits("serial reference", reference, reference_digits)?;
            match bits.take(24) {
                0 => Ok(Epc::Sscc { filter, company, serial }),
                padding => Err(EpcError::Padding(padding as u32)),
            }
        }
        0x32 => Ok(Epc::Sgln {
            filter,
            company,
            location: digits("location reference", reference, reference_digits)?,
            extension: bits.take(41),
        }),
        0x33 => Ok(Epc::Grai {
            filter,
            company,
            asset_type: digits("asset type", reference, reference_digits)?,
            serial: bits.take(38),
        }),
        _ => {
            digits("individual asset reference", reference, reference_digits)?;
            Ok(Epc::Giai { filter, company, asset: reference })
        }
    }
}

/// `value` with leading zeros; no digits at all where there are none (the value must then be 0).
fn digits(field: &'static str, value: u64, digits: u8) -> Result<String, EpcError> {
    // At most 19 digits are asked for (GIAI), and 10^19 fits 64 bits.
    if 10u64.checked_pow(u32::from(digits)).is_some_and(|limit| value >= limit) {
        return Err(EpcError::TooLarge { field, value, digits });
    }
    Ok(if digits == 0 { String::new() } else { format!("{value:0width$}", width = usize::from(digits)) })
}

/// Takes bits off the front, most significant first.
struct Bits {
    value: u128,
    left: u32,
}

impl Bits {
    fn new(bytes: [u8; 12]) -> Self {
        let value = bytes.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        Self { value, left: 96 }
    }

    /// The next `count` bits, at most 64.
    fn take(&mut self, count: u8) -> u64 {
        self.left = self.left.saturating_sub(u32::from(count));
        let bits = self.value >> self.left & ((1u128 << count) - 1);
        bits as u64
    }
}

impl Epc {
    /// The pure identity, such as `urn:epc:id:sgtin:0614141.812345.6789` (TDS 1.13, chapter 6).
    pub fn pure_uri(&self) -> String {
        format!("urn:epc:id:{}:{}", self.scheme(), self.fields())
    }

    /// The tag URI with filter value, such as `urn:epc:tag:sgtin-96:3.0614141.812345.6789` (TDS 1.13, chapter 12).
    pub fn tag_uri(&self) -> String {
        let filter = match self {
            Self::Sgtin { filter, .. }
            | Self::Sscc { filter, .. }
            | Self::Sgln { filter, .. }
            | Self::Grai { filter, .. }
            | Self::Giai { filter, .. } => format!("{filter}."),
            Self::Gid { .. } => String::new(),
        };
        format!("urn:epc:tag:{}-96:{filter}{}", self.scheme(), self.fields())
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::Sgtin { .. } => "sgtin",
            Self::Sscc { .. } => "sscc",
            Self::Sgln { .. } => "sgln",
            Self::Grai { .. } => "grai",
            Self::Giai { .. } => "giai",
            Self::Gid { .. } => "gid",
        }
    }

    fn fields(&self) -> String {
        match self {
            Self::Sgtin { company, item, serial, .. } => format!("{company}.{item}.{serial}"),
            Self::Sscc { company, serial, .. } => format!("{company}.{serial}"),
            Self::Sgln { company, location, extension, .. } => format!("{company}.{location}.{extension}"),
            Self::Grai { company, asset_type, serial, .. } => format!("{company}.{asset_type}.{serial}"),
            Self::Giai { company, asset, .. } => format!("{company}.{asset}"),
            Self::Gid { manager, class, serial } => format!("{manager}.{class}.{serial}"),
        }
    }
}

impl fmt::Display for Epc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pure_uri())
    }
}
