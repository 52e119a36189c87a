//! The look at the models before the start, for `edge-agent check`.

use std::collections::BTreeMap;

use firmware_config::Site;
use interface::ReadingKind;
use models::{Manifest, Runtime};

/// What keeps cameras from being read, a sentence each: ONNX Runtime or a model is missing, truncated, another file, or of
/// another shape. None of it stops the lane: what cannot be read is absent.
pub fn problems(site: &Site) -> Vec<String> {
    let mut wanted: BTreeMap<ReadingKind, Vec<String>> = BTreeMap::new();
    for sensor in &site.sensors {
        for kind in sensor.plan.recognition().map(|sight| sight.reads).unwrap_or_default() {
            wanted.entry(kind).or_default().push(sensor.id.to_string());
        }
    }
    let Some(settings) = &site.recognition else {
        let one = |(kind, sensors): (&ReadingKind, &Vec<String>)| {
            format!("the site file has no [recognition]; {}", absent(*kind, sensors))
        };
        return wanted.iter().map(one).collect();
    };
    let mut found = Vec::new();
    for (kind, sensors) in &wanted {
        let faults = match (Runtime::load(&settings.runtime), Manifest::builtin()) {
            (Ok(runtime), Ok(manifest)) => {
                models::check(&runtime, &settings.models, &manifest, &kind.to_string())
            }
            (Err(fault), _) | (_, Err(fault)) => vec![fault],
        };
        found.extend(faults.iter().map(|fault| format!("{fault}; {}", absent(*kind, sensors))));
    }
    found
}

fn absent(kind: ReadingKind, sensors: &[String]) -> String {
    format!("until then {kind} of {} is absent, the lane goes on", sensors.join(", "))
}
