//! `evaluate containers`.

use crate::peer::{Kind, Peer};
use crate::progress::Progress;
use crate::{Common, Fault};
use models::evaluate::containers::{
    ContainerEvaluation, ContainerFigures, SeenCode, codes_in, evaluate_containers,
};
use models::evaluate::plates::add_stages;
use models::evaluate::{LabelledPicture, labelled_pictures};
use models::{ContainerOptions, ContainerReader, Picture};
use serde::Serialize;

/// Options of `evaluate containers`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    what: &'static str,
    threads: u8,
    half: String,
    sets: Vec<Set>,
}

/// One folder.
#[derive(Serialize)]
struct Set {
    #[serde(flatten)]
    figures: ContainerFigures,
    peers: Vec<Compared>,
}

/// A peer beside us.
#[derive(Serialize)]
struct Compared {
    peer: String,
    figures: ContainerFigures,
    /// Ours by theirs.
    exact_ratio: Option<f64>,
    /// Theirs by ours, median from file to reads: above 1 we are faster.
    median_ms_ratio: Option<f64>,
}

pub fn run(options: &Options) -> Result<(), Fault> {
    let common = &options.common;
    let sets: Vec<(String, Vec<LabelledPicture>)> = common
        .folders
        .iter()
        .map(|dir| Ok((dir.display().to_string(), common.selection().of(labelled_pictures(dir)?))))
        .collect::<Result<_, Fault>>()?;
    if common.peer.contains(&Kind::Simplelpr) {
        return Err("simplelpr reads plates only; expected --peer rapidocr".into());
    }
    let (runtime, store) = common.runtime()?;
    let how = ContainerOptions { threads: common.threads.into(), ..ContainerOptions::default() };
    let mut reader = ContainerReader::load(&runtime, &store, how)?;
    let start = |kind: &_| Peer::start(*kind, &common.local, common.threads, &[]);
    let mut peers: Vec<Peer> = common.peer.iter().map(start).collect::<Result<_, _>>()?;
    let mut report =
        Report { what: "containers", threads: common.threads, half: common.half_name(), sets: Vec::new() };
    for (name, pictures) in &sets {
        if let Some(first) = pictures.first() {
            reader.read(&Picture::open(&first.path)?)?;
        }
        let mut progress = Progress::new(name, pictures.len());
        let ours = evaluate_containers(
            pictures,
            |picture, times| {
                let reads = reader.read(picture)?;
                add_stages(times, &reader.milliseconds());
                Ok(reads.iter().map(SeenCode::from).collect())
            },
            || progress.step(),
        )?;
        let figures = ours.figures(name, None);
        println!("{figures}");
        if common.failures {
            print_failures(&ours);
        }
        let mut compared = Vec::new();
        for peer in &mut peers {
            compared.push(compare(name, pictures, peer, &ours, &figures)?);
        }
        report.sets.push(Set { figures, peers: compared });
    }
    common.write_json(&report)
}

/// Runs a peer on the pictures and prints the ratios.
fn compare(
    name: &str,
    pictures: &[LabelledPicture],
    peer: &mut Peer,
    ours: &ContainerEvaluation,
    figures: &ContainerFigures,
) -> Result<Compared, Fault> {
    let mut theirs = ContainerEvaluation::default();
    if let Some(first) = pictures.first() {
        peer.read(&first.path)?;
    }
    for picture in pictures {
        let answer = peer.read(&picture.path)?;
        theirs.times.add("file to reads", answer.ms);
        let mut codes: Vec<SeenCode> = answer.reads.iter().flat_map(|read| codes_in(&read.text)).collect();
        codes.sort_by(|a, b| a.code.cmp(&b.code));
        codes.dedup_by(|a, b| a.code == b.code);
        theirs.add(picture, &codes);
    }
    let mut their_figures = theirs.figures(&format!("{name}, {}", peer.title), None);
    their_figures.peak_memory_mib = peer.peak_memory_mib();
    println!("{their_figures}");
    let median = |e: &ContainerEvaluation| e.times.spread("file to reads").map(|spread| spread.median);
    let ratio = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b).filter(|r| r.is_finite());
    let compared = Compared {
        peer: peer.title.clone(),
        exact_ratio: ratio(figures.exact.percent, their_figures.exact.percent),
        median_ms_ratio: ratio(median(&theirs), median(ours)),
        figures: their_figures,
    };
    let said = |r: Option<f64>| r.map_or_else(|| "no ratio".to_owned(), |r| format!("{r:.2}"));
    println!("  ours by {}: exact {} times as often,", peer.title, said(compared.exact_ratio));
    println!("  {} times as fast (median from file to reads)\n", said(compared.median_ms_ratio));
    Ok(compared)
}

fn print_failures(got: &ContainerEvaluation) {
    for (file, label, read) in &got.outcomes {
        match read {
            Some(read) if read.code == *label => {}
            Some(read) => {
                println!("  {file} {label}: {} certain {} {:?}", read.code, read.certain, read.candidates)
            }
            None => println!("  {file} {label}: nothing"),
        }
    }
    println!();
}
