//! Makes a packet of the engine's report.

use interface::{
    CheckDigit, ObservationId, PlateReading, RadiationAlarm, Reading, ReadingKind, SealState, Verdict, View,
};
use passage::{AbsentReason, Entry, Report};

use crate::fuse::{self, Read, probability};
use crate::{
    AlternativePlace, ContainerValue, DecisionValue, DimensionsValue, Discrepancy, DiscrepancyKind,
    DocumentValue, EvidenceRef, FaceValue, Finding, MissingReading, ObservationEntry, Packet, PlateValue,
    RadiationValue, SealValue, TagValue, WeightValue,
};

/// Largest difference between two sensors' weights or dimensions that still counts as agreement, as a share of the
/// larger: one twentieth, our own choice. More than good scales differ, less than another vehicle makes.
const AGREEMENT: f64 = 0.05;

impl Packet {
    /// The packet of one report. The same report gives the same packet.
    pub fn from_report(site: &str, box_id: &str, report: &Report) -> Self {
        let reasons = Reasons(report);
        let front = plates(report, View::Front);
        let rear = plates(report, View::Rear);
        let measured = radiation(report);
        let mut packet = Self {
            passage_id: report.passage.to_string(),
            revision: report.revision,
            site: site.to_owned(),
            box_id: box_id.to_owned(),
            lane: report.lane.to_string(),
            direction: report.direction,
            state: report.state,
            complete: false,
            opened_at: report.opened.utc,
            opened_clock: report.opened.clock,
            published_at: report.published.utc,
            published_clock: report.published.clock,
            plate_front: fuse::plate(&front, reasons.of_plate(View::Front)),
            plate_rear: fuse::plate(&rear, reasons.of_plate(View::Rear)),
            tags: fuse::list(
                &reads(report, tag),
                reasons.of(ReadingKind::Tag),
                |a, b| a.epc == b.epc,
                merge_tag,
            ),
            radiation: fuse::by_sensor(
                &measured,
                reasons.of(ReadingKind::Radiation),
                |new, old| severity(new.alarm) > severity(old.alarm),
                |a, b| a.alarm == b.alarm,
            ),
            weight: fuse::by_sensor(
                &reads(report, weight),
                reasons.of(ReadingKind::Weight),
                |new, old| new.stable >= old.stable,
                |a, b| a.stable != b.stable || close(a.gross_kg as f64, b.gross_kg as f64),
            ),
            dimensions: fuse::by_sensor(
                &reads(report, dimensions),
                reasons.of(ReadingKind::Dimensions),
                |_, _| true,
                dimensions_agree,
            ),
            containers: fuse::list(
                &reads(report, container),
                reasons.of(ReadingKind::Container),
                |a, b| a.code == b.code,
                merge_containers,
            ),
            seals: fuse::list(
                &reads(report, seal),
                reasons.of(ReadingKind::Seal),
                |a, b| a.seal_id == b.seal_id,
                |known, new| known.state = new.state,
            ),
            faces: fuse::list(
                &reads(report, face),
                reasons.of(ReadingKind::Face),
                |a, b| a.seat == b.seat && a.template == b.template,
                |known, new| known.quality = known.quality.max(new.quality),
            ),
            documents: fuse::list(
                &reads(report, document),
                reasons.of(ReadingKind::Document),
                |a, b| a == b,
                |_, _| (),
            ),
            undercarriage: verdicts(report, ReadingKind::Undercarriage),
            inspection: verdicts(report, ReadingKind::Inspection),
            anomalies: verdicts(report, ReadingKind::Anomaly),
            discrepancies: Vec::new(),
            missing: missing(report, &measured),
            decision: report.decision.as_ref().map(|decision| DecisionValue {
                verdict: decision.verdict,
                by: decision.by.clone(),
                command_id: decision.command_id.clone(),
            }),
            observations: report.entries.iter().map(observation_entry).collect(),
            evidence: report.entries.iter().flat_map(evidence).collect(),
        };
        packet.complete = packet.missing.is_empty();
        packet.discrepancies = discrepancies(report, &packet, [("front", &front), ("rear", &rear)]);
        packet
    }
}

/// Why a kind of reading is not there.
struct Reasons<'a>(&'a Report);

impl Reasons<'_> {
    fn of_plate(&self, view: View) -> AbsentReason {
        if self.0.views_not_fitted.contains(&view) {
            return AbsentReason::NotFitted;
        }
        self.of(ReadingKind::Plate)
    }

    fn of(&self, kind: ReadingKind) -> AbsentReason {
        if self.0.not_fitted.contains(&kind) {
            return AbsentReason::NotFitted;
        }
        if faults(self.0, kind).next().is_some() {
            return AbsentReason::Unreadable;
        }
        let missing = self.0.missing.iter().find(|missing| missing.kind == kind);
        missing.map_or(AbsentReason::Timeout, |missing| missing.reason)
    }
}

/// Entries whose sensor saw the vehicle and could not measure it.
fn faults(report: &Report, kind: ReadingKind) -> impl Iterator<Item = &Entry> {
    report.entries.iter().filter(move |entry| {
        entry.observation.reading.kind() == kind
            && matches!(&entry.observation.reading, Reading::Radiation { alarm: RadiationAlarm::Fault, .. })
    })
}

fn reads<'a, T>(report: &'a Report, select: impl Fn(&'a Reading) -> Option<T>) -> Vec<Read<'a, T>> {
    let read = |entry: &'a Entry| {
        let observation = &entry.observation;
        let value = select(&observation.reading)?;
        Some(Read { id: &observation.id, at: observation.stamp.utc, value, doubtful: entry.doubtful })
    };
    report.entries.iter().filter_map(read).collect()
}

fn plates(report: &Report, view: View) -> Vec<Read<'_, &PlateReading>> {
    reads(report, |reading| match reading {
        Reading::Plate(plate) if plate.view == view => Some(plate),
        _ => None,
    })
}

fn tag(reading: &Reading) -> Option<TagValue> {
    let Reading::Tag { epc, rssi_dbm, antenna } = reading else { return None };
    Some(TagValue { epc: epc.clone(), reads: 1, rssi_dbm: finite(*rssi_dbm), antenna: *antenna })
}

fn merge_tag(known: &mut TagValue, new: &TagValue) {
    known.reads = known.reads.saturating_add(new.reads);
    if new.rssi_dbm > known.rssi_dbm {
        known.rssi_dbm = new.rssi_dbm;
        known.antenna = new.antenna;
    }
}

/// Radiation readings that measured something: a portal's fault is not a measurement.
fn radiation(report: &Report) -> Vec<Read<'_, RadiationValue>> {
    reads(report, |reading| match reading {
        Reading::Radiation { alarm: RadiationAlarm::Fault, .. } => None,
        Reading::Radiation { alarm, gamma_max_cps, gamma_background_cps, neutron_max_cps, duration_ms } => {
            Some(RadiationValue {
                alarm: *alarm,
                gamma_max_cps: finite(*gamma_max_cps),
                gamma_background_cps: finite(*gamma_background_cps),
                neutron_max_cps: finite(*neutron_max_cps),
                duration_ms: *duration_ms,
            })
        }
        _ => None,
    })
}

/// Order in which one alarm of a portal outweighs another of the same vehicle: an alarm is not taken back by a second
/// occupancy without one.
fn severity(alarm: RadiationAlarm) -> u8 {
    match alarm {
        RadiationAlarm::Fault => 0,
        RadiationAlarm::None => 1,
        RadiationAlarm::Gamma => 2,
        RadiationAlarm::Neutron => 3,
        RadiationAlarm::GammaNeutron => 4,
    }
}

fn weight(reading: &Reading) -> Option<WeightValue> {
    let Reading::Weight { gross_kg, axles_kg, stable, mode } = reading else { return None };
    Some(WeightValue { gross_kg: *gross_kg, axles_kg: axles_kg.clone(), stable: *stable, mode: *mode })
}

fn dimensions(reading: &Reading) -> Option<DimensionsValue> {
    let Reading::Dimensions { length_mm, width_mm, height_mm } = reading else { return None };
    Some(DimensionsValue { length_mm: *length_mm, width_mm: *width_mm, height_mm: *height_mm })
}

fn dimensions_agree(a: &DimensionsValue, b: &DimensionsValue) -> bool {
    close(f64::from(a.length_mm), f64::from(b.length_mm))
        && close(f64::from(a.width_mm), f64::from(b.width_mm))
        && close(f64::from(a.height_mm), f64::from(b.height_mm))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= AGREEMENT * a.abs().max(b.abs())
}

fn container(reading: &Reading) -> Option<ContainerValue> {
    let Reading::Container { code, confidence, type_code, check_digit } = reading else { return None };
    Some(ContainerValue {
        code: code.clone(),
        confidence: probability(*confidence),
        type_code: type_code.clone(),
        check_digit: *check_digit,
    })
}

/// Another read of the same code.
fn merge_containers(known: &mut ContainerValue, new: &ContainerValue) {
    known.confidence = known.confidence.max(new.confidence);
    if known.type_code.is_none() {
        known.type_code.clone_from(&new.type_code);
    }
    if known.check_digit.is_none() || new.check_digit == Some(CheckDigit::Read) {
        known.check_digit = new.check_digit.or(known.check_digit);
    }
}

fn seal(reading: &Reading) -> Option<SealValue> {
    let Reading::Seal { seal_id, state } = reading else { return None };
    Some(SealValue { seal_id: seal_id.clone(), state: *state })
}

fn face(reading: &Reading) -> Option<FaceValue> {
    let Reading::Face { seat, quality, template } = reading else { return None };
    Some(FaceValue { seat: *seat, quality: probability(*quality), template: *template })
}

fn document(reading: &Reading) -> Option<DocumentValue> {
    let Reading::Document { kind_of, text } = reading else { return None };
    Some(DocumentValue { kind_of: *kind_of, text: text.clone() })
}

fn verdicts(report: &Report, kind: ReadingKind) -> Finding<Vec<Verdict>> {
    let found = reads(report, |reading| match reading {
        Reading::Undercarriage(verdict) | Reading::Inspection(verdict) | Reading::Anomaly(verdict)
            if reading.kind() == kind =>
        {
            Some(Verdict { score: finite(verdict.score), ..verdict.clone() })
        }
        _ => None,
    });
    fuse::list(&found, Reasons(report).of(kind), |a, b| a == b, |_, _| ())
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// What the engine missed, and a portal that measured nothing: its fault is no reading.
fn missing(report: &Report, measured: &[Read<'_, RadiationValue>]) -> Vec<MissingReading> {
    let mut missing: Vec<MissingReading> = report
        .missing
        .iter()
        .map(|missing| MissingReading {
            station: missing.station.to_string(),
            kind: missing.kind,
            reason: missing.reason,
        })
        .collect();
    for fault in faults(report, ReadingKind::Radiation) {
        let station = fault.station.to_string();
        let known = missing.iter().any(|m| m.kind == ReadingKind::Radiation && m.station == station);
        if measured.is_empty() && !known {
            missing.push(MissingReading {
                station,
                kind: ReadingKind::Radiation,
                reason: AbsentReason::Unreadable,
            });
        }
    }
    missing
}

fn observation_entry(entry: &Entry) -> ObservationEntry {
    ObservationEntry {
        sensor: entry.observation.id.sensor.clone(),
        seq: entry.observation.id.seq,
        why: entry.why.clone(),
        doubtful: entry.doubtful,
        candidates: entry.candidates.iter().map(ToString::to_string).collect(),
        margin: entry.margin,
        alternatives: entry
            .alternatives
            .iter()
            .map(|other| AlternativePlace {
                passage: other.passage.as_ref().map(ToString::to_string),
                cost: other.cost,
            })
            .collect(),
    }
}

fn evidence(entry: &Entry) -> impl Iterator<Item = EvidenceRef> + '_ {
    let ObservationId { sensor, seq } = &entry.observation.id;
    entry.observation.evidence.iter().map(move |sha256| EvidenceRef {
        sha256: *sha256,
        sensor: sensor.clone(),
        seq: *seq,
    })
}

fn discrepancies(
    report: &Report,
    packet: &Packet,
    plates: [(&str, &Vec<Read<'_, &PlateReading>>); 2],
) -> Vec<Discrepancy> {
    let mut found = Vec::new();
    if report.against {
        found.push(Discrepancy {
            kind: DiscrepancyKind::AgainstDirection,
            detail: format!("the vehicle drove through lane {} against its direction", report.lane.0),
            sources: report.entries.iter().map(|entry| entry.observation.id.clone()).collect(),
        });
    }
    for (end, reads) in plates {
        if let Some(best) = fuse::plate_disagreement(reads) {
            let said: Vec<String> =
                best.iter().map(|(sensor, read)| format!("{sensor} reads {}", read.value.text)).collect();
            found.push(Discrepancy {
                kind: DiscrepancyKind::SensorsDisagree,
                detail: format!("plate at the {end}: {}", said.join(", ")),
                sources: best.values().map(|read| read.id.clone()).collect(),
            });
        }
    }
    found.extend(dispute("radiation", &packet.radiation, |value| format!("calls {}", value.alarm)));
    found.extend(dispute("weight", &packet.weight, |value| format!("says {} kg", value.gross_kg)));
    found.extend(dispute("dimensions", &packet.dimensions, |value| {
        format!("says {} x {} x {} mm", value.length_mm, value.width_mm, value.height_mm)
    }));
    found.extend(report.entries.iter().flat_map(of_entry));
    found
}

fn dispute<T>(what: &str, finding: &Finding<T>, say: impl Fn(&T) -> String) -> Option<Discrepancy> {
    let Finding::Disputed { candidates } = finding else { return None };
    let said: Vec<String> = candidates
        .iter()
        .flat_map(|candidate| candidate.sources.iter().map(|source| (source, &candidate.value)))
        .map(|(source, value)| format!("{} {}", source.sensor, say(value)))
        .collect();
    Some(Discrepancy {
        kind: DiscrepancyKind::SensorsDisagree,
        detail: format!("{what}: {}", said.join(", ")),
        sources: candidates.iter().flat_map(|candidate| candidate.sources.clone()).collect(),
    })
}

/// What one entry alone shows.
fn of_entry(entry: &Entry) -> Vec<Discrepancy> {
    let id = &entry.observation.id;
    let of = |kind, detail| Discrepancy { kind, detail, sources: vec![id.clone()] };
    let at = entry.observation.stamp.utc;
    let mut found = Vec::new();
    let mut alarm = false;
    match &entry.observation.reading {
        Reading::Seal { seal_id, state: SealState::Opened } => {
            found.push(of(
                DiscrepancyKind::SealOpened,
                format!("seal {seal_id} reported at {at} that it is open"),
            ));
        }
        Reading::Seal { seal_id, state: SealState::Tampered } => {
            alarm = true;
            let detail = format!("seal {seal_id} reported at {at} that it was tampered with");
            found.push(of(DiscrepancyKind::SealTampered, detail));
        }
        Reading::Radiation { alarm: RadiationAlarm::Fault, .. } => {
            let detail = format!("{} could not measure this vehicle", id.sensor);
            found.push(of(DiscrepancyKind::SensorFault, detail));
        }
        Reading::Radiation { alarm: called, .. } => alarm = *called != RadiationAlarm::None,
        _ => {}
    }
    if alarm && entry.candidates.len() > 1 {
        let passages: Vec<String> = entry.candidates.iter().map(ToString::to_string).collect();
        let detail = format!("the alarm of {} may belong to any of {}", id.sensor, passages.join(", "));
        found.push(of(DiscrepancyKind::AlarmAmbiguous, detail));
    }
    found
}

impl Finding<PlateValue> {
    /// Whether there is one plate text and it is certain.
    pub fn is_certain(&self) -> bool {
        self.value().is_some_and(|plate| plate.certain)
    }
}
