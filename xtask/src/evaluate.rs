//! `cargo xtask evaluate`: builds and runs the measuring program of `models`, with its files and its peers.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::setup;
use crate::shell::{cargo, local, root, run};

/// Other people's programs that measure on the same pictures, each with what it is. Their packages are pinned in
/// `models/peers/NAME.txt`. They are run as processes, never linked or shipped, and installed only when asked for.
const PEERS: &[(&str, &str)] = &[
    ("simplelpr", "a proprietary plate reader in its trial form"),
    ("rapidocr", "a general text reader, Apache-2.0"),
];

/// Fetches what is missing, builds, and runs `options`.
pub fn evaluate(options: &[String]) -> anyhow::Result<()> {
    setup::models()?;
    for peer in peers(options) {
        install(&peer)?;
    }
    run(&mut cargo(&["build", "--quiet", "--package", "models", "--example", "evaluate"]))?;
    // From where the command was typed: folders are relative to it
    let status = Command::new(root().join("target/debug/examples/evaluate"))
        .args(options.iter().filter(|option| *option != "--"))
        .arg("--local")
        .arg(local())
        .status()
        .context("failed to start the measuring program")?;
    if !status.success() {
        bail!("the evaluation ended with {status}");
    }
    Ok(())
}

/// The names after `--peer`.
fn peers(options: &[String]) -> Vec<String> {
    let named = |(index, option): (usize, &String)| match option.strip_prefix("--peer") {
        Some("") => options.get(index + 1).cloned(),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    };
    options.iter().enumerate().filter_map(named).collect()
}

/// Makes `.local/peers/NAME`, again when its list of packages changes.
fn install(name: &str) -> anyhow::Result<()> {
    let Some((name, what)) = PEERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = PEERS.iter().map(|(name, _)| *name).collect();
        bail!("unknown peer `{name}`; there are: {}", known.join(", "));
    };
    let wanted = root().join("models/peers").join(name).with_extension("txt");
    let directory = local().join("peers").join(name);
    let made_from = directory.join("requirements.txt");
    if fs::read(&made_from).ok() == Some(fs::read(&wanted)?) {
        return Ok(());
    }
    println!("set-up: peer {name}: {what}; a process of its own for comparison, no part of this software");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(local().join("peers"))?;
    run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&directory))?;
    run(Command::new(directory.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&wanted))?;
    // Last, so that a set-up that was cut short is done again.
    fs::copy(&wanted, &made_from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_found_among_the_options_and_unknown_ones_refused() {
        let options = ["plates", "DIR", "--peer", "rapidocr", "--threads=2", "--peer=simplelpr", "--peers"];
        assert_eq!(peers(&options.map(str::to_owned)), ["rapidocr", "simplelpr"]);
        assert!(install("other").unwrap_err().to_string().contains("simplelpr, rapidocr"));
    }
}
