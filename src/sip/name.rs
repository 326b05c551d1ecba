//! Names of header fields, long and compact (RFC 3261 §7.3.3, §20, and later documents), and of methods (§7.1).
//!
//! Known names are variants, so that looking one up compares numbers; what is unknown survives as text.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal $list:literal,)*) => {
        /// A header field's name; known ones are numbers, others keep their text and compare without case.
        #[derive(Clone, Debug, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Name { $($variant,)* Other(Box<str>) }

        impl Name {
            /// The long name.
            pub fn as_str(&self) -> &str {
                match self { $(Name::$variant => $text,)* Name::Other(text) => text }
            }

            /// Whether several values may stand in one field, separated by commas (RFC 3261 §7.3.1).
            pub fn is_list(&self) -> bool {
                match self { $(Name::$variant => $list,)* Name::Other(_) => false }
            }
        }

        const KNOWN: &[(&str, &str, Name)] = &[$(($text, $compact, Name::$variant),)*];

        /// A known name as the RFCs write it, as nearly everybody does.
        fn usual(text: &str) -> Option<Name> {
            match text { $($text => Some(Name::$variant),)* _ => None }
        }
    };
}

// Fields that every message has come first: names are looked up from the front.
names! {
    Via "Via" "v" true,
    From "From" "f" false,
    To "To" "t" false,
    CallId "Call-ID" "i" false,
    CSeq "CSeq" "" false,
    MaxForwards "Max-Forwards" "" false,
    Contact "Contact" "m" true,
    ContentLength "Content-Length" "l" false,
    ContentType "Content-Type" "c" false,
    UserAgent "User-Agent" "" false,
    Allow "Allow" "" true,
    Supported "Supported" "k" true,
    RecordRoute "Record-Route" "" true,
    Route "Route" "" true,
    Expires "Expires" "" false,
    Authorization "Authorization" "" false,
    Accept "Accept" "" true,
    AcceptEncoding "Accept-Encoding" "" true,
    AcceptLanguage "Accept-Language" "" true,
    AlertInfo "Alert-Info" "" true,
    AllowEvents "Allow-Events" "u" true,
    AuthenticationInfo "Authentication-Info" "" false,
    CallInfo "Call-Info" "" true,
    ContentDisposition "Content-Disposition" "" false,
    ContentEncoding "Content-Encoding" "e" true,
    ContentLanguage "Content-Language" "" true,
    Date "Date" "" false,
    Diversion "Diversion" "" true,
    ErrorInfo "Error-Info" "" true,
    Event "Event" "o" false,
    HistoryInfo "History-Info" "" true,
    InReplyTo "In-Reply-To" "" true,
    MimeVersion "MIME-Version" "" false,
    MinExpires "Min-Expires" "" false,
    MinSe "Min-SE" "" false,
    Organization "Organization" "" false,
    PAssertedIdentity "P-Asserted-Identity" "" true,
    Path "Path" "" true,
    PPreferredIdentity "P-Preferred-Identity" "" true,
    Priority "Priority" "" false,
    Privacy "Privacy" "" false,
    ProxyAuthenticate "Proxy-Authenticate" "" false,
    ProxyAuthorization "Proxy-Authorization" "" false,
    ProxyRequire "Proxy-Require" "" true,
    RAck "RAck" "" false,
    Reason "Reason" "" true,
    ReferTo "Refer-To" "r" false,
    ReferredBy "Referred-By" "b" false,
    Replaces "Replaces" "" false,
    ReplyTo "Reply-To" "" false,
    Require "Require" "" true,
    RetryAfter "Retry-After" "" false,
    RSeq "RSeq" "" false,
    Server "Server" "" false,
    ServiceRoute "Service-Route" "" true,
    SessionExpires "Session-Expires" "x" false,
    Subject "Subject" "s" false,
    SubscriptionState "Subscription-State" "" false,
    Timestamp "Timestamp" "" false,
    Unsupported "Unsupported" "" true,
    Warning "Warning" "" true,
    WwwAuthenticate "WWW-Authenticate" "" false,
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        match (self, other) {
            (Name::Other(a), Name::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl From<&str> for Name {
    /// Long and compact names, any case.
    fn from(text: &str) -> Name {
        let is = |long: &str, compact: &str| text.eq_ignore_ascii_case(if text.len() == 1 { compact } else { long });
        let any = || KNOWN.iter().find(|(long, compact, _)| is(long, compact)).map(|(_, _, name)| name.clone());
        usual(text).or_else(any).unwrap_or_else(|| Name::Other(text.into()))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name::from(text.as_str())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.as_str().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! methods {
    ($($variant:ident $text:literal,)*) => {
        /// RFC 3261 §7.1: methods compare with case. Unknown ones survive, to be answered by 405 or 501.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Method { $($variant,)* Other(String) }

        impl Method {
            pub fn as_str(&self) -> &str {
                match self { $(Method::$variant => $text,)* Method::Other(text) => text }
            }
        }

        impl From<&str> for Method {
            fn from(text: &str) -> Method {
                match text { $($text => Method::$variant,)* other => Method::Other(other.to_owned()) }
            }
        }
    };
}

methods! {
    Invite "INVITE",
    Ack "ACK",
    Bye "BYE",
    Cancel "CANCEL",
    Register "REGISTER",
    Options "OPTIONS",
    Info "INFO",
    Prack "PRACK",
    Update "UPDATE",
    Refer "REFER",
    Notify "NOTIFY",
    Subscribe "SUBSCRIBE",
    Message "MESSAGE",
    Publish "PUBLISH",
}

impl From<String> for Method {
    fn from(text: String) -> Method {
        Method::from(text.as_str())
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.as_str().to_owned()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_long_compact_and_of_any_case() {
        let rows = [
            ("v", Name::Via),
            ("VIA", Name::Via),
            ("i", Name::CallId),
            ("call-id", Name::CallId),
            ("K", Name::Supported),
            ("x", Name::SessionExpires),
            ("maX-forwARDS", Name::MaxForwards),
            ("X-Thing", Name::Other("x-thing".into())),
            ("z", Name::Other("Z".into())),
        ];
        for (text, expect) in rows {
            assert_eq!(Name::from(text), expect, "{text}");
        }
        assert_ne!(Name::from("X-Thing"), Name::from("X-Things"));
        let text = serde_json::to_string(&[Name::CSeq, Name::from("X-A")]).unwrap();
        assert_eq!(text, r#"["CSeq","X-A"]"#);
        assert_eq!(serde_json::from_str::<Vec<Name>>(&text).unwrap(), [Name::CSeq, Name::from("x-a")]);
    }

    #[test]
    fn methods_keep_their_case() {
        for text in ["INVITE", "PRACK", "invite", "RE%47IST%45R"] {
            assert_eq!(Method::from(text).to_string(), text);
        }
        assert_eq!(Method::from("BYE"), Method::Bye);
        assert_ne!(Method::from("bye"), Method::Bye);
    }
}
