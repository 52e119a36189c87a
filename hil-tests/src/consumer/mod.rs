//! The reference IISPP consumer.
