//! `protocol = "gate-io/modbus"`: loops, a barrier and lights on a remote I/O module, by Modbus TCP (Modbus Application Protocol
//! V1.1b3). Inputs are read by function 2, or by function 1 where the module keeps them among its coils; outputs are
//! switched by function 5.
//!
//! One sensor is one place in the lane. Several sensors may share a module, each with a connection of its own; an input
//! or coil belongs to one sensor only.
//!
//! Numbers of inputs and coils are those of the protocol, from 0. From the makers' manuals, to be checked against the
//! one at hand: MOXA ioLogik E1200 has its inputs at function 2 from 0 and its outputs at coil 0; Advantech ADAM-6050
//! has its inputs among the coils from 0 (`input_area = "coils"`) and its outputs from coil 16.

pub mod barrier;
pub mod inputs;
mod session;
pub mod wire;

use interface::{
    ConfigError, Driver, Plan, ProbeReport, Protocol, ReadingKind, Resource, async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The protocol `gate-io/modbus`.
#[derive(Debug)]
pub struct ModbusIo;

/// Parameters of `protocol = "gate-io/modbus"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Where the module is, such as "10.20.0.31:502".
    pub address: String,
    /// Unit identifier, which matters behind a gateway. Default: 1.
    #[serde(default = "unit")]
    pub unit: u8,
    /// Where the module keeps its inputs.
    #[serde(default)]
    pub input_area: InputArea,
    /// Inputs whose 0 means what the 1 of the others means, such as a loop detector that drops out when covered.
    #[serde(default)]
    pub inverted: Vec<u16>,
    /// Input of the loop or light barrier whose presence is told; of the first loop (A), if there are two.
    #[serde(default)]
    pub presence_input: Option<u16>,
    /// Input of a second loop (B), behind the first in driving direction. A vehicle is present while it covers either;
    /// one that comes over B and leaves over A is told as an anomaly, `wrong_way`.
    #[serde(default)]
    pub second_presence_input: Option<u16>,
    /// The barrier, if there is one.
    #[serde(default)]
    pub barrier: Option<BarrierParameters>,
    /// The traffic light, if there is one.
    #[serde(default)]
    pub lights: Option<LightParameters>,
    /// Time between two reads of the inputs, milliseconds.
    #[serde(default = "poll_ms")]
    #[schemars(range(min = 10, max = 1000))]
    pub poll_ms: u64,
    /// How long an input must be the same before it counts, milliseconds.
    #[serde(default = "debounce_ms")]
    #[schemars(range(max = 5000))]
    pub debounce_ms: u64,
    /// How long the module may take to answer, milliseconds.
    #[serde(default = "timeout_ms")]
    #[schemars(range(min = 50, max = 3000))]
    pub timeout_ms: u64,
}

/// Where the module keeps its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum InputArea {
    /// Discrete inputs, function 2.
    #[default]
    #[serde(rename = "discrete")]
    Discrete,
    /// Coils, function 1.
    #[serde(rename = "coils")]
    Coils,
}

impl InputArea {
    fn word(self) -> &'static str {
        match self {
            Self::Discrete => "discrete inputs",
            Self::Coils => "coils",
        }
    }
}

/// A barrier that is moved by impulses.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarrierParameters {
    /// Coil whose impulse opens.
    pub open_coil: u16,
    /// Coil whose impulse closes. Without it the barrier closes by itself, and a command to close is refused.
    #[serde(default)]
    pub close_coil: Option<u16>,
    /// Input that is 1 while the barrier is open. Without it nobody knows whether it opened.
    #[serde(default)]
    pub open_feedback_input: Option<u16>,
    /// Input that is 1 while the barrier is closed. Without it nobody knows whether it closed.
    #[serde(default)]
    pub closed_feedback_input: Option<u16>,
    /// Input of the loop under the barrier; it may be a presence input too. Needed with `close_coil`.
    #[serde(default)]
    pub safety_input: Option<u16>,
    /// Length of an impulse, milliseconds.
    #[serde(default = "pulse_ms")]
    #[schemars(range(min = 50, max = 10000))]
    pub pulse_ms: u64,
    /// How long the barrier may take to arrive, milliseconds, the impulse included.
    #[serde(default = "travel_timeout_ms")]
    #[schemars(range(min = 500, max = 60000))]
    pub travel_timeout_ms: u64,
    /// How long a command to close waits for the loop to be free before it is refused, milliseconds.
    #[serde(default = "close_wait_ms")]
    #[schemars(range(max = 60000))]
    pub close_wait_ms: u64,
    /// How long the loop must have been free before the barrier is closed, milliseconds: a trailer's drawbar may pass
    /// over a loop unseen.
    #[serde(default = "clear_ms")]
    #[schemars(range(max = 30000))]
    pub clear_ms: u64,
}

/// A traffic light of two lamps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LightParameters {
    /// Coil of the red lamp.
    pub red_coil: u16,
    /// Coil of the green lamp.
    pub green_coil: u16,
}

fn unit() -> u8 {
    1
}

fn poll_ms() -> u64 {
    50
}

fn debounce_ms() -> u64 {
    50
}

fn timeout_ms() -> u64 {
    1000
}

fn pulse_ms() -> u64 {
    500
}

fn travel_timeout_ms() -> u64 {
    10_000
}

fn close_wait_ms() -> u64 {
    10_000
}

fn clear_ms() -> u64 {
    1000
}

/// Most bits that one read can ask for (Modbus Application Protocol V1.1b3, functions 1 and 2).
const MAX_BITS: u16 = 2000;

impl Protocol for ModbusIo {
    fn name(&self) -> &'static str {
        "gate-io/modbus"
    }

    fn summary(&self) -> &'static str {
        "loops, barrier and lights on a remote I/O module by Modbus TCP"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        let parameters: Parameters = parse_parameters(parameters)?;
        parameters.check()?;
        Ok(Box::new(ModbusPlan(parameters)))
    }
}

impl Parameters {
    /// Inputs in use: the field's name and the number.
    fn inputs(&self) -> Vec<(&'static str, u16)> {
        let barrier = self.barrier.as_ref();
        [
            ("presence_input", self.presence_input),
            ("second_presence_input", self.second_presence_input),
            ("barrier.open_feedback_input", barrier.and_then(|barrier| barrier.open_feedback_input)),
            ("barrier.closed_feedback_input", barrier.and_then(|barrier| barrier.closed_feedback_input)),
            ("barrier.safety_input", barrier.and_then(|barrier| barrier.safety_input)),
        ]
        .into_iter()
        .filter_map(|(name, number)| Some((name, number?)))
        .collect()
    }

    /// Coils in use: the field's name and the number.
    fn coils(&self) -> Vec<(&'static str, u16)> {
        let (barrier, lights) = (self.barrier.as_ref(), self.lights.as_ref());
        [
            ("barrier.open_coil", barrier.map(|barrier| barrier.open_coil)),
            ("barrier.close_coil", barrier.and_then(|barrier| barrier.close_coil)),
            ("lights.red_coil", lights.map(|lights| lights.red_coil)),
            ("lights.green_coil", lights.map(|lights| lights.green_coil)),
        ]
        .into_iter()
        .filter_map(|(name, number)| Some((name, number?)))
        .collect()
    }

    /// The block of inputs that one read covers: first number and count. `None` without inputs.
    fn block(&self) -> Option<(u16, u16)> {
        let numbers = || self.inputs().into_iter().map(|(_, number)| number);
        let (first, last) = (numbers().min()?, numbers().max()?);
        Some((first, (last - first).saturating_add(1)))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let (inputs, coils) = (self.inputs(), self.coils());
        let port = self
            .address
            .rsplit_once(':')
            .and_then(|(host, port)| port.parse::<u16>().ok().filter(|port| *port != 0 && !host.is_empty()));
        if port.is_none() {
            let found = &self.address;
            let message = format!("expected a host and a port such as 10.20.0.31:502, found `{found}`");
            return Err(ConfigError::field("address", message));
        }
        if self.presence_input.is_none() && coils.is_empty() {
            let message = "expected at least one of `presence_input`, `barrier` and `lights`".to_owned();
            return Err(ConfigError { field: None, message });
        }
        if self.second_presence_input.is_some() && self.presence_input.is_none() {
            let message = "expected `presence_input` beside it: the first loop in driving direction";
            return Err(ConfigError::field("second_presence_input", message));
        }
        if let Some((first, count)) = self.block().filter(|(_, count)| *count > MAX_BITS) {
            let message = format!(
                "expected inputs within {MAX_BITS} numbers of each other, found {count} from {first}; one read fetches all"
            );
            return Err(ConfigError { field: None, message });
        }
        if let Some(stray) = self.inverted.iter().find(|stray| !inputs.iter().any(|(_, n)| n == *stray)) {
            return Err(ConfigError::field("inverted", format!("expected inputs in use, found {stray}")));
        }
        // The loop under the barrier may be a presence loop; every other input and coil is one thing.
        let single: Vec<_> = inputs.iter().filter(|(name, _)| *name != "barrier.safety_input").collect();
        unique(&single, "input")?;
        unique(&coils.iter().collect::<Vec<_>>(), "coil")?;
        if self.input_area == InputArea::Coils {
            unique(
                &inputs
                    .iter()
                    .filter(|(name, _)| *name != "barrier.safety_input")
                    .chain(&coils)
                    .collect::<Vec<_>>(),
                "coil",
            )?;
        }
        within("poll_ms", self.poll_ms, 10, 1000)?;
        within("debounce_ms", self.debounce_ms, 0, 5000)?;
        within("timeout_ms", self.timeout_ms, 50, 3000)?;
        self.barrier.as_ref().map_or(Ok(()), BarrierParameters::check)
    }
}

impl BarrierParameters {
    fn check(&self) -> Result<(), ConfigError> {
        if self.close_coil.is_some() && self.safety_input.is_none() {
            let message =
                "expected the input of the loop under the barrier: without it the barrier is never closed";
            return Err(ConfigError::field("barrier.safety_input", message));
        }
        let feedback = [self.open_feedback_input, self.closed_feedback_input];
        if self.safety_input.is_some_and(|safety| feedback.contains(&Some(safety))) {
            let message =
                "expected an input of its own, or a presence input; found one that tells the barrier's place";
            return Err(ConfigError::field("barrier.safety_input", message));
        }
        within("barrier.pulse_ms", self.pulse_ms, 50, 10_000)?;
        within("barrier.travel_timeout_ms", self.travel_timeout_ms, 500, 60_000)?;
        within("barrier.close_wait_ms", self.close_wait_ms, 0, 60_000)?;
        within("barrier.clear_ms", self.clear_ms, 0, 30_000)?;
        if self.travel_timeout_ms <= self.pulse_ms {
            let message = format!(
                "expected more than `pulse_ms` ({}), found {}",
                self.pulse_ms, self.travel_timeout_ms
            );
            return Err(ConfigError::field("barrier.travel_timeout_ms", message));
        }
        Ok(())
    }
}

fn unique(numbers: &[&(&'static str, u16)], what: &str) -> Result<(), ConfigError> {
    for (n, (name, number)) in numbers.iter().enumerate() {
        if let Some((other, _)) = numbers.iter().take(n).find(|(_, taken)| taken == number) {
            return Err(ConfigError::field(name, format!("{what} {number} is already `{other}`")));
        }
    }
    Ok(())
}

fn within(field: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::field(field, format!("expected {least} to {most}, found {value}")))
}

#[derive(Clone, Debug)]
struct ModbusPlan(Parameters);

#[async_trait]
impl Plan for ModbusPlan {
    fn claims(&self) -> Vec<Resource> {
        let Parameters { address, unit, .. } = &self.0;
        let terminal =
            |kind: &str, number| Resource::Terminal(format!("{address} unit {unit} {kind} {number}"));
        let mut claims: Vec<_> = (self.0.inputs().into_iter().map(|(_, number)| terminal("input", number)))
            .chain(self.0.coils().into_iter().map(|(_, number)| terminal("coil", number)))
            .collect();
        claims.sort();
        claims.dedup();
        claims
    }

    fn readings(&self) -> Vec<ReadingKind> {
        match (self.0.presence_input, self.0.second_presence_input) {
            (None, _) => Vec::new(),
            (Some(_), None) => vec![ReadingKind::Presence],
            (Some(_), Some(_)) => vec![ReadingKind::Presence, ReadingKind::Anomaly],
        }
    }

    fn explain(&self) -> String {
        let Parameters { address, unit, poll_ms, barrier, lights, .. } = &self.0;
        let mut parts = vec![format!("remote I/O module {address} unit {unit}, read every {poll_ms} ms")];
        match (self.0.presence_input, self.0.second_presence_input) {
            (Some(a), Some(b)) => {
                parts.push(format!("presence by loops on inputs {a} and {b}, in driving order"))
            }
            (Some(a), None) => parts.push(format!("presence by input {a}")),
            _ => {}
        }
        if let Some(BarrierParameters { open_coil, close_coil, safety_input, .. }) = barrier {
            parts.push(match (close_coil, safety_input) {
                (Some(close), Some(safety)) => format!(
                    "barrier opens by coil {open_coil} and closes by coil {close} while input {safety} says that nothing is under it"
                ),
                _ => format!("barrier opens by coil {open_coil} and closes by itself"),
            });
        }
        if let Some(LightParameters { red_coil, green_coil }) = lights {
            parts.push(format!("red light on coil {red_coil}, green on coil {green_coil}"));
        }
        parts.join("; ")
    }

    fn is_gate(&self) -> bool {
        self.0.barrier.is_some() || self.0.lights.is_some()
    }

    async fn probe(&self) -> ProbeReport {
        session::probe(&self.0).await
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(session::Gate::new(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Box<dyn Plan>, ConfigError> {
        ModbusIo.parse(toml::from_str(text).unwrap())
    }

    #[test]
    fn a_whole_gate_is_understood() {
        let plan = parse(
            "address = '10.0.0.5:502'\npresence_input = 3\nsecond_presence_input = 4\ninverted = [3]\n\
             barrier = { open_coil = 0, close_coil = 1, safety_input = 4, open_feedback_input = 5 }\n\
             lights = { red_coil = 2, green_coil = 3 }",
        )
        .unwrap();
        assert!(plan.is_gate());
        assert_eq!(plan.readings(), [ReadingKind::Presence, ReadingKind::Anomaly]);
        let claims: Vec<_> = plan.claims().iter().map(ToString::to_string).collect();
        assert_eq!(claims.len(), 7, "the shared loop is claimed once: {claims:?}");
        assert_eq!(claims[0], "terminal 10.0.0.5:502 unit 1 coil 0");
        assert!(plan.explain().contains("closes by coil 1 while input 4"));
    }

    #[test]
    fn parameters_are_checked() {
        for (text, field) in [
            ("", None),
            ("presence_input = 1\npoll_ms = 5", Some("poll_ms")),
            (
                "second_presence_input = 1\nlights = { red_coil = 0, green_coil = 1 }",
                Some("second_presence_input"),
            ),
            ("presence_input = 1\nsecond_presence_input = 1", Some("second_presence_input")),
            ("presence_input = 0\nsecond_presence_input = 2000", None),
            ("presence_input = 1\ninverted = [2]", Some("inverted")),
            ("lights = { red_coil = 1, green_coil = 1 }", Some("lights.green_coil")),
            ("barrier = { open_coil = 0, close_coil = 1 }", Some("barrier.safety_input")),
            (
                "barrier = { open_coil = 0, open_feedback_input = 1, safety_input = 1 }",
                Some("barrier.safety_input"),
            ),
            ("barrier = { open_coil = 0, pulse_ms = 0 }", Some("barrier.pulse_ms")),
            (
                "barrier = { open_coil = 0, pulse_ms = 900, travel_timeout_ms = 900 }",
                Some("barrier.travel_timeout_ms"),
            ),
            (
                "input_area = 'coils'\npresence_input = 0\nbarrier = { open_coil = 0 }",
                Some("barrier.open_coil"),
            ),
            ("presence_input = 1\ninput_area = 'inputs'", Some("input_area")),
        ] {
            let error = parse(&format!("address = '10.0.0.5:502'\n{text}")).map(|_| ()).unwrap_err();
            assert_eq!(error.field.as_deref(), field, "{text}: {error}");
        }
        for address in ["10.0.0.5", ":502", "10.0.0.5:0", "10.0.0.5:x"] {
            let error = parse(&format!("address = '{address}'\npresence_input = 1")).map(|_| ()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("address"));
        }
    }
}
