//! Reading the site file, for every command.

use std::path::Path;

use anyhow::Context;
use firmware_config::Site;

use crate::catalogue::catalogue;

/// Reads and checks the site file at `path`.
pub fn read(path: &Path) -> anyhow::Result<Site> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the site file {}", path.display()))?;
    Ok(firmware_config::load(&text, path, &catalogue())?)
}
