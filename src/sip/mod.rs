//! (being built)
pub mod api;
pub mod dialog;
pub mod digest;
pub mod frame;
mod grammar;
pub mod header;
mod headers;
pub mod message;
mod name;
pub mod registrar;
mod status;
pub mod uri;

pub use api::*;
pub use dialog::DialogRecord;
pub use registrar::Binding;
