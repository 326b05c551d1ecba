//! What the endpoint remembers of one leg: one INVITE and the dialog it came to.

use super::api::{Account, Body};
use super::dialog::DialogRecord;
use super::message::{Request, Response};
use super::transaction::{ClientKey, ServerKey};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Leg {
    Calling(Box<Calling>),
    Ringing(Box<Ringing>),
    Talking(Box<Talking>),
}

/// Our INVITE has no final response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Calling {
    pub local_tag: String,
    /// `None` while the host name is looked up.
    pub client: Option<ClientKey>,
    /// What we have offered, or answered to an offer that came early.
    pub local: Option<Body>,
    /// Early dialogs, one for each fork that has said something (RFC 3261 §12.1.2).
    pub early: Vec<Early>,
    /// A reliable provisional response brought an offer: its PRACK waits for the answer.
    pub owes_prack: Option<Rung>,
    /// Their UPDATE with an offer that waits for our user's word.
    pub theirs: Option<Theirs>,
    /// An UPDATE of ours with an offer has no final response.
    pub ours: Option<Ours>,
}

impl Calling {
    pub fn new(local_tag: String, client: Option<ClientKey>, local: Option<Body>) -> Calling {
        Calling { local_tag, client, local, early: Vec::new(), owes_prack: None, theirs: None, ours: None }
    }
}

/// An early dialog of an INVITE of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Early {
    pub dialog: DialogRecord,
    /// The last reliable provisional response (RFC 3262 §4): they count without gaps.
    pub rseq: Option<u32>,
    /// Offer and answer were exchanged reliably: the 2xx brings nothing new.
    pub agreed: bool,
    /// The answer of that exchange, for `Event::Established`; `None` if ours was the answer, or another followed.
    pub answer: Option<Body>,
    /// The peer takes UPDATE (RFC 3311 §4).
    pub takes_update: bool,
    /// It can be told to answer ([`super::talk`]).
    #[serde(default)]
    pub takes_talk: bool,
}

/// Which reliable provisional response of which fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rung {
    pub remote_tag: String,
    pub rseq: u32,
}

/// Their INVITE has no final response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ringing {
    pub server: ServerKey,
    /// Without body.
    pub request: Request,
    /// Early as soon as a provisional response has told our tag.
    pub dialog: DialogRecord,
    pub reliable: Reliable,
    /// Their PRACK or UPDATE with an offer that waits for our user's word.
    pub theirs: Option<Theirs>,
    /// An UPDATE of ours with an offer has no final response.
    pub ours: Option<Ours>,
}

/// Our reliable provisional responses to one INVITE (RFC 3262 §3).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reliable {
    /// The number of the last one; 0 before the first.
    pub rseq: u32,
    /// The one that waits for its PRACK.
    pub unacked: Option<Unproven>,
    /// Those that come after it.
    pub waiting: VecDeque<Response>,
    /// Offer and answer were exchanged reliably: the 2xx carries none.
    pub agreed: bool,
    /// Our user has answered; the 2xx waits for the PRACK.
    pub answer: Option<Body>,
}

/// A reliable provisional response without PRACK.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unproven {
    /// Whether it carried a description.
    pub described: bool,
    /// The pause before it is sent again.
    pub interval: Duration,
    /// When its INVITE is given up.
    pub until: Instant,
}

/// There is a dialog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Talking {
    pub dialog: DialogRecord,
    /// Our 2xx whose ACK has not come.
    pub unacked: Option<Unacked>,
    /// The 2xx overtook this reliable provisional response, whose PRACK may still come (RFC 3262 §3).
    pub late_rseq: Option<u32>,
    /// Their re-INVITE or UPDATE that waits for our user's word.
    pub theirs: Option<Theirs>,
    /// A re-INVITE (or early UPDATE) of ours has no final response.
    pub ours: Option<Ours>,
    /// An offer of our user's that waits: the offers crossed, or another was under way (RFC 3261 §14.1).
    pub wanted: Option<Wanted>,
    /// We made the Call-ID: who did waits longer.
    pub owner: bool,
    /// Our description as it stands.
    pub local: Option<Body>,
    /// The peer takes UPDATE (RFC 3311 §4).
    pub takes_update: bool,
    pub timer: Option<SessionTimer>,
    /// The peer is asked now and then whether it is there.
    #[serde(default)]
    pub watched: Option<Watched>,
    /// The peer asked us to call somebody, and waits to hear what became of it.
    pub referral: Option<Referral>,
    /// It has asked before, so that its subscriptions need a name.
    pub was_referred: bool,
    /// The peer's 2xx brought an offer: its ACK waits for the answer.
    pub owes_ack: Option<ClientKey>,
    /// Our user hung up before the ACK came; the BYE, with this Reason, waits for it (RFC 3261 §15).
    pub leaving: Option<Leaving>,
    pub account: Option<Box<Account>>,
}

/// An offer that is made again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub body: Body,
    /// How often it was refused with 491.
    pub tries: u32,
    /// An offer of the peer's was accepted meanwhile: the body tells what stood before.
    pub outdated: bool,
}

/// A re-INVITE of ours, or an UPDATE with an offer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ours {
    pub body: Body,
    /// It repeats what stands, for the session timer; our user knows nothing of it.
    pub refreshes: bool,
    /// How often it was refused with 491 before.
    pub tries: u32,
}

/// A REFER that is being carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Referral {
    /// The `id` of its subscription; none for the first.
    pub id: Option<u32>,
    /// No NOTIFY is wanted.
    pub silent: bool,
}

/// What was agreed about the life of a session (RFC 4028).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionTimer {
    /// In seconds.
    pub interval: u32,
    /// The largest Min-SE that was heard of, in seconds.
    pub min: u32,
    /// It is on us to refresh.
    pub ours: bool,
    /// When the call ends unless somebody refreshes before.
    pub ends: Instant,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Watched {
    /// Since when it cannot be reached.
    pub unreached: Option<Instant>,
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
        Talking {
            dialog,
            unacked: None,
            late_rseq: None,
            theirs: None,
            ours: None,
            wanted: None,
            owner: false,
            local: None,
            takes_update: false,
            timer: None,
            watched: None,
            referral: None,
            was_referred: false,
            owes_ack: None,
            leaving: None,
            account,
        }
    }
}

impl Calling {
    /// The early dialog with the fork of this tag.
    pub fn early(&mut self, remote_tag: &str) -> Option<&mut Early> {
        self.early.iter_mut().find(|early| early.dialog.remote_tag == remote_tag)
    }
}

impl Leg {
    pub fn local_tag(&self) -> &str {
        match self {
            Leg::Calling(calling) => &calling.local_tag,
            Leg::Ringing(ringing) => &ringing.dialog.local_tag,
            Leg::Talking(talking) => &talking.dialog.local_tag,
        }
    }

    /// The dialog with the peer of this tag.
    pub fn dialog_with(&self, remote_tag: &str) -> Option<&DialogRecord> {
        match self {
            Leg::Calling(calling) => {
                let early = calling.early.iter().find(|early| early.dialog.remote_tag == remote_tag);
                early.map(|early| &early.dialog)
            }
            Leg::Ringing(ringing) => Some(&ringing.dialog),
            Leg::Talking(talking) => Some(&talking.dialog),
        }
    }

    pub fn dialog_with_mut(&mut self, remote_tag: &str) -> Option<&mut DialogRecord> {
        match self {
            Leg::Calling(calling) => calling.early(remote_tag).map(|early| &mut early.dialog),
            Leg::Ringing(ringing) => Some(&mut ringing.dialog),
            Leg::Talking(talking) => Some(&mut talking.dialog),
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
