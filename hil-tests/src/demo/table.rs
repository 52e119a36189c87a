//! The table at the end, and whether the run was good.

use interface::RadiationAlarm;

use super::live::{Traffic, sort};
use super::replay::Replayed;
use crate::consumer::Report;

/// What is said at the end.
#[derive(Debug)]
pub struct Verdict {
    /// The table.
    pub text: String,
    /// What was not as it must be. Empty if the run was good.
    pub failures: Vec<String>,
}

/// Sums up a run.
pub fn verdict(traffic: &Traffic, report: &Report, replayed: &Replayed) -> Verdict {
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
    failures.extend(replayed.differences.iter().take(20).cloned());
    let text = rows.iter().map(|(what, value)| format!("  {what:<28} {value}\n")).collect();
    Verdict { text, failures }
}
