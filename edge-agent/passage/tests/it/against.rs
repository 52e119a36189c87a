//! What goes through a lane against its direction.

use interface::{RadiationAlarm, ReadingKind, View};
use passage::PassageState;

use crate::world::*;

/// Something that is at the exit at `at`, then 8 s from loop to loop back to the entry, for so long over each, milliseconds.
fn back(script: &mut Script, at: u64, lasts: u64) {
    for (n, sensor) in ["in-1/exit", "in-1/scale", "in-1/portal", "in-1/entry"].iter().enumerate() {
        let t = at + 8_000 * n as u64;
        script.say(t, sensor, presence(true));
        script.say(t + lasts, sensor, presence(false));
    }
}

#[test]
fn a_vehicle_that_drives_against_the_direction_is_one_passage_and_its_alarm_is_its_own() {
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05");
    back(&mut script, 100_000, 3_000);
    script.say(100_200, "in-1/out", plate("K777KK77", View::Front));
    script.say(119_500, "in-1/rpm", radiation(RadiationAlarm::Gamma));
    script.say(127_500, "in-1/front", plate("K777KK77", View::Front));
    script.truck("in-1", 140_000, "X987KH77");
    let outcome = script.play();
    assert_eq!(outcome.states(), [PassageState::Closed; 3], "{:#?}", outcome.orphans);
    assert!(outcome.orphans.is_empty());
    let against: Vec<bool> = outcome.reports.iter().map(|report| report.against).collect();
    assert_eq!(against, [false, true, false]);
    assert_eq!(outcome.reports[1].entries.len(), 11);
    assert_eq!(outcome.alarms(), [vec![outcome.reports[1].passage.clone()]]);
    let last = outcome.reports[1].entries.iter().find(|entry| entry.station.0 == "entry").unwrap();
    assert!(last.why.contains("against the direction"), "{}", last.why);
    for report in [&outcome.reports[0], &outcome.reports[2]] {
        assert_eq!(report.entries.len(), 15);
    }
}

#[test]
fn what_only_loops_have_seen_go_against_the_direction_is_no_vehicle() {
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05");
    back(&mut script, 100_000, 700);
    script.truck("in-1", 200_000, "X987KH77");
    let outcome = script.play();
    assert_eq!(outcome.states(), [PassageState::Closed; 2]);
    assert_eq!(outcome.orphans.len(), 8);
    assert!(outcome.reports.iter().all(|report| report.entries.len() == 15 && !report.against));
}

#[test]
fn many_of_them_leave_those_that_come_after_whole() {
    let mut script = Script::default();
    for n in 0..12 {
        let at = 100_000 * n + 10_000;
        back(&mut script, at, 3_000);
        script.say(at + 19_500, "in-1/rpm", radiation(RadiationAlarm::None));
        script.say(at + 27_500, "in-1/front", plate(&format!("B{n:03}KK77"), View::Front));
    }
    script.truck("in-1", 2_000_000, "A001MP05").truck("in-1", 2_007_000, "X987KH77");
    let outcome = script.play();
    let (against, along): (Vec<_>, Vec<_>) = outcome.reports.iter().partition(|report| report.against);
    assert_eq!((against.len(), along.len()), (12, 2), "{:#?}", outcome.orphans);
    assert!(along.iter().all(|report| report.entries.len() == 15));
    assert!(against.iter().all(|report| count(report, ReadingKind::Presence) == 8));
}
