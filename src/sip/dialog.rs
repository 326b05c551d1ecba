//! A dialog as plain data, and the requests within it (RFC 3261 §12).

use super::api::Flow;
use super::uri::Uri;
use serde::{Deserialize, Serialize};

/// One confirmed or early dialog: what RFC 3261 §12 calls the dialog state, and the path to the peer.
/// Small (well below 3 KB), complete, and enough to end the call after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogRecord {
    pub call_id: String,
    /// Our From or To as it stands in requests, tag included.
    pub local: String,
    pub local_tag: String,
    /// The peer's From or To, tag included.
    pub remote: String,
    /// Empty for peers of RFC 2543.
    pub remote_tag: String,
    /// The peer's Contact.
    pub target: Uri,
    /// The route set in the order of Route, as written.
    pub routes: Vec<String>,
    /// Our Contact.
    pub contact: String,
    /// The number of our last request.
    pub local_cseq: u32,
    /// The number of the peer's last request, if it made one.
    pub remote_cseq: Option<u32>,
    /// How the peer was reached last.
    pub flow: Flow,
    /// The peer sits behind `flow` (a bound phone, a NAT): without a route set, requests go there and not to `target`.
    pub pinned: bool,
}
