//! Protocols for tests: they parse and claim like real ones and never speak to a device.

use interface::{
    ConfigError, Driver, DriverContext, DriverFault, Plan, ProbeReport, Protocol, ReadingKind, Resource,
    Seat, Sight, View, async_trait, parse_parameters,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Every test protocol.
pub static CATALOGUE: &[&dyn Protocol] = &[&Reader, &Scale, &Camera, &Replay, &Server];

struct TestPlan {
    claims: Vec<Resource>,
    readings: Vec<ReadingKind>,
    words: String,
    recognition: Option<Sight>,
}

#[async_trait]
impl Plan for TestPlan {
    fn claims(&self) -> Vec<Resource> {
        self.claims.clone()
    }
    fn readings(&self) -> Vec<ReadingKind> {
        self.readings.clone()
    }
    fn explain(&self) -> String {
        self.words.clone()
    }
    fn recognition(&self) -> Option<Sight> {
        self.recognition.clone()
    }
    async fn probe(&self) -> ProbeReport {
        ProbeReport::found(Vec::new())
    }
    fn start(&self) -> Box<dyn Driver> {
        Box::new(Idle)
    }
}

struct Idle;

#[async_trait]
impl Driver for Idle {
    async fn run(self: Box<Self>, _context: DriverContext) -> Result<(), DriverFault> {
        Ok(())
    }
}

fn plan(claims: Vec<Resource>, readings: &[ReadingKind], words: String) -> Box<dyn Plan> {
    Box::new(TestPlan { claims, readings: readings.to_vec(), words, recognition: None })
}

macro_rules! protocol {
    ($type:ident, $name:literal, $summary:literal, $parameters:ident, $build:expr) => {
        pub struct $type;
        impl Protocol for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn summary(&self) -> &'static str {
                $summary
            }
            fn schema(&self) -> schemars::Schema {
                schemars::schema_for!($parameters)
            }
            fn parse(&self, parameters: toml::Table) -> Result<Box<dyn Plan>, ConfigError> {
                let build: fn($parameters) -> Result<Box<dyn Plan>, ConfigError> = $build;
                build(parse_parameters(parameters)?)
            }
        }
    };
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReaderParameters {
    /// `host:port` of the reader.
    address: String,
    /// Antennas to use; empty: all.
    #[serde(default)]
    antennas: Vec<u16>,
    /// Transmit power, dBm.
    #[serde(default)]
    #[schemars(range(min = 10.0, max = 33.0))]
    power_dbm: Option<f64>,
}

protocol!(Reader, "reader", "RFID reader of the tests", ReaderParameters, |it| {
    if !it.address.contains(':') {
        return Err(ConfigError::field("address", format!("expected host:port, got {:?}", it.address)));
    }
    let words =
        format!("reads tags at {} with {} antennas {:?}", it.address, it.antennas.len(), it.power_dbm);
    Ok(plan(vec![Resource::Endpoint(it.address)], &[ReadingKind::Tag], words))
});

/// How the port is set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Bits per second.
    #[schemars(range(min = 300, max = 115_200))]
    baud: u32,
    #[serde(default)]
    parity: Parity,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleParameters {
    port: Option<String>,
    endpoint: Option<String>,
    line: Option<Line>,
}

protocol!(Scale, "scale", "scale of the tests", ScaleParameters, |it| {
    let claim = match (it.port, it.endpoint) {
        (Some(port), None) => Resource::SerialPort(port),
        (None, Some(endpoint)) => Resource::Endpoint(endpoint),
        _ => {
            return Err(ConfigError {
                field: None,
                message: "expected either `port` or `endpoint`, not both".into(),
            });
        }
    };
    let line = it.line.map_or("9600 baud".to_owned(), |line| format!("{} baud {:?}", line.baud, line.parity));
    let words = format!("weighs at {claim}, {line}");
    Ok(plan(vec![claim], &[ReadingKind::Weight], words))
});

/// Where pictures come from.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Pictures {
    /// A folder.
    Folder {
        /// Which.
        path: String,
    },
    /// A stream.
    Stream {
        /// Its address.
        url: String,
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CameraParameters {
    view: View,
    pictures: Pictures,
    #[serde(default)]
    countries: Vec<String>,
    #[schemars(extend("format" = "path"))]
    mask: Option<String>,
}

protocol!(Camera, "camera", "camera of the tests", CameraParameters, |it| {
    let (claim, words) = match it.pictures {
        Pictures::Folder { path } => (Some(Resource::Folder(path.clone())), format!("folder {path}")),
        Pictures::Stream { url } => (None, url),
    };
    let mask = it.mask.map_or_else(String::new, |mask| format!(" masked by {mask}"));
    Ok(Box::new(TestPlan {
        claims: claim.into_iter().collect(),
        readings: vec![ReadingKind::Plate],
        words: format!("looks at the {} in {words}{mask}", it.view),
        recognition: Some(Sight {
            reads: vec![ReadingKind::Plate],
            view: Some(it.view),
            countries: it.countries,
            seat: Seat::Unknown,
            region: None,
            masks: Vec::new(),
            read_every: 1,
        }),
    }))
});

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayParameters {
    /// The kind of reading.
    reading: ReadingKind,
}

protocol!(Replay, "replay", "speaks only through a journal", ReplayParameters, |it| {
    Ok(plan(Vec::new(), &[it.reading], format!("gives {} from a journal", it.reading)))
});

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServerParameters {
    listen: std::net::SocketAddr,
}

protocol!(Server, "server", "listens for devices", ServerParameters, |it| {
    let claim = Resource::Listen(it.listen.to_string());
    Ok(plan(vec![claim], &[ReadingKind::Seal], format!("listens on {}", it.listen)))
});
