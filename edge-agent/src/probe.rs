//! `edge-agent probe`: talks to one device and says what it found.

use anyhow::bail;
use firmware_config::Site;
use interface::ProbeReport;

/// Probes `sensor`; an unknown name answers with the list.
pub async fn probe(site: &Site, sensor: &str) -> anyhow::Result<ProbeReport> {
    let Some(found) = site.sensors.iter().find(|configured| configured.id.0 == sensor) else {
        let names: Vec<_> = site.sensors.iter().map(|configured| configured.id.0.as_str()).collect();
        bail!("no sensor is called `{sensor}`; there are: {}", names.join(", "));
    };
    println!("{}: {} ({})", found.id, found.plan.explain(), found.protocol);
    Ok(found.plan.probe().await)
}
