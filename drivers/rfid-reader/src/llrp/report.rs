//! What a tag report says, and which of many reads of one tag are passed on. Pure; time is passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use interface::UtcMs;

use super::parameter::Parameter;

/// One tag as the reader reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagReport {
    /// The EPC memory as received, filled up with zeros to whole bytes.
    pub epc: Vec<u8>,
    /// Which antenna, from 1.
    pub antenna: Option<u16>,
    /// Strongest signal, dBm.
    pub rssi_dbm: Option<i8>,
    /// When the reader's clock saw it: the last read of the report, else the first. `None` for a reader without UTC.
    pub seen: Option<UtcMs>,
}

/// The last millisecond that RFC 3339 can write, 9999-12-31T23:59:59.999Z.
const LAST_MS: u64 = 253_402_300_799_999;

impl TagReport {
    /// Reads the inside of a TagReportData; `None` if it holds no EPC.
    pub fn read(parameters: &[Parameter]) -> Option<Self> {
        let mut report = Self { epc: Vec::new(), antenna: None, rssi_dbm: None, seen: None };
        let (mut first, mut last) = (None, None);
        for parameter in parameters {
            match parameter {
                Parameter::Epc96(epc) => report.epc = epc.to_vec(),
                Parameter::EpcData { epc, .. } => report.epc.clone_from(&epc.bytes),
                Parameter::AntennaId(antenna) => report.antenna = Some(*antenna),
                Parameter::PeakRssi(rssi) => report.rssi_dbm = Some(*rssi),
                Parameter::FirstSeenUtc(microseconds) => first = utc(*microseconds),
                Parameter::LastSeenUtc(microseconds) => last = utc(*microseconds),
                _ => {}
            }
        }
        report.seen = last.or(first);
        (!report.epc.is_empty()).then_some(report)
    }

    /// The EPC as upper-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.epc.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

fn utc(microseconds: u64) -> Option<UtcMs> {
    let ms = microseconds / 1000;
    if ms > LAST_MS { None } else { i64::try_from(ms).ok().map(UtcMs) }
}

/// How often a tag that stays is passed on again.
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// How many tags are remembered. A Gen2 reader reads fewer than a thousand a second, so that this many never stand
/// within [`REPEAT_AFTER`].
const REMEMBERED: usize = 4096;

/// Passes a tag on at once, then at most once a second per antenna. When the table is full of tags seen within the
/// last second, further ones are passed on every time: nothing is lost.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<(Vec<u8>, Option<u16>), Instant>);

impl Repeats {
    /// Whether this read is to be passed on.
    pub fn passes(&mut self, tag: &TagReport, now: Instant) -> bool {
        let recent = |passed: &Instant| now.saturating_duration_since(*passed) < REPEAT_AFTER;
        let key = (tag.epc.clone(), tag.antenna);
        if self.0.get(&key).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, passed| recent(passed));
        }
        if self.0.len() < REMEMBERED {
            self.0.insert(key, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u32, antenna: u16) -> TagReport {
        TagReport { epc: number.to_be_bytes().to_vec(), antenna: Some(antenna), rssi_dbm: None, seen: None }
    }

    #[test]
    fn a_tag_that_stays_is_passed_on_once_a_second_per_antenna() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        let mut passed =
            |ms: u64, antenna| repeats.passes(&tag(1, antenna), start + Duration::from_millis(ms));
        assert!(passed(0, 1));
        assert!(passed(10, 2));
        assert!(!passed(999, 1));
        assert!(passed(1000, 1));
        assert!(!passed(1009, 2));
        assert!(!passed(1500, 1));
    }

    #[test]
    fn a_full_table_passes_everything_on_and_empties_itself() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        let many = u32::try_from(REMEMBERED).unwrap() + 10;
        for number in 0..many {
            assert!(repeats.passes(&tag(number, 1), start));
        }
        assert_eq!(repeats.0.len(), REMEMBERED);
        assert!(repeats.passes(&tag(many, 1), start));
        assert!(!repeats.passes(&tag(0, 1), start));
        assert!(repeats.passes(&tag(many, 1), start + REPEAT_AFTER));
        assert_eq!(repeats.0.len(), 1);
    }

    #[test]
    fn what_the_reader_did_not_say_is_none() {
        let report = TagReport::read(&[Parameter::Epc96([7; 12])]).unwrap();
        assert_eq!((report.antenna, report.rssi_dbm, report.seen), (None, None, None));
        assert_eq!(report.hex(), "070707070707070707070707");
        assert_eq!(TagReport::read(&[Parameter::AntennaId(1)]), None);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_not_passed_on() {
        let report = |microseconds| {
            TagReport::read(&[Parameter::Epc96([7; 12]), Parameter::LastSeenUtc(microseconds)])
        };
        assert_eq!(report(u64::MAX).unwrap().seen, None);
        assert_eq!(report(1_594_174_805_140_192).unwrap().seen, Some(UtcMs(1_594_174_805_140)));
    }
}
