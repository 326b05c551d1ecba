//! Events and commands ⇄ what is spoken over gRPC (`proto/`): pure mapping, and what it takes to know who sees what.
//!
//! | file | what it does |
//! |---|---|
//! | `view` | how things stand, and whom an event concerns |
//! | `told` | events and the view, as they are told |
//! | `feed` | the log as readers get it |
//! | `lease` | who is at a desktop |
//! | `asked` | commands, as they are asked |
//! | `keys` | commands that come again |
//! | `cursor` | where a reader is |
//! | `parts` | a snapshot in messages that every client takes |

mod asked;
mod cursor;
mod feed;
mod keys;
mod lease;
mod parts;
mod told;
pub mod view;

pub use asked::{command, refused};
pub use cursor::Cursor;
pub use feed::{Feed, Sight, Told, impersonal};
pub use keys::{Found, Keys};
pub use lease::{Leases, Lookout};
pub use parts::in_parts;
pub use told::{event, number, snapshot};
pub use view::{Audience, CallRow, View, Viewer};
