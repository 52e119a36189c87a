//! Every protocol that a site file can name.

use interface::Protocol;

use crate::silent::Replay;

/// All protocols, by class of device.
pub fn catalogue() -> Vec<&'static dyn Protocol> {
    let drivers: [&[&'static dyn Protocol]; 7] = [
        camera::PROTOCOLS,
        rfid_reader::PROTOCOLS,
        radiation_portal::PROTOCOLS,
        weigh_scale::PROTOCOLS,
        nav_seal::PROTOCOLS,
        gate_io::PROTOCOLS,
        &[&Replay],
    ];
    drivers.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = catalogue().iter().map(|protocol| protocol.name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// The generated schema is checked in; `BLESS=1 cargo test -p edge-agent` writes it anew.
    #[test]
    fn the_schema_of_the_site_file_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-config/schema.json");
        let mut schema = serde_json::to_string_pretty(&firmware_config::schema(&catalogue())).unwrap();
        schema.push('\n');
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == schema, "{} is not current: run `BLESS=1 cargo test -p edge-agent`", path.display());
    }

    #[test]
    fn the_examples_are_good() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-config/examples");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let text = std::fs::read_to_string(&path).unwrap();
                if let Err(problems) = firmware_config::load(&text, &path, &catalogue()) {
                    // Certificates and models are the site's own.
                    let others: Vec<_> = problems
                        .0
                        .iter()
                        .filter(|problem| !problem.message.contains("cannot read"))
                        .collect();
                    assert!(others.is_empty(), "{}: {others:#?}", path.display());
                }
            }
        }
    }
}
