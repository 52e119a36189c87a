//! Whom an alarm names, and when it is raised.

use interface::{BootId, GateAction, RadiationAlarm, ReadingKind, SealState, SensorId};
use passage::{Effect, Engine, Input, PassageId, PassageState, Verdict};

use crate::world::*;

/// Two trucks stand bumper to bumper before the portal whose loop is dead; one radiation result with an alarm comes.
fn doubtful() -> Script {
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05").truck("in-1", 15_000, "X987KH77");
    script.without("in-1/portal").without("in-1/rpm");
    script.say(27_000, "in-1/rpm", radiation(RadiationAlarm::Gamma));
    script
}

#[test]
fn a_doubtful_alarm_names_and_refers_every_candidate() {
    let outcome = doubtful().play();
    let all: Vec<PassageId> = outcome.reports.iter().map(|report| report.passage.clone()).collect();
    let mut named = outcome.alarms().last().unwrap().clone();
    named.sort();
    let mut expected = all.clone();
    expected.sort();
    assert_eq!(named, expected);
    for id in &all {
        let referred = |effect: &&Effect| matches!(effect, Effect::Publish(r) if r.passage == *id && r.state == PassageState::Referred);
        assert!(outcome.effects.iter().any(|effect| referred(&effect)), "{id}");
    }
    let mut entry = outcome.reports.iter().flat_map(|report| &report.entries);
    let entry = entry.find(|entry| entry.observation.reading.kind() == ReadingKind::Radiation).unwrap();
    assert!(entry.doubtful && entry.candidates.len() == 2, "{}", entry.why);
}

/// When the first alarm was raised, milliseconds of the script.
fn first_alarm(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Alarm { published, .. } => Some(published.mono_ms - stamp(0).mono_ms),
        _ => None,
    })
}

#[test]
fn an_alarm_waits_for_what_tells_its_vehicle_but_five_seconds_at_most_and_for_nobody_who_may_leave() {
    let outcome = doubtful().play();
    assert_eq!(first_alarm(&outcome.effects), Some(32_000));
    let mut clear = Script::default();
    clear.truck("in-1", 10_000, "A001MP05");
    clear.0.iter_mut().filter(|line| line.1 == "in-1/rpm").for_each(|line| {
        line.2 = radiation(RadiationAlarm::Gamma);
    });
    assert_eq!(first_alarm(&clear.play().effects), Some(24_500));

    let mut until = doubtful();
    until.0.retain(|line| line.0 <= 27_000);
    let mut engine = Engine::new(checkpoint());
    assert_eq!(first_alarm(&feed(&mut engine, &until)), None);
    let first = engine.open_passages()[0].passage.clone();
    let input = Input::Decision { passage: first.clone(), decision: release("c1", Verdict::Release) };
    let effects = engine.step(&stamp(28_000), input);
    assert_eq!(first_alarm(&effects), Some(28_000));
    let opened = |effect: &&Effect| matches!(effect, Effect::Gate { action: GateAction::OpenBarrier, .. });
    assert_eq!(effects.iter().find(opened), None, "it is referred, not let out");
}

#[test]
fn an_alarm_that_waits_is_raised_when_the_machine_restarts() {
    let mut until = doubtful();
    until.0.retain(|line| line.0 <= 27_000);
    let mut engine = Engine::new(checkpoint());
    assert_eq!(first_alarm(&feed(&mut engine, &until)), None);
    let after = interface::Stamp { boot: BootId("b2".into()), ..stamp(500) };
    let effects =
        engine.step(&after, Input::SensorState { sensor: SensorId("in-1/rpm".into()), offline: false });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Alarm { .. })), "{effects:#?}");
}

#[test]
fn a_clear_alarm_names_one_at_once_and_refers_nobody() {
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05").truck("in-1", 40_000, "X987KH77");
    script.0.iter_mut().filter(|line| line.1 == "in-1/rpm" && line.0 < 30_000).for_each(|line| {
        line.2 = radiation(RadiationAlarm::GammaNeutron);
    });
    let outcome = script.play();
    assert_eq!(outcome.alarms(), [vec![outcome.reports[0].passage.clone()]]);
    assert_eq!(outcome.states(), [PassageState::Closed, PassageState::Closed]);
}

#[test]
fn an_alarm_that_fits_nobody_is_raised_all_the_same() {
    let mut script = Script::default();
    script.say(10_000, "in-1/rpm", radiation(RadiationAlarm::Neutron));
    script.say(10_500, "in-2/seal", seal("S-1", SealState::Tampered));
    let outcome = script.play();
    assert_eq!(outcome.alarms(), [Vec::new(), Vec::new()]);
    assert_eq!(outcome.orphans.len(), 2);
    assert!(outcome.orphans.iter().all(|orphan| orphan.published.mono_ms <= 30_000));
}

#[test]
fn somebody_of_the_watch_list_is_an_alarm() {
    let anomaly = |verdict: &str| {
        let label = Some("P-17".to_owned());
        interface::Reading::Anomaly(interface::Verdict {
            verdict: Some(verdict.to_owned()),
            score: Some(0.7),
            label,
        })
    };
    let mut script = Script::default();
    script.say(10_000, "in-1/rpm", anomaly("wrong_way"));
    script.say(10_500, "in-1/rpm", anomaly(interface::WATCH_LIST));
    assert_eq!(script.play().alarms().len(), 1);
}
