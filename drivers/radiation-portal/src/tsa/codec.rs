//! Lines of a TSA/Rapiscan SC-770-type portal controller: bytes in, records out.
//!
//! A line is a tag of two or three letters and zero-padded decimal fields, separated by commas, ended by CR LF. A
//! central alarm station appends its times (`,HH-MM-SS.mmm`, local and UTC): fields after the known ones are ignored.

use std::collections::VecDeque;
use std::fmt;

/// Counts of the four detectors: master lower, master upper, slave lower, slave upper.
pub type Counts = [u32; 4];

/// A line longer than this is garbage; the longest real ones (setup with two appended times) are below 80 bytes.
pub const MAX_LINE: usize = 256;

/// One line of the portal.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// `GB`: gamma background per detector, counts per second. Sent about every 5 s while not occupied.
    GammaBackground(Counts),
    /// `NB`: neutron background per detector, counts per second. Sent about every 5 s while not occupied.
    NeutronBackground(Counts),
    /// `GH`: the gamma background is above the configured limit; the portal cannot judge.
    GammaHigh(Counts),
    /// `GL`: the gamma background is below the configured limit; a detector may be dead.
    GammaLow(Counts),
    /// `NH`: the neutron background is above the configured limit.
    NeutronHigh(Counts),
    /// `GS`, or `GA` while the portal calls a gamma alarm: gamma counts of the last 200 ms, while occupied.
    GammaScan {
        /// Counts in 200 ms.
        counts: Counts,
        /// Whether the line was a `GA`.
        alarm: bool,
    },
    /// `NS`, or `NA` while the portal calls a neutron alarm: neutron counts since the last such line, while occupied.
    NeutronScan {
        /// Counts since the last such line.
        counts: Counts,
        /// Whether the line was an `NA`.
        alarm: bool,
    },
    /// `SP`: speed of the vehicle, at the end of the occupancy.
    Speed {
        /// Time between the two beams, s.
        seconds: f64,
        /// Speed, miles per hour.
        mph: f64,
        /// Speed, km/h.
        kmh: f64,
    },
    /// `GX`: the occupancy has ended.
    End {
        /// Number of the occupancy; counts up by one.
        occupancy: u32,
        /// Neutron background, thousandths of a count per second.
        neutron_background_milli: u32,
    },
    /// `TC`, or `TT` while a tamper switch is open.
    Tamper {
        /// Whether the line was a `TT`.
        open: bool,
        /// Four fields of six digits, one digit per switch, in the maker's order.
        switches: [String; 4],
    },
    /// `SG1`: first line of the gamma setup.
    GammaSetup {
        /// High background fault limit, counts per second.
        high_fault: u32,
        /// Low background fault limit, counts per second.
        low_fault: u32,
        /// Intervals of 200 ms in the sliding sum.
        intervals: u32,
        /// Intervals that an occupancy is held after the sensor is free.
        hold_in: u32,
        /// Alarm threshold in standard deviations of the background.
        sigma: f64,
    },
    /// `SG2`, `SG3`, `SN1`, `SN2`: setup that nothing here depends on.
    Setup {
        /// The tag.
        tag: SetupTag,
        /// The fields as sent.
        fields: Vec<String>,
    },
}

/// Setup lines that are passed on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupTag {
    /// Gamma, second line.
    Sg2,
    /// Gamma, third line.
    Sg3,
    /// Neutron, first line.
    Sn1,
    /// Neutron, second line.
    Sn2,
}

impl SetupTag {
    fn word(self) -> &'static str {
        match self {
            Self::Sg2 => "SG2",
            Self::Sg3 => "SG3",
            Self::Sn1 => "SN1",
            Self::Sn2 => "SN2",
        }
    }
}

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The tag is not one of the protocol's.
    #[error(
        "unknown tag `{0}`; known are GB, NB, GH, GL, NH, GS, GA, NS, NA, SP, GX, TC, TT, SG1, SG2, SG3, SN1, SN2"
    )]
    UnknownTag(String),
    /// A field that the tag needs is missing.
    #[error("`{tag}` needs {needed} fields after the tag, found {found}")]
    Short {
        /// The tag.
        tag: String,
        /// How many fields it needs.
        needed: usize,
        /// How many there were.
        found: usize,
    },
    /// A field is not the number it should be.
    #[error("field {field} of `{tag}` is `{text}`, expected a number")]
    NotANumber {
        /// The tag.
        tag: String,
        /// Which field, from 1.
        field: usize,
        /// What it was.
        text: String,
    },
    /// A spectroscopic portal (SPM) uses the same tags with a detector name first.
    #[error(
        "`{tag},{detector}`: this is the stream of a spectroscopic portal; this protocol reads gross counts only"
    )]
    Spectroscopic {
        /// The tag.
        tag: String,
        /// The detector's name.
        detector: String,
    },
    /// A quotation mark is not closed.
    #[error("unterminated quotation mark")]
    Quote,
    /// No line end within [`MAX_LINE`] bytes.
    #[error("no line end within {MAX_LINE} bytes; the rest of the line is skipped")]
    Long,
    /// Not ASCII.
    #[error("bytes outside ASCII: check speed and parity of the serial server")]
    NotAscii,
}

/// Reads one line, without its line end.
pub fn parse_line(line: &[u8]) -> Result<Record, LineError> {
    if !line.is_ascii() {
        return Err(LineError::NotAscii);
    }
    let text = str::from_utf8(line).map_err(|_| LineError::NotAscii)?;
    if text.matches('"').count() % 2 != 0 {
        return Err(LineError::Quote);
    }
    let mut all = text.split(',').map(|field| field.trim().trim_matches('"'));
    let tag = all.next().unwrap_or_default();
    let fields = Fields { tag, fields: all.collect() };
    Ok(match tag {
        "GB" => Record::GammaBackground(fields.counts()?),
        "NB" => Record::NeutronBackground(fields.counts()?),
        "GH" => Record::GammaHigh(fields.counts()?),
        "GL" => Record::GammaLow(fields.counts()?),
        "NH" => Record::NeutronHigh(fields.counts()?),
        "GS" | "GA" => Record::GammaScan { counts: fields.counts()?, alarm: tag == "GA" },
        "NS" | "NA" => Record::NeutronScan { counts: fields.counts()?, alarm: tag == "NA" },
        "SP" => {
            fields.need(3)?;
            Record::Speed { seconds: fields.decimal(0)?, mph: fields.decimal(1)?, kmh: fields.decimal(2)? }
        }
        "GX" => {
            fields.need(2)?;
            Record::End { occupancy: fields.integer(0)?, neutron_background_milli: fields.integer(1)? }
        }
        "TC" | "TT" => {
            fields.need(4)?;
            let switch = |n: usize| fields.integer(n).map(|_| fields.text(n).to_owned());
            Record::Tamper { open: tag == "TT", switches: [switch(0)?, switch(1)?, switch(2)?, switch(3)?] }
        }
        "SG1" => {
            fields.need(5)?;
            Record::GammaSetup {
                high_fault: fields.integer(0)?,
                low_fault: fields.integer(1)?,
                intervals: fields.integer(2)?,
                hold_in: fields.integer(3)?,
                sigma: fields.decimal(4)?,
            }
        }
        "SG2" => fields.setup(SetupTag::Sg2),
        "SG3" => fields.setup(SetupTag::Sg3),
        "SN1" => fields.setup(SetupTag::Sn1),
        "SN2" => fields.setup(SetupTag::Sn2),
        other => return Err(LineError::UnknownTag(other.chars().take(16).collect())),
    })
}

struct Fields<'a> {
    tag: &'a str,
    fields: Vec<&'a str>,
}

impl Fields<'_> {
    fn need(&self, needed: usize) -> Result<(), LineError> {
        let found = self.fields.len();
        if found < needed {
            return Err(LineError::Short { tag: self.tag.to_owned(), needed, found });
        }
        Ok(())
    }

    fn text(&self, n: usize) -> &str {
        self.fields.get(n).copied().unwrap_or_default()
    }

    fn integer(&self, n: usize) -> Result<u32, LineError> {
        let text = self.text(n);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| self.not_a_number(n))
    }

    fn decimal(&self, n: usize) -> Result<f64, LineError> {
        let text = self.text(n);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        text.parse().ok().filter(|_| digits).ok_or_else(|| self.not_a_number(n))
    }

    fn not_a_number(&self, n: usize) -> LineError {
        LineError::NotANumber { tag: self.tag.to_owned(), field: n + 1, text: self.text(n).to_owned() }
    }

    fn counts(&self) -> Result<Counts, LineError> {
        // Detector names are letters and digits that begin with a letter, such as Aa1 or Ba2N (ANSI N42.42).
        let first = self.text(0);
        if first.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let detector = first.chars().take(16).collect();
            return Err(LineError::Spectroscopic { tag: self.tag.to_owned(), detector });
        }
        self.need(4)?;
        Ok([self.integer(0)?, self.integer(1)?, self.integer(2)?, self.integer(3)?])
    }

    fn setup(&self, tag: SetupTag) -> Record {
        Record::Setup { tag, fields: self.fields.iter().map(|&field| field.to_owned()).collect() }
    }
}

/// The line as the portal writes it, without its line end.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = |tag: &str, [a, b, c, d]: &Counts| write!(f, "{tag},{a:06},{b:06},{c:06},{d:06}");
        match self {
            Self::GammaBackground(c) => counts("GB", c),
            Self::NeutronBackground(c) => counts("NB", c),
            Self::GammaHigh(c) => counts("GH", c),
            Self::GammaLow(c) => counts("GL", c),
            Self::NeutronHigh(c) => counts("NH", c),
            Self::GammaScan { counts: c, alarm } => counts(if *alarm { "GA" } else { "GS" }, c),
            Self::NeutronScan { counts: c, alarm } => counts(if *alarm { "NA" } else { "NS" }, c),
            Self::Speed { seconds, mph, kmh } => write!(f, "SP,{seconds:06.4},{mph:06.3},{kmh:06.2},000000"),
            Self::End { occupancy, neutron_background_milli } => {
                write!(f, "GX,{occupancy:06},{neutron_background_milli:06},00000,00000")
            }
            Self::Tamper { open, switches } => {
                write!(f, "{},{}", if *open { "TT" } else { "TC" }, switches.join(","))
            }
            Self::GammaSetup { high_fault, low_fault, intervals, hold_in, sigma } => {
                write!(f, "SG1,{high_fault:06},{low_fault:06},{intervals:02},{hold_in:02},{sigma:04.1},P")
            }
            Self::Setup { tag, fields } => write!(f, "{},{}", tag.word(), fields.join(",")),
        }
    }
}

/// Cuts the byte stream into lines. Holds at most one line of [`MAX_LINE`] bytes beside what was just pushed.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: VecDeque<u8>,
    skipping: bool,
}

impl Lines {
    /// Adds bytes as they came; take the lines out with [`Lines::next_line`] until it gives `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next whole line without its line end; empty lines are passed over.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, LineError>> {
        loop {
            let end = self.bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r');
            if end.unwrap_or(self.bytes.len()) > MAX_LINE {
                self.bytes.drain(..end.unwrap_or(self.bytes.len()));
                if !std::mem::replace(&mut self.skipping, true) {
                    return Some(Err(LineError::Long));
                }
                continue;
            }
            let end = match end {
                Some(end) => end,
                None if self.skipping => {
                    self.bytes.clear();
                    return None;
                }
                None => return None,
            };
            let line: Vec<u8> = self.bytes.drain(..=end).take(end).collect();
            let skipped = std::mem::take(&mut self.skipping);
            if !skipped && !line.is_empty() {
                return Some(Ok(line));
            }
        }
    }
}
