//! What will run, in plain words.

use std::fmt::Write as _;

use interface::ReadingKind;

use crate::file::Direction;
use crate::load::Site;

/// Says in plain words what will run, for the technician.
pub fn explain(site: &Site) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, site);
    text
}

fn write_all(f: &mut String, site: &Site) -> std::fmt::Result {
    let lanes = count(site.lanes.len(), "lane");
    let sensors = count(site.sensors.len(), "sensor");
    writeln!(f, "checkpoint {}, box {}: {lanes}, {sensors}", site.site.id, site.site.box_id)?;
    for lane in &site.lanes {
        let way = match lane.direction {
            Direction::In => "into the country",
            Direction::Out => "out of the country",
        };
        writeln!(f, "\nlane {} ({way})", lane.id)?;
        for station in &lane.stations {
            let required = match words(&station.required) {
                words if words.is_empty() => "nothing required".to_owned(),
                words => {
                    format!(
                        "{words} required, at the latest {} s after the vehicle should have been here",
                        station.deadline_s
                    )
                }
            };
            writeln!(f, "  {} at {} m: {required}", station.id, station.position_m)?;
            let mut here =
                site.sensors.iter().filter(|it| it.lane == lane.id && it.station == station.id).peekable();
            if here.peek().is_none() {
                writeln!(f, "    no sensor")?;
            }
            for sensor in here {
                writeln!(f, "    {} ({}): {}", sensor.id, sensor.protocol, sensor.plan.explain())?;
            }
        }
    }
    writeln!(f)?;
    match &site.iispp {
        None => writeln!(f, "packets stay in the outbox: there is no [iispp]")?,
        Some(iispp) => {
            let how = match &iispp.tls {
                Some(tls) => format!("TLS with the certificate {}", tls.certificate_file),
                None => "without TLS, on this machine only".to_owned(),
            };
            writeln!(f, "packets go to {}:{} by MQTT ({how})", iispp.host, iispp.port)?;
            writeln!(
                f,
                "  at most {} at a time; sent again if the IISPP gives no receipt within {} s",
                iispp.window, iispp.receipt_timeout_s
            )?;
        }
    }
    let storage = &site.storage;
    writeln!(f, "data is kept in {}", storage.directory.display())?;
    writeln!(
        f,
        "  journal up to {} MiB, outbox up to {} MiB or {} messages, evidence up to {} MiB",
        storage.journal_max_mib, storage.outbox_max_mib, storage.outbox_max_events, storage.evidence_max_mib
    )?;
    recognition(f, site)?;
    let timing = &site.timing;
    writeln!(
        f,
        "a packet is amended up to {} s after it is sealed, waits {} s for a decision; a passage that is silent for {} s \
         is given up",
        timing.amendment_window_s, timing.decision_s, timing.expiry_s
    )?;
    match site.status.listen.port() {
        0 => writeln!(f, "metrics: http://{}/metrics on any free port", site.status.listen.ip()),
        _ => writeln!(f, "metrics: http://{}/metrics", site.status.listen),
    }
}

fn recognition(f: &mut String, site: &Site) -> std::fmt::Result {
    let sights: Vec<_> = site
        .sensors
        .iter()
        .filter_map(|sensor| Some((sensor.id.0.as_str(), sensor.plan.recognition()?)))
        .collect();
    let names = |kind: Option<ReadingKind>| {
        let cameras = sights.iter().filter(|(_, sight)| kind.is_none_or(|kind| sight.reads.contains(&kind)));
        cameras.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    if sights.is_empty() {
        return writeln!(f, "no camera needs recognition");
    }
    let Some(recognition) = &site.recognition else {
        return writeln!(f, "no recognition: the pictures of {} are not read", names(None));
    };
    for (kind, words) in [
        (ReadingKind::Plate, "plates"),
        (ReadingKind::Face, "faces"),
        (ReadingKind::Container, "container codes"),
    ] {
        let cameras = names(Some(kind));
        if !cameras.is_empty() {
            writeln!(
                f,
                "{words} of {cameras} are read by {} of {} with the models in {}",
                count(recognition.workers.into(), "worker"),
                count(recognition.threads.into(), "thread"),
                recognition.models.display()
            )?;
        }
    }
    let Some(faces) = recognition.faces.as_ref().filter(|_| !names(Some(ReadingKind::Face)).is_empty())
    else {
        return Ok(());
    };
    writeln!(
        f,
        "  templates of faces are kept for {} days, enrolled people for {}, encrypted with {}",
        faces.retention_days, faces.enrolment_days, faces.key_file
    )?;
    match faces.threshold_watch_list {
        Some(threshold) => {
            writeln!(f, "  people of the watch list are told from a likeness of {threshold} on")
        }
        None => writeln!(
            f,
            "  no threshold_watch_list: nobody is looked for; `edge-agent faces calibrate` measures one"
        ),
    }
}

fn words(kinds: &[ReadingKind]) -> String {
    kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
