//! Time as the edge knows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds. Written in RFC 3339 with three decimals and `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMs(pub i64);

impl UtcMs {
    /// Reads RFC 3339 with any offset and any number of decimals; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|timestamp| Self(timestamp.as_millisecond()))
    }

    /// The time `ms` milliseconds later (earlier, if negative), kept within what can be represented.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for UtcMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl Serialize for UtcMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("expected a time such as 2026-11-22T08:00:01.250Z, found `{text}`"))
        })
    }
}

impl JsonSchema for UtcMs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UtcMs".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "UTC, RFC 3339" })
    }
}

/// How far the UTC part of a [`Stamp`] can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// Disciplined by NTP, PTP or GNSS now.
    Synced,
    /// Was disciplined in this boot and is running free.
    Holdover,
    /// Never disciplined in this boot.
    #[default]
    Unsynced,
}

/// Names one boot of the machine; monotonic times are only comparable within one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BootId(pub String);

/// When something reached the box. Logic uses the monotonic part only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds on the machine's monotonic clock; never decreases within a boot.
    pub mono_ms: u64,
    /// UTC at the same moment, as well as the box knew it.
    pub utc: UtcMs,
    /// How far `utc` can be trusted.
    pub clock: ClockQuality,
    /// Which boot `mono_ms` belongs to.
    pub boot: BootId,
}

impl Stamp {
    /// The stamp `ms` milliseconds later, on both clocks.
    pub fn plus_ms(&self, ms: u64) -> Self {
        let later = i64::try_from(ms).unwrap_or(i64::MAX);
        Self { mono_ms: self.mono_ms.saturating_add(ms), utc: self.utc.plus_ms(later), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_is_written_with_three_decimals_and_read_with_any() {
        let time = UtcMs::parse("2026-11-22T11:00:01.25+03:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-22T08:00:01.250Z");
        assert_eq!(UtcMs::parse("yesterday"), None);
        assert!(UtcMs(i64::MAX).to_string().contains("since 1970"));
    }
}
