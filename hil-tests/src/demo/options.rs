//! What the demo is asked to do.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::peer::repository;

/// Runs a whole checkpoint on this machine: simulated devices on their real wires, the daemon, an MQTT broker and the
/// reference IISPP consumer. Ends with a table; exits with 0 only if nothing was lost and nothing repeated, no packet has a
/// wrong plate that is called certain or the plate of another vehicle, and every decision was carried out.
#[derive(Clone, Debug, Parser)]
#[command(name = "checkpoint-demo", bin_name = "cargo xtask demo --")]
pub struct Options {
    /// How many vehicles drive through.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub vehicles: u32,
    /// How many lanes there are.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub lanes: u32,
    /// Leave everything running at the end, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Chooses vehicles, cargo, pictures and gaps. The same seed gives the same vehicles.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of photographs (labels.csv and images/, or subfolders with them); may be given several times. Default:
    /// ../shared/data/plates/ru and kz beside the clone, if they are there. Otherwise scenes are rendered.
    #[arg(long, value_name = "DIR")]
    pub photos: Vec<PathBuf>,
    /// Render all scenes, even if there are photographs.
    #[arg(long, conflicts_with = "photos")]
    pub rendered: bool,
    /// Kill these with SIGKILL on the way: the broker after a third of the vehicles, for 3 s and with its session lost;
    /// the daemon after two thirds.
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    pub kill: Vec<Part>,
    /// Where everything is written; emptied at the start. Default: target/demo.
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
}

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// mosquitto.
    Broker,
    /// edge-agent.
    Daemon,
}

impl Options {
    /// Where everything is written.
    pub fn work(&self) -> PathBuf {
        self.work.clone().unwrap_or_else(|| repository().join("target/demo"))
    }
}
