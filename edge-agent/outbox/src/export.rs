//! Everything that is not delivered, in a form that people and other programs read.

use std::io::{self, Write};

use serde::Serialize;

use crate::OutboxError;
use crate::store::{Outbox, Stored};

#[derive(Serialize)]
struct Line<'a> {
    state: &'static str,
    #[serde(flatten)]
    event: &'a Stored,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// The payload, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    /// The payload in hexadecimal digits, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

impl Outbox {
    /// Writes every queued event and every dead letter as JSON Lines:
    /// `{"state":"pending"|"dead","seq","class","id","header","reason"?,"payload" or "payload_hex"}`. Answers how many.
    ///
    /// # Errors
    /// Storage errors and what `writer` says.
    pub fn export(&self, writer: &mut dyn Write) -> Result<u64, OutboxError> {
        let mut written = 0;
        let mut after = None;
        loop {
            let page = self.pending(after, 100)?;
            let Some(last) = page.last() else { break };
            after = Some((last.class, last.seq));
            for event in &page {
                write_line(writer, "pending", event, None)?;
                written += 1;
            }
        }
        let mut after = 0;
        loop {
            let page = self.dead_letters(after, 100)?;
            let Some(last) = page.last() else { break };
            after = last.event.seq;
            for dead in &page {
                write_line(writer, "dead", &dead.event, Some(&dead.reason))?;
                written += 1;
            }
        }
        Ok(written)
    }
}

fn write_line(
    writer: &mut dyn Write,
    state: &'static str,
    event: &Stored,
    reason: Option<&str>,
) -> Result<(), OutboxError> {
    let payload = std::str::from_utf8(&event.payload).ok();
    let hex = || event.payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let payload_hex = payload.is_none().then(hex);
    let line = Line { state, event, reason, payload, payload_hex };
    serde_json::to_writer(&mut *writer, &line)
        .map_err(io::Error::from)
        .and_then(|()| writer.write_all(b"\n"))
        .map_err(OutboxError::io("write the export"))
}
