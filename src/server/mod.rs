//! (being built)
pub mod calls;
pub mod store;
