//! The CloudEvents 1.0 envelope in structured JSON mode.
//!
//! Source: CloudEvents 1.0.2, "CloudEvents Spec" and "JSON Event Format".

use passage::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AlarmEvent, OrphanEvent, Packet};
use interface::UtcMs;

/// MQTT 5 content type of an event (CloudEvents MQTT protocol binding, structured mode).
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Kind of an event: decides its topic and how early it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Goes before everything else.
    Alarm,
    /// A packet revision.
    Passage,
    /// An observation that belongs to no passage.
    Orphan,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Alarm, Self::Passage, Self::Orphan];

    /// CloudEvents `type` of the class; its last part is the version of the data.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Alarm => "ckpt.alarm.v1",
            Self::Passage => "ckpt.passage.v1",
            Self::Orphan => "ckpt.orphan.v1",
        }
    }

    /// 0 goes first.
    pub fn priority(self) -> u8 {
        match self {
            Self::Alarm => 0,
            Self::Passage => 1,
            Self::Orphan => 2,
        }
    }
}

/// One event as it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event<T> {
    /// Version of CloudEvents: `1.0`.
    pub specversion: String,
    /// Names the event within its source: `<passage_id>/<revision>`, `orphan/<sensor>/<seq>` or
    /// `alarm/<sensor>/<seq>/<digest of the candidates>`. A repeat has the same one.
    pub id: String,
    /// The box that sends it: `<site>/<box>`.
    pub source: String,
    /// Kind and version of `data`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it is about: the passage, or the sensor.
    pub subject: String,
    /// When the data was made.
    pub time: UtcMs,
    /// `application/json`.
    pub datacontenttype: String,
    /// Counts the events of the box without gaps, from 1: shows loss and repeats.
    pub seq: u64,
    /// The data.
    pub data: T,
}

/// What an event may carry.
pub trait EventData: Serialize + JsonSchema {
    /// Class of the event that carries it.
    const CLASS: Class;
}

impl EventData for Packet {
    const CLASS: Class = Class::Passage;
}
impl EventData for OrphanEvent {
    const CLASS: Class = Class::Orphan;
}
impl EventData for AlarmEvent {
    const CLASS: Class = Class::Alarm;
}

/// What must be kept beside the bytes of an event to send them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHeader {
    /// The event's `id`.
    pub id: String,
    /// Its class.
    pub class: Class,
    /// The lane, for a passage's topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
}

impl EventHeader {
    /// Reads the header out of an event's bytes; `None` if they are not an event of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head {
            id: String,
            #[serde(rename = "type")]
            event_type: String,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            lane: Option<String>,
        }
        let head: Head = serde_json::from_slice(bytes).ok()?;
        let class = Class::ALL.into_iter().find(|class| class.event_type() == head.event_type)?;
        Some(Self { id: head.id, class, lane: head.data.lane })
    }
}

/// An event that has not been given its `seq` yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unnumbered {
    /// Name, class and lane.
    pub header: EventHeader,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Passage(Box<Event<Packet>>),
    Orphan(Box<Event<OrphanEvent>>),
    Alarm(Box<Event<AlarmEvent>>),
}

impl Unnumbered {
    /// The event that an engine's effect calls for; `None` for what is not published.
    pub fn from_effect(site: &str, box_id: &str, effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Publish(report) => Some(Self::passage(Packet::from_report(site, box_id, report))),
            Effect::Orphan(report) => Some(Self::orphan(OrphanEvent::from_report(site, box_id, report))),
            Effect::Alarm { observation, lane, candidates, published } => {
                let alarm = AlarmEvent::new(site, box_id, observation, lane, candidates, published);
                Some(Self::alarm(alarm))
            }
            Effect::Gate { .. } | Effect::DecisionRefused { .. } => None,
        }
    }

    /// The event of a packet revision.
    pub fn passage(packet: Packet) -> Self {
        let id = format!("{}/{}", packet.passage_id, packet.revision);
        let header = header(&packet, &id, Some(&packet.lane));
        let source = source(&packet.site, &packet.box_id);
        let subject = packet.passage_id.clone();
        let event = envelope(id, source, subject, packet.published_at, packet);
        Self { header, body: Body::Passage(Box::new(event)) }
    }

    /// The event of an orphan.
    pub fn orphan(orphan: OrphanEvent) -> Self {
        let id = orphan.id();
        let header = header(&orphan, &id, orphan.lane.as_deref());
        let source = source(&orphan.site, &orphan.box_id);
        let subject = orphan.sensor.to_string();
        let event = envelope(id, source, subject, orphan.published_at, orphan);
        Self { header, body: Body::Orphan(Box::new(event)) }
    }

    /// The event of an alarm.
    pub fn alarm(alarm: AlarmEvent) -> Self {
        let id = alarm.id();
        let header = header(&alarm, &id, Some(&alarm.lane));
        let source = source(&alarm.site, &alarm.box_id);
        let subject = alarm.sensor.to_string();
        let event = envelope(id, source, subject, alarm.published_at, alarm);
        Self { header, body: Body::Alarm(Box::new(event)) }
    }

    /// The event's `id`.
    pub fn id(&self) -> &str {
        &self.header.id
    }

    /// The event's class.
    pub fn class(&self) -> Class {
        self.header.class
    }

    /// The event with its number, as it is stored and sent. The same event and number give the same bytes.
    pub fn bytes_with(&self, seq: u64) -> Vec<u8> {
        match &self.body {
            Body::Passage(event) => numbered(event, seq),
            Body::Orphan(event) => numbered(event, seq),
            Body::Alarm(event) => numbered(event, seq),
        }
    }
}

fn header<T: EventData>(_: &T, id: &str, lane: Option<&str>) -> EventHeader {
    EventHeader { id: id.to_owned(), class: T::CLASS, lane: lane.map(str::to_owned) }
}

fn source(site: &str, box_id: &str) -> String {
    format!("{site}/{box_id}")
}

fn envelope<T: EventData>(id: String, source: String, subject: String, time: UtcMs, data: T) -> Event<T> {
    Event {
        specversion: "1.0".to_owned(),
        id,
        source,
        event_type: T::CLASS.event_type().to_owned(),
        subject,
        time,
        datacontenttype: "application/json".to_owned(),
        seq: 0,
        data,
    }
}

#[expect(
    clippy::expect_used,
    reason = "only a map with keys that are no strings could fail, and there is none"
)]
fn numbered<T: EventData + Clone>(event: &Event<T>, seq: u64) -> Vec<u8> {
    let numbered = Event { seq, ..event.clone() };
    serde_json::to_vec(&numbered).expect("an event is made of structs, lists, words and numbers")
}
