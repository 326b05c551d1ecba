//! Reasons that the other side of a leg gives (RFC 3326).

use serde::{Deserialize, Serialize};

/// What a Reason field says, but for its text: that is whatever its writer likes, a person's name too, and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenReason {
    pub protocol: ReasonProtocol,
    /// 1 … 127 of Q.850, 100 … 699 of SIP.
    pub cause: u16,
}

/// Whose codes a reason is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReasonProtocol {
    Sip,
    Q850,
}

impl GivenReason {
    /// None if it is no code that there is, or one of another protocol.
    pub fn read(protocol: &str, cause: u16) -> Option<GivenReason> {
        let (protocol, codes) = match protocol {
            _ if protocol.eq_ignore_ascii_case("SIP") => (ReasonProtocol::Sip, 100..=699),
            _ if protocol.eq_ignore_ascii_case("Q.850") => (ReasonProtocol::Q850, 1..=127),
            _ => return None,
        };
        codes.contains(&cause).then_some(GivenReason { protocol, cause })
    }

    /// In our words, where it is one that is often met (ITU-T Q.850 table 1, RFC 3326 §3.1).
    fn text(self) -> Option<&'static str> {
        Some(match (self.protocol, self.cause) {
            (ReasonProtocol::Sip, 200) => "answered elsewhere",
            (ReasonProtocol::Sip, 486 | 600) | (ReasonProtocol::Q850, 17) => "busy",
            (ReasonProtocol::Sip, _) => return None,
            (ReasonProtocol::Q850, 1) => "no such number",
            (ReasonProtocol::Q850, 3) => "no route there",
            (ReasonProtocol::Q850, 16) => "normal clearing",
            (ReasonProtocol::Q850, 18) => "no user responds",
            (ReasonProtocol::Q850, 19) => "no answer",
            (ReasonProtocol::Q850, 20) => "subscriber absent",
            (ReasonProtocol::Q850, 21) => "rejected",
            (ReasonProtocol::Q850, 26) => "answered elsewhere",
            (ReasonProtocol::Q850, 27) => "destination out of order",
            (ReasonProtocol::Q850, 28) => "number incomplete",
            (ReasonProtocol::Q850, 31) => "normal, unspecified",
            (ReasonProtocol::Q850, 34) => "no channel free",
            (ReasonProtocol::Q850, 38) => "network out of order",
            (ReasonProtocol::Q850, 41) => "temporary failure",
            (ReasonProtocol::Q850, 42) => "congestion",
            (ReasonProtocol::Q850, 127) => "interworking",
            (ReasonProtocol::Q850, _) => return None,
        })
    }
}

/// Such as `Q.850 16 (normal clearing)`.
impl std::fmt::Display for GivenReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = match self.protocol {
            ReasonProtocol::Sip => "SIP",
            ReasonProtocol::Q850 => "Q.850",
        };
        write!(f, "{protocol} {}", self.cause)?;
        self.text().map_or(Ok(()), |text| write!(f, " ({text})"))
    }
}
