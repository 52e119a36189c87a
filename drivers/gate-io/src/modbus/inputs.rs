//! From contacts to presence. Pure: time is passed in.

use interface::{Reading, Verdict};

/// A contact without its bouncing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debounced {
    stable: Option<bool>,
    candidate: Option<(bool, u64)>,
}

impl Debounced {
    /// Takes in the contact as read at `now_ms`; gives its state once it has been the same for `debounce_ms`. `None`
    /// until it has been for the first time.
    pub fn update(&mut self, raw: bool, now_ms: u64, debounce_ms: u64) -> Option<bool> {
        let since = match self.candidate {
            Some((candidate, since)) if candidate == raw => since,
            _ => now_ms,
        };
        self.candidate = Some((raw, since));
        if now_ms.saturating_sub(since) >= debounce_ms {
            self.stable = Some(raw);
        }
        self.stable
    }

    /// The state as last known.
    pub fn stable(&self) -> Option<bool> {
        self.stable
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loop {
    A,
    B,
}

/// One loop, or two in driving order: A, then B. A vehicle is present while it covers either.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presence {
    a: bool,
    b: bool,
    told: Option<bool>,
    /// Loop that was covered first in this occupancy; `None` if both were at once.
    first: Option<Loop>,
}

impl Presence {
    /// Takes in the loops as they are now (`b` is free where there is no second loop); gives what is to be told. The
    /// first state is told too.
    pub fn update(&mut self, a: bool, b: bool) -> Vec<Reading> {
        let (was_a, was_b) = (self.a, self.b);
        (self.a, self.b) = (a, b);
        let occupied = a || b;
        if self.told == Some(occupied) {
            return Vec::new();
        }
        let begins = self.told.is_none();
        self.told = Some(occupied);
        let mut readings = vec![Reading::Presence { occupied }];
        if occupied {
            // What stood there before the first look came from nobody knows where.
            self.first = match (a, b) {
                (true, false) if !begins => Some(Loop::A),
                (false, true) if !begins => Some(Loop::B),
                _ => None,
            };
        } else if self.first == Some(Loop::B) && was_a && !was_b {
            readings.push(Reading::Anomaly(Verdict {
                verdict: Some("wrong_way".to_owned()),
                score: None,
                label: Some("vehicle drove from loop B to loop A, against the lane".to_owned()),
            }));
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(readings: Vec<Reading>) -> String {
        readings
            .iter()
            .map(|reading| match reading {
                Reading::Presence { occupied: true } => "+",
                Reading::Presence { occupied: false } => "-",
                Reading::Anomaly(_) => "!",
                _ => "?",
            })
            .collect()
    }

    fn drive(states: &[(bool, bool)]) -> String {
        let mut presence = Presence::default();
        states.iter().map(|(a, b)| words(presence.update(*a, *b))).collect()
    }

    #[test]
    fn two_loops_tell_the_direction() {
        let (o, a, b, ab) = ((false, false), (true, false), (false, true), (true, true));
        assert_eq!(drive(&[o, a, ab, b, o]), "-+-", "along the lane");
        assert_eq!(drive(&[o, b, ab, a, o]), "-+-!", "against it");
        assert_eq!(drive(&[o, b, ab, b, o]), "-+-", "came and went back");
        assert_eq!(drive(&[o, a, ab, a, o]), "-+-", "came and went back");
        assert_eq!(drive(&[b, ab, a, o]), "+-", "stood there before");
        assert_eq!(drive(&[o, o, ab, o]), "-+-");
    }

    proptest! {
        /// What is told is what the contact was for the debounce time, and it follows every state that lasts.
        #[test]
        fn debouncing_hides_the_short_and_shows_the_lasting(
            raw in proptest::collection::vec((any::<bool>(), 1u64..100), 1..60), debounce_ms in 0u64..120,
        ) {
            let (mut debounced, mut now) = (Debounced::default(), 0);
            let mut samples: Vec<(u64, bool)> = Vec::new();
            for (raw, step) in raw {
                now += step;
                samples.push((now, raw));
                let before = debounced.stable();
                let after = debounced.update(raw, now, debounce_ms);
                let lasted = samples.iter().rev().take_while(|(_, value)| *value == raw).last().unwrap().0;
                if now - lasted >= debounce_ms {
                    prop_assert_eq!(after, Some(raw));
                } else {
                    prop_assert_eq!(after, before);
                }
            }
        }
    }
}
