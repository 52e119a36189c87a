//! The only place that reads a clock. Everything else is given a [`Stamp`].

use std::path::Path;
use std::time::SystemTime;

use interface::{BootId, ClockQuality, Stamp, UtcMs};
use rustix::time::{ClockId, clock_gettime};

/// systemd-timesyncd makes this file once it has disciplined the clock in this boot (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Stamps what reaches the box.
#[derive(Clone, Debug)]
pub struct Clock {
    boot: BootId,
}

impl Clock {
    /// Reads the kernel's boot id (random(4)). Where there is none, monotonic times of different starts cannot be told
    /// apart, so the daemon refuses to run.
    pub fn new() -> std::io::Result<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self { boot: BootId(boot.trim().to_owned()) })
    }

    /// Now. The monotonic part counts from the start of the machine and goes on over a restart of the daemon.
    pub fn now(&self) -> Stamp {
        let mono = clock_gettime(ClockId::Boottime);
        let mono_ms = u64::try_from(mono.tv_sec).unwrap_or(0) * 1000
            + u64::try_from(mono.tv_nsec).unwrap_or(0) / 1_000_000;
        let clock =
            if Path::new(SYNCHRONIZED).exists() { ClockQuality::Synced } else { ClockQuality::Unsynced };
        Stamp { mono_ms, utc: utc_now(), clock, boot: self.boot.clone() }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place")]
fn utc_now() -> UtcMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_backwards_and_know_the_boot() {
        let clock = Clock::new().unwrap();
        let first = clock.now();
        let second = clock.now();
        assert!(second.mono_ms >= first.mono_ms);
        assert_eq!(first.boot, second.boot);
        assert!(first.utc > UtcMs::parse("2026-01-01T00:00:00Z").unwrap());
    }
}
