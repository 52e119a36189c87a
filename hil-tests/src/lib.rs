//! Simulated devices on real wires, the reference IISPP consumer, and what end-to-end tests share.

pub mod agent;
pub mod broker;
pub mod certificates;
pub mod consumer;
pub mod demo;
pub mod peer;
pub mod proxy;
pub mod scene;
pub mod sim;
