//! `evaluate plates`.

use crate::peer::{Answer, Peer};
use crate::progress::Progress;
use crate::{Common, Fault};
use models::evaluate::plates::{Evaluation, Failure, PlateFigures, SeenPlate, add_stages};
use models::evaluate::{
    Degrade, LabelledPicture, StageTimes, degraded, labelled_pictures, processor_milliseconds,
};
use models::{Picture, PlateOptions, PlateReader, annotate};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Pictures that are read once before the clock counts, by every program alike: the first inferences of a shape plan its
/// memory.
const WARM_UP: usize = 3;

/// Name of all sets as one.
const ALL: &str = "all together";

/// Options of `evaluate plates`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Countries whose plates are expected, ISO 3166-1 alpha-2. Without any, nothing is certain.
    #[arg(long, value_delimiter = ',', value_name = "RU,KZ")]
    countries: Vec<String>,
    /// Most crops that are read in one picture.
    #[arg(long, value_name = "N")]
    max_reads: Option<usize>,
    /// Draw the plates into copies of the pictures in this folder.
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Make every picture worse first, the same way each time: night, blur, far, oblique, jpeg or rain.
    #[arg(long, value_name = "HOW", conflicts_with = "peer")]
    degrade: Option<Degrade>,
    /// Print how reads by margin turned out: of labelled plates, right ones, and those without a label.
    #[arg(long)]
    calibration: bool,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    what: &'static str,
    countries: Vec<String>,
    threads: u8,
    half: String,
    sets: Vec<Set>,
}

/// One folder, or all together.
#[derive(Serialize)]
struct Set {
    #[serde(flatten)]
    figures: PlateFigures,
    failures: Vec<Failure>,
    peers: Vec<Compared>,
}

/// A peer beside us.
#[derive(Serialize)]
struct Compared {
    peer: String,
    figures: PlateFigures,
    /// Ours by theirs, exact but for O and 0, I and 1.
    exact_folded_ratio: Option<f64>,
    /// Theirs by ours, median from file to reads: above 1 we are faster.
    median_ms_ratio: Option<f64>,
    /// Theirs by ours, mean processor time, all threads: above 1 we need less of the machine.
    processor_time_ratio: Option<f64>,
}

/// One folder's outcomes: ours, then each peer's.
struct Outcomes {
    ours: Evaluation,
    peers: Vec<Evaluation>,
}

pub fn run(options: &Options) -> Result<(), Fault> {
    let common = &options.common;
    // A wrong folder is named before models are loaded
    let sets: Vec<(String, Vec<LabelledPicture>)> = common
        .folders
        .iter()
        .map(|dir| {
            let made = options.degrade.map_or_else(String::new, |how| format!(", {}", how.name()));
            Ok((format!("{}{made}", dir.display()), common.selection().of(labelled_pictures(dir)?)))
        })
        .collect::<Result<_, Fault>>()?;
    let (runtime, store) = common.runtime()?;
    let mut how = PlateOptions { countries: options.countries.clone(), ..PlateOptions::default() };
    how.threads = common.threads.into();
    how.max_reads = options.max_reads.unwrap_or(how.max_reads);
    let mut reader = PlateReader::load(&runtime, &store, how)?;
    let start = |kind: &_| Peer::start(*kind, &common.local, common.threads, &options.countries);
    let mut peers: Vec<Peer> = common.peer.iter().map(start).collect::<Result<_, _>>()?;

    let mut report = Report {
        what: "plates",
        countries: options.countries.clone(),
        threads: common.threads,
        half: common.half_name(),
        sets: Vec::new(),
    };
    let mut all = Outcomes { ours: Evaluation::default(), peers: vec![Evaluation::default(); peers.len()] };
    for (name, pictures) in &sets {
        let got = measure(name, pictures, &mut reader, &mut peers, options)?;
        all.ours.append(&got.ours);
        all.peers.iter_mut().zip(&got.peers).for_each(|(all, one)| all.append(one));
        report.sets.push(told(name, &got, &peers, options));
    }
    if sets.len() > 1 {
        report.sets.push(told(ALL, &all, &peers, options));
    }
    if options.calibration {
        print_calibration(&all.ours);
    }
    common.write_json(&report)
}

/// Reads the pictures, each by all programs in turn, so that a busy machine is busy for all.
fn measure(
    name: &str,
    pictures: &[LabelledPicture],
    reader: &mut PlateReader,
    peers: &mut [Peer],
    options: &Options,
) -> Result<Outcomes, Fault> {
    for picture in pictures.iter().take(WARM_UP) {
        reader.read(&Picture::open(&picture.path)?)?;
        for peer in peers.iter_mut() {
            peer.read(&picture.path)?;
        }
    }
    let mut result =
        Outcomes { ours: Evaluation::default(), peers: vec![Evaluation::default(); peers.len()] };
    let mut progress = Progress::new(name, pictures.len());
    for picture in pictures {
        let used = processor_milliseconds(None);
        let begin = Instant::now();
        let mut opened = Picture::open(&picture.path)?;
        let open = begin.elapsed();
        let mut labels = picture.clone();
        if let Some(how) = options.degrade {
            (opened, labels) = degraded(&opened, picture, how)?;
        }
        let begin = Instant::now();
        let reads = reader.read(&opened)?;
        let whole = open + begin.elapsed();
        let times = &mut result.ours.times;
        times.add("open file", 1e3 * open.as_secs_f64());
        add_stages(times, &reader.milliseconds());
        times.add("file to reads", 1e3 * whole.as_secs_f64());
        if options.degrade.is_none() {
            add_used(times, used, processor_milliseconds(None));
        }
        result.ours.add(&labels, &reads.iter().map(SeenPlate::from).collect::<Vec<_>>());
        for (peer, evaluation) in peers.iter_mut().zip(&mut result.peers) {
            let used = peer.processor_milliseconds();
            let Answer { ms, reads, .. } = peer.read(&picture.path)?;
            add_used(&mut evaluation.times, used, peer.processor_milliseconds());
            evaluation.times.add("file to reads", ms);
            evaluation.add(picture, &reads.iter().map(SeenPlate::from).collect::<Vec<_>>());
        }
        if let Some(folder) = &options.annotate {
            let copy = folder.join(&picture.file).with_extension("jpg");
            let drawn = annotate(&opened, &reads)?;
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&copy, drawn))
                .map_err(|e| format!("failed to write {}: {e}", copy.display()))?;
        }
        progress.step();
    }
    Ok(result)
}

/// Adds the processor time between two moments.
fn add_used(times: &mut StageTimes, before: Option<f64>, after: Option<f64>) {
    if let Some((before, after)) = before.zip(after) {
        times.add("processor time", after - before);
    }
}

/// Prints the figures of one set and gives them back.
fn told(name: &str, got: &Outcomes, peers: &[Peer], options: &Options) -> Set {
    let figures = got.ours.figures(name, None);
    println!("{figures}");
    let failures = got.ours.failures();
    if options.common.failures && name != ALL {
        print_failures(&failures, &got.ours);
    }
    let compared = |(peer, evaluation): (&Peer, &Evaluation)| {
        let mut theirs = evaluation.figures(&format!("{name}, {}", peer.title), None);
        theirs.peak_memory_mib = peer.peak_memory_mib();
        let percent = |f: &PlateFigures| f.exact_folded.percent;
        let median = |e: &Evaluation| e.times.spread("file to reads").map(|s| s.median);
        let used = |e: &Evaluation| e.times.spread("processor time").map(|s| s.mean);
        let ratio = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b).filter(|r| r.is_finite());
        let compared = Compared {
            peer: peer.title.clone(),
            exact_folded_ratio: ratio(percent(&figures), percent(&theirs)),
            median_ms_ratio: ratio(median(evaluation), median(&got.ours)),
            processor_time_ratio: ratio(used(evaluation), used(&got.ours)),
            figures: theirs,
        };
        println!("{}", compared.figures);
        let said = |r: Option<f64>| r.map_or_else(|| "no ratio".to_owned(), |r| format!("{r:.2}"));
        println!("  ours by {}:", peer.title);
        println!("    exact (O=0 I=1) {} times as often", said(compared.exact_folded_ratio));
        println!("    {} times as fast (median from file to reads)", said(compared.median_ms_ratio));
        println!("    theirs takes {} times our processor time\n", said(compared.processor_time_ratio));
        compared
    };
    let compared = peers.iter().zip(&got.peers).map(compared).collect();
    Set { figures, failures, peers: compared }
}

fn print_failures(failures: &[Failure], got: &Evaluation) {
    for f in failures {
        let margin = f.margin.map_or_else(String::new, |m| format!(" margin {m:.2}"));
        let chance = f.probability.map_or_else(String::new, |p| format!(" probability {p:.2}"));
        let certain = if f.certain { " certain" } else { "" };
        let read = f.read.as_deref().unwrap_or("nothing");
        println!("  {} {}: {read}{chance}{margin}{certain} {:?}", f.file, f.label, f.candidates);
    }
    for (file, read) in &got.elsewhere {
        let certain = if read.certain { " certain" } else { "" };
        println!("  {file} without a label: {}{certain} {:?}", read.text, read.place);
    }
    println!();
}

fn print_calibration(got: &Evaluation) {
    let labelled = got.outcomes.iter().filter_map(|o| o.read.as_ref().map(|r| (r, Some(r.text == o.label))));
    let all: Vec<(f64, Option<bool>)> = labelled
        .chain(got.elsewhere.iter().map(|(_, r)| (r, None)))
        .filter_map(|(read, kind)| Some((read.margin?, kind)))
        .collect();
    let limits = [-9.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, f64::INFINITY];
    println!("margin       labelled  right  without a label");
    for pair in limits.windows(2) {
        if let &[low, high] = pair {
            let inside = all.iter().filter(|(m, _)| (low..high).contains(m)).map(|(_, kind)| *kind);
            let count = |kind: Option<bool>| inside.clone().filter(|k| *k == kind).count();
            let (right, wrong) = (count(Some(true)), count(Some(false)));
            println!("{low:>4} to {high:<4} {:>9} {right:>6} {:>16}", right + wrong, count(None));
        }
    }
    let wrong = all.iter().filter(|(_, kind)| *kind == Some(false));
    println!("largest margin of a wrong read: {:.2}", wrong.map(|(m, _)| *m).fold(f64::MIN, f64::max));
}
