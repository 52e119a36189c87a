//! UHF RFID readers that speak LLRP 1.0.1 (EPCglobal Low Level Reader Protocol) over TCP.
//!
//! The reader is told to look for tags on the configured antennas all the time and to report each read at once.
//! A tag is passed on when it is first seen, then at most once a second per antenna while it stays. Weak reads can be
//! dropped by a floor; how many were is logged. A reader serves one client: a second one is refused.
//!
//! [`frame`], [`message`], [`parameter`] and [`report`] are the pure codec; the session is thin and private.

pub mod field;
pub mod frame;
mod link;
pub mod message;
pub mod parameter;
mod probe;
pub mod report;
mod session;

use std::time::Duration;

use async_trait::async_trait;
use interface::{ConfigError, Driver, Plan, ProbeReport, Protocol, ReadingKind, Resource, parse_parameters};
use schemars::JsonSchema;
use serde::Deserialize;

/// Port of LLRP without TLS (IANA service `llrp`).
pub const DEFAULT_PORT: u16 = 5084;

/// Protocol `llrp`.
#[derive(Debug)]
pub struct Llrp;

/// Parameters of a sensor with protocol `llrp`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// Where the reader is: `host` or `host:port`. The port is 5084 if it is left out.
    address: String,
    /// Antennas to read with, as printed on the reader, from 1. `[0]`, the default, is all of them.
    #[serde(default = "all_antennas")]
    #[schemars(length(min = 1, max = 64))]
    antennas: Vec<u16>,
    /// The reader says that it is there every so many seconds; it is given up after three times that. Default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 600))]
    keepalive_s: u16,
    /// How long connecting, and each answer of the reader, may take, seconds. Default 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 60))]
    connect_timeout_s: u16,
    /// Reads weaker than this, dBm, are dropped; for example -65 keeps the neighbouring lane out. Default: none are.
    #[serde(default)]
    #[schemars(range(min = -128, max = 0))]
    rssi_floor_dbm: Option<f64>,
}

fn all_antennas() -> Vec<u16> {
    vec![0]
}

fn ten() -> u16 {
    10
}

fn five() -> u16 {
    5
}

/// Checked parameters.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    /// `host:port`.
    address: String,
    /// Empty for all of them.
    antennas: Vec<u16>,
    keepalive: Duration,
    connect_timeout: Duration,
    rssi_floor_dbm: Option<f64>,
}

impl Parameters {
    fn check(self) -> Result<Settings, ConfigError> {
        let address = with_port(&self.address).ok_or_else(|| {
            let expected = "expected `host` or `host:port`, such as \"10.0.7.21\" or \"reader-1:5084\"";
            ConfigError::field("address", format!("{expected}, found `{}`", self.address))
        })?;
        let antennas = match self.antennas.as_slice() {
            [0] => Vec::new(),
            listed => {
                check_antennas(listed)?;
                listed.to_vec()
            }
        };
        in_range("keepalive_s", f64::from(self.keepalive_s), 1.0, 600.0)?;
        in_range("connect_timeout_s", f64::from(self.connect_timeout_s), 1.0, 60.0)?;
        if let Some(floor) = self.rssi_floor_dbm {
            in_range("rssi_floor_dbm", floor, -128.0, 0.0)?;
        }
        Ok(Settings {
            address,
            antennas,
            keepalive: Duration::from_secs(self.keepalive_s.into()),
            connect_timeout: Duration::from_secs(self.connect_timeout_s.into()),
            rssi_floor_dbm: self.rssi_floor_dbm,
        })
    }
}

fn check_antennas(antennas: &[u16]) -> Result<(), ConfigError> {
    let mut sorted = antennas.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let wrong = if antennas.is_empty() || antennas.len() > 64 {
        "between 1 and 64 antennas"
    } else if antennas.contains(&0) {
        "either [0] for all antennas or their numbers from 1"
    } else if sorted.len() != antennas.len() {
        "each antenna once"
    } else {
        return Ok(());
    };
    Err(ConfigError::field("antennas", format!("expected {wrong}, found {antennas:?}")))
}

fn in_range(field: &str, value: f64, min: f64, max: f64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::field(field, format!("expected {min} to {max}, found {value}")))
}

/// `host:port` in lower case, with the default port where none is given; `None` if it is neither form.
/// An IPv6 address needs its brackets.
fn with_port(address: &str) -> Option<String> {
    let address = address.trim().to_lowercase();
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !address.ends_with(']') => (host, port.parse().ok()?),
        _ => (address.as_str(), DEFAULT_PORT),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.contains([':', '[', ']', '/', '@']) && !host.contains(char::is_whitespace);
    (port != 0 && !host.is_empty() && (bracketed || plain)).then(|| format!("{host}:{port}"))
}

impl Protocol for Llrp {
    fn name(&self) -> &'static str {
        "rfid-reader/llrp"
    }

    fn summary(&self) -> &'static str {
        "UHF RFID reader over TCP (LLRP 1.0.1): Impinj, Zebra, Alien, ThingMagic, Feig, Kathrein, CAEN"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let settings = parse_parameters::<Parameters>(parameters)?.check()?;
        Ok(Box::new(LlrpPlan(settings)))
    }
}

struct LlrpPlan(Settings);

#[async_trait]
impl Plan for LlrpPlan {
    fn claims(&self) -> Vec<Resource> {
        vec![Resource::Endpoint(self.0.address.clone())]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        vec![ReadingKind::Tag]
    }

    fn explain(&self) -> String {
        let Settings { address, antennas, keepalive, rssi_floor_dbm, .. } = &self.0;
        let antennas = match antennas.as_slice() {
            [] => "all antennas".to_owned(),
            [one] => format!("antenna {one}"),
            several => format!("antennas {}", numbers(several)),
        };
        let floor =
            rssi_floor_dbm.map(|floor| format!(", drops reads under {floor} dBm")).unwrap_or_default();
        format!(
            "reads RFID tags with {antennas} of the LLRP reader at {address}{floor}; gives the reader up after {} s of silence",
            3 * keepalive.as_secs()
        )
    }

    async fn probe(&self) -> ProbeReport {
        probe::probe(&self.0).await
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(session::LlrpDriver(self.0.clone()))
    }
}

/// Numbers as a person writes them: `1, 2, 3`.
fn numbers<'a>(numbers: impl IntoIterator<Item = &'a u16>) -> String {
    numbers.into_iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        parse_parameters::<Parameters>(toml::from_str(text).unwrap()).and_then(Parameters::check)
    }

    #[test]
    fn an_address_alone_is_enough() {
        let settings = settings("address = 'Reader-1'").unwrap();
        assert_eq!(settings.address, "reader-1:5084");
        assert!(settings.antennas.is_empty());
        assert_eq!(settings.keepalive, Duration::from_secs(10));
        assert_eq!(settings.rssi_floor_dbm, None);
    }

    #[test]
    fn addresses_are_checked_and_made_alike() {
        for (text, expected) in [
            ("10.0.7.21", Some("10.0.7.21:5084")),
            ("10.0.7.21:5085", Some("10.0.7.21:5085")),
            ("[::1]", Some("[::1]:5084")),
            ("[::1]:5090", Some("[::1]:5090")),
            ("::1", None),
            ("", None),
            (":5084", None),
            ("host:", None),
            ("host:0", None),
            ("host:99999", None),
            ("llrp://host", None),
            ("two words", None),
        ] {
            assert_eq!(with_port(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        for (text, field) in [
            ("address = 'a b'", "address"),
            ("address = 'a'\nantennas = []", "antennas"),
            ("address = 'a'\nantennas = [0, 1]", "antennas"),
            ("address = 'a'\nantennas = [1, 1]", "antennas"),
            ("address = 'a'\nkeepalive_s = 0", "keepalive_s"),
            ("address = 'a'\nconnect_timeout_s = 61", "connect_timeout_s"),
            ("address = 'a'\nrssi_floor_dbm = 3.0", "rssi_floor_dbm"),
            ("address = 'a'\nrssi_floor_dbm = nan", "rssi_floor_dbm"),
        ] {
            let error = settings(text).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert!(error.message.contains("expected"), "{error}");
        }
        assert!(settings("address = 'a'\nantena = [1]").unwrap_err().message.contains("`antennas`"));
    }

    #[test]
    fn a_plan_claims_its_reader_and_explains_itself() {
        let table = toml::from_str("address = 'r1'\nantennas = [1, 2]\nrssi_floor_dbm = -65").unwrap();
        let plan = Llrp.parse(table).unwrap();
        assert_eq!(plan.claims(), [Resource::Endpoint("r1:5084".into())]);
        assert_eq!(
            plan.explain(),
            "reads RFID tags with antennas 1, 2 of the LLRP reader at r1:5084, drops reads under -65 dBm; \
             gives the reader up after 30 s of silence"
        );
        let schema = serde_json::to_string(&Llrp.schema()).unwrap();
        assert!(schema.contains("rssi_floor_dbm"), "{schema}");
    }
}
