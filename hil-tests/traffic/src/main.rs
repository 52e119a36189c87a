//! `cargo xtask traffic`: drives vehicles through simulated lanes and prints how right the engine is.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use traffic::{
    LAYOUTS, Noise, Outcome, Score, Traffic, Wanted, baselines, explain, generate, run_engine, score, table,
};

/// Drives vehicles through simulated lanes and prints how right the engine and two baselines are.
#[derive(Parser)]
#[command(name = "cargo xtask traffic", bin_name = "cargo xtask traffic")]
struct Arguments {
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// That many seeds, from `--seed` on, added up.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Vehicles, of all lanes of a seed together.
    #[arg(long, default_value_t = 200)]
    vehicles: usize,
    /// Lanes.
    #[arg(long, default_value_t = 2)]
    lanes: usize,
    /// 1 is the world that the engine must master, 2 twice the noise, 0 none.
    #[arg(long, default_value_t = 1.0)]
    noise: f64,
    /// One layout instead of any; `list` lists them.
    #[arg(long)]
    layout: Option<String>,
    /// Only this noise; `list` lists them.
    #[arg(long)]
    only: Option<String>,
    /// One knob at another value than the noise gives it: `name=value`. Can be repeated.
    #[arg(long)]
    knob: Vec<String>,
    /// Radiation alarms per vehicle.
    #[arg(long, default_value_t = 0.05)]
    alarms: f64,
    /// Leave the baselines out.
    #[arg(long)]
    engine_only: bool,
    /// List so many observations that are in the wrong place, the worst first, with the truth.
    #[arg(long, default_value_t = 0)]
    explain_failures: usize,
    /// Say for each mistake what the engine's solution costs and what the truth would cost, part by part.
    #[arg(long)]
    explain_costs: bool,
    /// Write site.toml, journal.jsonl and truth.jsonl into this folder (of the first seed).
    #[arg(long)]
    out: Option<PathBuf>,
    /// Score the output of `edge-agent replay` of the first seed's journal instead of running the engine here.
    #[arg(long)]
    score: Option<PathBuf>,
    /// Write the scores as JSON into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.layout.as_deref() == Some("list") {
        LAYOUTS.iter().for_each(|name| println!("{name}"));
        return Ok(());
    }
    if arguments.only.as_deref() == Some("list") {
        let mut world = Noise::world();
        for name in Noise::NAMES {
            println!("{name:20} {}", world.knob(name).copied().unwrap_or_default());
        }
        return Ok(());
    }
    let noise = noise(&arguments)?;
    if let Some(name) = arguments.layout.as_deref()
        && !LAYOUTS.contains(&name)
    {
        bail!("unknown layout `{name}`; there are: {}", LAYOUTS.join(", "));
    }
    let mut totals = vec![Score::default(); if arguments.engine_only { 1 } else { 3 }];
    for seed in arguments.seed..arguments.seed + arguments.seeds.max(1) {
        let wanted = Wanted {
            seed,
            vehicles: arguments.vehicles,
            lanes: arguments.lanes.max(1),
            layout: arguments.layout.clone(),
            noise: noise.clone(),
            alarms: arguments.alarms,
        };
        let traffic = generate(&wanted);
        if let (Some(folder), true) = (&arguments.out, seed == arguments.seed) {
            write_files(folder, &traffic)?;
        }
        let mut methods: Vec<fn(&Traffic) -> Outcome> =
            vec![run_engine, baselines::current_vehicle, baselines::time_window];
        methods.truncate(totals.len());
        for (index, (method, total)) in methods.iter().zip(&mut totals).enumerate() {
            let outcome = match &arguments.score {
                Some(path) if index == 0 => {
                    let text = std::fs::read_to_string(path)
                        .with_context(|| format!("failed to read {}", path.display()))?;
                    traffic::read_replay(&text)?
                }
                _ => method(&traffic),
            };
            let (result, failures) = score(&traffic, &outcome);
            total.add(&result);
            if index == 0 && arguments.explain_failures > 0 && !failures.is_empty() {
                println!("seed {seed}: {} observations in the wrong place", failures.len());
                println!("{}", explain(&traffic, &outcome, &failures, arguments.explain_failures));
            }
            if index == 0 && arguments.explain_costs && !failures.is_empty() {
                println!("seed {seed}:\n{}", traffic::explain_costs(&traffic, &failures));
            }
            if index == 0 && arguments.seeds > 1 {
                println!(
                    "seed {seed}: {:16} {:6} observations, right {:.2} %, pure and complete {:.1} %, alarms wrong {} of {}",
                    traffic.layout.lanes.first().map_or("", |lane| &lane.layout),
                    result.observations.all,
                    result.observations.percent(),
                    result.pure_and_complete.percent(),
                    result.alarms.wrong,
                    result.alarms.all
                );
            }
        }
    }
    let names = ["engine", "current vehicle", "time window"];
    let columns: Vec<(&str, &Score)> = names.into_iter().zip(&totals).collect();
    // Whoever reads may stop reading.
    let _ = std::io::stdout().write_all(table(&columns).as_bytes());
    if let Some(path) = &arguments.json {
        let scores: std::collections::BTreeMap<_, _> = columns.into_iter().collect();
        std::fs::write(path, serde_json::to_vec_pretty(&scores)?)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

fn noise(arguments: &Arguments) -> anyhow::Result<Noise> {
    let mut noise = Noise::world().scaled(arguments.noise);
    let unknown = |name: &str| format!("unknown noise `{name}`; there are: {}", Noise::NAMES.join(", "));
    if let Some(name) = &arguments.only {
        noise = noise.only(name).with_context(|| unknown(name))?;
    }
    for setting in &arguments.knob {
        let (name, value) = setting.split_once('=').context("expected --knob name=value")?;
        let value: f64 = value.parse().with_context(|| format!("`{value}` is no number"))?;
        *noise.knob(name).with_context(|| unknown(name))? = value;
    }
    Ok(noise)
}

fn write_files(folder: &std::path::Path, traffic: &Traffic) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for (name, bytes) in [
        ("site.toml", traffic.layout.site_file().into_bytes()),
        ("journal.jsonl", traffic.journal()?),
        ("truth.jsonl", traffic.truth_file()?),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}
