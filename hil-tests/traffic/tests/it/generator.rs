//! What the generator makes.

use std::collections::{BTreeMap, BTreeSet};

use interface::{Reading, ReadingKind};
use passage::Input;
use traffic::{LAYOUTS, Noise, generate};

use crate::{small, wanted};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| {
        let traffic = small(seed, 30, 1.0);
        (traffic.journal().unwrap(), traffic.truth_file().unwrap(), traffic.layout.site_file())
    };
    assert!(bytes(5) == bytes(5));
    assert!(bytes(5) != bytes(6));
}

#[test]
fn time_never_goes_back_and_every_observation_has_one_truth() {
    for seed in 0..6 {
        let traffic = small(seed, 40, 2.0);
        let mut before = 0;
        let mut seen = BTreeSet::new();
        let mut seqs: BTreeMap<_, u64> = BTreeMap::new();
        for line in &traffic.lines {
            assert!(line.stamp.mono_ms >= before);
            before = line.stamp.mono_ms;
            if let Input::Observation(observation) = &line.input {
                assert!(seen.insert(observation.id.clone()));
                assert!(traffic.truth.contains_key(&observation.id));
                let seq = seqs.entry(observation.id.sensor.clone()).or_default();
                assert_eq!(observation.id.seq, *seq + 1, "no gap");
                *seq += 1;
                assert!(traffic.layout.checkpoint.sensors.contains_key(&observation.id.sensor));
            }
        }
        assert_eq!(seen.len(), traffic.truth.len());
    }
}

/// Seeds differ in what they look like and in how they behave, by more than chance.
#[test]
fn no_two_seeds_share_their_layout_names_or_distributions() {
    let mut layouts = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut positions = BTreeSet::new();
    let mut wrong_share = Vec::new();
    let mut pace = Vec::new();
    for seed in 0..12 {
        let traffic = small(seed, 60, 1.0);
        let lane = &traffic.layout.lanes[0];
        layouts.extend(traffic.layout.lanes.iter().map(|lane| lane.layout.clone()));
        names.insert(lane.places[0].sensors[0].id.0.clone() + &lane.name + &lane.places[0].name);
        positions
            .insert(format!("{:?}", lane.places.iter().map(|place| place.position_m).collect::<Vec<_>>()));
        let causes = traffic.truth.values().filter(|origin| origin.cause.word() == "misread").count();
        wrong_share.push(causes as f64 / traffic.truth.len() as f64);
        let first = traffic.lines.first().unwrap().stamp.mono_ms;
        let last = traffic.lines.last().unwrap().stamp.mono_ms;
        pace.push((last - first) as f64 / traffic.visits.len() as f64);
    }
    assert!(layouts.len() >= 5, "{layouts:?}");
    assert!(names.len() >= 6, "{names:?}");
    assert_eq!(positions.len(), 12);
    let spread = |values: &[f64]| {
        let (low, high) = values
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        high / low
    };
    assert!(spread(&wrong_share) > 1.5, "{wrong_share:?}");
    assert!(spread(&pace) > 1.5, "{pace:?}");
}

/// The noises of the issue are all there, and their knobs turn them off.
#[test]
fn each_noise_has_a_knob() {
    let causes = |noise: Noise| -> BTreeSet<&str> {
        let mut causes = BTreeSet::new();
        for seed in 0..4 {
            let mut wanted = wanted(seed, 120, 1.0);
            wanted.noise = noise.clone();
            causes.extend(generate(&wanted).truth.values().map(|origin| origin.cause.word()));
        }
        causes
    };
    let all = causes(Noise::world().scaled(2.0));
    for cause in [
        "plain",
        "lost edge",
        "misread",
        "badge",
        "late",
        "repeated",
        "heard elsewhere",
        "next lane",
        "ghost",
        "state on return",
    ] {
        assert!(all.contains(cause), "no {cause}: {all:?}");
    }
    assert_eq!(causes(Noise::none()), BTreeSet::from(["plain"]));
    for (knob, cause) in [
        ("wrong_character", "misread"),
        ("badge", "badge"),
        ("stutter", "repeated"),
        ("late_radiation", "late"),
        ("outage", "state on return"),
        ("ghost_occupancy", "ghost"),
        ("early_tag", "heard elsewhere"),
    ] {
        assert_eq!(causes(Noise::world().scaled(3.0).only(knob).unwrap()), BTreeSet::from(["plain", cause]));
    }
    assert!(Noise::world().only("gremlins").is_none());
}

/// Turning one noise changes nothing in what others do.
#[test]
fn knobs_do_not_disturb_each_other() {
    let plates = |noise: Noise| -> Vec<String> {
        let mut wanted = wanted(3, 40, 1.0);
        wanted.noise = noise;
        let traffic = generate(&wanted);
        let texts = traffic.observations().filter_map(|observation| match &observation.reading {
            Reading::Plate(plate) => Some(plate.text.clone()),
            _ => None,
        });
        texts.collect()
    };
    let quiet = plates(Noise::none());
    for knob in ["missed_edge", "settling", "seal_queue", "neighbour_tag", "late_radiation"] {
        assert_eq!(plates(Noise::world().only(knob).unwrap()), quiet, "{knob}");
    }
}

/// Vehicles keep their order and their distance, and every sensor sees them in that order.
#[test]
fn without_noise_loops_alternate_and_every_vehicle_is_seen_everywhere() {
    for layout in LAYOUTS {
        let mut wanted = wanted(9, 40, 0.0);
        wanted.layout = Some((*layout).to_owned());
        let traffic = generate(&wanted);
        let mut occupied: BTreeMap<_, bool> = BTreeMap::new();
        let mut rises: BTreeMap<_, usize> = BTreeMap::new();
        for observation in traffic.observations() {
            if let Reading::Presence { occupied: now } = observation.reading {
                let before = occupied.insert(observation.id.sensor.clone(), now).unwrap_or(false);
                assert_ne!(before, now, "{layout}: {:?}", observation.id);
                *rises.entry(observation.id.sensor.clone()).or_default() += usize::from(now);
            }
        }
        let lanes = traffic.layout.lanes.iter().enumerate();
        for (lane, sensor) in lanes.flat_map(|(lane, plan)| {
            plan.places.iter().flat_map(move |place| place.sensors.iter().map(move |sensor| (lane, sensor)))
        }) {
            if sensor.kind == ReadingKind::Presence {
                let vehicles = traffic.visits.iter().filter(|visit| visit.lane == lane).count();
                assert_eq!(rises[&sensor.id], vehicles, "{layout}: {}", sensor.id);
            }
        }
    }
}
