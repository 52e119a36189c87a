//! Any bytes as a journal: the engine must not panic and must put each observation into exactly one place.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use traffic::{Layout, Noise, check_journal};

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| Layout::draw(1, 1, Some("full"), &Noise::none()));

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = check_journal(&LAYOUT.checkpoint, bytes) {
        panic!("{broken}");
    }
});
