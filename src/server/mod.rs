//! (being built)
pub mod calls;
pub mod metrics;
pub mod store;
