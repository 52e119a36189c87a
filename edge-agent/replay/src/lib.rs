//! The journal's lines, and what the engine makes of a journal: packets and orphans ([`replay`]), or the story of one passage
//! in plain words ([`explain`]). Reads and writes what it is given; knows no files.

mod explain;
mod line;
mod run;

pub use explain::{Story, explain};
pub use line::{Header, Line, Record, VERSION, parse_line, write_line};
pub use run::{ReplayError, Summary, replay, run};
