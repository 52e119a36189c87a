//! Fuzzing with libFuzzer, without any program beside the compiler.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell::{cargo, root, run};

/// What makes rustc count the branches for libFuzzer: the options that `cargo fuzz` gives, without a sanitizer, since our code
/// has no `unsafe`.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// The target is named so that build scripts are not instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Fuzzes the engine with journals for so long, beginning with generated ones.
pub fn journals(seconds: u32) -> anyhow::Result<()> {
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        bail!("fuzzing needs a nightly compiler: rustup toolchain install nightly");
    }
    let folder = root().join("target/fuzz");
    let corpus = folder.join("corpus");
    fs::create_dir_all(&corpus).with_context(|| format!("failed to create {}", corpus.display()))?;
    run(&mut cargo(&["build", "--quiet", "--package", "traffic"]))?;
    // The target's checkpoint is that of seed 1.
    for noise in 0..4 {
        let out = folder.join("seed");
        run(Command::new(root().join("target/debug/traffic"))
            .args(["--seed", "1", "--layout", "full", "--lanes", "1", "--vehicles", "4", "--engine-only"])
            .arg("--noise")
            .arg(noise.to_string())
            .arg("--out")
            .arg(&out)
            .stdout(std::process::Stdio::null()))?;
        fs::copy(out.join("journal.jsonl"), corpus.join(format!("noise-{noise}.jsonl")))?;
    }
    run(Command::new("cargo")
        .args(["+nightly", "build", "--quiet", "--release", "--target", TARGET, "--target-dir"])
        .arg(&folder)
        .arg("--manifest-path")
        .arg(root().join("hil-tests/traffic/fuzz/Cargo.toml"))
        .env("RUSTFLAGS", COVERAGE))?;
    run(Command::new(folder.join(TARGET).join("release/journal"))
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=65536", "-timeout=60"])
        .arg(format!("-artifact_prefix={}/", folder.display())))
}
