//! Session timers (RFC 4028): a call whose peer has vanished without a word ends all the same.
//!
//! Both sides: who asks, who grants, who refreshes (UPDATE where the peer takes it, else a re-INVITE that changes
//! nothing), and the BYE when nobody has. A peer that knows no timers gets none.

use super::api::{EndCause, Event, Reason};
use super::header::{Headers, Method, Name};
use super::headers::parse_seconds;
use super::leg::{Leg, Ours, SessionTimer, Talking};
use super::message::{Request, Response};
use super::transaction::{ClientKey, Errand, Outcome, Purpose};
use super::uac::SUPPORTED;
use super::{Deadline, Endpoint};
use crate::ids::LegId;
use crate::time::Instant;
use std::time::Duration;

/// RFC 4028 §5: where nobody says Min-SE. In seconds.
const MIN_SE: u32 = 90;

/// Seconds of Min-SE that we follow; a peer that wants more gets no call from us.
const MAX_SE: u32 = 86_400;

/// Seconds that a peer may grant us at least: less is taken for this, so that nobody makes us refresh in a storm.
const LEAST: u32 = 20;

/// How long until a refresh that failed, or found another request under way, is tried again; one that was refused with 491
/// waits as any offer does.
const AGAIN: Duration = Duration::from_secs(5);

/// Session-Expires as written: seconds, and who refreshes (`uac`, `uas`) if it is said.
struct Asked {
    interval: u32,
    refresher: Option<bool>,
}

/// `delta-seconds *(SEMI se-params)`; the refresher is true if it is who sent the request.
fn asked(headers: &Headers) -> Option<Asked> {
    let mut parts = headers.get(&Name::SessionExpires)?.split(';').map(str::trim);
    let interval = parse_seconds(parts.next()?)?;
    let refresher = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        let is_refresher = name.trim().eq_ignore_ascii_case("refresher");
        match value.trim().to_ascii_lowercase().as_str() {
            "uac" if is_refresher => Some(true),
            "uas" if is_refresher => Some(false),
            _ => None,
        }
    });
    Some(Asked { interval, refresher })
}

fn min_se(headers: &Headers) -> u32 {
    headers.get(&Name::MinSe).and_then(|value| parse_seconds(value.split(';').next()?.trim())).unwrap_or(MIN_SE)
}

fn knows_timers(headers: &Headers) -> bool {
    headers.lists(&Name::Supported, "timer") || headers.lists(&Name::Require, "timer")
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(MAX_SE)
}

impl SessionTimer {
    /// §10: the BYE is sent somewhat before the session expires.
    fn new(now: Instant, interval: u32, min: u32, ours: bool) -> SessionTimer {
        let before = (interval / 3).min(32);
        SessionTimer { interval, min, ours, ends: now + Duration::from_secs((interval - before).into()) }
    }
}

/// The fields of a request of ours that refreshes (§7.4): the refresher stays who it is.
pub(super) fn refresh_with(timer: Option<&SessionTimer>, headers: &mut Headers) {
    headers.push(Name::Supported, SUPPORTED.join(", "));
    if let Some(timer) = timer {
        let refresher = if timer.ours { "uac" } else { "uas" };
        headers.push(Name::SessionExpires, format!("{};refresher={refresher}", timer.interval));
        if timer.min > MIN_SE {
            headers.push(Name::MinSe, timer.min.to_string());
        }
    }
}

/// After a 422 (§7.3): the same request with a longer interval. The CSeq is one higher.
pub(super) fn longer_session(request: &Request, refusal: &Response, attempt: u8) -> Option<Request> {
    let min = min_se(&refusal.headers);
    let asked = asked(&request.headers)?;
    if attempt >= MAX_ATTEMPTS || min > MAX_SE || min <= asked.interval {
        return None;
    }
    let mut request = request.clone();
    let refresher = match asked.refresher {
        Some(true) => ";refresher=uac",
        Some(false) => ";refresher=uas",
        None => "",
    };
    request.headers.remove_top_via();
    request.headers.set(Name::SessionExpires, format!("{}{refresher}", asked.interval.max(min)));
    request.headers.set(Name::MinSe, min.to_string());
    let mut cseq = request.headers.cseq().ok()?;
    cseq.number += 1;
    request.headers.set(Name::CSeq, cseq.text());
    Some(request)
}

/// Tries of one request: each proxy on the way may have its own minimum.
const MAX_ATTEMPTS: u8 = 4;

impl Endpoint {
    /// The fields of a first INVITE of ours (§7.1); who refreshes is the callee's to say.
    pub(super) fn ask_for_timer(&self, headers: &mut Headers) {
        let times = &self.config.sessions;
        if !times.on {
            return;
        }
        headers.push(Name::SessionExpires, seconds(times.interval).to_string());
        if seconds(times.min) > MIN_SE {
            headers.push(Name::MinSe, seconds(times.min).to_string());
        }
    }

    /// Whether sessions shall expire, for us or for a peer who insists.
    fn takes_part(&self, request: &Request) -> bool {
        self.config.sessions.on || request.headers.lists(&Name::Require, "timer")
    }

    /// The Min-SE of a 422, if a request asks for less and knows what that is (§9).
    pub(super) fn too_short(&self, request: &Request) -> Option<u32> {
        let refreshes = matches!(request.method, Method::Invite | Method::Update);
        let min = seconds(self.config.sessions.min).max(MIN_SE);
        let takes_part = refreshes && knows_timers(&request.headers) && self.takes_part(request);
        let asked = asked(&request.headers).filter(|_| takes_part)?;
        (asked.interval < min).then_some(min)
    }

    /// What we grant in a 2xx to `request` (§9, table 2); `current` is what was agreed before.
    pub(super) fn grant_timer(
        &self,
        now: Instant,
        request: &Request,
        current: Option<&SessionTimer>,
        response: &mut Response,
    ) -> Option<SessionTimer> {
        let knows = knows_timers(&request.headers);
        let asked = asked(&request.headers);
        if (asked.is_none() && !knows) || !self.takes_part(request) {
            return None;
        }
        let min = min_se(&request.headers).max(current.map_or(0, |timer| timer.min)).min(MAX_SE);
        let least = min.max(seconds(self.config.sessions.min));
        let most = asked.as_ref().map_or(MAX_SE, |asked| asked.interval);
        let interval = seconds(self.config.sessions.interval).min(most).max(least);
        // Who knows no timers refreshes nothing. Where it is ours to choose, we know best that we do it.
        let theirs = asked.and_then(|asked| asked.refresher).or(current.map(|timer| !timer.ours)).unwrap_or(false);
        let ours = !(theirs && knows);
        let refresher = if ours { "uas" } else { "uac" };
        response.headers.push(Name::SessionExpires, format!("{interval};refresher={refresher}"));
        if !ours {
            response.headers.push(Name::Require, "timer");
        }
        Some(SessionTimer::new(now, interval, min, ours))
    }

    /// What the 2xx to a request of ours grants (§7.2). Without the field the session does not expire.
    pub(super) fn agreed_timer(&self, now: Instant, key: ClientKey, response: &Response) -> Option<SessionTimer> {
        let min = self.transactions.sent(key).map_or(MIN_SE, |sent| min_se(&sent.headers));
        granted(now, min, response)
    }

    /// From now on this holds.
    pub(super) fn set_timer(&mut self, now: Instant, leg: LegId, timer: Option<SessionTimer>) {
        let Some(talking) = self.talking(leg) else { return };
        talking.timer = timer;
        match &talking.timer {
            None => _ = self.due.cancel(&Deadline::Session(leg)),
            Some(timer) => {
                let half = now + Duration::from_secs((timer.interval / 2).into());
                let at = if timer.ours { half } else { timer.ends };
                self.due.set(Deadline::Session(leg), at);
            }
        }
    }

    /// `Deadline::Session`.
    pub(super) fn session_due(&mut self, now: Instant, leg: LegId) {
        let Some(talking) = self.talking(leg) else { return };
        let Some(timer) = talking.timer.clone() else { return };
        if now >= timer.ends {
            return self.session_expired(now, leg);
        }
        if talking.is_between_offers() {
            self.due.set(Deadline::Session(leg), timer.ends);
            self.refresh(now, leg);
        } else {
            self.refresh_again(now, leg); // What is under way may itself refresh.
        }
    }

    fn session_expired(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Talking(talking)) = self.forget(leg) else { return };
        let reason = Reason { protocol: "SIP".to_owned(), cause: 408, text: "Session timer expired".to_owned() };
        let was_ours = talking.leaving.is_some();
        self.leave(now, *talking, Some(reason.to_string()));
        if !was_ours {
            self.tell(Event::Ended { leg, reason: None, why: EndCause::Expired });
        }
    }

    fn refresh(&mut self, now: Instant, leg: LegId) {
        let allow = self.allow();
        let Some(talking) = self.talking(leg) else { return };
        match &talking.local {
            Some(body) if !talking.takes_update => {
                let ours = Ours { body: body.clone(), refreshes: true, tries: 0 };
                self.send_offer(now, leg, ours);
            }
            _ => {
                let mut update = talking.dialog.request(Method::Update);
                update.headers.push(Name::Allow, allow);
                refresh_with(talking.timer.as_ref(), &mut update.headers);
                let errand = Errand { account: talking.account.clone(), ..Errand::new(Purpose::Refresh(leg)) };
                let dialog = talking.dialog.clone();
                let hop = self.hop(&dialog, &mut update);
                self.dispatch(now, update, hop, errand);
            }
        }
    }

    /// Tries again in a while, unless the session ends before; where the peer refreshes, that is left to it (RFC 4028 §10).
    pub(super) fn refresh_again(&mut self, now: Instant, leg: LegId) {
        self.refresh_after(now, leg, AGAIN);
    }

    /// Our refresh was refused with 491: it met a request of the peer's (RFC 3261 §14.1).
    pub(super) fn refresh_met(&mut self, now: Instant, leg: LegId) {
        if let Some(pause) = self.pause_for_turn(leg) {
            self.refresh_after(now, leg, pause);
        }
    }

    fn refresh_after(&mut self, now: Instant, leg: LegId, pause: Duration) {
        if let Some(timer) = self.talking(leg).and_then(|talking| talking.timer.as_ref()).filter(|timer| timer.ours) {
            let at = timer.ends.min(now + pause);
            self.due.set(Deadline::Session(leg), at);
        }
    }

    /// Our UPDATE has come to its end.
    pub(super) fn refreshed(&mut self, now: Instant, leg: LegId, request: &Request, outcome: Outcome) {
        let Some(talking) = self.talking(leg) else { return };
        match outcome {
            Outcome::Response(response) if response.status < 300 => {
                let moved = talking.dialog.refresh_target(response.headers.contact().ok().flatten());
                if moved {
                    self.tell_moved(leg);
                }
                let timer = granted(now, min_se(&request.headers), &response);
                self.set_timer(now, leg, timer);
            }
            Outcome::Response(response) if matches!(response.status, 408 | 481) => {
                self.dialog_gone(now, leg, response.status);
            }
            Outcome::Timeout { .. } => self.dialog_gone(now, leg, 408),
            // Connections come back, and names are found again: the session has its end if they do not.
            Outcome::TransportFailed | Outcome::Unresolved => self.refresh_again(now, leg),
            Outcome::Response(response) if response.status == 491 => self.refresh_met(now, leg),
            Outcome::Response(response) => {
                talking.takes_update &= !matches!(response.status, 405 | 501);
                self.refresh_again(now, leg);
            }
        }
    }
}

/// A 2xx must say who refreshes; if it does not, we do.
fn granted(now: Instant, min: u32, response: &Response) -> Option<SessionTimer> {
    let asked = asked(&response.headers)?;
    let interval = asked.interval.clamp(LEAST, MAX_SE);
    Some(SessionTimer::new(now, interval, min, asked.refresher.unwrap_or(true)))
}

impl Talking {
    /// Whether an offer may be made: none is under way on either side, and the last 2xx has its ACK.
    pub(super) fn is_between_offers(&self) -> bool {
        let open = self.ours.is_some() || self.theirs.is_some() || self.unacked.is_some();
        !open && self.owes_ack.is_none() && self.leaving.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4028 §7.4: whoever refreshes, the refresher stays who it is; said from the side of who sends the request.
    #[test]
    fn a_refresh_leaves_the_refresher_who_it_is() {
        for (ours, expect) in [(true, "600;refresher=uac"), (false, "600;refresher=uas")] {
            let mut headers = Headers::default();
            refresh_with(Some(&SessionTimer::new(Instant::ZERO, 600, MIN_SE, ours)), &mut headers);
            assert_eq!(headers.get(&Name::SessionExpires), Some(expect));
        }
    }
}
