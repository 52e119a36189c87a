//! Whether what came on a topic is an event of the contract.

use anyhow::Context as _;
use interface::ObservationId;
use jsonschema::Validator;
use packet::{AlarmEvent, Class, Event, OrphanEvent, Packet, Topic, Topics, contract_files};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest reason in a rejection, characters: enough for a person, short for a receipt.
const REASON_LENGTH: usize = 300;

/// An event that keeps to the contract.
#[derive(Clone, Debug)]
pub struct CheckedEvent {
    /// The box.
    pub topics: Topics,
    /// The event's `id`.
    pub id: String,
    /// The event's number; SQLite's integers are signed.
    pub seq: i64,
    /// The event's class.
    pub class: Class,
    /// The packet, if it carries one.
    pub packet: Option<Box<Packet>>,
    /// The observations it accounts for: a packet's, or the orphan.
    pub observations: Vec<ObservationId>,
    /// The event as it came.
    pub text: String,
}

/// What came on an event's topic.
#[derive(Clone, Debug)]
pub enum Checked {
    /// An event that keeps to the contract.
    Event(Box<CheckedEvent>),
    /// Something with a name that does not; the box is told.
    Refused {
        /// Its `id`.
        id: String,
        /// Its number, if it has one.
        seq: Option<i64>,
        /// Why it is refused.
        reason: String,
        /// What came, as far as it is text.
        text: String,
    },
    /// Something without a name, which no receipt can speak of.
    Nameless {
        /// What is wrong with it.
        reason: String,
    },
}

/// The schemas of the events, ready to use.
#[derive(Debug)]
pub struct Checker {
    passage: Validator,
    alarm: Validator,
    orphan: Validator,
}

impl Checker {
    /// Reads the schemas of the contract.
    pub fn new() -> anyhow::Result<Self> {
        let files = contract_files();
        let validator = |name: &str| -> anyhow::Result<Validator> {
            let (_, text) = files.iter().find(|(file, _)| *file == name).context("no such schema")?;
            let schema: Value = serde_json::from_str(text)?;
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            options.build(&schema).with_context(|| format!("failed to read the schema {name}"))
        };
        Ok(Self {
            passage: validator("passage-event.json")?,
            alarm: validator("alarm-event.json")?,
            orphan: validator("orphan-event.json")?,
        })
    }

    /// Checks what came on a topic of `topics`. `None` if no event travels on that topic.
    pub fn check(&self, topics: &Topics, topic: &Topic, payload: &[u8]) -> Option<Checked> {
        let (validator, class) = match topic {
            Topic::Passage(_) => (&self.passage, Class::Passage),
            Topic::Alarm => (&self.alarm, Class::Alarm),
            Topic::Orphan => (&self.orphan, Class::Orphan),
            _ => return None,
        };
        let value: Value = match serde_json::from_slice(payload) {
            Ok(value) => value,
            Err(error) => return Some(Checked::Nameless { reason: format!("not JSON: {error}") }),
        };
        let Some(id) = value.get("id").and_then(Value::as_str) else {
            return Some(Checked::Nameless { reason: "an event without a text `id`".to_owned() });
        };
        let text = String::from_utf8_lossy(payload).into_owned();
        let seq = value.get("seq").and_then(Value::as_i64);
        let outcome = match against_schema(validator, &value) {
            Ok(()) => read(topics, topic, class, text.clone()),
            Err(reason) => Err(reason),
        };
        Some(match outcome {
            Ok(event) => Checked::Event(Box::new(event)),
            Err(reason) => {
                let reason = reason.chars().take(REASON_LENGTH).collect();
                Checked::Refused { id: id.to_owned(), seq, reason, text }
            }
        })
    }
}

fn against_schema(validator: &Validator, value: &Value) -> Result<(), String> {
    match validator.iter_errors(value).next() {
        None => Ok(()),
        Some(error) => Err(format!("does not keep to the schema at `{}`: {error}", error.instance_path())),
    }
}

/// Reads an event that keeps to its schema, and checks what a schema cannot say.
fn read(topics: &Topics, topic: &Topic, class: Class, text: String) -> Result<CheckedEvent, String> {
    let (head, packet, observations) = match class {
        Class::Passage => {
            let Event { data, .. } = parse::<Packet>(&text)?;
            let id = format!("{}/{}", data.passage_id, data.revision);
            let expected = Topic::Passage(data.lane.clone());
            if *topic != expected {
                return Err(format!("a packet of lane `{}` came on the topic of another lane", data.lane));
            }
            let observations = data
                .observations
                .iter()
                .map(|entry| ObservationId { sensor: entry.sensor.clone(), seq: entry.seq })
                .collect();
            (id, Some(Box::new(data)), observations)
        }
        Class::Alarm => {
            let Event { data, .. } = parse::<AlarmEvent>(&text)?;
            (data.id(), None, Vec::new())
        }
        Class::Orphan => {
            let Event { data, .. } = parse::<OrphanEvent>(&text)?;
            let id = data.id();
            (id, None, vec![ObservationId { sensor: data.sensor, seq: data.seq }])
        }
    };
    let event = parse::<Value>(&text)?;
    if event.source != topics.source() {
        let (found, expected) = (&event.source, topics.source());
        return Err(format!("expected the source `{expected}` on its topic, found `{found}`"));
    }
    if event.id != head {
        return Err(format!("expected the id `{head}` for this data, found `{}`", event.id));
    }
    let seq = i64::try_from(event.seq).map_err(|_| format!("the seq {} is too large", event.seq))?;
    Ok(CheckedEvent { topics: topics.clone(), id: event.id, seq, class, packet, observations, text })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<Event<T>, String> {
    serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))
}
