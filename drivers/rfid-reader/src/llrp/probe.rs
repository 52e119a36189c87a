//! The technician's question: does it answer, and what is it?

use std::time::Duration;

use interface::{DriverFault, ProbeReport};
use tokio::time::timeout;

use super::link::Link;
use super::message::Message;
use super::parameter::Parameter;
use super::session::{connected_antennas, missing_antenna};
use super::{Settings, numbers};

/// A probe may take ten seconds in all.
const LIMIT: Duration = Duration::from_secs(9);

pub(super) async fn probe(settings: &Settings) -> ProbeReport {
    match timeout(LIMIT, ask(settings)).await {
        Ok(Ok(report)) => report,
        Ok(Err(fault)) => ProbeReport::failed(vec![fault.to_string()]),
        Err(_) => ProbeReport::failed(vec![format!(
            "the RFID reader at {} took longer than {} s to say what it is",
            settings.address,
            LIMIT.as_secs()
        )]),
    }
}

async fn ask(settings: &Settings) -> Result<ProbeReport, DriverFault> {
    let mut link = Link::open(settings).await?;
    let request = Message::GetReaderCapabilities { requested: 0, parameters: Vec::new() };
    let capabilities = link.command(&request).await?;
    let antennas = connected_antennas(&mut link).await?;
    link.close().await;
    let mut findings = vec![format!("an LLRP reader answers at {}", settings.address)];
    findings.extend(capabilities.parameters().iter().flat_map(describe));
    findings.extend(describe_antennas(&antennas));
    Ok(match missing_antenna(&settings.antennas, &capabilities) {
        Some(missing) => {
            findings.push(format!("the reader {missing}: correct the list"));
            ProbeReport::failed(findings)
        }
        None => ProbeReport::found(findings),
    })
}

/// What one part of the capabilities means, in plain words.
fn describe(parameter: &Parameter) -> Vec<String> {
    match parameter {
        Parameter::GeneralDeviceCapabilities {
            max_antennas, flags, manufacturer, model, firmware, ..
        } => {
            let maker = match manufacturer {
                25882 => "Impinj".to_owned(),
                other => format!("Private Enterprise Number {other}"),
            };
            let clock = if flags & 0x4000 != 0 { "has a UTC clock" } else { "has no UTC clock" };
            vec![
                format!("manufacturer {maker}, model {model}, firmware {firmware}; {clock}"),
                format!("{max_antennas} antenna sockets"),
            ]
        }
        Parameter::RegulatoryCapabilities { country, standard, parameters } => {
            let mut findings =
                vec![format!("region: {}, country {country} (ISO 3166-1 numeric)", standard_name(*standard))];
            findings.extend(parameters.iter().filter_map(transmit_power));
            findings
        }
        _ => Vec::new(),
    }
}

fn transmit_power(parameter: &Parameter) -> Option<String> {
    let Parameter::UhfBandCapabilities { parameters } = parameter else { return None };
    let powers = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::TransmitPowerLevelTableEntry { value, .. } => Some(f64::from(*value) / 100.0),
        _ => None,
    });
    let (least, most) =
        powers.fold((f64::MAX, f64::MIN), |(least, most), power| (least.min(power), most.max(power)));
    (least <= most).then(|| format!("transmit power {least} to {most} dBm"))
}

fn describe_antennas(antennas: &[(u16, bool)]) -> Vec<String> {
    let list = |wanted: bool| {
        let found: Vec<u16> =
            antennas.iter().filter(|(_, is)| *is == wanted).map(|(antenna, _)| *antenna).collect();
        let word = if wanted { "connected" } else { "not connected" };
        (!found.is_empty()).then(|| format!("antennas {word}: {}", numbers(&found)))
    };
    [list(true), list(false)].into_iter().flatten().collect()
}

/// CommunicationsStandard of RegulatoryCapabilities (LLRP 1.0.1, section 9.2.4).
fn standard_name(standard: u16) -> &'static str {
    match standard {
        0 => "no standard stated",
        1 => "US FCC Part 15",
        2 => "ETSI EN 302 208",
        3 => "ETSI EN 300 220",
        4 => "Australia LIPD 1 W",
        5 => "Australia LIPD 4 W",
        6 => "Japan ARIB STD-T89",
        7 => "Hong Kong OFTA 1049",
        8 => "Taiwan DGT LP0002",
        9 => "Korea MIC Article 5-2",
        _ => "a standard that LLRP 1.0.1 does not name",
    }
}
