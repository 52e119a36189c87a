//! mosquitto as a process.
