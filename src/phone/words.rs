//! What goes into a phone and what comes out.

use crate::media::{self, Codec};
use crate::sip::header::NameAddr;
use crate::sip::uri::Uri;
use crate::sip::{self, Account};
use serde::{Deserialize, Serialize};

/// Who the phone is and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub sip: sip::Config,
    /// The phone's own address as others see it: From of its calls.
    pub identity: NameAddr,
    /// For Digest; none for a caller without an account.
    pub account: Option<Account>,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub manner: Manner,
    /// The plane that carries its audio.
    pub plane: u16,
    /// The address that its SDP tells.
    pub media_address: std::net::IpAddr,
}

/// What a phone does where SIP leaves it the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// Its calls require reliable provisional responses (RFC 3262).
    pub requires_reliable: bool,
    /// It tells its description while it rings (183), if the caller takes that reliably.
    pub describes_early: bool,
    /// Having done so, it offers another one before it answers (UPDATE, RFC 3311).
    pub updates_early: bool,
    /// It grants no session timers (RFC 4028), and asks for none.
    pub knows_no_timers: bool,
    /// It has RTP and RTCP on one port if the other side can, too (RFC 5761).
    pub shares_port: bool,
}

/// Everything that reaches the phone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    Sip(sip::Input),
    Media(media::Event),
    Ask(Ask),
    /// `deadline()` has come.
    Timeout,
}

/// What its owner does with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// `expires` in seconds. Needs an account.
    Register {
        registrar: Uri,
        expires: u32,
    },
    Unregister,
    /// `flow`: where to send, if not where the URI leads.
    Dial {
        to: Uri,
        flow: Option<sip::Flow>,
    },
    /// Takes the call that rings.
    Answer,
    /// Refuses the call that rings with this status (400 … 699).
    Decline {
        status: u16,
    },
    /// From now on refuses every call with this status at once; none: lets them ring again.
    Refuse {
        status: Option<u16>,
    },
    /// Ends the call in whatever state.
    HangUp,
    /// `0`–`9`, `*`, `#`, `A`–`D`, and `,` for a pause of 500 ms.
    Press {
        digits: String,
    },
    /// Puts the other side on hold, or takes it back.
    Hold {
        on: bool,
    },
    /// Whether to say what is heard ([`media::Output::Heard`] of the phone's port).
    Listen {
        on: bool,
    },
    /// Talks: plays this until something else is played or the call ends.
    Say {
        source: media::Source,
    },
}

/// Everything that leaves it.
#[derive(Clone, Debug)]
pub enum Output {
    Sip { flow: sip::Flow, bytes: Vec<u8> },
    Resolve { query: u64, uri: Uri },
    Media(media::Command),
    Event(Event),
}

/// What its owner notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Registered {
        expires: u32,
    },
    RegistrationFailed {
        status: u16,
    },
    /// Somebody calls; `from` as the phone would show it. `headers` as in [`sip::Event::Invited`].
    Incoming {
        from: String,
        headers: Vec<(String, String)>,
    },
    /// The called party's phone rings.
    Progress {
        status: u16,
    },
    /// Both can talk now.
    Connected,
    /// The call came to nothing. Our own `HangUp` and `Decline` make no event.
    Failed {
        status: u16,
    },
    /// The other side, or the network, ended the call before (`answered` false) or after we talked.
    Ended {
        answered: bool,
        reason: Option<String>,
    },
    /// The other side pressed a key.
    Digit {
        digit: char,
    },
    /// Nothing is heard although something should be.
    Silent,
}
