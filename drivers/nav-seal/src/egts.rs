//! `protocol = "nav-seal/egts"`: a server for EGTS, GOST 33472-2015. Operators' platforms relay their seals' reports to it; a
//! terminal may also connect by itself.
//!
//! EGTS has no authentication worth the name (user name and password in the clear, if any), so `allow` names the
//! networks that may connect, and the port belongs on a closed network.
//!
//! Whose report is it? The record's object number (OID) if it or a record before it in the packet has one, else the
//! terminal number (TID) of the authorisation, else its IMEI. The first that is there and not 0 is the seal's number.

pub mod bytes;
pub mod checksum;
pub mod dialogue;
pub mod network;
pub mod record;
pub mod seal;
mod session;
pub mod transport;

use std::net::SocketAddr;
use std::time::Duration;

use interface::{
    ConfigError, Driver, Plan, ProbeReport, Protocol, ReadingKind, Resource, async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

use network::Network;

/// The protocol `nav-seal/egts`.
#[derive(Debug)]
pub struct Egts;

/// Parameters of `protocol = "nav-seal/egts"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Local address and port to listen on, such as "10.20.0.2:9310".
    pub listen: String,
    /// Addresses and networks that may connect, such as ["10.20.0.0/16", "10.30.0.7"].
    pub allow: Vec<String>,
    /// Numbers of the seals that may report; empty means any.
    #[serde(default)]
    pub seals: Vec<String>,
    /// What the seal's digital inputs mean. Without `shackle_closed`, the state of a seal is unknown.
    #[serde(default)]
    pub inputs: Inputs,
    /// Causes of a report (field SRC) that mean an attack; 10 is an opened case.
    #[serde(default = "tamper_causes")]
    pub tamper_causes: Vec<u8>,
    /// Causes of a report (field SRC) that mean a low battery; 12 by the standard.
    #[serde(default = "low_battery_causes")]
    pub low_battery_causes: Vec<u8>,
    /// How long such a cause counts after the report that told it, seconds of the seal's clock. Default: a day.
    #[serde(default = "hold_s")]
    pub hold_s: u32,
    /// A seal that keeps reporting the same state is told again after this many seconds.
    #[serde(default = "repeat_s")]
    #[schemars(range(min = 1))]
    pub repeat_s: u32,
    /// A connection that says nothing for this many seconds is closed.
    #[serde(default = "idle_s")]
    #[schemars(range(min = 1))]
    pub idle_s: u32,
    /// Connections at the same time; a further one is closed at once.
    #[serde(default = "max_connections")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_connections: u16,
}

/// What the digital inputs of a seal mean, by number: 0 to 7 are the bits of DIN in POS_DATA, 8 to 71 those of ADIO1 to
/// ADIO8 in AD_SENSORS. An input that is 1 means what its name says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Inputs {
    /// 1: the shackle or rope is closed and locked; 0: it is open.
    #[schemars(range(max = 71))]
    pub shackle_closed: Option<u8>,
    /// 1: the rope was cut.
    #[schemars(range(max = 71))]
    pub rope_cut: Option<u8>,
    /// 1: the seal's case was opened.
    #[schemars(range(max = 71))]
    pub case_open: Option<u8>,
    /// 1: the battery is low.
    #[schemars(range(max = 71))]
    pub battery_low: Option<u8>,
    /// Inputs of the list above that mean at 0 what the others mean at 1.
    pub inverted: Vec<u8>,
}

fn tamper_causes() -> Vec<u8> {
    vec![10]
}

fn low_battery_causes() -> Vec<u8> {
    vec![12]
}

fn hold_s() -> u32 {
    86_400
}

fn repeat_s() -> u32 {
    60
}

fn idle_s() -> u32 {
    300
}

fn max_connections() -> u16 {
    64
}

impl Protocol for Egts {
    fn name(&self) -> &'static str {
        "nav-seal/egts"
    }

    fn summary(&self) -> &'static str {
        "navigation seals by EGTS (GOST 33472-2015): a TCP server that operators' platforms and seals report to"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        Ok(Box::new(EgtsPlan::new(parse_parameters(parameters)?)?))
    }
}

#[derive(Clone, Debug)]
struct EgtsPlan {
    parameters: Parameters,
    listen: SocketAddr,
    allow: Vec<Network>,
}

impl EgtsPlan {
    fn new(parameters: Parameters) -> Result<Self, ConfigError> {
        let listen = parameters.listen.parse().map_err(|_| {
            let found = &parameters.listen;
            ConfigError::field(
                "listen",
                format!("expected an address and a port such as 10.20.0.2:9310, found `{found}`"),
            )
        })?;
        let allow = (parameters.allow.iter().enumerate())
            .map(|(n, text)| {
                text.parse().map_err(|error: network::NetworkError| {
                    ConfigError::field(&format!("allow[{n}]"), error.to_string())
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if allow.is_empty() {
            let message =
                "expected at least one network such as 10.20.0.0/16; with none, nobody could connect";
            return Err(ConfigError::field("allow", message));
        }
        for (field, value) in [
            ("repeat_s", parameters.repeat_s),
            ("idle_s", parameters.idle_s),
            ("max_connections", parameters.max_connections.into()),
        ] {
            if value == 0 {
                return Err(ConfigError::field(field, "expected at least 1, found 0"));
            }
        }
        if parameters.max_connections > 1024 {
            let found = parameters.max_connections;
            return Err(ConfigError::field("max_connections", format!("expected 1 to 1024, found {found}")));
        }
        parameters.inputs.check()?;
        Ok(Self { parameters, listen, allow })
    }
}

impl Inputs {
    fn named(&self) -> [(&'static str, Option<u8>); 4] {
        [
            ("shackle_closed", self.shackle_closed),
            ("rope_cut", self.rope_cut),
            ("case_open", self.case_open),
            ("battery_low", self.battery_low),
        ]
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut used: Vec<(&str, u8)> = Vec::new();
        for (name, input) in self.named() {
            let Some(input) = input else { continue };
            let field = format!("inputs.{name}");
            if input > 71 {
                return Err(ConfigError::field(
                    &field,
                    format!("expected an input from 0 to 71, found {input}"),
                ));
            }
            if let Some((other, _)) = used.iter().find(|(_, taken)| *taken == input) {
                return Err(ConfigError::field(&field, format!("input {input} is already `{other}`")));
            }
            used.push((name, input));
        }
        match self.inverted.iter().find(|inverted| !used.iter().any(|(_, input)| input == *inverted)) {
            Some(stray) => {
                let message = format!("expected inputs that are named beside it, found {stray}");
                Err(ConfigError::field("inputs.inverted", message))
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Plan for EgtsPlan {
    fn claims(&self) -> Vec<Resource> {
        vec![Resource::Listen(self.listen.to_string())]
    }

    fn readings(&self) -> Vec<ReadingKind> {
        vec![ReadingKind::Seal]
    }

    fn explain(&self) -> String {
        let Parameters { allow, inputs, seals, .. } = &self.parameters;
        let shackle = match inputs.shackle_closed {
            Some(input) => format!("input {input} tells whether the shackle is closed"),
            None => "no input tells the shackle, so seals are reported as unknown".to_owned(),
        };
        let which = match seals.len() {
            0 => "any seal".to_owned(),
            count => format!("{count} listed seals"),
        };
        format!("listens on {} for EGTS from {}, takes {which}; {shackle}", self.listen, allow.join(", "))
    }

    async fn probe(&self) -> ProbeReport {
        session::probe(self, Duration::from_secs(8)).await
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(session::Server::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Box<dyn Plan>, ConfigError> {
        Egts.parse(toml::from_str(text).unwrap())
    }

    #[test]
    fn parameters_are_checked() {
        let good =
            "listen = '127.0.0.1:9310'\nallow = ['127.0.0.0/8', '::1']\ninputs = { shackle_closed = 0 }";
        let plan = parse(good).unwrap();
        assert_eq!(plan.claims(), [Resource::Listen("127.0.0.1:9310".into())]);
        assert!(plan.explain().contains("input 0 tells"));
        for (text, field) in [
            ("listen = 'here'\nallow = ['::1']", "listen"),
            ("listen = '127.0.0.1:1'\nallow = []", "allow"),
            ("listen = '127.0.0.1:1'\nallow = ['10.0.0.0/33']", "allow[0]"),
            ("listen = '127.0.0.1:1'\nallow = ['::1']\nidle_s = 0", "idle_s"),
            ("listen = '127.0.0.1:1'\nallow = ['::1']\ninputs = { case_open = 72 }", "inputs.case_open"),
            (
                "listen = '127.0.0.1:1'\nallow = ['::1']\ninputs = { shackle_closed = 1, rope_cut = 1 }",
                "inputs.rope_cut",
            ),
            ("listen = '127.0.0.1:1'\nallow = ['::1']\ninputs = { inverted = [3] }", "inputs.inverted"),
            (
                "listen = '127.0.0.1:1'\nallow = ['::1']\ninputs = { shakle_closed = 3 }",
                "inputs.shakle_closed",
            ),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        }
    }
}
