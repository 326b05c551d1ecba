//! (being built)
pub mod store;
