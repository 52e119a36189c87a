//! What holds for any traffic, and for any nonsense.

use std::collections::BTreeMap;

use interface::{
    BootId, Observation, ObservationId, RadiationAlarm, Reading, SealState, SensorId, Stamp, UtcMs, View,
};
use passage::{Decision, Effect, Engine, Input, LaneId, PassageId, Verdict};
use proptest::prelude::*;

use crate::world::*;

/// Trucks in both lanes, with what can go wrong: lost, doubled and late readings, tags of others, dead sensors.
fn traffic() -> impl Strategy<Value = Script> {
    let truck = (0usize..2, 2_000u64..40_000, 0u32..1_000, any::<u64>());
    (prop::collection::vec(truck, 1..7), prop::option::of(0usize..22)).prop_map(|(trucks, dead)| {
        let mut script = Script::default();
        let mut at = [10_000; 2];
        for (lane, gap, number, noise) in trucks {
            at[lane] += gap;
            let mut one = Script::default();
            one.truck(LANES[lane], at[lane], &format!("A{number:03}MP05"));
            let epc = format!("E{number}");
            one.say(at[lane] - 3_000, &format!("{}/tag", LANES[lane]), tag(&epc, -60.0));
            one.say(at[lane] + 1_000, &format!("{}/tag", LANES[lane]), tag(&epc, -50.0));
            one.say(at[lane] + 21_500, &format!("{}/seal", LANES[lane]), seal(&epc, SealState::Sealed));
            script.0.extend(spoilt(one, noise).0);
        }
        if let Some(name) = dead.and_then(|dead| checkpoint().sensors.keys().nth(dead).cloned()) {
            script.without(&name.0);
        }
        script
    })
}

/// Spoils about one reading in eight.
fn spoilt(script: Script, noise: u64) -> Script {
    let mut result = Script::default();
    let mut state = noise;
    for (mut ms, sensor, reading, _) in script.0 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let device_at = (state >> 50).is_multiple_of(2).then_some(UtcMs(1_790_000_002_000 + ms as i64));
        match (state >> 40) % 32 {
            0 => continue,
            1 => result.0.push((ms + 150, sensor.clone(), reading.clone(), device_at)),
            2 => ms += 30_000,
            3 => ms += (state >> 33) % 3_000,
            _ => {}
        }
        let alarm = matches!(reading, Reading::Radiation { .. }) && (state >> 20).is_multiple_of(4);
        let reading = if alarm { radiation(RadiationAlarm::Gamma) } else { reading };
        result.0.push((ms, sensor, reading, device_at));
    }
    result
}

/// Inputs without rhyme or reason.
fn nonsense() -> impl Strategy<Value = Vec<(Stamp, Input)>> {
    let mono = prop_oneof![0u64..300_000, any::<u64>(), Just(u64::MAX)];
    let boot = prop_oneof![9 => Just("b1"), 1 => Just("b2")];
    let stamp = (mono, any::<i64>(), boot).prop_map(|(mono_ms, utc, boot)| Stamp {
        mono_ms,
        utc: UtcMs(utc),
        boot: BootId(boot.into()),
        ..Stamp::default()
    });
    let text = "[A-C0-1]{0,3}";
    let number = prop_oneof![Just(f64::NAN), Just(f64::INFINITY), any::<f64>(), -80.0..0.0];
    let alarm = prop::sample::select(RadiationAlarm::ALL);
    let reading = prop_oneof![
        any::<bool>().prop_map(presence),
        (text, prop::sample::select(View::ALL), number.clone()).prop_map(|(text, view, confidence)| {
            match plate(&text, view) {
                Reading::Plate(plate) => Reading::Plate(interface::PlateReading { confidence, ..plate }),
                other => other,
            }
        }),
        (text, prop::option::of(number.clone())).prop_map(|(epc, rssi_dbm)| Reading::Tag {
            epc,
            rssi_dbm,
            antenna: None
        }),
        (alarm, prop::option::of(any::<u64>())).prop_map(|(alarm, duration_ms)| Reading::Radiation {
            alarm,
            gamma_max_cps: None,
            gamma_background_cps: None,
            neutron_max_cps: None,
            duration_ms,
        }),
        (any::<i64>(), any::<bool>()).prop_map(|(kg, stable)| weight(kg, stable)),
        (text, number).prop_map(|(code, confidence)| Reading::Container {
            code,
            confidence,
            type_code: None,
            check_digit: None
        }),
        (text, prop::sample::select(SealState::ALL)).prop_map(|(id, state)| seal(&id, state)),
        Just(Reading::Anomaly(interface::Verdict::default())),
        Just(Reading::Dimensions { length_mm: 0, width_mm: 0, height_mm: 0 }),
    ];
    let mut names: Vec<SensorId> = checkpoint().sensors.into_keys().collect();
    names.push("nowhere".into());
    let sensor = prop::sample::select(names);
    let device_at = prop::option::of(any::<i64>().prop_map(UtcMs));
    let observed = (stamp.clone(), sensor.clone(), device_at, reading).prop_map(
        |(stamp, sensor, device_at, reading)| {
            let id = ObservationId { sensor, seq: 0 };
            (
                stamp.clone(),
                Input::Observation(Observation { id, stamp, device_at, evidence: Vec::new(), reading }),
            )
        },
    );
    let state = (stamp.clone(), sensor, any::<bool>())
        .prop_map(|(stamp, sensor, offline)| (stamp, Input::SensorState { sensor, offline }));
    let decided = stamp.prop_map(|stamp| {
        let decision = Decision { verdict: Verdict::Release, by: "x".into(), command_id: "c".into() };
        (stamp, Input::Decision { passage: PassageId("none".into()), decision })
    });
    let input = prop_oneof![16 => observed, 1 => state, 1 => decided];
    prop::collection::vec(input, 0..60).prop_map(|mut inputs| {
        for (n, (_, input)) in inputs.iter_mut().enumerate() {
            if let Input::Observation(observation) = input {
                observation.id.seq = n as u64;
            }
        }
        inputs
    })
}

/// How often each observation stands in the last revisions and the orphans.
fn places(outcome: &Outcome) -> BTreeMap<ObservationId, usize> {
    let entries = outcome.reports.iter().flat_map(|report| &report.entries).map(|entry| &entry.observation);
    let mut places = BTreeMap::new();
    for observation in entries.chain(outcome.orphans.iter().map(|orphan| &orphan.observation)) {
        *places.entry(observation.id.clone()).or_default() += 1;
    }
    places
}

fn expect_once<'a>(
    outcome: &Outcome,
    observations: impl Iterator<Item = &'a Observation>,
) -> Result<(), TestCaseError> {
    let expected: BTreeMap<ObservationId, usize> = observations.map(|o| (o.id.clone(), 1)).collect();
    prop_assert_eq!(places(outcome), expected);
    Ok(())
}

fn step(engine: &mut Engine, observation: &Observation) -> Vec<Effect> {
    engine.step(&observation.stamp, Input::Observation(observation.clone()))
}

fn lane_of(effect: &Effect) -> Option<LaneId> {
    match effect {
        Effect::Publish(report) => Some(report.lane.clone()),
        Effect::Orphan(report) => report.lane.clone(),
        Effect::Alarm { lane, .. } | Effect::Gate { lane, .. } => Some(lane.clone()),
        Effect::DecisionRefused { .. } => None,
    }
}

fn by_lane(effects: Vec<Effect>) -> BTreeMap<Option<LaneId>, Vec<Effect>> {
    let mut lanes: BTreeMap<_, Vec<Effect>> = BTreeMap::new();
    for effect in effects {
        lanes.entry(lane_of(&effect)).or_default().push(effect);
    }
    lanes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_observation_ends_exactly_once(script in traffic()) {
        expect_once(&script.play(), script.observations().iter())?;
    }

    #[test]
    fn nothing_panics_and_nothing_is_lost_in_nonsense(inputs in nonsense()) {
        let mut engine = Engine::new(checkpoint());
        let mut effects = Vec::new();
        for (now, input) in &inputs {
            effects.extend(engine.step(now, input.clone()));
        }
        effects.extend(engine.finish());
        prop_assert_eq!(engine.next_deadline(), None);
        prop_assert!(engine.open_passages().is_empty());
        let observations = inputs.iter().filter_map(|(_, input)| match input {
            Input::Observation(observation) => Some(observation),
            _ => None,
        });
        expect_once(&Outcome::of(effects), observations)?;
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(script in traffic()) {
        let bytes = || serde_json::to_vec(&script.play().effects).unwrap();
        prop_assert_eq!(bytes(), bytes());
    }

    #[test]
    fn ticks_change_nothing(script in traffic(), late in 0u64..5_000) {
        let mut engine = Engine::new(checkpoint());
        let mut effects = Vec::new();
        for observation in script.observations() {
            // The timer fires, now and then late, but never after a later observation was taken in.
            while let Some(due) = engine.next_deadline().filter(|due| *due <= observation.stamp.mono_ms) {
                let at = due.saturating_add(late).min(observation.stamp.mono_ms);
                effects.extend(engine.tick(&stamp(at)));
            }
            effects.extend(step(&mut engine, &observation));
        }
        while let Some(due) = engine.next_deadline() {
            effects.extend(engine.tick(&stamp(due + late)));
        }
        prop_assert_eq!(by_lane(effects), by_lane(script.play().effects));
    }

    #[test]
    fn a_restored_snapshot_goes_on_as_if_nothing_had_been(script in traffic(), cut in 0usize..120) {
        let observations = script.observations();
        let mut whole = Engine::new(checkpoint());
        let cut = cut.min(observations.len());
        for observation in &observations[..cut] {
            step(&mut whole, observation);
        }
        let text = serde_json::to_string(&whole).unwrap();
        let mut restored = Engine::restore(checkpoint(), serde_json::from_str(&text).unwrap());
        prop_assert_eq!(&restored, &whole);
        for observation in &observations[cut..] {
            prop_assert_eq!(step(&mut restored, observation), step(&mut whole, observation));
        }
        prop_assert_eq!(restored.finish(), whole.finish());
    }

    #[test]
    fn what_a_lane_remembers_of_costs_changes_nothing(script in traffic()) {
        let (mut one, mut other) = (Engine::new(checkpoint()), Engine::new(checkpoint()));
        for observation in script.observations() {
            // A copy remembers none.
            other = other.clone();
            prop_assert_eq!(step(&mut one, &observation), step(&mut other, &observation));
        }
        prop_assert_eq!(one.finish(), other.clone().finish());
    }

    #[test]
    fn a_lane_does_not_see_the_other(script in traffic()) {
        let observations = script.observations();
        let mut one_after_the_other = observations.clone();
        one_after_the_other.sort_by_key(|observation| !observation.id.sensor.0.starts_with("in-2"));
        let apart = by_lane(play(&one_after_the_other).effects);
        prop_assert_eq!(apart, by_lane(play(&observations).effects));
    }
}

#[test]
fn the_state_stays_bounded() {
    let mut engine = Engine::new(checkpoint());
    let mut script = Script::default();
    // Vehicles enter and never leave, a tag is heard for ever, a camera reads only trees.
    for n in 0..3_000u64 {
        let at = 10_000 + 2_500 * n;
        script.say(at, "in-1/entry", presence(true));
        script.say(at + 1_000, "in-1/entry", presence(false));
        script.say(at + 200, "in-1/tag", tag("STUCK", -50.0));
        script.say(at + 300, "in-1/out", plate(&format!("{:06}", n * 7_919), View::Front));
    }
    let observations = script.observations();
    let mut effects = Vec::new();
    let mut sizes = Vec::new();
    for (n, observation) in observations.iter().enumerate() {
        effects.extend(step(&mut engine, observation));
        if n % 1_000 == 999 {
            sizes.push(serde_json::to_vec(&engine).unwrap().len());
        }
    }
    let early = sizes[..4].iter().max().unwrap();
    assert!(sizes.iter().all(|size| size <= &(early * 2)), "{sizes:?}");
    assert!(engine.open_passages().len() <= 64);
    effects.extend(engine.finish());
    let outcome = Outcome::of(effects);
    assert!(
        places(&outcome).len() == observations.len() && places(&outcome).values().all(|times| *times == 1)
    );
}
