//! `edge-agent faces …`: what the technician does with faces.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use firmware_config::{Faces, FileReference, Site};
use interface::UtcMs;
use models::face::{FaceRead, Quality};
use models::{FaceOptions, FaceReader, Manifest, ModelStore, Picture, Runtime, Template};

use super::sealed::Key;
use super::{FaceDesk, calibrate, folder};
use crate::clock::Clock;
use crate::site;

const DAY_MS: i64 = 86_400_000;
/// Besides the face that is meant another one may be in the picture, if it is smaller than this part of it.
const BYSTANDER: f32 = 0.5;

/// The site's settings, for every command that needs them.
#[derive(Args, Debug)]
pub struct SiteArgs {
    /// The site file: its [recognition] names the models, its [recognition.faces] key, store and thresholds.
    #[arg(long, value_name = "SITE")]
    config: PathBuf,
    /// The key's file, where the site file names a systemd credential: outside of the service there is none.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Faces: the watch list, comparing, and the thresholds of a site. Pictures are not kept, only templates, encrypted.
#[derive(Subcommand, Debug)]
pub enum FacesCommand {
    /// Make a new key. Templates are lost with their key: keep a copy in a safe place.
    Key {
        /// Where to write it; must not exist.
        file: PathBuf,
    },
    /// Put a person on the watch list, or give one that is there more templates. Several pictures are better than one:
    /// other days, other light, with and without glasses. A running daemon takes the change up by itself.
    Enrol {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
        /// What this person is called: 1 to 64 of A-Z a-z 0-9 _ . - It stands in alarms, so take a number, not a name.
        #[arg(long, value_name = "ID")]
        person: String,
        /// Days until all of it is deleted. Default: `enrolment_days` of the site file.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
        /// Pictures of the face (JPEG, PNG, BMP). If one is not good enough nothing is stored.
        #[arg(required = true)]
        pictures: Vec<PathBuf>,
    },
    /// List the people of the watch list.
    List {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
    },
    /// Delete a person with all templates.
    Delete {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
        /// Who.
        person: String,
    },
    /// Compare two pictures: the photograph of a document and a live one, for instance.
    Compare {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
        /// One picture.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
    /// Look for the face of a picture in the watch list.
    Search {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
        /// The picture.
        picture: PathBuf,
        /// Show at most this many people.
        #[arg(long, default_value_t = 5)]
        most: usize,
    },
    /// Measure thresholds on pictures of this site and print the lines for the site file. Writes nothing.
    Calibrate {
        /// The site.
        #[command(flatten)]
        site: SiteArgs,
        /// A folder with a folder of pictures for each person, or with `pairs.csv` (a,b,same) and `images/`.
        folder: PathBuf,
        /// Part of pairs of two people that may be taken for one in a comparison of two pictures.
        #[arg(long, default_value_t = 0.001, value_parser = rate)]
        verify_fmr: f64,
        /// The same for the watch list. About this, times the people on it, times the faces that pass, is how often
        /// somebody is taken for a person of the list.
        #[arg(long, default_value_t = 0.0001, value_parser = rate)]
        search_fmr: f64,
    },
}

fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number such as 0.001".to_owned())?;
    if (1e-7..=0.5).contains(&value) { Ok(value) } else { Err("expected 0.0000001 to 0.5".to_owned()) }
}

/// Carries out a command. Returns whether the answer was yes: one person, somebody found, deleted.
pub fn run(command: FacesCommand) -> anyhow::Result<bool> {
    let now = Clock::new().context("failed to read the kernel's boot id")?.now().utc;
    match command {
        FacesCommand::Key { file } => {
            Key::create(&file)?;
            println!("{}: a new key, readable for its owner only", file.display());
            println!("name it with `key_file` in [recognition.faces]; templates are lost with their key");
            Ok(true)
        }
        FacesCommand::Enrol { site, person, days, pictures } => enrol(&site, &person, days, &pictures, now),
        FacesCommand::List { site } => list(&site, now),
        FacesCommand::Delete { site, person } => {
            let (_, desk) = site.desk()?;
            let deleted = desk.people().delete(desk.key(), &person)?;
            println!("{person}: {}", if deleted { "deleted" } else { "is not on the watch list" });
            Ok(deleted)
        }
        FacesCommand::Compare { site, a, b } => compare(&site, &a, &b),
        FacesCommand::Search { site, picture, most } => search(&site, &picture, most, now),
        FacesCommand::Calibrate { site, folder, verify_fmr, search_fmr } => {
            let site = site::read(&site.config)?;
            let mut reader = reader(&site)?;
            let pictures = calibrate::pictures(&folder)?;
            let found = calibrate::templates(&pictures, &mut reader)?;
            let without = found.templates.iter().filter(|template| template.is_none()).count();
            println!("{} pictures, {without} without a face", pictures.pictures.len());
            let likenesses = calibrate::likenesses(&pictures, &found);
            print!("{}", calibrate::report(&likenesses, verify_fmr, search_fmr));
            Ok(true)
        }
    }
}

impl SiteArgs {
    /// The site and its face stores.
    fn desk(&self) -> anyhow::Result<(Site, FaceDesk)> {
        let site = site::read(&self.config)?;
        let mut settings = settings(&site).context(super::FaceError::NotConfigured)?.clone();
        if let Some(file) = &self.key_file {
            settings.key_file = FileReference::Path(file.clone());
        }
        let desk = FaceDesk::open(&folder(&site, &settings), &settings).context(
            "the face store cannot be opened; where the site file names a credential, give the key with --key-file",
        )?;
        Ok((site, desk))
    }
}

fn settings(site: &Site) -> Option<&Faces> {
    site.recognition.as_ref()?.faces.as_ref()
}

fn reader(site: &Site) -> anyhow::Result<FaceReader> {
    let recognition = site.recognition.as_ref().context("the site file has no [recognition]")?;
    let runtime = Runtime::load(&recognition.runtime)?;
    let store = ModelStore::open(&recognition.models, Manifest::builtin()?)?;
    let options = FaceOptions { threads: recognition.threads.into(), ..FaceOptions::default() };
    Ok(FaceReader::load(&runtime, &store, options)?)
}

/// The face that is meant in a picture: the largest, if no other comes near it.
fn the_face(reader: &mut FaceReader, file: &Path) -> anyhow::Result<(Quality, Template)> {
    let faces = reader.read(&Picture::open(file)?)?;
    choose(faces).with_context(|| file.display().to_string())
}

fn choose(faces: Vec<FaceRead>) -> anyhow::Result<(Quality, Template)> {
    let area = |face: &FaceRead| {
        let [left, top, right, bottom] = face.bounds;
        (right - left) * (bottom - top)
    };
    let mut faces = faces.into_iter();
    let first = faces.next().context("no face was found; is it in the picture, upright and not covered?")?;
    if faces.next().is_some_and(|second| area(&second) > BYSTANDER * area(&first)) {
        anyhow::bail!("several faces of about the same size: cut the picture to the one that is meant");
    }
    let template = first.template.context("the face cannot be compared")?;
    Ok((first.quality, template))
}

fn flaws(quality: &Quality) -> String {
    let reasons: Vec<String> = quality.reasons.iter().map(ToString::to_string).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    format!("quality {:.2}, eyes {:.0} pixels apart{reasons}", quality.overall, quality.size_px)
}

fn enrol(
    site: &SiteArgs,
    person: &str,
    days: Option<u32>,
    pictures: &[PathBuf],
    now: UtcMs,
) -> anyhow::Result<bool> {
    let (site, desk) = site.desk()?;
    let mut reader = reader(&site)?;
    let mut templates: Vec<Template> = Vec::new();
    for file in pictures {
        let (quality, template) = the_face(&mut reader, file)?;
        anyhow::ensure!(
            f64::from(quality.overall) >= desk.settings.min_quality,
            "{}: not good enough, nothing was stored: {}; {} is needed (`min_quality`)",
            file.display(),
            flaws(&quality),
            desk.settings.min_quality
        );
        println!("{}: {}", file.display(), flaws(&quality));
        if let Some(first) = templates.first()
            && let Some(threshold) = desk.settings.threshold_verify
            && f64::from(first.similarity(&template)) < threshold
        {
            println!(
                "  warning: unlike the first picture (likeness {:.3}): is it the same person?",
                first.similarity(&template)
            );
        }
        templates.push(template);
    }
    let days = days.unwrap_or(desk.settings.enrolment_days);
    let expires = UtcMs(now.0 + i64::from(days) * DAY_MS);
    let count = desk.people().enrol(desk.key(), person, &templates, now, expires)?;
    println!("{person}: {count} templates, until {expires}");
    Ok(true)
}

fn list(site: &SiteArgs, now: UtcMs) -> anyhow::Result<bool> {
    let (_, desk) = site.desk()?;
    let people = desk.people().all(desk.key())?;
    for person in &people {
        let over = if person.expires_at <= now { ", expired" } else { "" };
        println!(
            "{}: {} templates, enrolled {}, until {}{over}",
            person.id,
            person.templates.len(),
            person.enrolled_at,
            person.expires_at
        );
    }
    println!("{} people", people.len());
    Ok(true)
}

fn compare(site: &SiteArgs, a: &Path, b: &Path) -> anyhow::Result<bool> {
    let site = site::read(&site.config)?;
    let mut reader = reader(&site)?;
    let (quality_a, one) = the_face(&mut reader, a)?;
    let (quality_b, two) = the_face(&mut reader, b)?;
    println!("{}: {}", a.display(), flaws(&quality_a));
    println!("{}: {}", b.display(), flaws(&quality_b));
    let likeness = f64::from(one.similarity(&two));
    let threshold = settings(&site).and_then(|faces| faces.threshold_verify);
    let least = settings(&site).map_or(0.0, |faces| faces.min_quality);
    let poor = f64::from(quality_a.overall.min(quality_b.overall)) < least;
    let verdict = match threshold {
        None => "no threshold_verify in the site file: `edge-agent faces calibrate` measures one".to_owned(),
        Some(threshold) => format!(
            "{} (threshold {threshold}){}",
            if likeness >= threshold { "one person" } else { "not taken for one person" },
            if poor { ", but a picture is worse than min_quality: take it again" } else { "" }
        ),
    };
    println!("likeness {likeness:.3}: {verdict}");
    Ok(threshold.is_some_and(|threshold| likeness >= threshold) && !poor)
}

fn search(site: &SiteArgs, picture: &Path, most: usize, now: UtcMs) -> anyhow::Result<bool> {
    let (site, desk) = site.desk()?;
    let mut reader = reader(&site)?;
    let (quality, template) = the_face(&mut reader, picture)?;
    println!("{}: {}", picture.display(), flaws(&quality));
    let hits = desk.search(&template, -1.0, most, now)?;
    let threshold = desk.settings.threshold_watch_list;
    for hit in &hits {
        let over = threshold.is_some_and(|threshold| f64::from(hit.similarity) >= threshold);
        println!("{:.3}  {}{}", hit.similarity, hit.person, if over { "  on the watch list" } else { "" });
    }
    match threshold {
        Some(threshold) => println!("threshold_watch_list is {threshold}"),
        None => {
            println!("no threshold_watch_list in the site file: `edge-agent faces calibrate` measures one")
        }
    }
    Ok(threshold.is_some_and(|it| hits.first().is_some_and(|hit| f64::from(hit.similarity) >= it)))
}
