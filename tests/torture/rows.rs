//! Every message of RFC 4475: what the parser makes of it, and what the server answers.

use tierline::sip::message::Misbehavior as M;

/// File, section of RFC 4475, what the parser makes of it, what the server answers a stranger. Responses that nobody waits for
/// have no answer, nor has what hides where to send one.
type Row = (&'static str, &'static str, Result<(), M>, &'static [u16]);

pub const TORTURE: &[Row] = &[
    ("wsinv", "3.1.1.1", Ok(()), &[100, 481]),
    ("intmeth", "3.1.1.2", Ok(()), &[501]),
    ("esc01", "3.1.1.3", Ok(()), &[100, 404]),
    ("escnull", "3.1.1.4", Ok(()), &[401]),
    ("esc02", "3.1.1.5", Ok(()), &[501]),
    ("lwsdisp", "3.1.1.6", Ok(()), &[200]),
    ("longreq", "3.1.1.7", Ok(()), &[100, 404]),
    ("dblreq", "3.1.1.8", Ok(()), &[401]),
    ("semiuri", "3.1.1.9", Ok(()), &[200]),
    ("transports", "3.1.1.10", Ok(()), &[200]),
    ("mpart01", "3.1.1.11", Ok(()), &[405]),
    ("unreason", "3.1.1.12", Ok(()), &[]),
    ("noreason", "3.1.1.13", Ok(()), &[]),
    ("badinv01", "3.1.2.1", Err(M::Via), &[]),
    ("clerr", "3.1.2.2", Err(M::BodyTooShort), &[400]),
    ("ncl", "3.1.2.3", Err(M::ContentLength), &[400]),
    ("scalar02", "3.1.2.4", Err(M::CSeq), &[400]),
    ("scalarlg", "3.1.2.5", Err(M::CSeq), &[]),
    ("quotbal", "3.1.2.6", Err(M::To), &[400]),
    ("ltgtruri", "3.1.2.7", Err(M::Uri), &[400]),
    ("lwsruri", "3.1.2.8", Err(M::StartLine), &[400]),
    ("lwsstart", "3.1.2.9", Err(M::StartLine), &[400]),
    ("trws", "3.1.2.10", Err(M::StartLine), &[400]),
    ("escruri", "3.1.2.11", Err(M::UriHeaders), &[400]),
    ("baddate", "3.1.2.12", Ok(()), &[100, 404]), // we do not read dates
    ("regbadct", "3.1.2.13", Err(M::Contact), &[400]),
    ("badaspec", "3.1.2.14", Err(M::To), &[400]),
    ("baddn", "3.1.2.15", Err(M::HeaderEnd), &[400]), // its file has no empty line; with one, see below
    ("badvers", "3.1.2.16", Err(M::Version), &[505]),
    ("mismatch01", "3.1.2.17", Err(M::CSeqMethod), &[400]),
    ("mismatch02", "3.1.2.18", Ok(()), &[501]),
    ("bigcode", "3.1.2.19", Err(M::Status), &[]),
    ("badbranch", "3.2.1", Ok(()), &[200]), // matched as RFC 2543 does
    ("insuf", "3.3.1", Err(M::FromMissing), &[400]),
    ("unkscm", "3.3.2", Err(M::UriScheme), &[416]),
    ("novelsc", "3.3.3", Err(M::UriScheme), &[416]),
    ("unksm2", "3.3.4", Ok(()), &[401]), // proof comes first
    ("bext01", "3.3.5", Ok(()), &[420]),
    ("invut", "3.3.6", Ok(()), &[100, 415]),
    ("regaut01", "3.3.7", Ok(()), &[401]),
    ("multi01", "3.3.8", Err(M::Repeated), &[400]),
    ("mcl01", "3.3.9", Err(M::ContentLength), &[400]),
    ("bcast", "3.3.10", Ok(()), &[]), // matches no transaction
    ("zeromf", "3.3.11", Ok(()), &[483]),
    ("cparam01", "3.3.12", Ok(()), &[401]),
    ("cparam02", "3.3.13", Ok(()), &[401]),
    ("regescrt", "3.3.14", Ok(()), &[401]),
    ("sdp01", "3.3.15", Ok(()), &[100, 406]),
    ("inv2543", "3.4.1", Ok(()), &[100, 404]),
];
