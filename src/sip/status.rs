//! What went wrong and which status says so: the faults of messages on the wire, and the usual reason phrases
//! (RFC 3261 §21 and later documents). `rsip` knows the codes, but not the phrases.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! misbehaviors {
    ($($(#[$doc:meta])* $variant:ident $status:literal $name:literal $sentence:literal,)*) => {
        /// What a peer did wrong on the wire. Each has one status ([`Misbehavior::status`]) and one name for metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Misbehavior { $($(#[$doc])* $variant,)* }

        impl Misbehavior {
            pub const ALL: &'static [Misbehavior] = &[$(Misbehavior::$variant,)*];

            /// The status that answers a request with this fault.
            pub fn status(self) -> u16 {
                match self { $(Misbehavior::$variant => $status,)* }
            }

            /// `snake_case`, for metrics.
            pub fn name(self) -> &'static str {
                match self { $(Misbehavior::$variant => $name,)* }
            }

            /// What is wrong, in a few words: the reason phrase, and for logs.
            pub fn sentence(self) -> &'static str {
                match self { $(Misbehavior::$variant => $sentence,)* }
            }
        }
    };
}

misbehaviors! {
    MessageTooLong 513 "message_too_long" "Message Too Large",
    StartLine 400 "start_line" "Bad Start Line",
    Version 505 "version" "Version Not Supported",
    Uri 400 "uri" "Bad URI",
    UriTooLong 414 "uri_too_long" "Request-URI Too Long",
    /// A request URI that is neither `sip`, `sips` nor `tel`.
    UriScheme 416 "uri_scheme" "Unsupported URI Scheme",
    /// A request URI with `?headers` (RFC 3261 §19.1.1 allows none there).
    UriHeaders 400 "uri_headers" "Headers in Request-URI",
    /// A status outside 100 … 699.
    Status 400 "status" "Bad Status Code",
    HeaderField 400 "header_field" "Bad Header Field",
    HeaderFieldTooLong 513 "header_field_too_long" "Header Field Too Large",
    TooManyHeaderFields 513 "too_many_header_fields" "Too Many Header Fields",
    /// Not UTF-8, or a lone carriage return.
    HeaderText 400 "header_text" "Bad Characters in Header Field",
    /// No empty line after the header.
    HeaderEnd 400 "header_end" "No End of Header",
    ContentLength 400 "content_length" "Bad Content-Length",
    /// Less body than Content-Length says.
    BodyTooShort 400 "body_too_short" "Content-Length Beyond Message",
    /// A field that may stand once stands twice.
    Repeated 400 "repeated" "Repeated Header Field",
    ViaMissing 400 "via_missing" "Missing Via",
    Via 400 "via" "Bad Via",
    FromMissing 400 "from_missing" "Missing From",
    From 400 "from" "Bad From",
    ToMissing 400 "to_missing" "Missing To",
    To 400 "to" "Bad To",
    CallIdMissing 400 "call_id_missing" "Missing Call-ID",
    CallId 400 "call_id" "Bad Call-ID",
    CSeqMissing 400 "cseq_missing" "Missing CSeq",
    CSeq 400 "cseq" "Bad CSeq",
    CSeqMethod 400 "cseq_method" "CSeq Method Differs",
    MaxForwards 400 "max_forwards" "Bad Max-Forwards",
    Contact 400 "contact" "Bad Contact",
    Route 400 "route" "Bad Route",
    RecordRoute 400 "record_route" "Bad Record-Route",
    Authorization 400 "authorization" "Bad Authorization",
    /// Not Digest, or an algorithm or quality of protection that we do not offer: challenge again.
    AuthorizationKind 401 "authorization_kind" "Unauthorized",
}

impl fmt::Display for Misbehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Misbehavior {}

/// The usual reason phrase: RFC 3261 §21, and the codes of later documents (IANA's list).
pub fn reason_phrase(status: u16) -> &'static str {
    match REASONS.binary_search_by_key(&status, |(code, _)| *code) {
        Ok(index) => REASONS[index].1,
        Err(_) => match status / 100 {
            1 => "Trying",
            2 => "OK",
            3 => "Redirected",
            4 => "Refused",
            5 => "Server Failure",
            _ => "Refused Everywhere",
        },
    }
}

/// Whether a document gives this code a meaning.
pub fn is_known(status: u16) -> bool {
    REASONS.binary_search_by_key(&status, |(code, _)| *code).is_ok()
}

const REASONS: &[(u16, &str)] = &[
    (100, "Trying"),
    (180, "Ringing"),
    (181, "Call Is Being Forwarded"),
    (182, "Queued"),
    (183, "Session Progress"),
    (199, "Early Dialog Terminated"),
    (200, "OK"),
    (202, "Accepted"),
    (204, "No Notification"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Moved Temporarily"),
    (305, "Use Proxy"),
    (380, "Alternative Service"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (410, "Gone"),
    (412, "Conditional Request Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Unsupported URI Scheme"),
    (420, "Bad Extension"),
    (421, "Extension Required"),
    (422, "Session Interval Too Small"),
    (423, "Interval Too Brief"),
    (428, "Use Identity Header"),
    (429, "Provide Referrer Identity"),
    (430, "Flow Failed"),
    (433, "Anonymity Disallowed"),
    (439, "First Hop Lacks Outbound Support"),
    (469, "Bad Info Package"),
    (480, "Temporarily Unavailable"),
    (481, "Call/Transaction Does Not Exist"),
    (482, "Loop Detected"),
    (483, "Too Many Hops"),
    (484, "Address Incomplete"),
    (485, "Ambiguous"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (488, "Not Acceptable Here"),
    (489, "Bad Event"),
    (491, "Request Pending"),
    (493, "Undecipherable"),
    (494, "Security Agreement Required"),
    (500, "Server Internal Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Server Time-out"),
    (505, "Version Not Supported"),
    (513, "Message Too Large"),
    (555, "Push Notification Service Not Supported"),
    (580, "Precondition Failure"),
    (600, "Busy Everywhere"),
    (603, "Decline"),
    (604, "Does Not Exist Anywhere"),
    (606, "Not Acceptable"),
    (607, "Unwanted"),
    (608, "Rejected"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_phrase() {
        assert!(REASONS.is_sorted_by(|(a, _), (b, _)| a < b), "the table is searched by halves");
        let rows = [
            (100, "Trying"),
            (200, "OK"),
            (486, "Busy Here"),
            (608, "Rejected"),
            (299, "OK"),
            (499, "Refused"),
            (699, "Refused Everywhere"),
        ];
        for (status, expect) in rows {
            assert_eq!(reason_phrase(status), expect);
        }
    }

    #[test]
    fn every_fault_has_its_own_name_and_an_error_status() {
        let mut names: Vec<_> = Misbehavior::ALL.iter().map(|m| m.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Misbehavior::ALL.len());
        assert!(Misbehavior::ALL.iter().all(|m| (400..600).contains(&m.status()) && !m.sentence().is_empty()));
    }
}
