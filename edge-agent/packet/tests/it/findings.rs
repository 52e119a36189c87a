//! What a packet says about what was measured, and about what was not.

use crate::reports::{BOX, SITE, entry, plate, radiation, report, seal, weight};
use interface::{RadiationAlarm, Reading, ReadingKind, SealState, Sha256, View};
use packet::{DiscrepancyKind, Finding, Packet};
use passage::{AbsentReason, Entry, Missing, PassageId, StationId};

fn packet(entries: Vec<Entry>) -> Packet {
    Packet::from_report(SITE, BOX, &report(entries))
}

fn kinds(packet: &Packet) -> Vec<DiscrepancyKind> {
    packet.discrepancies.iter().map(|discrepancy| discrepancy.kind).collect()
}

#[test]
fn missing_is_never_zero_and_says_why() {
    let mut report = report(vec![]);
    report.not_fitted = vec![ReadingKind::Dimensions];
    report.views_not_fitted = vec![View::Rear];
    let station = StationId("portal".into());
    let reason = AbsentReason::Offline;
    report.missing = vec![Missing { station, kind: ReadingKind::Radiation, reason }];
    let packet = Packet::from_report(SITE, BOX, &report);
    assert!(!packet.complete);
    assert_eq!(packet.dimensions, Finding::Absent { reason: AbsentReason::NotFitted });
    assert_eq!(packet.radiation, Finding::Absent { reason: AbsentReason::Offline });
    assert_eq!(packet.weight, Finding::Absent { reason: AbsentReason::Timeout });
    assert_eq!(packet.plate_rear, Finding::Absent { reason: AbsentReason::NotFitted });
    assert_eq!(packet.plate_front, Finding::Absent { reason: AbsentReason::Timeout });
    assert_eq!(packet.missing[0].station, "portal");
}

#[test]
fn one_read_is_measured_and_only_certain_when_the_reading_was() {
    let packet = packet(vec![
        entry("front", 1, plate("A001MP05", 0.97, View::Front)),
        entry("rear", 1, plate("AB123405", 0.94, View::Rear)),
    ]);
    assert!(packet.plate_front.is_certain());
    assert!(!packet.plate_rear.is_certain());
    assert_eq!(packet.plate_rear.value().unwrap().text, "AB123405");
}

#[test]
fn a_plate_that_may_be_of_another_vehicle_is_not_certain() {
    let doubtful = |mut entry: Entry| {
        entry.doubtful = true;
        entry.candidates = vec![PassageId("p1".into()), PassageId("p2".into())];
        entry
    };
    let one = packet(vec![doubtful(entry("front", 1, plate("A001MP05", 0.99, View::Front)))]);
    let value = one.plate_front.value().unwrap();
    assert_eq!((value.text.as_str(), value.confidence, value.certain), ("A001MP05", 0.99, false));
    // A second read that is surely of this vehicle settles it.
    let two = packet(vec![
        doubtful(entry("front", 1, plate("A001MP05", 0.99, View::Front))),
        entry("front", 2, plate("A001MP05", 0.5, View::Front)),
    ]);
    assert!(two.plate_front.is_certain());
}

#[test]
fn one_misread_among_many_is_outweighed_and_kept_as_a_candidate() {
    let mut entries: Vec<Entry> =
        (1..=5).map(|seq| entry("front", seq, plate("A001MP05", 0.97, View::Front))).collect();
    entries.push(entry("front", 6, plate("A001HP05", 0.4, View::Front)));
    let packet = packet(entries);
    let plate = packet.plate_front.value().unwrap();
    assert_eq!(plate.text, "A001MP05");
    assert!(plate.confidence < 0.97 && !plate.certain, "{plate:?}");
    assert_eq!(plate.candidates[0].text, "A001HP05");
    let Finding::Measured { sources, .. } = &packet.plate_front else { panic!() };
    assert_eq!(sources.len(), 5);
}

#[test]
fn cameras_that_disagree_make_a_dispute_and_a_discrepancy() {
    let packet = packet(vec![
        entry("anpr", 1, plate("A001MP05", 0.9, View::Front)),
        entry("camera", 1, plate("A001HP05", 0.95, View::Front)),
    ]);
    let Finding::Disputed { candidates } = &packet.plate_front else { panic!("{:?}", packet.plate_front) };
    assert_eq!(candidates[0].value.text, "A001HP05");
    assert!(!candidates[0].value.certain);
    assert_eq!(kinds(&packet), [DiscrepancyKind::SensorsDisagree]);
    assert!(packet.discrepancies[0].detail.contains("anpr reads A001MP05"), "{:?}", packet.discrepancies);
}

#[test]
fn a_stable_weighing_is_preferred_and_two_scales_are_compared() {
    let one = packet(vec![
        entry("scale", 1, weight(17_000, false)),
        entry("scale", 2, weight(18_540, true)),
        entry("scale", 3, weight(9_000, false)),
    ]);
    assert_eq!(one.weight.value().unwrap().gross_kg, 18_540);
    let unstable = packet(vec![entry("scale", 1, weight(17_000, false))]);
    assert!(!unstable.weight.value().unwrap().stable);
    let two = packet(vec![entry("a", 1, weight(18_540, true)), entry("b", 1, weight(25_000, true))]);
    assert!(matches!(&two.weight, Finding::Disputed { candidates } if candidates.len() == 2));
    assert_eq!(kinds(&two), [DiscrepancyKind::SensorsDisagree]);
}

#[test]
fn an_alarm_is_not_taken_back_and_a_fault_is_no_measurement() {
    let twice = packet(vec![
        entry("portal", 1, radiation(RadiationAlarm::Gamma)),
        entry("portal", 2, radiation(RadiationAlarm::None)),
    ]);
    assert_eq!(twice.radiation.value().unwrap().alarm, RadiationAlarm::Gamma);
    let fault = packet(vec![entry("portal", 1, radiation(RadiationAlarm::Fault))]);
    assert_eq!(fault.radiation, Finding::Absent { reason: AbsentReason::Unreadable });
    assert!(!fault.complete);
    assert_eq!(kinds(&fault), [DiscrepancyKind::SensorFault]);
}

#[test]
fn seals_keep_their_newest_state_and_an_opened_one_stays_visible() {
    let packet = packet(vec![
        entry("seals", 1, seal("S-1", SealState::Opened)),
        entry("seals", 2, seal("S-2", SealState::Sealed)),
        entry("seals", 3, seal("S-1", SealState::Sealed)),
    ]);
    let seals = packet.seals.value().unwrap();
    assert_eq!(seals.iter().map(|seal| seal.state).collect::<Vec<_>>(), [SealState::Sealed; 2]);
    assert_eq!(kinds(&packet), [DiscrepancyKind::SealOpened]);
}

#[test]
fn an_alarm_with_several_candidates_is_named() {
    let mut alarm = entry("portal", 1, radiation(RadiationAlarm::Neutron));
    alarm.doubtful = true;
    alarm.candidates = vec![PassageId("p1".into()), PassageId("p2".into())];
    assert_eq!(kinds(&packet(vec![alarm])), [DiscrepancyKind::AlarmAmbiguous]);
}

#[test]
fn tags_are_counted_and_evidence_is_listed_with_its_sensor() {
    let tag = |rssi| Reading::Tag { epc: "30F4".into(), rssi_dbm: rssi, antenna: Some(1) };
    let mut first = entry("rfid", 1, tag(None));
    first.observation.evidence = vec![Sha256::of(b"x")];
    let packet = packet(vec![first, entry("rfid", 2, tag(Some(-50.0)))]);
    let tags = packet.tags.value().unwrap();
    assert_eq!((tags.len(), tags[0].reads, tags[0].rssi_dbm), (1, 2, Some(-50.0)));
    assert_eq!(packet.evidence[0].sensor.0, "rfid");
    assert_eq!(packet.observations.len(), 2);
}

#[test]
fn a_confidence_that_is_no_number_proves_nothing() {
    let packet = packet(vec![
        entry("a", 1, plate("A001MP05", f64::NAN, View::Front)),
        entry("a", 2, plate("B002MP05", f64::INFINITY, View::Rear)),
    ]);
    assert_eq!(packet.plate_front.value().unwrap().confidence, 0.0);
    assert_eq!(packet.plate_rear.value().unwrap().confidence, 1.0);
}

#[test]
fn who_drives_against_the_direction_is_told_of() {
    let mut report = report(vec![entry("front", 1, plate("A001MP05", 0.99, View::Front))]);
    assert!(kinds(&Packet::from_report(SITE, BOX, &report)).is_empty());
    report.against = true;
    let packet = Packet::from_report(SITE, BOX, &report);
    assert_eq!(kinds(&packet), [DiscrepancyKind::AgainstDirection]);
    assert_eq!(packet.discrepancies[0].sources.len(), 1);
}
