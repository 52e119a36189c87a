//! Command line of the checkpoint edge controller.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use edge_agent::catalogue::catalogue;
use edge_agent::faces::{self, commands::FacesCommand};
use edge_agent::{daemon, probe, recognise, recognition, site};
use outbox::{Limits, Outbox};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The checkpoint edge controller: reads a checkpoint's sensors, makes one packet per vehicle, and delivers it to the
/// IISPP without losing it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the checkpoint described by a site file until told to stop.
    Run {
        /// The site file.
        site: PathBuf,
    },
    /// Check a site file. Prints every problem with its line, or explains in plain words what will run.
    Check {
        /// The site file.
        site: PathBuf,
        /// Print problems only.
        #[arg(long)]
        quiet: bool,
    },
    /// Print the JSON Schema of the site file, for editors.
    Schema,
    /// Talk to one device and say what it is.
    Probe {
        /// The site file.
        site: PathBuf,
        /// The sensor's id in it.
        sensor: String,
    },
    /// Read the plates in pictures. Prints one JSON object a line.
    Recognise {
        /// Picture files (JPEG, PNG, BMP, WebP).
        #[arg(required = true)]
        pictures: Vec<PathBuf>,
        /// Take ONNX Runtime, models and threads from the [recognition] of this site file.
        #[arg(long, conflicts_with_all = ["runtime", "models"])]
        site: Option<PathBuf>,
        /// ONNX Runtime's shared library.
        #[arg(long, default_value = ".local/lib/libonnxruntime.so.1.31.1")]
        runtime: PathBuf,
        /// Folder of the models.
        #[arg(long, default_value = ".local/models")]
        models: PathBuf,
        /// Countries whose plates are expected, ISO 3166-1 alpha-2. Without them nothing is called certain.
        #[arg(long, value_delimiter = ',')]
        countries: Vec<String>,
        /// Threads of one inference.
        #[arg(long, default_value_t = 2)]
        threads: u16,
        /// Draw the plates into copies of the pictures in this folder.
        #[arg(long)]
        draw: Option<PathBuf>,
    },
    /// Faces: the watch list, comparing two pictures, and the thresholds of a site.
    Faces {
        #[command(subcommand)]
        command: FacesCommand,
    },
    /// Run a journal through the engine in virtual time and print the packets, a line each, then the orphans.
    Replay {
        /// The site file.
        #[arg(long)]
        config: PathBuf,
        /// Print every revision of a packet, not only the last.
        #[arg(long)]
        revisions: bool,
        /// Tell the story of one passage in plain words instead: its id, the last characters of it, or a plate.
        #[arg(long, value_name = "PASSAGE", conflicts_with = "revisions")]
        explain: Option<String>,
        /// The journal: JSON Lines.
        journal: PathBuf,
    },
    /// Look into the outbox. The daemon must not be running: it holds the store.
    Outbox {
        /// The site file.
        site: PathBuf,
        #[command(subcommand)]
        command: OutboxCommand,
    },
}

#[derive(Subcommand)]
enum OutboxCommand {
    /// List the events without a receipt, and the dead letters.
    List {
        /// Print at most this many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Walk through the whole store and check it.
    Verify,
    /// Write everything as JSON Lines to standard output.
    Export,
}

fn main() -> ExitCode {
    start_logging();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { site } => daemon::run(site::read(&site)?).map(|()| ExitCode::SUCCESS),
        Command::Check { site, quiet } => check(&site, quiet),
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&firmware_config::schema(&catalogue()))?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Probe { site, sensor } => {
            let site = site::read(&site)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let report = runtime.block_on(probe::probe(&site, &sensor))?;
            report.findings.iter().for_each(|finding| println!("  {finding}"));
            println!("{}", if report.ok { "ok" } else { "not ok" });
            Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Recognise { pictures, site, runtime, models, countries, threads, draw } => {
            let (runtime, models, threads) = match site.map(|path| site::read(&path)).transpose()? {
                Some(site) => {
                    let found = site.recognition.context("the site file has no [recognition]")?;
                    (found.runtime, found.models, found.threads)
                }
                None => (runtime, models, threads),
            };
            let mut reader = recognise::load_reader(&runtime, &models, &countries, threads.into())?;
            let failed = recognise::recognise(&mut reader, &pictures, draw.as_deref())?;
            Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Replay { config, revisions, explain, journal } => match explain {
            Some(passage) => explain_passage(&config, &journal, &passage),
            None => replay_journal(&config, &journal, revisions),
        },
        Command::Faces { command } => {
            let yes = faces::commands::run(command)?;
            Ok(if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Outbox { site, command } => outbox(&site, command).map(|()| ExitCode::SUCCESS),
    }
}

fn check(path: &Path, quiet: bool) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the site file {}", path.display()))?;
    match firmware_config::load(&text, path, &catalogue()) {
        Ok(site) => {
            if !quiet {
                println!("{}", firmware_config::explain(&site));
            }
            site.warnings.iter().for_each(|warning| eprintln!("{warning}\n"));
            // A warning too: the lane runs without recognition, and must not be kept from starting
            recognition::problems(&site).iter().for_each(|problem| eprintln!("warning: {problem}\n"));
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            eprintln!("{problems}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn replay_journal(config: &Path, journal: &Path, revisions: bool) -> anyhow::Result<ExitCode> {
    let site = site::read(config)?;
    let file =
        File::open(journal).with_context(|| format!("failed to open the journal {}", journal.display()))?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let checkpoint = edge_agent::layout::checkpoint(&site);
    let summary = replay::replay(&checkpoint, BufReader::new(file), &mut output, revisions)?;
    for (line, reason) in summary.unreadable.iter().take(20) {
        eprintln!("{}:{line}: skipped: {reason}", journal.display());
    }
    eprintln!(
        "{} inputs, {} passages, {} orphans, {} lines skipped",
        summary.inputs,
        summary.passages,
        summary.orphans,
        summary.unreadable.len()
    );
    Ok(if summary.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain_passage(config: &Path, journal: &Path, passage: &str) -> anyhow::Result<ExitCode> {
    let site = site::read(config)?;
    let file =
        File::open(journal).with_context(|| format!("failed to open the journal {}", journal.display()))?;
    let checkpoint = edge_agent::layout::checkpoint(&site);
    let (story, _) = replay::Story::collect(&checkpoint, BufReader::new(file), passage)?;
    if story.revisions.is_empty() {
        eprintln!(
            "no passage of this journal is called `{passage}`; give an id, the last characters of it, or a plate:"
        );
        for (id, plates) in story.plates.iter().take(40) {
            eprintln!("  {id}  {}", plates.join(", "));
        }
        if story.plates.len() > 40 {
            eprintln!("  and {} more: replay without --explain lists all", story.plates.len() - 40);
        }
        return Ok(ExitCode::FAILURE);
    }
    print!("{}", replay::explain(&story));
    Ok(ExitCode::SUCCESS)
}

fn outbox(path: &Path, command: OutboxCommand) -> anyhow::Result<()> {
    let site = site::read(path)?;
    let store = Outbox::open(daemon::outbox_folder(&site), Limits::default())?;
    match command {
        OutboxCommand::List { limit } => {
            for event in store.pending(None, limit)? {
                println!(
                    "seq {:8}  class {}  {:6} bytes  {}",
                    event.seq,
                    event.class,
                    event.payload.len(),
                    event.id
                );
            }
            for letter in store.dead_letters(0, limit)? {
                println!("dead letter  {}  {}", letter.event.id, letter.reason);
            }
            println!("{} waiting ({} bytes), {} dead letters", store.len(), store.bytes(), store.dead_len());
        }
        OutboxCommand::Verify => {
            let found = store.verify()?;
            println!(
                "{} events waiting ({} bytes), {} dead letters, {} set aside as unreadable, next seq {}",
                found.events, found.bytes, found.dead, found.quarantined, found.seqs.1
            );
            found.problems.iter().for_each(|problem| println!("problem: {problem}"));
            anyhow::ensure!(found.problems.is_empty() && found.lost == 0, "the outbox is not sound");
            println!("sound: every event is whole and no seq is missing");
        }
        OutboxCommand::Export => {
            store.export(&mut std::io::stdout().lock())?;
        }
    }
    Ok(())
}

/// To journald where systemd started us, else to standard error. `RUST_LOG` chooses what is said; default `info`.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,ort=warn"));
    let journald = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let console = journald.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed()
    });
    tracing_subscriber::registry().with(filter).with(journald).with(console).init();
}
