//! A phone apart from where it is at the moment: its flows (outbound, RFC 5626), its names (GRUU, RFC 5627), and the
//! proxies in front of it (Path, RFC 3327).
//!
//! A phone that says who it is (`+sip.instance`) and which flow this is (`reg-id`) keeps one binding per flow, whatever
//! its Contact: a call takes the flow that is newest, and the next one if that has failed. A public GRUU is the agent's
//! address with the instance; a temporary one proves by a seal that we have given it, and is good while the phone
//! registers with the same Call-ID. Left out: STUN as keepalive, and so
//! flows of their own over UDP, unless an edge keeps them (we ask phones with OPTIONS), and GRUUs of our own.

use super::Endpoint;
use super::api::{Flow, Source, Transport};
use super::header::{Method, Name, NameAddr, quote, unquote};
use super::message::Request;
use super::registrar::{Binding, Registrar};
use super::settings::Listener;
use super::transaction::Spare;
use super::uri::Uri;
use sha2::{Digest, Sha256};

/// What a REGISTER understands beside [`super::uac::SUPPORTED`].
pub(super) const REGISTERING: [&str; 3] = ["path", "outbound", "gruu"];

/// Bytes of an instance; a URN of a UUID has 45.
const LONGEST_INSTANCE: usize = 128;
/// Proxies of one Path, and bytes of one.
const LONGEST_HOP: usize = 512;
/// What the user part of a temporary GRUU begins with.
const TEMPORARY: &str = "tgruu.";

/// What a REGISTER says of the phone and its way, beside its Contacts.
pub(super) struct Manner {
    /// The Path as it will stand in Route.
    pub path: Vec<String>,
    /// The phone keeps several flows, and everything on the way can.
    pub outbound: bool,
    pub gruu: bool,
    /// For temporary GRUUs, if the phone gets its first.
    pub seed: String,
}

impl Manner {
    /// The status that refuses it, if the phone wants what its way cannot give (§6).
    pub fn of(
        request: &Request,
        over: Transport,
        seed: impl FnOnce() -> String,
        longest_path: usize,
    ) -> Result<Manner, u16> {
        let headers = &request.headers;
        let knows = |tag| headers.lists(&Name::Supported, tag) || headers.lists(&Name::Require, tag);
        let path: Vec<String> = headers.all(&Name::Path).map(str::to_owned).collect();
        if path.len() > longest_path || path.iter().any(|hop| hop.len() > LONGEST_HOP || !NameAddr::is_legal(hop)) {
            return Err(400);
        }
        let wants_outbound = knows("outbound") && headers.all(&Name::Contact).any(|contact| contact.contains("reg-id"));
        let direct = headers.all(&Name::Via).nth(1).is_none();
        // RFC 5626 §5.1: an edge proxy that keeps flows says so in its Path.
        let keeps = |hop: &String| NameAddr::parse(hop).is_some_and(|hop| hop.uri.params.has("ob"));
        let has_edge = path.iter().any(keeps);
        if wants_outbound && !direct && !has_edge {
            return Err(439);
        }
        // §4.4.2: over UDP a phone would keep its flow alive by STUN, which is not spoken here.
        let outbound = wants_outbound && (over.is_reliable() || has_edge);
        let gruu = knows("gruu");
        let seed = if gruu { seed() } else { String::new() };
        Ok(Manner { path, outbound, gruu, seed })
    }
}

/// The `+sip.instance` of a Contact, without its quotes and brackets.
pub(super) fn instance_of(contact: &NameAddr) -> Option<String> {
    let text = contact.params.text("+sip.instance")?;
    let text = unquote(text).unwrap_or_else(|| text.to_owned());
    let urn = text.strip_prefix('<')?.strip_suffix('>')?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b":-._+".contains(&b);
    (!urn.is_empty() && urn.len() <= LONGEST_INSTANCE && urn.bytes().all(is_plain)).then(|| urn.to_owned())
}

/// The `reg-id` of a Contact (§11.1: 1 … 2³¹ − 1).
pub(super) fn reg_id_of(contact: &NameAddr) -> Option<u32> {
    contact.params.text("reg-id")?.parse().ok().filter(|id| (1..1 << 31).contains(id))
}

impl Binding {
    /// Whether it may be reached when its connection is gone: not if it keeps flows (RFC 5626 §5.3), but by its Path
    /// (RFC 3327 §5.3), whose proxies are connected to anew, or at its Contact.
    pub(super) fn may_be_reached_anew(&self) -> bool {
        self.reg_id.is_none() && !self.is_behind_nat()
    }

    /// Whether its Contact leads elsewhere than to where it is: somebody else in our own network may have that address.
    pub(super) fn is_behind_nat(&self) -> bool {
        self.path.is_empty() && self.contact.uri.host.ip().is_some_and(|ip| ip != self.flow.remote.ip())
    }

    /// All that makes it this binding, apart from its flow and its time: what changes when there is something new for
    /// who writes it down.
    pub fn place(&self) -> String {
        let mut place = self.contact.uri.text();
        if let (Some(instance), Some(reg_id)) = (&self.instance, self.reg_id) {
            place += &format!(" {instance} {reg_id}");
        }
        for more in self.path.iter().chain(&self.seed) {
            place += " ";
            place += more;
        }
        place
    }

    /// What tells the phone from others of its user. One that keeps flows has a binding for each, and a call over one of
    /// them tries the others by itself.
    pub fn phone(&self) -> String {
        self.instance.clone().filter(|_| self.reg_id.is_some()).unwrap_or_else(|| self.place())
    }

    /// Whether it is another flow of the same phone.
    fn is_beside(&self, other: &Binding) -> bool {
        self.instance.is_some()
            && self.instance == other.instance
            && self.reg_id.is_some()
            && self.reg_id != other.reg_id
    }

    /// The parameters of its Contact in a 200, if the phone asked for GRUUs (RFC 5627 §5.3).
    pub(super) fn name_to(&self, contact: &mut NameAddr, record: &Uri) {
        let (Some(instance), Some(seed)) = (&self.instance, &self.seed) else { return };
        let mut public = record.clone();
        public.params = Default::default();
        public.headers.clear();
        let mut temporary = public.clone();
        public.params.set("gr", Some(instance));
        temporary.user = Some(format!("{TEMPORARY}{:08x}{}", self.cseq, seal(seed, self.cseq)));
        temporary.params.set("gr", None);
        contact.params.set("pub-gruu", Some(&quote(&public.text())));
        contact.params.set("temp-gruu", Some(&quote(&temporary.text())));
    }

    fn answers_to(&self, temporary: &str) -> bool {
        let Some((number, given)) = temporary.split_at_checked(8) else { return false };
        let number = u32::from_str_radix(number, 16).ok();
        // A later REGISTER has not been, and its GRUU has not been given.
        let number = number.filter(|number| *number <= self.cseq);
        self.seed.as_ref().zip(number).is_some_and(|(seed, number)| seal(seed, number) == given)
    }
}

fn seal(seed: &str, number: u32) -> String {
    let sum = Sha256::digest(format!("{seed}:{number}"));
    sum[..10].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Registrar {
    /// The phone that a GRUU of ours means, over its newest flow; none if it is not registered.
    pub fn named(&self, gruu: &Uri) -> Option<&Binding> {
        let user = gruu.user_decoded();
        match gruu.params.value("gr")? {
            Some(instance) => self
                .of(&user)
                .filter(|binding| binding.instance.as_deref() == Some(instance))
                .max_by_key(|binding| (binding.alive, binding.expires)),
            None => {
                let token = user.strip_prefix(TEMPORARY)?;
                let given = self.all().find(|binding| binding.answers_to(token))?;
                let same = |binding: &&Binding| binding.instance == given.instance;
                self.of(&given.user).filter(same).max_by_key(|binding| (binding.alive, binding.expires))
            }
        }
    }

    /// The binding that is called as `uri` over `flow` (behind a proxy there may be several: the newest that lives), and
    /// the other flows of its phone, newest last.
    pub fn called(&self, uri: &Uri, flow: Flow) -> Option<(&Binding, Vec<Spare>)> {
        let named = self.over(flow).filter(|binding| binding.contact.uri == *uri);
        let binding = named.max_by_key(|binding| (binding.alive, binding.expires))?;
        let mut others: Vec<&Binding> = self.of(&binding.user).filter(|other| other.is_beside(binding)).collect();
        others.sort_by_key(|other| (other.alive, other.expires));
        let way =
            |other: &Binding| Spare { flow: other.flow, leads: Some((other.contact.uri.clone(), other.path.clone())) };
        Some((binding, others.into_iter().map(way).collect()))
    }
}

impl Endpoint {
    /// Whether a URI is one that we have made for a phone.
    pub(super) fn is_gruu(&self, uri: &Uri) -> bool {
        let user = uri.user_decoded();
        uri.params.has("gr") && (user.starts_with(TEMPORARY) || self.config.users.contains(&user))
    }

    /// Whose phone calls: who proved it, or else who registered over this very flow. Over a proxy's others come too.
    pub(super) fn user_behind(&self, flow: Flow, source: &Source) -> Option<String> {
        match source {
            Source::User(user) => Some(user.clone()),
            Source::Trunk(_) | Source::Stranger => {
                let phone = self.registrar.over(flow).next().filter(|phone| phone.path.is_empty())?;
                Some(phone.user.clone())
            }
        }
    }

    /// Whose phone an INVITE was for: others may be behind the same flow.
    pub(super) fn user_called(&self, invite: Option<&Request>, flow: Flow) -> Option<String> {
        self.user_at(&invite?.uri, flow)
    }

    /// Whose phone is there.
    pub(super) fn user_at(&self, contact: &Uri, flow: Flow) -> Option<String> {
        let (phone, _) = self.registrar.called(contact, flow)?;
        Some(phone.user.clone())
    }

    /// The phone that this GRUU of ours means, if it is there.
    pub(super) fn phone_named(&self, uri: &Uri) -> Option<&Binding> {
        self.registrar.named(uri).filter(|_| self.is_gruu(uri))
    }

    /// Puts the proxies in front of a phone into a request to it.
    pub(super) fn lead_to(&self, request: &mut Request, flow: Flow) -> Vec<Spare> {
        let Some((binding, others)) = self.registrar.called(&request.uri, flow) else { return Vec::new() };
        for hop in &binding.path {
            request.headers.push(Name::Route, hop.as_str());
        }
        if request.method == Method::Invite { others } else { Vec::new() }
    }

    /// What the 200 to a REGISTER says of the way to the phone.
    pub(super) fn manner_in(&self, manner: &Manner, flow: Flow) -> Vec<(Name, String)> {
        let mut fields = vec![(Name::Supported, REGISTERING.join(", "))];
        fields.extend(manner.path.iter().map(|hop| (Name::Path, hop.clone()))); // RFC 3327 §5.3
        if manner.outbound {
            fields.push((Name::Require, "outbound".to_owned()));
            let keeps = |listener: &Listener| listener.transport.is_reliable();
            if self.config.listeners.get(usize::from(flow.listener)).is_some_and(keeps) {
                let seconds = self.config.registration.flow_timer.as_secs();
                fields.push((Name::from("Flow-Timer"), seconds.to_string())); // RFC 5626 §5.4
            }
        }
        fields
    }
}
