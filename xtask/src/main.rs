//! Developer commands: `cargo xtask setup | models | evaluate | traffic | bench | fuzz | demo | test`.

mod checks;
mod evaluate;
mod fuzz;
mod setup;
mod shell;

use clap::{Parser, Subcommand};

/// Developer commands of the checkpoint edge controller.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing: Debian packages, ONNX Runtime and models, Python programs that tests run.
    Setup {
        /// Say what is missing and stop.
        #[arg(long)]
        dry_run: bool,
    },
    /// Fetch and verify ONNX Runtime and the models of models/manifest.toml; works offline once done.
    Models,
    /// Measure recognition on folders of labelled pictures: `evaluate plates | faces | containers DIR…`.
    /// `evaluate -- --help` lists the options.
    Evaluate {
        /// What to measure, on which folders, and how, such as `plates photos --countries RU,KZ`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run a whole checkpoint on this machine and end with a summary. `demo -- --help` lists its options.
    Demo {
        /// Options of the demo, such as `--vehicles 20 --lanes 2`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Drive vehicles through simulated lanes and print how right the engine is. `traffic -- --help` lists its options.
    Traffic {
        /// Options, such as `--seed 1 --vehicles 200 --noise 1`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure: `bench replay` replays generated journals. `bench replay -- --help` lists its options.
    Bench {
        /// What to measure: `replay`.
        what: String,
        /// Options of the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Fuzz the engine with journals. Needs a nightly compiler (`rustup toolchain install nightly`); nothing else.
    Fuzz {
        /// How long.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run everything that must pass. Without names: all steps in order.
    Test {
        /// List the steps and stop.
        #[arg(long)]
        list: bool,
        /// Steps to run.
        steps: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Setup { dry_run } => setup::setup(dry_run),
        Command::Models => setup::models(),
        Command::Evaluate { options } => evaluate::evaluate(&options),
        Command::Demo { options } => {
            setup::setup(false)?;
            checks::demo(&options)
        }
        Command::Traffic { options } => checks::traffic(&options),
        Command::Fuzz { seconds } => fuzz::journals(seconds),
        Command::Bench { what, options } => checks::bench(&what, &options),
        Command::Test { list: true, .. } => {
            checks::list();
            Ok(())
        }
        Command::Test { steps, .. } => {
            setup::setup(false)?;
            checks::run_steps(&steps)
        }
    }
}
