//! Reports to make packets of: one made by hand, and any.

use interface::{
    BootId, CheckDigit, ClockQuality, DocumentKind, Observation, ObservationId, PlateCandidate, PlateReading,
    RadiationAlarm, Reading, ReadingKind, SealState, Seat, SensorId, Sha256, Stamp, UtcMs, Verdict, View,
    WeighMode,
};
use passage::{
    AbsentReason, Decision, Direction, Entry, LaneId, Missing, PassageId, PassageState, Report, StationId,
};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub const SITE: &str = "RU10702030";
pub const BOX: &str = "gw-1";

/// 2026-11-22T08:00:00Z
const START: UtcMs = UtcMs(1_795_334_400_000);

pub fn stamp(ms: u64) -> Stamp {
    let start = Stamp { mono_ms: 0, utc: START, clock: ClockQuality::Synced, boot: BootId("b1".into()) };
    start.plus_ms(ms)
}

pub fn entry(sensor: &str, seq: u64, reading: Reading) -> Entry {
    Entry {
        observation: Observation {
            id: ObservationId { sensor: sensor.into(), seq },
            stamp: stamp(seq * 1000),
            device_at: None,
            evidence: Vec::new(),
            reading,
        },
        station: StationId("entry".into()),
        doubtful: false,
        candidates: Vec::new(),
        why: "the only vehicle in the lane".into(),
        margin: Some(4.5),
        alternatives: vec![passage::Alternative { passage: None, cost: 4.5 }],
    }
}

pub fn plate(text: &str, confidence: f64, view: View) -> Reading {
    let country = Some("RU".to_owned());
    Reading::Plate(PlateReading { text: text.into(), country, confidence, view, candidates: Vec::new() })
}

pub fn radiation(alarm: RadiationAlarm) -> Reading {
    Reading::Radiation {
        alarm,
        gamma_max_cps: Some(310.0),
        gamma_background_cps: Some(300.0),
        neutron_max_cps: None,
        duration_ms: Some(4200),
    }
}

pub fn weight(gross_kg: i64, stable: bool) -> Reading {
    Reading::Weight { gross_kg, axles_kg: None, stable, mode: WeighMode::Static }
}

pub fn seal(seal_id: &str, state: SealState) -> Reading {
    Reading::Seal { seal_id: seal_id.into(), state }
}

pub fn report(entries: Vec<Entry>) -> Report {
    Report {
        passage: PassageId("019a5a3c-8d00-7000-8000-000000000001".into()),
        revision: 1,
        lane: LaneId("in-1".into()),
        direction: Direction::In,
        state: PassageState::AwaitingDecision,
        opened: stamp(0),
        published: stamp(30_000),
        entries,
        missing: Vec::new(),
        not_fitted: Vec::new(),
        views_not_fitted: Vec::new(),
        against: false,
        decision: None,
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-C0-1]{0,3}", any::<String>()]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    (of(text()), of(any::<f64>()), of(text())).prop_map(|(verdict, score, label)| Verdict {
        verdict,
        score,
        label,
    })
}

fn plate_reading() -> impl Strategy<Value = PlateReading> {
    let candidate = (text(), of(text()), any::<f64>())
        .prop_map(|(text, country, confidence)| PlateCandidate { text, country, confidence });
    let candidates = prop::collection::vec(candidate, 0..3);
    (text(), of(text()), prop_oneof![0.0..1.0, any::<f64>()], select(View::ALL), candidates).prop_map(
        |(text, country, confidence, view, candidates)| PlateReading {
            text,
            country,
            confidence,
            view,
            candidates,
        },
    )
}

pub fn reading() -> impl Strategy<Value = Reading> {
    let float = || of(any::<f64>());
    prop_oneof![
        any::<bool>().prop_map(|occupied| Reading::Presence { occupied }),
        plate_reading().prop_map(Reading::Plate),
        (text(), float(), of(any::<u16>())).prop_map(|(epc, rssi_dbm, antenna)| Reading::Tag {
            epc,
            rssi_dbm,
            antenna
        }),
        (select(RadiationAlarm::ALL), float(), float(), float(), of(any::<u64>())).prop_map(
            |(alarm, gamma_max_cps, gamma_background_cps, neutron_max_cps, duration_ms)| Reading::Radiation {
                alarm,
                gamma_max_cps,
                gamma_background_cps,
                neutron_max_cps,
                duration_ms
            }
        ),
        (any::<i64>(), of(prop::collection::vec(any::<i64>(), 0..5)), any::<bool>(), select(WeighMode::ALL))
            .prop_map(|(gross_kg, axles_kg, stable, mode)| Reading::Weight {
                gross_kg,
                axles_kg,
                stable,
                mode
            }),
        any::<(u32, u32, u32)>().prop_map(|(length_mm, width_mm, height_mm)| Reading::Dimensions {
            length_mm,
            width_mm,
            height_mm
        }),
        (text(), any::<f64>(), of(text())).prop_map(|(code, confidence, type_code)| {
            let check_digit = type_code.is_some().then_some(CheckDigit::Computed);
            Reading::Container { code, confidence, type_code, check_digit }
        }),
        (text(), select(SealState::ALL)).prop_map(|(seal_id, state)| Reading::Seal { seal_id, state }),
        (select(Seat::ALL), any::<f64>(), of(any::<u8>())).prop_map(|(seat, quality, template)| {
            Reading::Face { seat, quality, template: template.map(|byte| Sha256::of(&[byte])) }
        }),
        (select(DocumentKind::ALL), text()).prop_map(|(kind_of, text)| Reading::Document { kind_of, text }),
        verdict().prop_map(Reading::Undercarriage),
        verdict().prop_map(Reading::Inspection),
        verdict().prop_map(Reading::Anomaly),
    ]
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    let clock = select(&[ClockQuality::Synced, ClockQuality::Holdover, ClockQuality::Unsynced][..]);
    (any::<u32>(), clock).prop_map(|(ms, clock)| Stamp { clock, ..stamp(u64::from(ms)) })
}

pub fn observation() -> impl Strategy<Value = Observation> {
    let sensor = prop_oneof!["[ab]", any::<String>()].prop_map(SensorId);
    (sensor, any::<u64>(), any_stamp(), prop::collection::vec(any::<u8>(), 0..2), reading()).prop_map(
        |(sensor, seq, stamp, evidence, reading)| Observation {
            id: ObservationId { sensor, seq },
            stamp,
            device_at: None,
            evidence: evidence.iter().map(|byte| Sha256::of(&[*byte])).collect(),
            reading,
        },
    )
}

fn passages() -> impl Strategy<Value = Vec<PassageId>> {
    prop::collection::vec(text().prop_map(PassageId), 0..3)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (observation(), text(), any::<bool>(), passages(), text()).prop_map(
        |(observation, station, doubtful, candidates, why)| Entry {
            observation,
            station: StationId(station),
            doubtful,
            margin: doubtful.then_some(0.25),
            alternatives: candidates
                .iter()
                .map(|other| passage::Alternative { passage: Some(other.clone()), cost: 0.25 })
                .collect(),
            candidates,
            why,
        },
    )
}

fn any_decision() -> impl Strategy<Value = Decision> {
    use passage::Verdict::{Hold, Inspect, Release};
    (select(&[Release, Inspect, Hold][..]), text(), text()).prop_map(|(verdict, by, command_id)| Decision {
        verdict,
        by,
        command_id,
    })
}

pub fn any_report() -> impl Strategy<Value = Report> {
    let reason = select(&[AbsentReason::NotFitted, AbsentReason::Offline, AbsentReason::Timeout][..]);
    let missing = (text(), select(ReadingKind::ALL), reason).prop_map(|(station, kind, reason)| Missing {
        station: StationId(station),
        kind,
        reason,
    });
    let state = select(&[PassageState::Sealed, PassageState::Released, PassageState::Unmatched][..]);
    (
        (text(), any::<u32>(), text(), state),
        (any_stamp(), any_stamp()),
        prop::collection::vec(any_entry(), 0..12),
        prop::collection::vec(missing, 0..3),
        prop::collection::vec(select(ReadingKind::ALL), 0..5),
        of(any_decision()),
    )
        .prop_map(|(names, times, entries, missing, not_fitted, decision)| Report {
            passage: PassageId(names.0),
            revision: names.1,
            lane: LaneId(names.2),
            direction: Direction::Out,
            state: names.3,
            opened: times.0,
            published: times.1,
            entries,
            missing,
            not_fitted,
            views_not_fitted: Vec::new(),
            against: false,
            decision,
        })
}
