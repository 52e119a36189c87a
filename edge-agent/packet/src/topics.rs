//! The MQTT topics of the feed.
//!
//! Names inside a topic are percent-encoded where they hold `/`, `+`, `#`, `%` or control characters, so that a sensor
//! with an odd name cannot reach another's topic.

use std::fmt::Write as _;

use crate::{Class, EventHeader};

/// First levels of every topic; the number is the version of the contract.
const ROOT: [&str; 2] = ["ckpt", "v1"];

/// Subscriptions that bring every event of every box.
pub const EVENT_FILTERS: [&str; 3] =
    ["ckpt/v1/+/+/lane/+/passage", "ckpt/v1/+/+/alarm", "ckpt/v1/+/+/orphan"];

/// Subscription that brings the status of every box.
pub const STATUS_FILTER: &str = "ckpt/v1/+/+/status";

/// Subscription that brings the result of every command.
pub const RESULT_FILTER: &str = "ckpt/v1/+/+/cmd/+/+/result";

/// The topics of one box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topics {
    site: String,
    box_id: String,
}

/// What a topic of a box is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Box → IISPP, retained: [`Status`](crate::Status).
    Status,
    /// Box → IISPP, retained: [`HealthMessage`](crate::HealthMessage) of this sensor.
    Health(String),
    /// Box → IISPP: [`LoadMessage`](crate::LoadMessage).
    Load,
    /// Box → IISPP: packets of this lane.
    Passage(String),
    /// Box → IISPP: alarms.
    Alarm,
    /// Box → IISPP: orphans.
    Orphan,
    /// IISPP → box: [`Receipt`](crate::Receipt).
    Receipt,
    /// IISPP → box: a command.
    Command {
        /// What is commanded, such as `decision`.
        kind: String,
        /// Names the command; a repeat has the same one.
        id: String,
    },
    /// Box → IISPP: [`CommandResult`](crate::CommandResult).
    CommandResult {
        /// What was commanded.
        kind: String,
        /// Names the command.
        id: String,
    },
}

/// A site or box name that cannot stand in a topic and in an event's `source`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} name `{name}` cannot be used in topics: use one or more of A-Z a-z 0-9 . _ -")]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

impl Topics {
    /// The topics of a box. Both names may hold letters A to Z of either case, digits, `.`, `_` and `-`.
    pub fn new(site: &str, box_id: &str) -> Result<Self, InvalidName> {
        for (what, name) in [("site", site), ("box", box_id)] {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || !name.chars().all(plain) {
                return Err(InvalidName { what, name: name.to_owned() });
            }
        }
        Ok(Self { site: site.to_owned(), box_id: box_id.to_owned() })
    }

    /// The site.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The box.
    pub fn box_id(&self) -> &str {
        &self.box_id
    }

    /// `source` of this box's events.
    pub fn source(&self) -> String {
        format!("{}/{}", self.site, self.box_id)
    }

    /// The topics of the box that sends events with this `source`; `None` if it names no box.
    pub fn of_source(source: &str) -> Option<Self> {
        let (site, box_id) = source.split_once('/')?;
        Self::new(site, box_id).ok()
    }

    /// The full name of a topic.
    pub fn name(&self, topic: &Topic) -> String {
        let levels: Vec<&str> = match topic {
            Topic::Status => vec!["status"],
            Topic::Health(sensor) => vec!["health", sensor],
            Topic::Load => vec!["load"],
            Topic::Passage(lane) => vec!["lane", lane, "passage"],
            Topic::Alarm => vec!["alarm"],
            Topic::Orphan => vec!["orphan"],
            Topic::Receipt => vec!["receipt"],
            Topic::Command { kind, id } => vec!["cmd", kind, id],
            Topic::CommandResult { kind, id } => vec!["cmd", kind, id, "result"],
        };
        let mut name = self.prefix();
        for level in levels {
            name.push('/');
            encode(level, &mut name);
        }
        name
    }

    fn prefix(&self) -> String {
        let [root, version] = ROOT;
        format!("{root}/{version}/{}/{}", self.site, self.box_id)
    }

    /// Topic of the box's status.
    pub fn status(&self) -> String {
        self.name(&Topic::Status)
    }

    /// Topic of a sensor's health.
    pub fn health(&self, sensor: &str) -> String {
        self.name(&Topic::Health(sensor.to_owned()))
    }

    /// Topic of the load of the lanes.
    pub fn load(&self) -> String {
        self.name(&Topic::Load)
    }

    /// Topic of a lane's packets.
    pub fn passage(&self, lane: &str) -> String {
        self.name(&Topic::Passage(lane.to_owned()))
    }

    /// Topic of alarms.
    pub fn alarm(&self) -> String {
        self.name(&Topic::Alarm)
    }

    /// Topic of orphans.
    pub fn orphan(&self) -> String {
        self.name(&Topic::Orphan)
    }

    /// Topic on which receipts come.
    pub fn receipt(&self) -> String {
        self.name(&Topic::Receipt)
    }

    /// Topic of one command.
    pub fn command(&self, kind: &str, id: &str) -> String {
        self.name(&Topic::Command { kind: kind.to_owned(), id: id.to_owned() })
    }

    /// Topic of one command's result.
    pub fn command_result(&self, kind: &str, id: &str) -> String {
        self.name(&Topic::CommandResult { kind: kind.to_owned(), id: id.to_owned() })
    }

    /// Subscription that brings every command to this box, and no results.
    pub fn command_filter(&self) -> String {
        format!("{}/cmd/+/+", self.prefix())
    }

    /// Topic of a stored event. A passage without a lane cannot be made; it would go to the lane `unknown`.
    pub fn topic_of(&self, header: &EventHeader) -> String {
        match header.class {
            Class::Alarm => self.alarm(),
            Class::Orphan => self.orphan(),
            Class::Passage => self.passage(header.lane.as_deref().unwrap_or("unknown")),
        }
    }

    /// Reads a topic: whose it is and what it is for; `None` if it is not one of this contract.
    pub fn parse(topic: &str) -> Option<(Self, Topic)> {
        let mut levels = topic.split('/');
        if [levels.next()?, levels.next()?] != ROOT {
            return None;
        }
        let topics = Self::new(levels.next()?, levels.next()?).ok()?;
        let rest: Vec<&str> = levels.collect();
        let topic = match rest.as_slice() {
            ["status"] => Topic::Status,
            ["health", sensor] => Topic::Health(decode(sensor)?),
            ["load"] => Topic::Load,
            ["lane", lane, "passage"] => Topic::Passage(decode(lane)?),
            ["alarm"] => Topic::Alarm,
            ["orphan"] => Topic::Orphan,
            ["receipt"] => Topic::Receipt,
            ["cmd", kind, id] => Topic::Command { kind: decode(kind)?, id: decode(id)? },
            ["cmd", kind, id, "result"] => Topic::CommandResult { kind: decode(kind)?, id: decode(id)? },
            _ => return None,
        };
        Some((topics, topic))
    }
}

fn encode(level: &str, name: &mut String) {
    for c in level.chars() {
        if matches!(c, '/' | '+' | '#' | '%') || c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        } else {
            name.push(c);
        }
    }
}

fn decode(level: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(level.len());
    let mut rest = level.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics() -> Topics {
        Topics::new("RU10702030", "gw-1").unwrap()
    }

    #[test]
    fn names_are_those_of_the_feed() {
        let topics = topics();
        assert_eq!(topics.status(), "ckpt/v1/RU10702030/gw-1/status");
        assert_eq!(topics.health("lpr-1"), "ckpt/v1/RU10702030/gw-1/health/lpr-1");
        assert_eq!(topics.passage("in-1"), "ckpt/v1/RU10702030/gw-1/lane/in-1/passage");
        assert_eq!(topics.command_filter(), "ckpt/v1/RU10702030/gw-1/cmd/+/+");
        assert_eq!(topics.command_result("decision", "c1"), "ckpt/v1/RU10702030/gw-1/cmd/decision/c1/result");
        let header = EventHeader { id: "p/1".into(), class: Class::Passage, lane: Some("in-1".into()) };
        assert_eq!(topics.topic_of(&header), topics.passage("in-1"));
    }

    #[test]
    fn names_that_would_change_the_topic_are_refused_or_escaped() {
        for bad in ["", "a/b", "a+", "#", "a b", "Ö"] {
            assert!(Topics::new(bad, "gw-1").is_err() && Topics::new("RU1", bad).is_err(), "{bad}");
        }
        assert_eq!(topics().health("a/+#%"), "ckpt/v1/RU10702030/gw-1/health/a%2F%2B%23%25");
    }

    proptest! {
        #[test]
        fn every_topic_is_read_back(kind in any::<String>(), id in any::<String>(), which in 0..9u8) {
            let topic = match which {
                0 => Topic::Status,
                1 => Topic::Health(id),
                2 => Topic::Load,
                3 => Topic::Passage(id),
                4 => Topic::Alarm,
                5 => Topic::Orphan,
                6 => Topic::Receipt,
                7 => Topic::Command { kind, id },
                _ => Topic::CommandResult { kind, id },
            };
            let name = topics().name(&topic);
            prop_assert!(!name.contains(['+', '#']));
            prop_assert_eq!(Topics::parse(&name), Some((topics(), topic)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(ckpt/v1/)?[a-z/%+#]{0,40}") {
            if let Some((topics, topic)) = Topics::parse(&text) {
                prop_assert!(topics.name(&topic).starts_with("ckpt/v1/"));
            }
        }
    }
}
