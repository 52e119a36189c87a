//! The demo: a whole checkpoint on this machine, from simulated devices to the reference IISPP consumer, with the real
//! daemon between them. `cargo xtask demo` runs it.

mod children;
mod devices;
mod drive;
mod live;
mod options;
mod replay;
mod run;
mod site;
mod table;
mod vehicle;

pub use options::Options;
pub use run::run;
