//! What frames of one vehicle add up to.

use super::*;
use crate::{Detector, StageMilliseconds};
use proptest::prelude::*;

fn read(text: &str, probability: f64, certain: bool, x: f32) -> PlateRead {
    PlateRead {
        corners: [[x, 0.0], [x + 100.0, 0.0], [x + 100.0, 20.0], [x, 20.0]],
        text: text.into(),
        country: Some("RU".into()),
        probability,
        margin: 0.0,
        certain,
        candidates: vec![PlateCandidate { text: text.into(), country: None, probability }],
        detector: Detector::Text,
        milliseconds: StageMilliseconds::default(),
    }
}

fn consensus() -> Consensus {
    Consensus::new(ConsensusOptions::default())
}

fn after(frames: &[PlateRead]) -> PlateResult {
    let mut c = Consensus::new(ConsensusOptions { least_probability: 0.0, ..ConsensusOptions::default() });
    for (i, r) in frames.iter().enumerate() {
        c.add(100 * i as u64, std::slice::from_ref(r), i as u64);
    }
    let mut got = c.finish();
    assert_eq!(got.len(), 1, "{got:?}");
    got.remove(0)
}

#[test]
fn frames_of_one_vehicle_make_one_result() {
    let mut c = consensus();
    c.add(0, &[read("A123BC77", 0.6, false, 0.0)], 10);
    c.add(100, &[read("A123BC77", 0.9, true, 50.0)], 11);
    c.add(200, &[read("A128BC77", 0.5, false, 90.0)], 12);
    assert!(c.poll(1699).is_empty());
    assert_eq!(c.frames_in_use(), [11, 12], "the best frame of each of two texts");
    let got = c.poll(1700);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].text.as_str(), got[0].frames_agreeing, got[0].frames), ("A123BC77", 2, 3));
    assert_eq!((got[0].frame_tag, got[0].first_ms, got[0].last_ms), (11, 0, 200));
    assert!(c.poll(9999).is_empty() && c.frames_in_use().is_empty());
}

#[test]
fn three_agreeing_frames_are_surer_than_one() {
    let one = read("A123BC77", 0.8, true, 0.0);
    let single = after(std::slice::from_ref(&one));
    let triple = after(&[one.clone(), one.clone(), one]);
    assert!((single.probability - 0.8).abs() < 1e-9);
    assert!(triple.probability > 0.93, "{}", triple.probability);
    assert!(triple.certain && !single.certain);
}

#[test]
fn the_same_misread_in_many_frames_is_not_as_many_votes() {
    let doubtful = read("A123BC77", 0.6, false, 0.0);
    let many = after(&vec![doubtful; 50]);
    assert!(many.probability < 0.9 && !many.certain, "{many:?}");
    // a better frame of another text still wins against them
    let mut frames = vec![read("A128BC77", 0.6, false, 0.0); 20];
    frames.push(read("A123BC77", 0.985, true, 0.0));
    let got = after(&frames);
    assert_eq!(got.text, "A123BC77");
}

#[test]
fn the_evidence_is_the_frame_that_the_text_came_from() {
    let mut frames = vec![read("A123BC77", 0.7, false, 0.0); 4];
    frames.push(read("A128BC77", 0.75, false, 0.0));
    let got = after(&frames);
    assert_eq!((got.text.as_str(), got.frame_tag), ("A123BC77", 0));
}

#[test]
fn a_text_that_no_frame_read_first_has_the_frame_that_shows_it_best() {
    let frames: Vec<PlateRead> =
        [("A123BC71", 0.55, 0.44), ("A123BC17", 0.5, 0.46), ("A123BC11", 0.52, 0.45)]
            .map(|(first, sure, other)| {
                let text = "A123BC77".to_owned();
                let other = PlateCandidate { text, country: None, probability: other };
                PlateRead { candidates: vec![other], ..read(first, sure, false, 0.0) }
            })
            .into();
    let got = after(&frames);
    assert_eq!((got.text.as_str(), got.frames_agreeing, got.frame_tag), ("A123BC77", 0, 1));
}

#[test]
fn the_next_vehicle_at_the_same_place_is_reported_anew() {
    let mut c = consensus();
    c.add(0, &[read("A123BC77", 0.9, true, 0.0)], 1);
    c.add(8000, &[read("A123BC77", 0.9, true, 0.0)], 2);
    c.add(16_000, &[read("B456KM77", 0.9, true, 0.0)], 3);
    let texts: Vec<String> = c.finish().into_iter().map(|r| r.text).collect();
    assert_eq!(texts, ["A123BC77", "A123BC77", "B456KM77"], "each visit is one result");
}

#[test]
fn a_standing_vehicle_is_reported_once() {
    let mut c = consensus();
    let mut results = 0;
    for i in 0..300u64 {
        c.add(100 * i, &[read("A123BC77", 0.9, true, 0.0)], i);
        results += c.poll(100 * i).len();
    }
    assert_eq!(results, 1);
    assert!(c.finish().is_empty());
}

#[test]
fn two_vehicles_of_a_fleet_stay_apart() {
    let mut c = consensus();
    c.add(0, &[read("595MLA10", 0.95, true, 0.0), read("595MOA10", 0.95, true, 400.0)], 1);
    assert_eq!(c.finish().len(), 2);
    // one after the other, at another place
    c.add(5000, &[read("595MLA10", 0.95, true, 0.0)], 1);
    c.add(6000, &[read("595MOA10", 0.95, true, 0.0)], 2);
    assert_eq!(c.finish().len(), 2);
}

#[test]
fn contradictions_and_cut_off_plates_are_not_certain() {
    let certain = |text| read(text, 0.97, true, 0.0);
    let got = after(&[certain("A123BC77"), certain("A123BC78")]);
    assert!(!got.certain, "{got:?}");
    let cut = after(&[certain("A123BC77"), certain("A123BC77"), read("A123BC777", 0.6, false, 0.0)]);
    assert!(!cut.certain, "{cut:?}");
}

#[test]
fn badges_are_dropped_and_never_certain() {
    let mut c = consensus();
    c.add(0, &[read("LX570", 0.2, false, 0.0)], 1);
    assert!(c.finish().is_empty());
    for i in 0..20 {
        c.add(i * 100, &[read("LX570", 0.6, false, 0.0)], 1);
    }
    assert!(c.finish().iter().all(|r| !r.certain));
}

#[test]
fn distance_knows_look_alikes() {
    assert_eq!(text_distance("A123BC77", "A123BC77"), 0.0);
    assert!((text_distance("AO1", "A01") - 0.4).abs() < 1e-9);
    assert_eq!(text_distance("", "ABC"), 3.0);
    assert_eq!(text_distance("A123BC77", "A123BC777"), 1.0);
}

fn any_read() -> impl Strategy<Value = PlateRead> {
    ("[AB01]{0,9}", 0.0f64..=1.0, any::<bool>(), -100.0f32..500.0).prop_map(|(t, p, c, x)| read(&t, p, c, x))
}

proptest! {
    #[test]
    fn nothing_panics_and_probabilities_are_probabilities(
        frames in proptest::collection::vec((0u64..3000, proptest::collection::vec(any_read(), 0..5)), 0..40),
    ) {
        let mut c = consensus();
        let mut now = 0u64;
        let mut all = Vec::new();
        for (i, (step, reads)) in frames.iter().enumerate() {
            now += step;
            c.add(now, reads, i as u64);
            all.extend(c.poll(now));
            prop_assert!(c.tracks.len() <= 16);
        }
        c.add(0, &[read("A1", 0.9, true, 0.0)], 0); // a clock that runs backwards is no reason to fail
        all.extend(c.finish());
        for r in all {
            prop_assert!((0.0..=MOST).contains(&r.probability));
            prop_assert!(r.frames_agreeing <= r.frames);
            prop_assert_eq!(&r.candidates[0].text, &r.text);
            // the evidence is a frame that read this text (0 is shared with the last one)
            let shown = frames.get(r.frame_tag as usize).into_iter().flat_map(|(_, reads)| reads);
            let mut texts = shown.flat_map(|s| s.candidates.iter().map(|c| &c.text).chain([&s.text]));
            prop_assert!(r.frame_tag == 0 || texts.any(|text| *text == r.text), "{r:?}");
            prop_assert!(r.candidates.iter().map(|c| c.probability).sum::<f64>() <= 1.0 + 1e-9);
        }
    }

    #[test]
    fn order_within_a_frame_does_not_matter(
        frames in proptest::collection::vec(proptest::collection::vec(any_read(), 0..6), 1..8),
        turn in 0usize..6,
    ) {
        let (mut a, mut b) = (consensus(), consensus());
        for (i, reads) in frames.iter().enumerate() {
            let mut other = reads.clone();
            other.reverse();
            let middle = turn.min(other.len());
            other.rotate_left(middle);
            a.add(100 * i as u64, reads, i as u64);
            b.add(100 * i as u64, &other, i as u64);
        }
        prop_assert_eq!(a.finish(), b.finish());
    }

    #[test]
    fn agreeing_frames_never_lower_the_probability(
        p in 0.4f64..0.99, rest in proptest::collection::vec(0.0f64..1.0, 0..4), n in 1usize..20,
    ) {
        let mut one = read("A123BC77", p, true, 0.0);
        let sum: f64 = rest.iter().sum::<f64>().max(1.0);
        for (i, r) in rest.iter().enumerate() {
            let probability = ((1.0 - p) * r / sum).min(p);
            one.candidates.push(PlateCandidate { text: format!("A123BC7{i}"), country: None, probability });
        }
        let few = after(&vec![one.clone(); n]);
        let more = after(&vec![one; n + 1]);
        prop_assert!(more.probability >= few.probability - 1e-12, "{} {}", few.probability, more.probability);
    }
}
