//! The story of a passage, word for word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use interface::{
    Observation, ObservationId, PlateReading, RadiationAlarm, Reading, ReadingKind, SensorId, Stamp, UtcMs,
    View,
};
use passage::{
    AbsentReason, Alternative, Checkpoint, Decision, Direction, Entry, Lane, LaneId, Missing, PassageId,
    PassageState, Report, SensorPlace, Station, StationId, Verdict,
};
use replay::{Story, explain};

fn stamp(ms: u64) -> Stamp {
    let utc = UtcMs(1_790_000_000_000 + i64::try_from(ms).unwrap());
    Stamp { mono_ms: 1_000_000 + ms, utc, ..Stamp::default() }
}

fn observation(sensor: &str, seq: u64, ms: u64, reading: Reading) -> Observation {
    let id = ObservationId { sensor: SensorId::from(sensor), seq };
    Observation { id, stamp: stamp(ms), device_at: None, evidence: Vec::new(), reading }
}

fn entry(station: &str, observation: Observation, why: &str) -> Entry {
    Entry {
        observation,
        station: StationId(station.into()),
        doubtful: false,
        candidates: Vec::new(),
        why: why.into(),
        margin: None,
        alternatives: Vec::new(),
    }
}

fn plate(text: &str) -> Reading {
    Reading::Plate(PlateReading {
        text: text.into(),
        country: None,
        confidence: 0.93,
        view: View::Front,
        candidates: Vec::new(),
    })
}

fn alarm() -> Reading {
    Reading::Radiation {
        alarm: RadiationAlarm::Gamma,
        gamma_max_cps: Some(912.4),
        gamma_background_cps: Some(300.0),
        neutron_max_cps: None,
        duration_ms: None,
    }
}

fn passage(end: &str) -> PassageId {
    PassageId(format!("01a0c5a3-0000-7000-8000-0000{end}"))
}

/// A truck whose radiation alarm may as well be the next one's, and whose weight never came.
fn story() -> Story {
    let own = passage("aaaa0001");
    let other = passage("bbbb0002");
    let mut entries = vec![
        entry("entry", observation("loop", 1, 0, Reading::Presence { occupied: true }), "opened the passage"),
        entry(
            "entry",
            observation("lpr", 7, 400, plate("A001MP05")),
            "order: 1 of 1; identity: says nothing",
        ),
        entry(
            "entry",
            observation("lpr", 8, 900, plate("A001MP05")),
            "order: 1 of 1; identity: says nothing",
        ),
        entry(
            "entry",
            observation("loop", 2, 3_100, Reading::Presence { occupied: false }),
            "opened the passage",
        ),
    ];
    let first = Report {
        passage: own.clone(),
        revision: 1,
        lane: LaneId("in-1".into()),
        direction: Direction::In,
        state: PassageState::Sealed,
        opened: stamp(0),
        published: stamp(71_000),
        entries: entries.clone(),
        missing: vec![
            Missing {
                station: StationId("portal".into()),
                kind: ReadingKind::Radiation,
                reason: AbsentReason::Timeout,
            },
            Missing {
                station: StationId("scale".into()),
                kind: ReadingKind::Weight,
                reason: AbsentReason::Offline,
            },
        ],
        not_fitted: Vec::new(),
        views_not_fitted: Vec::new(),
        against: false,
        decision: None,
    };
    let late = observation("rpm", 3, 80_000, alarm());
    entries.push(Entry {
        doubtful: true,
        candidates: vec![own.clone(), other.clone()],
        margin: Some(0.5),
        alternatives: vec![
            Alternative { passage: Some(other.clone()), cost: 0.5 },
            Alternative { passage: None, cost: 5.0 },
        ],
        ..entry("portal", late.clone(), "order: 1 of 2; time: 9.0 s after it came here")
    });
    let decision = Decision { verdict: Verdict::Inspect, by: "iispp".into(), command_id: "c-1".into() };
    let second = Report {
        revision: 2,
        state: PassageState::Referred,
        published: stamp(82_000),
        entries,
        missing: first.missing[1..].to_vec(),
        decision: Some(decision),
        ..first.clone()
    };
    Story {
        revisions: vec![first, second],
        alarms: vec![(stamp(80_000), late, vec![own.clone(), other.clone()])],
        plates: BTreeMap::from([(own, vec!["A001MP05".into()]), (other, vec!["X777YZ99".into()])]),
    }
}

const EXPECTED: &str = "\
Passage 01a0c5a3-0000-7000-8000-0000aaaa0001
Lane in-1, into the country. It opened at 2026-09-21T14:13:20.000Z.
Plates read: A001MP05.

What was seen, in order of arrival (5 observations):
     +0.0 s  entry      the loop was covered  [loop 1]
                        because: opened the passage
     +0.4 s  entry      front plate A001MP05, 93 % sure  [lpr 7]
                        because: order: 1 of 1; identity: says nothing
     +0.9 s  entry      front plate A001MP05, 93 % sure  [lpr 8]
     +3.1 s  entry      the loop was free again  [loop 2]
                        because: opened the passage
    +80.0 s  portal     radiation: gamma, gamma 912 cps over a background of 300  [rpm 3]
                        because: order: 1 of 2; time: 9.0 s after it came here
                        else: …bbbb0002 (X777YZ99), 1.6 times less likely; nobody, 148 times less likely
                        came to this passage with revision 2
                        doubtful: it may as well be of …bbbb0002 (X777YZ99)

What was published:
    +71.0 s  revision 1: sealed, 4 observations
    +82.0 s  revision 2: referred, 5 observations, 1 more; decided by iispp: inspect

Alarms:
    +80.0 s  radiation: gamma, gamma 912 cps over a background of 300 [rpm 3], could be of several vehicles: also named …bbbb0002 (X777YZ99)

What is missing:
  weight at scale: its sensor was offline

It was sealed after 71.0 s at its deadline. Now: referred; 1 of 5 observations are doubtful.
";

#[test]
fn the_story_of_a_doubtful_alarm_word_for_word() {
    assert_eq!(explain(&story()), EXPECTED);
}

#[test]
fn no_passage_has_no_story() {
    assert_eq!(explain(&Story::default()), "");
}

const JOURNAL: &str = r#"{"journal":1,"site":"S"}
{"sensor":"loop","seq":1,"mono_ms":1000,"at":"2026-11-22T08:00:01Z","reading":{"kind":"presence","occupied":true}}
{"sensor":"lpr","seq":1,"mono_ms":1400,"at":"2026-11-22T08:00:01.4Z","reading":{"kind":"plate","text":"A001MP05","country":"RU","confidence":0.95,"view":"front"}}
{"sensor":"loop","seq":2,"mono_ms":4000,"at":"2026-11-22T08:00:04Z","reading":{"kind":"presence","occupied":false}}
"#;

fn checkpoint() -> Checkpoint {
    let lane = LaneId("in-1".into());
    let station = StationId("entry".into());
    let place = |kind| SensorPlace {
        lane: lane.clone(),
        station: station.clone(),
        readings: vec![kind],
        view: None,
        box_clock: false,
    };
    Checkpoint {
        lanes: vec![Lane {
            id: lane.clone(),
            direction: Direction::In,
            stations: vec![Station {
                id: station.clone(),
                position_m: 0.0,
                required: vec![ReadingKind::Plate],
                deadline_ms: 60_000,
            }],
        }],
        sensors: BTreeMap::from([
            (SensorId::from("loop"), place(ReadingKind::Presence)),
            (SensorId::from("lpr"), place(ReadingKind::Plate)),
        ]),
        ..Checkpoint::default()
    }
}

/// A passage is found by its plate, its id and the end of it; without one there is the list to choose from.
#[test]
fn a_passage_is_found_by_plate_and_by_id() {
    let collect = |name: &str| Story::collect(&checkpoint(), JOURNAL.as_bytes(), name).unwrap().0;
    let by_plate = collect("A001MP05");
    let text = explain(&by_plate);
    assert!(
        text.contains("front plate A001MP05, 95 % sure") && text.contains("Every required reading"),
        "{text}"
    );
    let id = by_plate.revisions[0].passage.0.clone();
    assert_eq!(explain(&collect(&id)), text);
    assert_eq!(explain(&collect(&id[id.len() - 6..])), text);
    let nobody = collect("Z999ZZ99");
    assert!(nobody.revisions.is_empty());
    assert_eq!(nobody.plates.into_values().collect::<Vec<_>>(), [["A001MP05"]]);
}
