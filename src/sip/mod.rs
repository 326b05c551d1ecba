//! (being built)
pub mod api;
pub mod dialog;
pub mod digest;
pub mod frame;
pub mod header;
pub mod message;
pub mod registrar;
pub mod uri;

pub use api::*;
pub use dialog::DialogRecord;
pub use registrar::Binding;
