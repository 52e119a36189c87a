//! The table at the end, and whether the run was good.

use std::collections::BTreeSet;

use interface::RadiationAlarm;
use packet::Packet;

use super::live::{Traffic, sort};
use super::replay::Replayed;
use crate::consumer::{PassageLine, Report};

/// What is said at the end.
#[derive(Debug)]
pub struct Verdict {
    /// The table.
    pub text: String,
    /// What was not as it must be. Empty if the run was good.
    pub failures: Vec<String>,
}

/// Sums up a run. `packets` are all that came, also those of which there is a newer one.
pub fn verdict(traffic: &Traffic, report: &Report, packets: &[Packet], replayed: &Replayed) -> Verdict {
    let summary = &report.summary;
    let (theirs, nobodys) = sort(traffic, report.passages.iter().map(|line| &line.packet));
    let mut failures = Vec::new();
    let (mut plates, mut tagged, mut alarms, mut radiating, mut wrong_alarms) = (0, 0, 0, 0, 0);
    let mut twice = 0;
    for (index, driven) in traffic.0.iter().enumerate() {
        let vehicle = &driven.vehicle;
        let packets = theirs.get(&index).map(Vec::as_slice).unwrap_or_default();
        if packets.is_empty() {
            failures.push(format!("vehicle {} in lane {} has no packet", vehicle.number, driven.lane));
        }
        twice += packets.len().saturating_sub(1);
        let plate = packets.iter().filter_map(|packet| packet.plate_front.value());
        plates += usize::from(plate.into_iter().any(|plate| vehicle.plates.contains(&plate.text)));
        let tags = packets.iter().filter_map(|packet| packet.tags.value()).flatten();
        tagged += usize::from(tags.into_iter().any(|tag| tag.epc.eq_ignore_ascii_case(&vehicle.epc)));
        let alarm = packets
            .iter()
            .filter_map(|packet| packet.radiation.value())
            .any(|radiation| !matches!(radiation.alarm, RadiationAlarm::None | RadiationAlarm::Fault));
        radiating += usize::from(vehicle.radiates);
        alarms += usize::from(vehicle.radiates && alarm);
        wrong_alarms += usize::from(!vehicle.radiates && alarm);
    }
    let count = traffic.0.len();
    let by_hand = traffic.0.iter().filter(|driven| driven.by_hand).count();
    let orphans = match replayed.free_loops {
        0 => summary.orphans.to_string(),
        free => format!("{} ({free} of them: a loop says at the start that it is free)", summary.orphans),
    };
    let mut rows = vec![
        ("vehicles driven", count.to_string()),
        ("packets complete", summary.complete.to_string()),
        ("packets incomplete", summary.incomplete.to_string()),
        ("orphans", orphans),
        ("lost", summary.lost.to_string()),
        ("repeated", summary.repeated.to_string()),
        ("plates right", format!("{plates} of {count}")),
        ("tags on the right vehicle", format!("{tagged} of {count}")),
        ("alarms on the right vehicle", format!("{alarms} of {radiating}, {wrong_alarms} on others")),
        ("decisions carried out", format!("{} of {}", summary.decisions_done, summary.decisions)),
        ("delivered again (harmless)", summary.redelivered.to_string()),
    ];
    if by_hand > 0 {
        rows.push(("let out by hand", by_hand.to_string()));
    }
    if twice + nobodys.len() > 0 {
        rows.push(("packets beyond one a vehicle", (twice + nobodys.len()).to_string()));
    }
    let replay = if !replayed.differences.is_empty() {
        format!("{} differences", replayed.differences.len())
    } else if replayed.unfinished > 0 {
        format!("twice the same bytes; {} passages were cut short", replayed.unfinished)
    } else {
        "twice the same bytes, and what was published".to_owned()
    };
    rows.push(("replay of the journal", replay));

    if summary.lost > 0 {
        failures.push(format!("{} events lost: {:?}", summary.lost, summary.missing));
    }
    if summary.repeated > 0 {
        failures.push(format!("{} repeated: {}", summary.repeated, summary.problems.join("; ")));
    }
    if summary.refused + summary.nameless > 0 {
        failures.push(format!("{} events refused", summary.refused + summary.nameless));
    }
    failures.extend(wrong_plates(traffic, report, packets));
    failures.extend(undone(traffic, report));
    failures.extend(replayed.differences.iter().take(20).cloned());
    let text = rows.iter().map(|(what, value)| format!("  {what:<28} {value}\n")).collect();
    Verdict { text, failures }
}

/// Plates that stand in a packet and are not its vehicle's: called certain in any revision, or another vehicle's in the
/// last one.
fn wrong_plates(traffic: &Traffic, report: &Report, packets: &[Packet]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for last in report.passages.iter().map(|line| &line.packet) {
        let Some(driven) = traffic.vehicle_of(last).and_then(|index| traffic.0.get(index)) else { continue };
        let (vehicle, lane) = (&driven.vehicle, &driven.lane);
        let is = vehicle.plates.join("/");
        for packet in packets.iter().filter(|packet| packet.passage_id == last.passage_id) {
            let Some(plate) = packet.plate_front.value() else { continue };
            if plate.certain && !vehicle.plates.contains(&plate.text) {
                found.insert(format!(
                    "vehicle {} in lane {lane}: expected plate {is}, got {}, called certain (passage {})",
                    vehicle.number, plate.text, packet.passage_id
                ));
            }
        }
        let Some(plate) = last.plate_front.value() else { continue };
        let others = traffic.0.iter().filter(|other| other.vehicle.number != vehicle.number);
        let owner = others.clone().find(|other| other.vehicle.plates.contains(&plate.text));
        if let Some(owner) = owner.filter(|_| !vehicle.plates.contains(&plate.text)) {
            found.insert(format!(
                "vehicle {} in lane {lane}: expected plate {is}, got {}, which is that of vehicle {} (passage {})",
                vehicle.number, plate.text, owner.vehicle.number, last.passage_id
            ));
        }
    }
    found
}

/// Whether a decision was made and is not known to be carried out.
pub fn is_undone(line: &PassageLine) -> bool {
    line.command_id.is_some() && line.command_state.as_deref() != Some("done")
}

/// Decisions that were not carried out.
fn undone(traffic: &Traffic, report: &Report) -> Vec<String> {
    let undone = report.passages.iter().filter(|line| is_undone(line));
    let words = undone.map(|line| {
        let vehicle = traffic.vehicle_of(&line.packet).and_then(|index| traffic.0.get(index));
        let vehicle = vehicle
            .map_or_else(|| "nobody".to_owned(), |driven| format!("vehicle {}", driven.vehicle.number));
        format!(
            "the decision about {vehicle} in lane {} was not carried out: {} is {} (passage {})",
            line.packet.lane,
            line.command_id.as_deref().unwrap_or_default(),
            line.command_state.as_deref().unwrap_or("not answered"),
            line.packet.passage_id
        )
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use interface::UtcMs;
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::drive::Moment;
    use crate::demo::vehicle::vehicles;
    use crate::scene::Photos;

    /// Two vehicles in one lane, ten seconds apart.
    fn traffic() -> Traffic {
        let list = vehicles(1, 2, 1, &Photos::default());
        let mut traffic = Traffic::new(&list, &["in-1".to_owned()]);
        for (number, utc) in [(1, UtcMs(0)), (2, UtcMs(10_000))] {
            traffic.note(Moment::Entered { number, at: Instant::now(), utc });
        }
        traffic
    }

    /// A packet of a vehicle (its position) with a plate.
    fn packet(traffic: &Traffic, index: usize, revision: u32, plate: &str, certain: bool) -> Packet {
        let epc = &traffic.0[index].vehicle.epc;
        let absent = json!({ "finding": "absent", "reason": "timeout" });
        let measured = |value: Value| json!({ "finding": "measured", "value": value, "sources": [], "at": "1970-01-01T00:00:00Z" });
        let mut packet = json!({
            "passage_id": format!("p{index}"), "revision": revision, "site": "RU1", "box": "gw-1",
            "lane": "in-1", "direction": "in", "state": "closed", "complete": true,
            "opened_at": "1970-01-01T00:00:00Z", "opened_clock": "synced",
            "published_at": "1970-01-01T00:00:00Z", "published_clock": "synced",
            "discrepancies": [], "missing": [], "decision": null, "observations": [], "evidence": []
        });
        for finding in [
            "plate_rear",
            "radiation",
            "weight",
            "dimensions",
            "containers",
            "seals",
            "faces",
            "documents",
            "undercarriage",
            "inspection",
            "anomalies",
        ] {
            packet[finding] = absent.clone();
        }
        let tag = json!({ "epc": epc, "reads": 1, "rssi_dbm": null, "antenna": null });
        packet["tags"] = measured(json!([tag]));
        let value = json!({ "text": plate, "country": null, "confidence": 0.96, "certain": certain });
        packet["plate_front"] = measured(value);
        serde_json::from_value(packet).unwrap()
    }

    fn report(packets: &[Packet], state: Option<&str>) -> Report {
        let line = |packet: &Packet| PassageLine {
            source: "RU1/gw-1".to_owned(),
            packet: packet.clone(),
            revisions: 1,
            command_id: Some(format!("decision-{}", packet.passage_id)),
            command_state: state.map(str::to_owned),
        };
        Report { passages: packets.iter().map(line).collect(), ..Report::default() }
    }

    fn failures(traffic: &Traffic, last: &[Packet], packets: &[Packet], state: Option<&str>) -> Vec<String> {
        verdict(traffic, &report(last, state), packets, &Replayed::default()).failures
    }

    #[test]
    fn a_wrong_plate_that_is_certain_or_anothers_fails_the_run_and_is_named() {
        let traffic = traffic();
        let own = |index: usize| traffic.0[index].vehicle.plates[0].clone();
        let good = [packet(&traffic, 0, 1, &own(0), true), packet(&traffic, 1, 1, &own(1), true)];
        assert!(failures(&traffic, &good, &good, Some("done")).is_empty());
        // A misread that says of itself that it is unsure.
        let unsure = [good[0].clone(), packet(&traffic, 1, 1, "XX", false)];
        assert!(failures(&traffic, &unsure, &unsure, Some("done")).is_empty());

        let certain = [good[0].clone(), packet(&traffic, 1, 1, "XX", true)];
        let said = failures(&traffic, &certain, &certain, Some("done"));
        let expected = format!("vehicle 2 in lane in-1: expected plate {}, got XX, called certain", own(1));
        assert!(said.len() == 1 && said[0].starts_with(&expected), "{said:?}");
        // It was taken back later, but somebody may have acted on it.
        let taken_back = [good[1].clone(), certain[1].clone()];
        assert_eq!(failures(&traffic, &good, &taken_back, Some("done")).len(), 1);

        let other = [good[0].clone(), packet(&traffic, 1, 1, &own(0), false)];
        let said = failures(&traffic, &other, &other, Some("done"));
        assert!(said.len() == 1 && said[0].contains("which is that of vehicle 1"), "{said:?}");
    }

    #[test]
    fn a_decision_that_was_not_carried_out_fails_the_run() {
        let traffic = traffic();
        let own = |index: usize| traffic.0[index].vehicle.plates[0].clone();
        let good = [packet(&traffic, 0, 1, &own(0), true), packet(&traffic, 1, 1, &own(1), true)];
        for (state, words) in [(Some("failed"), "is failed"), (None, "is not answered")] {
            let said = failures(&traffic, &good, &good, state);
            assert!(said.len() == 2 && said[1].contains("vehicle 2") && said[1].contains(words), "{said:?}");
        }
    }
}
