//! Who may depend on whom: ARCHITECTURE.md, "Dependency rule".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Our crates, and those of ours that each may depend on. Drivers are listed by their folder.
fn allowed(name: &str, folder: &str) -> Option<&'static [&'static str]> {
    if folder.contains("/drivers/") && name != "interface" {
        return Some(&["interface"]);
    }
    match name {
        "interface" | "models" | "outbox" | "xtask" => Some(&[]),
        "firmware-config" | "passage" => Some(&["interface"]),
        "packet" => Some(&["passage", "interface"]),
        "replay" => Some(&["passage", "packet", "interface"]),
        "traffic" => Some(&["passage", "replay", "interface"]),
        "edge-agent" | "hil-tests" => None,
        other => panic!("crate {other} is new: add it to ARCHITECTURE.md and to this rule"),
    }
}

#[test]
fn crates_depend_on_what_the_architecture_allows() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    for package in &metadata.packages {
        let Some(allowed) = allowed(package.name.as_str(), package.manifest_path.as_str()) else { continue };
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
        {
            assert!(
                !ours.contains(&dependency.name) || allowed.contains(&dependency.name.as_str()),
                "{} depends on {}; allowed: {allowed:?}",
                package.name,
                dependency.name
            );
        }
    }
}

/// The engine, the contract and the outbox do no I/O of their own and know no clock.
#[test]
fn pure_crates_stay_pure() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    for (name, banned) in [
        ("passage", ["tokio", "serde_json", "rand", "tracing"].as_slice()),
        ("packet", ["tokio", "rand", "rumqttc"].as_slice()),
        ("outbox", ["tokio", "rumqttc"].as_slice()),
    ] {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
        {
            assert!(!banned.contains(&dependency.name.as_str()), "{name} depends on {}", dependency.name);
        }
    }
}
