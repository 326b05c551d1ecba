//! What the endpoint remembers of one leg: one INVITE and the dialog it came to.

use super::api::{Account, Flow};
use super::dialog::DialogRecord;
use super::message::Request;
use super::transaction::{ClientKey, ServerKey};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Leg {
    Calling(Calling),
    Ringing(Box<Ringing>),
    Talking(Box<Talking>),
}

/// Our INVITE has no final response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Calling {
    pub local_tag: String,
    /// `None` while the host name is looked up.
    pub client: Option<ClientKey>,
}

/// Their INVITE has no final response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ringing {
    pub server: ServerKey,
    /// Without body.
    pub request: Request,
    pub local_tag: String,
    pub contact: String,
    /// Where the INVITE came from.
    pub flow: Flow,
}

/// There is a dialog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Talking {
    pub dialog: DialogRecord,
    /// Our 2xx whose ACK has not come.
    pub unacked: Option<Unacked>,
    /// Their re-INVITE or UPDATE that waits for our user's word.
    pub theirs: Option<Theirs>,
    /// A re-INVITE of ours has no final response.
    pub offering: bool,
    /// The peer's 2xx brought an offer: its ACK waits for the answer.
    pub owes_ack: Option<ClientKey>,
    /// Our user hung up before the ACK came; the BYE, with this Reason, waits for it (RFC 3261 §15).
    pub leaving: Option<Leaving>,
    pub account: Option<Box<Account>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leaving {
    /// The Reason field's value.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unacked {
    pub server: ServerKey,
    pub cseq: u32,
    /// The 2xx of the first INVITE, not of a re-INVITE.
    pub first: bool,
    /// The 2xx carried our offer, so the ACK carries the answer.
    pub offered: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Theirs {
    pub server: ServerKey,
    /// Without body.
    pub request: Request,
    /// Whether it had an offer.
    pub offered: bool,
}

impl Talking {
    pub fn new(dialog: DialogRecord, account: Option<Box<Account>>) -> Talking {
        Talking { dialog, unacked: None, theirs: None, offering: false, owes_ack: None, leaving: None, account }
    }
}

impl Leg {
    pub fn local_tag(&self) -> &str {
        match self {
            Leg::Calling(calling) => &calling.local_tag,
            Leg::Ringing(ringing) => &ringing.local_tag,
            Leg::Talking(talking) => &talking.dialog.local_tag,
        }
    }

    /// For [`super::Endpoint::pending`].
    pub fn describe(&self) -> &'static str {
        match self {
            Leg::Calling(_) => "calling",
            Leg::Ringing(_) => "ringing",
            Leg::Talking(talking) if talking.leaving.is_some() => "leaving once its 2xx is acknowledged",
            Leg::Talking(talking) if talking.unacked.is_some() => "waiting for an ACK",
            Leg::Talking(_) => "talking",
        }
    }
}
