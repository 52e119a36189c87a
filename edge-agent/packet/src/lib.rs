//! The contract with the IISPP: packets, CloudEvents envelope, topics, JSON Schema, AsyncAPI.
//!
//! A [`passage::Report`] becomes a [`Packet`], an engine's effect becomes an [`Unnumbered`] event, and the outbox gives
//! it its `seq`. Pure: the same report gives the same bytes. [`contract_files`] describes all of it for an integrator.

mod assemble;
mod contract;
mod event;
mod finding;
mod fuse;
mod messages;
mod notices;
mod packet;
mod topics;
mod words;

pub use contract::{SCHEMAS, contract_files};
pub use event::{CONTENT_TYPE, Class, Event, EventData, EventHeader, Unnumbered};
pub use finding::{Candidate, Finding};
pub use fuse::{CERTAIN_PLATE, DOMINANT_SHARE};
pub use messages::{
    CommandResult, CommandState, DecisionCommand, HealthMessage, LaneLoad, LoadMessage, Receipt, Rejection,
    Status, StatusState,
};
pub use notices::{AlarmEvent, OrphanEvent};
pub use packet::{
    AlternativePlace, ContainerValue, DecisionValue, DimensionsValue, Discrepancy, DiscrepancyKind,
    DocumentValue, EvidenceRef, FaceValue, MissingReading, ObservationEntry, Packet, PlateValue,
    RadiationValue, SealValue, TagValue, WeightValue,
};
pub use topics::{EVENT_FILTERS, InvalidName, RESULT_FILTER, STATUS_FILTER, Topic, Topics};
