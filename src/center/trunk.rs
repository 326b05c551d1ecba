//! Trunks as plain data: who carries calls from and to the public network, how he writes numbers, and what he may cost.
//!
//! Numbers are held in the form of E.164, `+4930123456`. [`NumberPlan`] reads what a carrier writes and writes what he
//! reads. Emergency and short numbers have no such form: they stay as they are, in both directions.

use crate::ids::TrunkId;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A carrier, or another telephone system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    pub id: TrunkId,
    /// Whose calls are this trunk's, by the address that they come from.
    pub peers: Vec<Peer>,
    /// Where calls go; none: the trunk brings calls only.
    pub server: Option<Server>,
    /// The `bind` of the listener of ours that requests to `server` leave over; none: of those that reach it, the first.
    #[serde(default)]
    pub listener: Option<SocketAddr>,
    /// The user that challenges are answered as. Its password is known to the shell.
    pub user: Option<String>,
    /// The realm whose challenges are answered (RFC 3261 §22.1); none: those in which our registration or a call of ours was
    /// challenged.
    #[serde(default)]
    pub realm: Option<String>,
    /// Whether a call that claims `user` is challenged, and is this trunk's if it proves that.
    pub accepts_digest: bool,
    /// For how long we register at `server` (1 min … 1 day); none: not at all.
    pub register: Option<Duration>,
    /// Keys in our offers over it, where its server is reached by TLS; none: as for all legs.
    #[serde(default)]
    pub srtp: Option<Srtp>,
    /// Lower is tried first (0 … 65,535).
    pub order: u16,
    /// The share of first tries among trunks of the same order (1 … 65,535).
    pub weight: u16,
    pub incoming: Share,
    pub outgoing: Share,
    /// The pause between two OPTIONS (5 s … 1 h); none: none are sent, and the trunk counts as usable.
    pub options: Option<Duration>,
    pub identity: Identity,
    pub numbers: NumberPlan,
    /// What may be called: with `+`, what a number begins with; without, a whole number. Nothing if empty.
    pub allowed: Vec<String>,
    /// What may not although `allowed` says so, in the same form.
    pub denied: Vec<String>,
}

/// Whether audio is encrypted with keys in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Srtp {
    Off,
    /// Offered; not taken is RTP.
    Optional,
    Required,
}

/// Where SIP requests for a trunk go (RFC 3263).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// A name or an address.
    pub host: String,
    /// Without one, a name's SRV records are asked.
    pub port: Option<u16>,
    /// `udp`, `tcp` or `tls`; without one, a name's NAPTR records are asked.
    pub transport: Option<String>,
}

/// An address, a network of them, or one address with its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub ip: IpAddr,
    /// Leading bits that count: 0 … 32 or 128.
    pub prefix: u8,
    pub port: Option<u16>,
}

/// What a trunk may use in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Calls at once (0 … 100,000).
    pub calls: u32,
    /// New calls in a second (1 … 1,000); as many may come at once.
    pub rate: u32,
}

/// Who we say that we are (RFC 3325).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Our number at this trunk, in the form of E.164.
    pub number: Option<String>,
    /// Whether the called party sees the caller's own number where a call is passed on.
    pub shows_caller: bool,
    /// Whether P-Asserted-Identity is sent.
    pub asserts: bool,
}

/// How numbers are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberPlan {
    /// Digits of the country, such as `49`; empty: only numbers with `+` have a form of E.164.
    pub country: String,
    /// What stands before a national number, such as `0`; may be empty.
    pub national: String,
    /// What stands before an international number, such as `00`; may be empty.
    pub international: String,
    /// Numbers of up to so many digits are short ones (0 … 10).
    pub short: u8,
    /// Whether a longer number without any prefix is international, as some carriers write them.
    pub bare: bool,
    /// How numbers are written toward the trunk.
    pub form: Form,
}

/// A way to write a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// `+4930123456`
    E164,
    /// `4930123456`
    Bare,
    /// `004930123456`
    International,
    /// `030123456`, and as `International` abroad.
    National,
}

impl Trunk {
    /// As an empty table of the configuration means it: nobody's calls come from it, and none go to it.
    pub fn new(id: TrunkId) -> Trunk {
        let of = str::to_owned;
        let share = Share { calls: 100, rate: 10 };
        let (country, national, international) = (String::new(), of("0"), of("00"));
        Trunk {
            id,
            peers: Vec::new(),
            server: None,
            listener: None,
            user: None,
            realm: None,
            accepts_digest: false,
            register: None,
            srtp: None,
            order: 10,
            weight: 1,
            incoming: share,
            outgoing: share,
            options: Some(Duration::from_secs(30)),
            identity: Identity { number: None, shows_caller: false, asserts: false },
            numbers: NumberPlan { country, national, international, short: 6, bare: false, form: Form::E164 },
            allowed: Vec::new(),
            denied: Vec::new(),
        }
    }

    /// Whether `number`, in the form of E.164 or short, may be called over this trunk.
    pub fn allows(&self, number: &str) -> bool {
        let meant = |entry: &String| is_meant(entry, number);
        self.server.is_some() && self.allowed.iter().any(meant) && !self.denied.iter().any(meant)
    }
}

/// Whether an entry of a list of numbers means this one: with +, what it begins with; without, all of it.
pub fn is_meant(entry: &str, number: &str) -> bool {
    if entry.starts_with('+') { number.starts_with(entry) } else { number == entry }
}

impl Peer {
    pub fn is(&self, at: SocketAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, true),
            IpAddr::V6(ip) => (u128::from(ip), false),
        };
        let ((ours, v4), (theirs, also_v4)) = (bits(self.ip), bits(at.ip()));
        let same = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        v4 == also_v4 && (ours ^ theirs) & same == 0 && self.port.is_none_or(|port| port == at.port())
    }
}

impl NumberPlan {
    /// The form of E.164 of what a carrier writes; what has none, such as `112` or a name, as it is.
    pub fn read(&self, written: &str) -> String {
        // RFC 3966 §5.1.1: visual separators mean nothing; parameters follow a semicolon.
        let number = written.split(';').next().unwrap_or_default();
        let number: String = number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return written.to_owned();
        }
        if number.starts_with('+') || digits.len() <= usize::from(self.short) || self.country.is_empty() {
            return number;
        }
        let after = |prefix: &str| digits.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && !rest.is_empty());
        match (after(&self.international), after(&self.national)) {
            (Some(rest), _) => format!("+{rest}"),
            (None, Some(rest)) => format!("+{}{rest}", self.country),
            (None, None) if self.bare => format!("+{digits}"),
            (None, None) => number,
        }
    }

    /// What a carrier reads for a number in the form of E.164; any other as it is.
    pub fn write(&self, number: &str) -> String {
        let Some(digits) = number.strip_prefix('+') else { return number.to_owned() };
        let at_home = digits.strip_prefix(self.country.as_str()).filter(|_| !self.country.is_empty());
        match (self.form, at_home) {
            (Form::E164, _) => number.to_owned(),
            (Form::Bare, _) => digits.to_owned(),
            (Form::National, Some(rest)) => format!("{}{rest}", self.national),
            (Form::International | Form::National, _) => format!("{}{digits}", self.international),
        }
    }
}

impl std::str::FromStr for Peer {
    type Err = ();

    /// `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.7:5060` or `[2001:db8::7]:5060`.
    fn from_str(text: &str) -> Result<Peer, ()> {
        let whole = |ip: IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        if let Ok(at) = text.parse::<SocketAddr>() {
            return Ok(Peer { ip: at.ip(), prefix: whole(at.ip()), port: Some(at.port()).filter(|port| *port > 0) });
        }
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let ip: IpAddr = ip.parse().map_err(|_| ())?;
        let prefix = prefix.map_or(Ok(whole(ip)), |prefix| prefix.parse::<u8>().map_err(|_| ()))?;
        (prefix <= whole(ip)).then_some(Peer { ip, prefix, port: None }).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(form: Form) -> NumberPlan {
        let of = |text: &str| text.to_owned();
        NumberPlan { country: of("49"), national: of("0"), international: of("00"), short: 6, bare: false, form }
    }

    #[test]
    fn numbers_are_read_as_e164_and_short_ones_as_they_are() {
        let german = plan(Form::E164);
        let bare = NumberPlan { bare: true, ..german.clone() };
        let american =
            NumberPlan { country: "1".into(), national: "1".into(), international: "011".into(), ..german.clone() };
        let italian = NumberPlan { country: "39".into(), national: String::new(), bare: false, ..german.clone() };
        let none = NumberPlan { country: String::new(), ..german.clone() };
        let rows = [
            (&german, "+4930123456", "+4930123456"),
            (&german, "004930123456", "+4930123456"),
            (&german, "030123456", "+4930123456"),
            (&german, "030/123456", "030/123456"), // no separator of RFC 3966: rather wrong than somebody else's
            (&german, "(030) 123-456", "+4930123456"),
            (&german, "+49-30-123456;npdi", "+4930123456"),
            (&german, "112", "112"),
            (&german, "116117", "116117"),
            (&german, "0301", "0301"),
            (&german, "4930123456", "4930123456"),
            (&german, "00", "00"),
            (&german, "anonymous", "anonymous"),
            (&german, "*0", "*0"),
            (&german, "", ""),
            (&german, "+", "+"),
            (&bare, "4930123456", "+4930123456"),
            (&bare, "110", "110"),
            (&american, "12125550100", "+12125550100"),
            (&american, "011493012345", "+493012345"),
            (&american, "911", "911"),
            (&italian, "00390612345", "+390612345"),
            (&italian, "0612345", "0612345"),
            (&none, "030123456", "030123456"),
            (&none, "+4930123456", "+4930123456"),
        ];
        for (plan, written, expect) in rows {
            assert_eq!(plan.read(written), expect, "{written}");
        }
    }

    #[test]
    fn numbers_are_written_as_the_carrier_reads_them() {
        let rows = [
            (Form::E164, "+4930123456", "+4930123456"),
            (Form::Bare, "+4930123456", "4930123456"),
            (Form::International, "+4930123456", "004930123456"),
            (Form::National, "+4930123456", "030123456"),
            (Form::National, "+12125550100", "0012125550100"),
            (Form::National, "112", "112"),
            (Form::International, "anonymous", "anonymous"),
        ];
        for (form, number, expect) in rows {
            assert_eq!(plan(form).write(number), expect);
            let back = NumberPlan { bare: form == Form::Bare, ..plan(form) }.read(expect);
            assert_eq!(back, number, "what is written is read back");
        }
    }

    #[test]
    fn peers_are_addresses_networks_or_sockets() {
        let rows = [
            ("192.0.2.7", "192.0.2.7:5060", true),
            ("192.0.2.7", "192.0.2.8:5060", false),
            ("192.0.2.0/24", "192.0.2.255:1", true),
            ("192.0.2.0/24", "192.0.3.0:1", false),
            ("0.0.0.0/0", "203.0.113.1:9", true),
            ("0.0.0.0/0", "[2001:db8::1]:9", false),
            ("192.0.2.7:5070", "192.0.2.7:5070", true),
            ("192.0.2.7:5070", "192.0.2.7:5071", false),
            ("192.0.2.7", "[::ffff:192.0.2.7]:5060", true),
            ("2001:db8::/32", "[2001:db8:1::1]:5060", true),
            ("2001:db8::/32", "[2001:db9::1]:5060", false),
            ("[2001:db8::7]:5060", "[2001:db8::7]:5060", true),
        ];
        for (peer, at, expect) in rows {
            assert_eq!(peer.parse::<Peer>().unwrap().is(at.parse().unwrap()), expect, "{peer} {at}");
        }
        for wrong in ["", "carrier.example", "192.0.2.0/33", "2001:db8::/129", "192.0.2.7/", "192.0.2.7/x"] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}
