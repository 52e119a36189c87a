//! How the uplink is doing, for the status page, the metrics and the tests.

use std::collections::BTreeMap;

/// Most faults kept.
const MAX_FAULTS: usize = 32;

/// Whether there is a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Being made.
    #[default]
    Connecting,
    /// The broker accepted it.
    Online,
    /// Waiting before the next attempt.
    Waiting,
    /// The uplink has ended.
    Stopped,
}

/// How the uplink is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UplinkState {
    /// Whether there is a connection.
    pub link: Link,
    /// Names the connection, as in the birth message.
    pub session: Option<String>,
    /// Why the last connection ended or could not be made; stays until the next one is made.
    pub error: Option<String>,
    /// What a person has to mend, by topic; goes when the topic works again.
    pub faults: BTreeMap<String, String>,
    /// Connections made since the start.
    pub connections: u64,
    /// Events that a broker acknowledged since the start, repeats included.
    pub sent: u64,
    /// Events removed by receipts since the start.
    pub receipted: u64,
    /// Events moved to the dead letters since the start.
    pub rejected: u64,
    /// When the last receipt came, on the monotonic clock, milliseconds.
    pub last_receipt_mono_ms: Option<u64>,
}

impl UplinkState {
    pub(super) fn fault(&mut self, topic: &str, text: String) {
        if self.faults.len() < MAX_FAULTS || self.faults.contains_key(topic) {
            self.faults.insert(topic.to_owned(), text);
        }
    }
}
