//! `cargo xtask bench replay`: how fast a journal is replayed, beside the time that only reading its lines takes.
#![allow(clippy::cast_precision_loss)]

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use clap::Parser;
use passage::Engine;
use replay::{Line, parse_line, replay};
use traffic::{Noise, Traffic, Wanted, generate};

/// Replays generated journals and prints observations per second, the time beside that of parsing alone, and the size of the
/// engine's state.
#[derive(Parser)]
#[command(name = "cargo xtask bench replay", bin_name = "cargo xtask bench replay")]
struct Arguments {
    /// Numbers of observations.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    observations: Vec<usize>,
    /// Numbers of lanes.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    lanes: Vec<usize>,
    /// Noise of the traffic.
    #[arg(long, default_value_t = 1.0)]
    noise: f64,
    /// Each figure is the best of so many runs.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// A replay that takes longer than this is not repeated, seconds.
const LONG_S: f64 = 10.0;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:>5} {:>12} {:>9} | {:>12} {:>12} {:>7} | {:>8} {:>14}",
        "lanes", "observations", "passages", "parse obs/s", "replay obs/s", "ratio", "open", "bytes/open"
    )?;
    for lanes in &arguments.lanes {
        for count in &arguments.observations {
            let traffic = journal_of(*lanes, *count, arguments.noise);
            let bytes = traffic.journal()?;
            let checkpoint = &traffic.layout.checkpoint;
            let mut parsing = f64::MAX;
            let mut replaying = f64::MAX;
            let mut passages = 0;
            for _ in 0..arguments.runs.max(1) {
                let start = Instant::now();
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    black_box(parse_line(std::str::from_utf8(line)?)?);
                }
                parsing = parsing.min(start.elapsed().as_secs_f64());
                let start = Instant::now();
                passages = replay(checkpoint, bytes.as_slice(), &mut std::io::sink(), false)?.passages;
                replaying = replaying.min(start.elapsed().as_secs_f64());
                if replaying > LONG_S {
                    break;
                }
            }
            let (open, state) = state_of(&traffic, &bytes)?;
            let number = traffic.observations().count() as f64;
            writeln!(
                out,
                "{lanes:>5} {number:>12} {passages:>9} | {:>12.0} {:>12.0} {:>7.2} | {open:>8.1} {state:>14.0}",
                number / parsing,
                number / replaying,
                replaying / parsing
            )?;
        }
    }
    writeln!(
        out,
        "ratio: replay's time over parsing's; open: mean of open passages; bytes: of the state as JSON"
    )?;
    Ok(())
}

/// The first `count` observations of traffic in so many lanes.
fn journal_of(lanes: usize, count: usize, noise: f64) -> Traffic {
    // A vehicle leaves about 20 observations; some more are made and the rest is cut off.
    let vehicles = (count / 12).max(lanes * 2);
    let noise = Noise::world().scaled(noise);
    let mut traffic = generate(&Wanted { seed: 1, vehicles, lanes, layout: None, noise, alarms: 0.02 });
    traffic.lines.truncate(count);
    traffic
}

/// Mean number of open passages, and mean size of the engine's state for each of them, bytes of JSON.
fn state_of(traffic: &Traffic, journal: &[u8]) -> anyhow::Result<(f64, f64)> {
    let mut engine = Engine::new(traffic.layout.checkpoint.clone());
    let empty = serde_json::to_vec(&engine)?.len() as f64;
    let every = (traffic.lines.len() / 20).max(1);
    let (mut samples, mut open, mut bytes) = (0.0, 0.0, 0.0);
    for (number, line) in journal.split(|byte| *byte == b'\n').enumerate() {
        let Ok(Line::Record(record)) = parse_line(std::str::from_utf8(line)?) else { continue };
        engine.step(&record.stamp, record.input);
        if number % every == every - 1 {
            samples += 1.0;
            open += engine.open_passages().len() as f64;
            bytes += serde_json::to_vec(&engine)?.len() as f64 - empty;
        }
    }
    Ok((open / f64::max(samples, 1.0), bytes / f64::max(open, 1.0)))
}
