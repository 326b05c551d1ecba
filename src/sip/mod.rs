//! (being built)
pub mod digest;
pub mod frame;
pub mod header;
pub mod message;
pub mod uri;
