//! How far a long run is, on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Counts pictures.
pub struct Progress {
    what: String,
    all: usize,
    done: usize,
    begin: Instant,
    said: Instant,
}

impl Progress {
    /// Of `all` pictures of `what`.
    pub fn new(what: &str, all: usize) -> Self {
        let now = Instant::now();
        Self { what: what.to_owned(), all, done: 0, begin: now, said: now }
    }

    /// One more is done. Says so at most once a second on a terminal, every ten seconds elsewhere.
    pub fn step(&mut self) {
        self.done += 1;
        let terminal = std::io::stderr().is_terminal();
        let pause = Duration::from_secs(if terminal { 1 } else { 10 });
        let last = self.done == self.all;
        if self.said.elapsed() < pause && !(last && terminal) {
            return;
        }
        self.said = Instant::now();
        let left = self.begin.elapsed().as_secs_f64() / self.done as f64 * (self.all - self.done) as f64;
        let text = format!("{}: {} of {} pictures, {left:.0} s left", self.what, self.done, self.all);
        if terminal {
            eprint!("\r{text}\x1b[K{}", if last { "\n" } else { "" });
        } else {
            eprintln!("{text}");
        }
    }
}
