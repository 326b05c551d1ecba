//! What is said about connections of streams: which of them live, and where to go when one does not.
//!
//! A message goes over the connection that its peer came by while that lives (RFC 5923 without `alias`: phones behind
//! NATs can be reached in no other way). Afterwards a response goes to the port of its Via (RFC 3261 §18.2.2), and a
//! request where its phone has registered since, or where its URI leads. A connection that is made for a place is the
//! shell's to find or to open. Here, too, large requests change from UDP to TCP (§18.1.1).

use super::Endpoint;
use super::api::{Flow, Output, Transport};
use super::dialog::DialogRecord;
use super::message::{Message, Request};
use super::route::{Bound, Hop};
use super::uri::Uri;
use crate::time::Instant;
use std::net::SocketAddr;

/// RFC 3261 §18.1.1: the largest request on UDP, in bytes, when nobody has asked for the path's MTU.
const MAX_DATAGRAM: usize = 1_300;
/// What Via, Contact and User-Agent add on the way.
const STILL_TO_COME: usize = 250;

impl Endpoint {
    /// Something came over `flow`.
    pub(super) fn heard_over(&mut self, flow: Flow) {
        if flow.connection != 0 {
            self.connections.insert(flow.connection);
        }
    }

    /// `flow` is broken: who waits for an answer over it waits in vain, and so do bindings that came over it.
    pub(super) fn broken(&mut self, now: Instant, flow: Flow) {
        self.connections.remove(&flow.connection);
        self.transactions.transport_failed(flow);
        let events = self.registrar.flow_failed(now, flow);
        self.tell_of_phones(events);
    }

    /// Whether `flow` leads somewhere: all do but connections that are gone.
    pub(super) fn lives(&self, flow: Flow) -> bool {
        !flow.transport.is_reliable() || flow.connection == 0 || self.connections.contains(&flow.connection)
    }

    /// Puts out a message of a transaction.
    pub(super) fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        let flow = if self.lives(flow) { flow } else { self.way_back(flow, &bytes).unwrap_or(flow) };
        self.out.push_back(Output::Send { flow, bytes });
    }

    /// Where a response goes whose connection is gone (§18.2.2).
    fn way_back(&self, flow: Flow, bytes: &[u8]) -> Option<Flow> {
        let Ok(Message::Response(response)) = Message::parse(bytes, &self.config.limits) else { return None };
        let via = response.headers.top_via().ok()?;
        let port = via.port.unwrap_or(flow.transport.default_port());
        Some(Flow { remote: SocketAddr::new(flow.remote.ip(), port), connection: 0, ..flow })
    }

    /// Where the next request of a dialog goes. RFC 5627 §5.4: a phone that named itself there by a GRUU of ours is sent to at
    /// its Contact: whoever is on the way could only send a GRUU back to us.
    pub(super) fn hop(&self, dialog: &DialogRecord, request: &mut Request) -> Hop {
        let named = |uri: &Uri| self.phone_named(uri).filter(|phone| dialog.user.as_ref() == Some(&phone.user));
        if let Some(binding) = named(&request.uri) {
            request.uri = binding.contact.uri.clone();
        }
        let connected = dialog.flow.connection != 0 && dialog.routes.is_empty() && self.lives(dialog.flow);
        match dialog.next_hop() {
            Some(uri) if !connected && named(&uri).is_none() => Hop::Toward(uri, Some(dialog.flow)),
            _ => Hop::Over(dialog.flow),
        }
    }

    /// Another way for a request whose connection is gone.
    pub(super) fn way_around(&self, request: &Request) -> Hop {
        if let Some(flow) = self.registrar.reached_at(&request.uri).filter(|flow| self.lives(*flow)) {
            return Hop::Over(flow);
        }
        let route = request.headers.routes().ok().and_then(|routes| Some(routes.first()?.uri.clone()));
        Hop::Toward(route.unwrap_or_else(|| request.uri.clone()), None)
    }

    /// The stream for a request that is too large for the datagram it would be, if its URI leaves that open (§18.1.1).
    pub(super) fn roomier(&self, uri: &Uri, flow: Flow, (request, bound): (&Request, Bound)) -> Option<Flow> {
        if flow.transport != Transport::Udp || uri.transport().is_some() {
            return None;
        }
        let stream = self.flow_to(Transport::Tcp, flow.remote, (Some(flow), bound))?;
        is_large(request).then_some(stream)
    }

    /// The flows to places that a name leads to, best first: a large request takes streams first (RFC 3263 §4.1).
    pub(super) fn roomiest(&self, uri: &Uri, (request, bound): (&Request, Bound), flows: Vec<Flow>) -> Vec<Flow> {
        if !is_large(request) || flows.first().is_none_or(|first| first.transport != Transport::Udp) {
            return flows;
        }
        let (streams, datagrams): (Vec<Flow>, Vec<Flow>) =
            flows.into_iter().partition(|flow| flow.transport.is_reliable());
        let made_up = datagrams.first().filter(|_| streams.is_empty());
        let made_up = made_up.and_then(|flow| self.roomier(uri, *flow, (request, bound)));
        streams.into_iter().chain(made_up).chain(datagrams).collect()
    }
}

fn is_large(request: &Request) -> bool {
    request.to_bytes().len() + STILL_TO_COME > MAX_DATAGRAM
}
