//! `cargo xtask demo`: a whole checkpoint on this machine.

use std::process::ExitCode;

use clap::Parser;
use hil_tests::demo::{Options, run};

fn main() -> ExitCode {
    run(&Options::parse())
}
