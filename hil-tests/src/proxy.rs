//! A TCP proxy that can cut connections.
