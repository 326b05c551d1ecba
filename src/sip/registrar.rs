//! Bindings of users' phones (RFC 3261 §10.3).

use super::api::Flow;
use super::header::NameAddr;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// One phone of one user: where it is, and the flow it came over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Plain text.
    pub user: String,
    /// As the phone registered it; the URI is the request URI of calls to it.
    pub contact: NameAddr,
    /// The path to the phone.
    pub flow: Flow,
    /// Preference 0 … 1,000 (thousandths; 1,000 if the phone says none).
    pub q: u16,
    /// RFC 3261 §10.3 step 7: with these two an old REGISTER that comes late is told from a new one.
    pub call_id: String,
    pub cseq: u32,
    /// When it ends unless refreshed.
    pub expires: Instant,
    /// Whether the phone answered when it was last asked.
    pub alive: bool,
}
