//! INVITEs that take the place of a dialog of ours, receiving side (RFC 3891 §3). Which dialog is meant is decided
//! here, who may take its place and what then becomes of it by our user.

use super::Endpoint;
use super::header::{Headers, Name};
use super::leg::Leg;
use crate::ids::LegId;

/// Tags of ended dialogs that are remembered, to answer 603 instead of 481 (§3); older ones are forgotten.
pub(super) const REMEMBERED: usize = 256;

/// A Replaces field (§6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replaces {
    call_id: String,
    to_tag: String,
    from_tag: String,
    early_only: bool,
}

impl Replaces {
    /// `callid *(SEMI replaces-param)`; both tags must be there, once.
    fn parse(text: &str) -> Option<Replaces> {
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts.next().filter(|call_id| !call_id.is_empty())?.to_owned();
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim()));
            let tag = match name.to_ascii_lowercase().as_str() {
                "to-tag" => &mut to_tag,
                "from-tag" => &mut from_tag,
                "early-only" => {
                    early_only = true;
                    continue;
                }
                _ => continue,
            };
            if value.is_empty() || tag.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Replaces { call_id, to_tag: to_tag?, from_tag: from_tag?, early_only })
    }
}

impl Endpoint {
    /// The leg that an INVITE takes the place of, if it wants that; or the status that refuses it.
    pub(super) fn replaced(&self, headers: &Headers) -> Result<Option<LegId>, u16> {
        let mut fields = headers.iter().filter(|(name, _)| **name == Name::Replaces);
        let Some((_, field)) = fields.next() else { return Ok(None) };
        let replaces = Replaces::parse(field).filter(|_| fields.next().is_none()).ok_or(400_u16)?;
        let Replaces { call_id, to_tag, from_tag, early_only } = replaces;
        let Some(leg) = self.by_tag.get(&to_tag).copied() else {
            // Who replaces a dialog that has just ended must not ring anybody.
            return Err(if self.ended.contains(&to_tag) { 603 } else { 481 });
        };
        // Phones of RFC 2543 have no tag; §3 writes it as 0.
        let remote = if from_tag == "0" { "" } else { from_tag.as_str() };
        let state = self.legs.get(&leg).ok_or(481_u16)?;
        let same = |remote: &str| state.dialog_with(remote).is_some_and(|dialog| dialog.is_of(&call_id, remote));
        if !same(&from_tag) && !same(remote) {
            return Err(481);
        }
        match state {
            Leg::Calling(_) => Ok(Some(leg)),
            Leg::Ringing(_) => Err(481), // An early dialog that we have not initiated stays as it is.
            Leg::Talking(talking) if talking.leaving.is_some() => Err(603),
            Leg::Talking(_) if early_only => Err(486),
            Leg::Talking(_) => Ok(Some(leg)),
        }
    }

    /// A dialog has ended.
    pub(super) fn remember_ended(&mut self, local_tag: String) {
        if self.ended.len() >= REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(local_tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let rows = [
            ("a@b;to-tag=1;from-tag=2", Some(("a@b", "1", "2", false))),
            ("a ; From-Tag = 2 ; early-only ; to-tag=1;x=y", Some(("a", "1", "2", true))),
            ("a;to-tag=1", None),
            ("a;from-tag=2", None),
            ("a;to-tag=;from-tag=2", None),
            ("a;to-tag=1;to-tag=3;from-tag=2", None),
            (";to-tag=1;from-tag=2", None),
            ("", None),
        ];
        for (text, expect) in rows {
            let read = Replaces::parse(text);
            let read =
                read.as_ref().map(|r| (r.call_id.as_str(), r.to_tag.as_str(), r.from_tag.as_str(), r.early_only));
            assert_eq!(read, expect, "{text}");
        }
    }
}
