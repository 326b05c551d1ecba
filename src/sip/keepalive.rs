//! OPTIONS to bound phones, so that a phone that vanished is noticed and a NAT stays open.
//!
//! Any answer means that the phone is there (RFC 3261 §11), but for 430 (its flow behind a proxy is gone, RFC 5626); no answer for 7·T1 to this or any other request, or a broken
//! flow, that it is not.
//! Phones that do not answer are asked on, also where others are not asked: they count again as soon as they do. One whose
//! connection is gone is asked at its Contact at once.

use super::Endpoint;
use super::header::{Method, Name, NameAddr};
use super::message::Request;
use super::route::Hop;
use super::transaction::{Errand, Purpose};
use super::uri::Uri;
use crate::time::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// The pause between two questions to a phone that does not answer, where phones are not asked.
const USUAL: Duration = Duration::from_secs(30);

impl Endpoint {
    /// Begins to ask phones of this user that are not asked yet, each at its own moment of the period.
    pub(super) fn begin_asking(&mut self, now: Instant, user: &str) {
        let Some(period) = self.config.keepalive else { return };
        for number in self.registrar.unasked(user) {
            let share = 0.5 + self.rng.unit() / 2.0;
            self.registrar.ask_later(number, now + period.mul_f64(share));
        }
    }

    /// A phone answered OPTIONS, or did not: the next one follows after the period.
    pub(super) fn asked(&mut self, now: Instant, number: u64) {
        let silent = || self.registrar.by_number(number).is_some_and(|binding| !binding.alive);
        if let Some(period) = self.config.keepalive.or_else(|| silent().then_some(USUAL)) {
            self.registrar.ask_later(number, now + period);
        }
    }

    /// Who does not answer would be called by nobody, and so never be found to be back.
    pub(super) fn ask_the_silent(&mut self, now: Instant) {
        let silenced = std::mem::take(&mut self.registrar.silenced);
        if self.config.keepalive.is_none() {
            silenced.into_iter().for_each(|number| self.registrar.ask_no_later(number, now + USUAL));
        }
    }

    pub(super) fn registrar_timeout(&mut self, now: Instant) {
        let events = self.registrar.timeout(now);
        self.tell_of_phones(events);
        for number in std::mem::take(&mut self.registrar.due) {
            self.ask_phone(now, number);
        }
    }

    fn ask_phone(&mut self, now: Instant, number: u64) {
        let Some(binding) = self.registrar.by_number(number) else { return };
        if self.config.keepalive.is_none() && binding.alive {
            return;
        }
        let (uri, flow, path) = (binding.contact.uri.clone(), binding.flow, binding.path.clone());
        let mut request = self.options(uri, self.advertised(flow));
        path.into_iter().for_each(|hop| request.headers.push(Name::Route, hop));
        self.dispatch(now, request, Hop::Over(flow), Errand::new(Purpose::Keepalive(number)));
    }

    /// `Command::Probe`.
    pub(super) fn probe(&mut self, now: Instant, id: u64, uri: Uri, listener: Option<SocketAddr>) {
        let from = self.listener_toward(&uri, listener).unwrap_or_default();
        let request = self.options(uri.clone(), self.config.listeners[usize::from(from)].advertised);
        let errand = Errand { listener, ..Errand::new(Purpose::Probe(id)) };
        self.dispatch(now, request, Hop::Toward(uri, None), errand);
    }

    fn options(&mut self, uri: Uri, at: SocketAddr) -> Request {
        let mut from = NameAddr::new(Uri::sip("", at.ip().into(), Some(at.port())));
        from.set_tag(&self.tag());
        let mut request = Request::new(Method::Options, uri.clone());
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, from.text());
        headers.push(Name::To, NameAddr::new(uri).text());
        headers.push(Name::CallId, self.rng.hex(12));
        headers.push(Name::CSeq, "1 OPTIONS");
        request
    }
}
