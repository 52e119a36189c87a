//! `protocol = "replay"`: a sensor that only ever speaks through a journal.

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, ReadingKind, Resource,
    async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// `protocol = "replay"`.
#[derive(Debug)]
pub struct Replay;

/// Parameters of `protocol = "replay"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// The kind of reading that the journal holds for this sensor.
    reading: ReadingKind,
}

impl Protocol for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn summary(&self) -> &'static str {
        "speaks only through a journal, for `edge-agent replay`"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Parameters)
    }

    fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
        Ok(Box::new(parse_parameters::<Parameters>(parameters)?))
    }
}

#[async_trait]
impl Plan for Parameters {
    fn claims(&self) -> Vec<Resource> {
        Vec::new()
    }

    fn readings(&self) -> Vec<ReadingKind> {
        vec![self.reading]
    }

    fn explain(&self) -> String {
        format!("no device: gives {} readings in a replayed journal only", self.reading)
    }

    async fn probe(&self) -> ProbeReport {
        ProbeReport::found(vec!["no device: this sensor speaks through a journal only".to_owned()])
    }

    fn start(&self) -> Box<dyn Driver> {
        Box::new(Silent)
    }
}

struct Silent;

#[async_trait]
impl Driver for Silent {
    async fn run(self: Box<Self>, context: DriverContext) -> Result<(), DriverFault> {
        context.online();
        context.stopped().await;
        Ok(())
    }
}
