//! Where a URI's host name leads (RFC 3263): NAPTR, SRV by priority and weight (RFC 2782), A and AAAA.
//!
//! What is looked up in which order is here, over [`Records`]; the asking, its cache (bounded, by TTL), its time-outs
//! and its TCP are hickory's. Addresses in URIs never come here. Left out: `maddr` (it lets strangers point us at
//! others), and ENUM.

use super::counters::Counters;
use super::streams::Streams;
use crate::engine::Input;
use crate::ids::Rng;
use crate::server::inbox::{Inbox, Message};
use crate::sip::uri::{Scheme, Uri};
use crate::sip::{self, Place, Transport};
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For all look-ups of one name together: less than a call waits for a reaction (`engine::seeking`), so that it goes on to
/// the next carrier because a name leads nowhere and not because this carrier was silent; less than a probe may take, too.
const LIMIT: Duration = Duration::from_millis(3_500);
/// For one question to one name server, which is repeated [`REPEATS`] times: datagrams get lost.
const QUESTION: Duration = Duration::from_millis(600);
const REPEATS: usize = 2;
/// For NAPTR: there are routers that leave unanswered what they do not know, and the rest of the look-up does not need it.
const POINTERS: Duration = Duration::from_secs(1);
/// Answers that are kept.
const CACHE: u64 = 2_048;
/// Places of one name that are tried.
const MOST: usize = 16;

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// One NAPTR record, as far as SIP needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub service: String,
    pub replacement: String,
}

/// Nobody has answered, or could: that says nothing of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

/// What a name server says; empty if there is nothing of the kind.
type Found<T> = Result<Vec<T>, Unanswered>;
/// Where a name leads; none if there are no records that say it.
type Places = Vec<(Transport, SocketAddr)>;

/// A name server.
pub trait Records {
    fn pointers(&self, name: &str) -> impl Future<Output = Found<Pointer>> + Send;
    fn services(&self, name: &str) -> impl Future<Output = Found<Service>> + Send;
    fn addresses(&self, name: &str) -> impl Future<Output = Found<IpAddr>> + Send;
    /// Whether the name is one of this machine or network, of which no name server elsewhere need know services.
    fn is_local(&self, name: &str) -> bool;
}

/// Looks names up.
pub struct Names<R> {
    records: R,
    /// Those of our listeners.
    transports: BTreeSet<Transport>,
    /// Draws among services of one priority.
    chance: Mutex<Rng>,
}

impl<R: Records + Sync> Names<R> {
    pub fn new(records: R, transports: BTreeSet<Transport>, chance: Rng) -> Names<R> {
        Names { records, transports, chance: Mutex::new(chance) }
    }

    /// The places that a URI with a name leads to, best first. A question without an answer is no reason to take the next
    /// lower step: it would lead to another host, or in the clear to who asked for TLS. Local names have no services.
    ///
    /// # Errors
    /// A question that decides was not answered.
    pub async fn find(&self, uri: &Uri) -> Result<Places, Unanswered> {
        let (name, secure) = (uri.host.to_string(), uri.scheme == Scheme::Sips);
        let asked = uri.transport().map(str::to_ascii_lowercase);
        let usual = if secure { Transport::Tls } else { Transport::Udp };
        // §4.1: a transport that is named counts; else an explicit port means that there is nothing to choose.
        let transport = match asked.as_deref() {
            None => None,
            Some("tls" | "tcp") if secure => Some(Transport::Tls),
            Some("udp") if !secure => Some(Transport::Udp),
            Some("tcp") => Some(Transport::Tcp),
            Some("tls") => Some(Transport::Tls),
            Some(_) => return Ok(Vec::new()),
        };
        let served = match (uri.port, transport) {
            (Some(port), _) => Ok(Some(self.at(&name, port, transport.unwrap_or(usual)).await?)),
            (None, Some(transport)) => self.served(&service_name(transport, secure, &name), transport).await,
            (None, None) => self.chosen(&name, secure).await,
        };
        let served = match served {
            Err(Unanswered) if self.records.is_local(&name) => None,
            other => other?,
        };
        let mut places = match served {
            Some(places) => places,
            // §4.2: the name's own address only if there are no SRV records at all.
            None => {
                let transport = transport.unwrap_or(usual);
                self.at(&name, transport.default_port(), transport).await?
            }
        };
        places.retain(|(transport, _)| self.transports.contains(transport));
        places.truncate(MOST);
        Ok(places)
    }

    /// §4.1: the peer's order of transports if it has one, else ours. Ours is looked up beside the question for the peer's,
    /// which not every name server answers; once that is answered nothing else is waited for.
    async fn chosen(&self, name: &str, secure: bool) -> Result<Option<Places>, Unanswered> {
        let order: &[Transport] =
            if secure { &[Transport::Tls] } else { &[Transport::Udp, Transport::Tcp, Transport::Tls] };
        let order = order.iter().filter(|transport| self.transports.contains(transport));
        let order = order.map(|transport| (*transport, service_name(*transport, secure, name))).collect();
        let mut theirs = pin!(self.pointed(name, secure));
        let mut ours = pin!(self.all_served(order));
        let (theirs, ours_known) = tokio::select! {
            biased;
            theirs = &mut theirs => (theirs, None),
            known = &mut ours => (theirs.await, Some(known)),
        };
        match ours_known {
            _ if !theirs.is_empty() => self.all_served(theirs).await,
            Some(known) => known,
            None => ours.await,
        }
    }

    /// The services that the peer's NAPTR records name, in its order.
    async fn pointed(&self, name: &str, secure: bool) -> Vec<(Transport, String)> {
        let mut pointers = self.records.pointers(name).await.unwrap_or_default();
        pointers.sort_by_key(|pointer| (pointer.order, pointer.preference));
        let known = |pointer: Pointer| {
            let transport = match pointer.service.to_ascii_uppercase().as_str() {
                "SIP+D2U" if !secure => Transport::Udp,
                "SIP+D2T" if !secure => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            let usable = pointer.flags.eq_ignore_ascii_case("s") && self.transports.contains(&transport);
            usable.then_some((transport, pointer.replacement))
        };
        pointers.into_iter().filter_map(known).collect()
    }

    /// The places of all these services, in their order; a few are asked for at once.
    async fn all_served(&self, ways: Vec<(Transport, String)>) -> Result<Option<Places>, Unanswered> {
        let (mut places, mut unanswered): (Option<Places>, _) = (None, false);
        for three in ways[..ways.len().min(MOST)].chunks(3) {
            let ask = |place: usize| async move {
                match three.get(place) {
                    Some((transport, service)) => self.served(service, *transport).await,
                    None => Ok(None),
                }
            };
            let (first, second, third) = tokio::join!(ask(0), ask(1), ask(2));
            for outcome in [first, second, third] {
                match outcome {
                    Ok(found) => found.into_iter().for_each(|found| places.get_or_insert_default().extend(found)),
                    Err(Unanswered) => unanswered = true,
                }
            }
        }
        if unanswered && places.is_none() { Err(Unanswered) } else { Ok(places) }
    }

    /// §4.2: the targets of a service; none if there are no records of it. One record whose target is `.` says that there is
    /// decidedly no such service (RFC 2782).
    async fn served(&self, service: &str, transport: Transport) -> Result<Option<Places>, Unanswered> {
        let services = self.records.services(service).await?;
        if services.is_empty() {
            return Ok(None);
        }
        let services = self.ordered(services);
        let (mut places, mut unanswered) = (Vec::new(), false);
        for service in services.into_iter().filter(|service| !matches!(service.target.as_str(), "" | ".")) {
            match self.at(&service.target, service.port, transport).await {
                Ok(found) => places.extend(found),
                Err(Unanswered) => unanswered = true, // another target may do
            }
            if places.len() >= MOST {
                break;
            }
        }
        if unanswered && places.is_empty() { Err(Unanswered) } else { Ok(Some(places)) }
    }

    /// Separate from its caller: the lock is not held while anything is awaited.
    fn ordered(&self, services: Vec<Service>) -> Vec<Service> {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        in_order(services, |most| chance.below(most + 1))
    }

    async fn at(&self, name: &str, port: u16, transport: Transport) -> Result<Places, Unanswered> {
        let addresses = self.records.addresses(name).await?;
        Ok(addresses.into_iter().map(|ip| (transport, SocketAddr::new(ip, port))).collect())
    }
}

/// §4.1: `_sips._tcp` for SIPS URIs and for TLS.
fn service_name(transport: Transport, secure: bool, name: &str) -> String {
    let service = match transport {
        Transport::Tls => "_sips._tcp",
        _ if secure => "_sips._tcp",
        Transport::Tcp => "_sip._tcp",
        _ => "_sip._udp",
    };
    format!("{service}.{name}")
}

/// RFC 2782: by priority; among equals the share of first places is that of the weight. `draw` gives 0 … its argument.
fn in_order(mut services: Vec<Service>, mut draw: impl FnMut(u64) -> u64) -> Vec<Service> {
    services.sort_by_key(|service| (service.priority, service.weight));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let equals = services.iter().take_while(|service| service.priority == first.priority).count();
        let drawn = draw(services[..equals].iter().map(|service| u64::from(service.weight)).sum());
        let mut sum = 0;
        let chosen = services[..equals].iter().position(|service| {
            sum += u64::from(service.weight);
            sum >= drawn
        });
        ordered.push(services.remove(chosen.unwrap_or_default()));
    }
    ordered
}

/// The system's name servers, or those given, and what it knows of names itself (hosts(5)).
pub struct Dns {
    resolver: TokioResolver,
    hosts: Hosts,
}

impl Dns {
    /// To be called within tokio's runtime.
    ///
    /// # Errors
    /// hickory cannot use the settings.
    pub fn new(name_servers: &[SocketAddr]) -> anyhow::Result<Dns> {
        let with = |servers: Vec<NameServerConfig>| {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, Default::default())
        };
        let mut builder = if name_servers.is_empty() {
            // As resolv.conf(5): without the file, the name server of this machine.
            let local = || with(vec![NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into())]);
            TokioResolver::builder_tokio().unwrap_or_else(|_| local())
        } else {
            let server = |at: &SocketAddr| {
                let mut server = NameServerConfig::udp_and_tcp(at.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = at.port());
                server
            };
            with(name_servers.iter().map(server).collect())
        };
        let options = builder.options_mut();
        // hickory's attempts are those after the first.
        (options.timeout, options.attempts, options.cache_size) = (QUESTION, REPEATS, CACHE);
        Ok(Dns { resolver: builder.build()?, hosts: Hosts::from_system().unwrap_or_default() })
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Found<T> {
        match self.resolver.lookup(name, kind).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| read(&record.data)).collect()),
            Err(why) if why.is_no_records_found() || why.is_nx_domain() => Ok(Vec::new()),
            // Who does not know this kind of question has no such records.
            Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::NotImp))) => Ok(Vec::new()),
            Err(_) => Err(Unanswered),
        }
    }
}

impl Records for Dns {
    async fn pointers(&self, name: &str) -> Found<Pointer> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |data: &RData| match data {
            RData::NAPTR(naptr) => Some(Pointer {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags),
                service: text(&naptr.services),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        };
        let name = absolute(name);
        tokio::time::timeout(POINTERS, self.ask(&name, RecordType::NAPTR, read)).await.unwrap_or(Err(Unanswered))
    }

    async fn services(&self, name: &str) -> Found<Service> {
        let read = |data: &RData| match data {
            RData::SRV(srv) => {
                let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
                Some(Service { priority, weight, port, target: srv.target.to_ascii() })
            }
            _ => None,
        };
        self.ask(&absolute(name), RecordType::SRV, read).await
    }

    /// IPv6 first (RFC 6724); what no listener can reach is left out by the endpoint.
    async fn addresses(&self, name: &str) -> Found<IpAddr> {
        if let Ok(ip) = name.trim_end_matches('.').parse() {
            return Ok(vec![ip]);
        }
        let six = self.ask(name, RecordType::AAAA, |data| match data {
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        });
        let four = self.ask(name, RecordType::A, |data| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            _ => None,
        });
        let (six, four) = tokio::join!(six, four);
        let unanswered = six.is_err() || four.is_err();
        let found = [six.unwrap_or_default(), four.unwrap_or_default()].concat();
        if unanswered && found.is_empty() { Err(Unanswered) } else { Ok(found) }
    }

    fn is_local(&self, name: &str) -> bool {
        let stands_in_hosts = |kind| {
            let query = Name::from_ascii(name).map(|name| Query::query(name, kind));
            query.is_ok_and(|query| self.hosts.lookup_static_host(&query).is_some())
        };
        !name.trim_end_matches('.').contains('.') || [RecordType::A, RecordType::AAAA].into_iter().any(stands_in_hosts)
    }
}

/// Service names are never looked for in the system's search list.
fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

/// Answers `sip::Output::Resolve`, off the engine's thread.
pub fn resolver(
    names: Names<Dns>,
    (streams, counters): (Streams, Arc<Counters>),
    (runtime, inbox): (tokio::runtime::Handle, Inbox),
) -> Box<dyn Fn(u64, Uri) + Send> {
    let names = Arc::new(names);
    Box::new(move |query, uri| {
        let (names, streams, counters, inbox) =
            (Arc::clone(&names), streams.clone(), Arc::clone(&counters), inbox.clone());
        let mut answer = Answer { inbox, query, flows: Vec::new() };
        runtime.spawn(async move {
            let found = tokio::time::timeout(LIMIT, names.find(&uri)).await.unwrap_or(Err(Unanswered));
            let found = found.unwrap_or_default();
            if found.is_empty() {
                counters.name_failed();
            }
            let name = uri.host.to_string();
            let place = |(transport, remote)| streams.place(&name, transport, remote);
            answer.flows = found.into_iter().map(place).collect();
            drop(answer);
        });
    })
}

/// What the engine waits for, told when this is dropped: after a panic it is that the name leads nowhere.
struct Answer {
    inbox: Inbox,
    query: u64,
    flows: Vec<Place>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let (query, flows) = (self.query, std::mem::take(&mut self.flows));
        _ = self.inbox.send(Message::Input(Input::Sip(sip::Input::Resolved { query, flows })));
    }
}

#[cfg(test)]
mod tests;
