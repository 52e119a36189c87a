//! Everything that must pass, in steps.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::setup::cargo_deny;
use crate::shell::{cargo, root, run};

/// A step: its name, what it holds, and how.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "the code is formatted", run: fmt },
    Step { name: "deny", what: "licences, sources and banned crates (deny.toml)", run: deny },
    Step { name: "clippy", what: "no warning", run: clippy },
    Step { name: "test", what: "all tests; generated files are current", run: test },
    Step { name: "systemd", what: "the units are right", run: systemd },
    Step {
        name: "demo",
        what: "a checkpoint loses and repeats nothing, also when broker and daemon are killed",
        run: demo_twice,
    },
];

/// Prints the steps.
pub fn list() {
    for step in STEPS {
        println!("{:8} {}", step.name, step.what);
    }
}

/// Fails when one of `names` is no step, with the list.
fn check_names<'a>(names: &[String], steps: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let known: Vec<_> = steps.collect();
    for name in names {
        if !known.contains(&name.as_str()) {
            bail!("unknown step `{name}`; there are: {}", known.join(", "));
        }
    }
    Ok(())
}

/// Runs the steps called `names`, or all, and prints how long each took.
pub fn run_steps(names: &[String]) -> anyhow::Result<()> {
    check_names(names, STEPS.iter().map(|step| step.name))?;
    let mut times = Vec::new();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        println!("\n=== {}: {}", step.name, step.what);
        let start = Instant::now();
        (step.run)().with_context(|| format!("step {} failed", step.name))?;
        times.push(format!("{} {:.0} s", step.name, start.elapsed().as_secs_f64()));
    }
    println!("\nall steps passed: {}", times.join(", "));
    Ok(())
}

fn fmt() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> anyhow::Result<()> {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn deny() -> anyhow::Result<()> {
    // Advisories need a database that is fetched from elsewhere: `cargo deny check advisories` where there is a network.
    run(Command::new(cargo_deny()?).args(["check", "bans", "licenses", "sources"]))
}

fn test() -> anyhow::Result<()> {
    build_everything()?;
    run(&mut cargo(&["test", "--workspace", "--quiet"]))
}

/// Programs, which tests start as processes, and tests: in one go, so that no dependency is built twice.
fn build_everything() -> anyhow::Result<()> {
    run(&mut cargo(&["build", "--workspace", "--all-targets", "--quiet"]))
}

fn systemd() -> anyhow::Result<()> {
    run(Command::new("bash").arg(root().join("systemd/verify.sh")))
}

/// Builds and runs the demo with `options`.
pub fn demo(options: &[String]) -> anyhow::Result<()> {
    println!("building; the first time takes some minutes");
    run(&mut cargo(&["build", "--quiet", "--package", "edge-agent", "--package", "hil-tests", "--bins"]))?;
    run_demo(options.iter().map(String::as_str).filter(|option| *option != "--"))
}

/// Builds and runs the traffic simulation with `options`.
pub fn traffic(options: &[String]) -> anyhow::Result<()> {
    run(&mut cargo(&["build", "--quiet", "--package", "traffic"]))?;
    let options = options.iter().filter(|option| *option != "--");
    run(Command::new(root().join("target/debug/traffic")).args(options))
}

/// Builds a benchmark as it would be installed and runs it with `options`.
pub fn bench(what: &str, options: &[String]) -> anyhow::Result<()> {
    if what != "replay" {
        bail!("unknown benchmark `{what}`; there is: replay");
    }
    run(&mut cargo(&["build", "--quiet", "--release", "--package", "traffic", "--bin", "replay-bench"]))?;
    let options = options.iter().filter(|option| *option != "--");
    run(Command::new(root().join("target/release/replay-bench")).args(options))
}

fn run_demo<'a>(options: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    run(Command::new(root().join("target/debug/checkpoint-demo")).args(options))
}

fn demo_twice() -> anyhow::Result<()> {
    build_everything()?;
    run_demo("--vehicles 6 --lanes 2 --seed 1".split(' '))?;
    run_demo("--vehicles 6 --lanes 2 --seed 2 --kill broker,daemon".split(' '))
}
