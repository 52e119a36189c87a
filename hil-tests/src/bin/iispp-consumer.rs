//! The reference IISPP consumer as a program: `iispp-consumer --help`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use hil_tests::consumer::{Consumer, ConsumerConfig, Store, TlsFiles};
use passage::Verdict;

/// Receives the feed of checkpoints: the reference for whoever builds the receiving end.
///
/// Each event is checked against the contract (JSON Schema files in edge-agent/packet/contract), stored once in an
/// SQLite database, and only then confirmed to its box by a receipt. Until it has a receipt, a box keeps an event and
/// sends it again; a program that stores first and confirms second therefore loses nothing, wherever it is stopped.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect to the broker and receive until interrupted.
    ///
    /// With the three certificate files the connection is TLS with a client certificate; without them it is plain text,
    /// for a broker on the same machine only. The broker must let this client read ckpt/v1/+/+/# and write
    /// ckpt/v1/+/+/receipt and ckpt/v1/+/+/cmd/#.
    Run(Run),
    /// Print what a database holds, also while `run` fills it: passages, and what was lost or repeated.
    ///
    /// Lost: a number between 1 and the box's highest that has not come. Numbers come out of order, since alarms go
    /// first, so a gap may still close while the box is sending. Repeated: one number for two events, one event with
    /// two numbers or two contents, or one observation in two passages; each is an error of the box. Redelivered events
    /// are no error: a box repeats what it has no receipt for.
    Report {
        /// The database.
        #[arg(long, default_value = "iispp.sqlite")]
        database: PathBuf,
        /// Print JSON with every packet instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Host of the broker; with TLS, a name that its certificate holds.
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Port of the broker.
    #[arg(long, default_value_t = 8883)]
    port: u16,
    /// PEM file with the certificate of the authority that signed the broker's certificate.
    #[arg(long, requires_all = ["cert", "key"])]
    ca: Option<PathBuf>,
    /// PEM file with this client's certificate.
    #[arg(long, requires = "ca")]
    cert: Option<PathBuf>,
    /// PEM file with this client's private key.
    #[arg(long, requires = "ca")]
    key: Option<PathBuf>,
    /// MQTT client id. The broker keeps a session under it, so keep it, and never use it twice at a time.
    #[arg(long, default_value = "iispp")]
    client_id: String,
    /// SQLite database to store into; made if it is not there.
    #[arg(long, default_value = "iispp.sqlite")]
    database: PathBuf,
    /// What to decide about every passage that waits for a decision. Put your own rules in its place.
    #[arg(long, value_enum, default_value_t = Decide::None)]
    decide: Decide,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Decide {
    /// Decide nothing: only receive.
    None,
    /// Let every vehicle go.
    Release,
    /// Send every vehicle to inspection.
    Inspect,
}

impl Run {
    fn config(self) -> ConsumerConfig {
        let tls = match (self.ca, self.cert, self.key) {
            (Some(ca), Some(cert), Some(key)) => Some(TlsFiles { ca, cert, key }),
            _ => None,
        };
        ConsumerConfig {
            host: self.host,
            port: self.port,
            tls,
            client_id: self.client_id,
            database: self.database,
            decide: match self.decide {
                Decide::None => None,
                Decide::Release => Some(Verdict::Release),
                Decide::Inspect => Some(Verdict::Inspect),
            },
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Run(arguments) => run(arguments.config()).await,
        Command::Report { database, json } => {
            let report = Store::open_read_only(&database)?.report()?;
            if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{report}");
            }
            Ok(())
        }
    }
}

/// Receives until the program is interrupted or terminated.
async fn run(config: ConsumerConfig) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut consumer = Consumer::start(config)?;
    tokio::select! {
        ended = consumer.ended() => ended.context("the consumer cannot go on"),
        _ = interrupt.recv() => consumer.stop().await,
        _ = terminate.recv() => consumer.stop().await,
    }
}
