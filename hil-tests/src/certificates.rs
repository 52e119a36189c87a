//! Certificates for the parties of a test.
