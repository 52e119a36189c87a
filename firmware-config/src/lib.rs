//! The technician's site file: one TOML file that says where things are and what runs.
//!
//! [`load`] reads and checks the whole file in one go and either gives a [`Site`] or every [`Problem`] there is, each
//! with its place, what came, what is allowed and the nearest spelling. [`explain`] says in plain words what will run,
//! [`schema`] is the JSON Schema for editors.
//!
//! The crate knows no driver: the protocols are passed in as a list.

mod explain;
mod file;
mod load;
mod place;
mod problem;
mod references;
mod schema;
mod secrets;
mod sections;
mod sensors;
mod shape;
mod stations;
mod tree;

pub use explain::explain;
pub use file::{
    Direction, Faces, FileReference, Iispp, Lane, NoCredential, Recognition, SiteName, Station, Status,
    Storage, Timing, Tls,
};
pub use load::{ConfiguredSensor, Site, load};
pub use problem::{Problem, Problems, Severity};
pub use schema::schema;
