//! Asking within a dialog whether the peer is still there: while it holds, it may say nothing, and nobody would miss it.
//!
//! A session timer misses it too (RFC 4028), but not every phone knows one, and half an hour of music is long. Where the
//! peer takes UPDATE, it gets one that offers nothing (RFC 3311 §5.1): a phone that was started anew knows no such dialog
//! then. Others get OPTIONS (RFC 3261 §11), to which any answer will do, but for those that tell that there is no such
//! dialog. A peer that cannot be reached is asked again for 64·T1, as one that says nothing is.

use super::header::{Method, Name};
use super::leg::Watched;
use super::message::Request;
use super::session::refresh_with;
use super::transaction::{Errand, Outcome, Purpose};
use super::{Deadline, Endpoint};
use crate::ids::LegId;
use crate::time::Instant;
use std::time::Duration;

/// The pause between two questions where phones are not asked outside of calls either.
const USUAL: Duration = Duration::from_secs(30);
/// Until a peer that could not be reached, or to whom something else is being said, is asked again.
const AGAIN: Duration = Duration::from_secs(5);

impl Endpoint {
    /// `Command::Watch`.
    pub(super) fn watch(&mut self, now: Instant, leg: LegId, on: bool) {
        let Some(talking) = self.talking(leg) else { return };
        match (on, &talking.watched) {
            (true, None) => {
                talking.watched = Some(Watched::default());
                self.watch_later(now, leg);
            }
            (false, Some(_)) => {
                talking.watched = None;
                self.due.cancel(&Deadline::Watch(leg));
            }
            _ => {}
        }
    }

    fn watch_later(&mut self, now: Instant, leg: LegId) {
        let period = self.config.keepalive.unwrap_or(USUAL);
        self.due.set(Deadline::Watch(leg), now + period);
    }

    /// `Command::AskNow`; not while a question is under way.
    pub(super) fn ask_now(&mut self, now: Instant, leg: LegId) {
        if self.due.is_set(&Deadline::Watch(leg)) {
            self.due.set(Deadline::Watch(leg), now);
        }
    }

    /// `Deadline::Watch`.
    pub(super) fn watch_due(&mut self, now: Instant, leg: LegId) {
        let allow = self.allow();
        let Some(talking) = self.talking(leg).filter(|talking| talking.watched.is_some()) else { return };
        if !talking.is_between_offers() {
            return self.due.set(Deadline::Watch(leg), now + AGAIN);
        }
        let mut request = talking.dialog.request(if talking.takes_update { Method::Update } else { Method::Options });
        if talking.takes_update {
            request.headers.push(Name::Allow, allow);
            refresh_with(talking.timer.as_ref(), &mut request.headers);
        }
        let errand = Errand { account: talking.account.clone(), ..Errand::new(Purpose::Watch(leg)) };
        let dialog = talking.dialog.clone();
        let hop = self.hop(&dialog, &mut request);
        self.dispatch(now, request, hop, errand);
    }

    /// The question has come to its end.
    pub(super) fn watched(&mut self, now: Instant, leg: LegId, request: &Request, outcome: Outcome) {
        let patience = self.transactions.patience();
        let Some(talking) = self.talking(leg) else { return };
        match outcome {
            Outcome::Response(response) if knows_no_dialog(response.status) => {
                return self.dialog_gone(now, leg, response.status);
            }
            Outcome::Timeout { heard: false } => return self.dialog_gone(now, leg, 408),
            Outcome::TransportFailed { .. } | Outcome::Unresolved => {
                let Some(watched) = &mut talking.watched else { return };
                let since = *watched.unreached.get_or_insert(now);
                if now.since(since) >= patience {
                    return self.dialog_gone(now, leg, 503);
                }
                return self.due.set(Deadline::Watch(leg), now + AGAIN);
            }
            Outcome::Response(response) if request.method == Method::Update => {
                self.refreshed(now, leg, request, Outcome::Response(response));
            }
            Outcome::Response(_) | Outcome::Timeout { heard: true } => {}
        }
        if let Some(watched) = self.talking(leg).and_then(|talking| talking.watched.as_mut()) {
            watched.unreached = None;
            self.watch_later(now, leg);
        }
    }
}

/// RFC 3261 §12.2.1.2; and who is not known there at all has no dialog (RFC 5057 §5.1).
fn knows_no_dialog(status: u16) -> bool {
    matches!(status, 404 | 408 | 410 | 481 | 604)
}
