//! A telephone: a user agent on `sip` and `media`, pure. The simulator's people use it, and so does
//! `tierline phone`, so that what is simulated and what people try are the same code.
//!
//! One line, one call at a time; a second caller hears busy. What to do (answer, decline, press, hang up) is
//! decided by whoever owns the phone.
//!
//! ```text
//!  Idle ──Dial──▶ Dialing ──2xx──▶ Talking ──HangUp, BYE──▶ Idle
//!    └──INVITE──▶ Ringing ──Answer──▶ Answering ──ACK──▶ Talking
//! ```

mod offers;
mod words;

pub use words::{Ask, Event, Input, Manner, Output, Settings};

use crate::ids::{IdCounter, LegId, PortId, Rng};
use crate::media::{self, Direction, Local, sdp};
use crate::sip::header::NameAddr;
use crate::sip::uri::Uri;
use crate::sip::{self, Body, Endpoint};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Call {
    leg: LegId,
    port: PortId,
    state: State,
    address: Option<SocketAddr>,
    /// The plane has its port, or is asked for it.
    opened: bool,
    version: u64,
    /// We have put the other side on hold.
    holding: bool,
    /// What the descriptions so far have agreed on.
    agreed: Option<media::Agreed>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Opening {
        to: Uri,
        flow: Option<sip::Flow>,
    },
    Dialing {
        offer: Vec<u8>,
    },
    /// `wanted`: the call will be answered once the port is open. `told`: our answer went out early.
    Ringing {
        offer: Option<Body>,
        wanted: bool,
        told: Option<Vec<u8>>,
    },
    /// `offer` is ours, to be answered in the ACK.
    Answering {
        offer: Option<Vec<u8>>,
    },
    /// `offer` is ours if one is under way.
    Talking {
        offer: Option<Vec<u8>>,
    },
}

/// The phone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phone {
    settings: Settings,
    now: Instant,
    sip: Endpoint,
    call: Option<Call>,
    ports: u64,
    /// Ports that the plane has not closed yet.
    open_ports: u32,
    listen: bool,
    say: Option<media::Source>,
    refuses: Option<u16>,
    #[serde(skip)]
    outputs: VecDeque<Output>,
}

impl Phone {
    /// `number` tells phones of one world apart.
    pub fn new(settings: Settings, number: u16, rng: Rng) -> Phone {
        let sip = Endpoint::new(settings.sip.clone(), rng, IdCounter::new(number & 0x3ff, 1));
        Phone {
            settings,
            now: Instant::ZERO,
            sip,
            call: None,
            ports: u64::from(number) << 32,
            open_ports: 0,
            listen: false,
            say: None,
            refuses: None,
            outputs: VecDeque::new(),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Sip(input) => self.sip.handle(self.now, input),
            Input::Media(event) => self.media_said(event),
            Input::Ask(ask) => self.ask(ask),
            Input::Timeout => self.sip.handle(self.now, sip::Input::Timeout),
        }
        while let Some(output) = self.sip.poll() {
            self.sip_said(output);
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.sip.deadline()
    }

    /// Whether a call rings, is dialed or talked in.
    pub fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    /// Whether a call waits to be answered here.
    pub fn is_ringing(&self) -> bool {
        self.call.as_ref().is_some_and(|call| matches!(call.state, State::Ringing { .. }))
    }

    pub fn is_talking(&self) -> bool {
        self.call.as_ref().is_some_and(|call| matches!(call.state, State::Talking { .. }))
    }

    /// Why the phone is not quiet.
    pub fn pending(&self) -> Option<String> {
        match (&self.call, self.open_ports) {
            (Some(call), _) => Some(format!("a call in state {:?}", call.state)),
            (None, 1..) => Some("a port is open".to_owned()),
            (None, 0) => self.sip.pending(),
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Register { registrar, expires } => {
                if let Some(user) = self.settings.account.clone() {
                    let name = String::new();
                    self.sip_do(sip::Command::Register {
                        name,
                        user,
                        registrar,
                        expires,
                        persists: false,
                        listener: None,
                    });
                }
            }
            Ask::Unregister => self.sip_do(sip::Command::Unregister { name: String::new() }),
            Ask::Dial { to, flow } if self.call.is_none() => {
                let leg = self.sip.next_leg();
                self.begin(leg, State::Opening { to, flow });
                self.open();
            }
            Ask::Dial { .. } => {}
            Ask::Answer => self.answer(),
            Ask::Decline { status } => self.decline(status),
            Ask::Refuse { status } => self.refuses = status,
            Ask::HangUp => self.hang_up(),
            Ask::Press { digits } => self.with_port(|port| media::Command::SendDigits { port, digits }),
            Ask::Hold { on } => self.hold(on),
            Ask::Listen { on } => {
                self.listen = on;
                self.with_port(|port| media::Command::Listen { port, on });
            }
            Ask::Say { source } => {
                self.say = Some(source.clone());
                self.with_port(|port| media::Command::Play { port, source, token: 0 });
            }
        }
    }

    fn begin(&mut self, leg: LegId, state: State) {
        self.ports += 1;
        let port = PortId { plane: self.settings.plane, number: self.ports };
        let (address, opened, version) = (None, false, 0);
        self.call = Some(Call { leg, port, state, address, opened, version, holding: false, agreed: None });
    }

    fn open(&mut self) {
        self.open_ports += 1;
        self.call.iter_mut().for_each(|call| call.opened = true);
        let six = self.settings.media_address.is_ipv6();
        self.with_port(|port| media::Command::Open { port, six });
        let on = self.listen;
        self.with_port(|port| media::Command::Listen { port, on });
    }

    fn with_port(&mut self, command: impl FnOnce(PortId) -> media::Command) {
        if let Some(call) = &self.call {
            self.outputs.push_back(Output::Media(command(call.port)));
        }
    }

    fn answer(&mut self) {
        let Some(Call { state: State::Ringing { wanted, .. }, opened, address, .. }) = &mut self.call else { return };
        match (std::mem::replace(wanted, true), *opened, *address) {
            (false, false, _) => self.open(),
            (false, true, Some(_)) => self.port_opened(),
            _ => {}
        }
    }

    fn decline(&mut self, status: u16) {
        let Some(Call { leg, state: State::Ringing { .. }, .. }) = &self.call else { return };
        let leg = *leg;
        self.sip_do(sip::Command::Refuse { leg, status, headers: Vec::new() });
        self.forget();
    }

    fn hang_up(&mut self) {
        if let Some(leg) = self.call.as_ref().map(|call| call.leg) {
            self.sip_do(sip::Command::HangUp { leg, reason: None });
            self.forget();
        }
    }

    fn forget(&mut self) {
        let Some(call) = self.call.take() else { return };
        if call.opened {
            self.outputs.push_back(Output::Media(media::Command::Close { port: call.port }));
        }
    }

    fn local(&mut self) -> Option<Local> {
        let call = self.call.as_mut()?;
        call.version += 1;
        Some(Local {
            address: call.address?,
            codecs: self.settings.codecs.clone(),
            session_id: call.leg.0 & 0xffff_ffff,
            version: call.version,
            direction: if call.holding { Direction::SendOnly } else { Direction::SendRecv },
            telephone_event: true,
            mux: self.settings.manner.shares_port,
            protection: media::Protection::None,
            secret: None,
            agreed: call.agreed.clone(),
        })
    }

    fn sip_do(&mut self, command: sip::Command) {
        self.sip.handle(self.now, sip::Input::Command(command));
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn connect(&mut self, session: media::Session) {
        if let Some(call) = &mut self.call {
            call.agreed = Some(session.agreed.clone());
        }
        self.with_port(|port| media::Command::Connect { port, session });
        if let Some(source) = self.say.clone() {
            self.with_port(|port| media::Command::Play { port, source, token: 0 });
        }
    }

    fn media_said(&mut self, event: media::Event) {
        if let media::Event::Closed { .. } | media::Event::OpenFailed { .. } = event {
            self.open_ports -= 1;
        }
        if self.call.as_ref().is_none_or(|call| call.port != event.port()) {
            return;
        }
        match event {
            media::Event::Opened { local, .. } => {
                if let Some(call) = &mut self.call {
                    call.address = Some(SocketAddr::new(self.settings.media_address, local.port()));
                }
                self.port_opened();
            }
            media::Event::OpenFailed { .. } => {
                self.hang_up();
                self.tell(Event::Failed { status: 500 });
            }
            media::Event::Digit { digit, .. } => self.tell(Event::Digit { digit }),
            media::Event::Silent { .. } => self.tell(Event::Silent),
            media::Event::Finished { .. }
            | media::Event::Latched { .. }
            | media::Event::Moved { .. }
            | media::Event::Closed { .. } => {}
        }
    }

    fn port_opened(&mut self) {
        let Some(local) = self.local() else { return };
        let call = self.call.as_mut().expect("the port belongs to a call");
        match &mut call.state {
            State::Opening { to, flow } => {
                let (to, flow, leg) = (to.clone(), *flow, call.leg);
                let offer = sdp::offer(&local);
                call.state = State::Dialing { offer: offer.clone() };
                self.invite(leg, to, flow, offer);
            }
            State::Ringing { wanted: false, .. } => self.describe_early(&local),
            State::Ringing { told: Some(told), .. } => {
                let (told, leg) = (told.clone(), call.leg);
                self.answer_again(leg, told, &local);
            }
            State::Ringing { offer, .. } => {
                let (offer, leg) = (offer.take(), call.leg);
                self.answer_with(leg, offer, &local);
            }
            State::Dialing { .. } | State::Answering { .. } | State::Talking { .. } => {}
        }
    }

    fn invite(&mut self, leg: LegId, to: Uri, flow: Option<sip::Flow>, offer: Vec<u8>) {
        let required = self.settings.manner.requires_reliable.then_some("100rel");
        self.sip_do(sip::Command::Invite {
            leg,
            flow,
            from: self.settings.identity.clone(),
            to: NameAddr::new(to.clone()),
            uri: to,
            offer: Some(Body::sdp(offer)),
            headers: required.map(|tag| ("Require".to_owned(), tag.to_owned())).into_iter().collect(),
            account: self.settings.account.clone(),
            listener: None,
        });
    }

    fn sip_said(&mut self, output: sip::Output) {
        match output {
            sip::Output::Send { flow, bytes } => self.outputs.push_back(Output::Sip { flow, bytes }),
            sip::Output::Resolve { query, uri } => self.outputs.push_back(Output::Resolve { query, uri }),
            // A phone has no users that must prove themselves.
            sip::Output::Verify { query, .. } => {
                self.sip.handle(self.now, sip::Input::Verified { query, ok: false });
            }
            // A phone holds its own password.
            sip::Output::Prove { query, .. } => {
                self.sip.handle(self.now, sip::Input::Proven { query, credentials: Vec::new() });
            }
            sip::Output::Event(event) => self.sip_happened(event),
        }
    }

    fn sip_happened(&mut self, event: sip::Event) {
        use sip::Event as E;
        match event {
            E::Invited { leg, caller, offer, headers, .. } => self.invited(leg, &caller, offer, headers),
            E::Provisional { status, .. } => self.tell(Event::Progress { status }),
            E::Established { leg, body, .. } => self.established(leg, body.as_ref()),
            E::Failed { status, .. } => {
                self.forget();
                self.tell(Event::Failed { status });
            }
            E::Cancelled { reason, .. } => self.ended(false, reason),
            E::Ended { reason, .. } => self.ended(true, reason),
            E::Offered { leg, body } => self.offered(leg, body),
            E::OfferAnswered { body, .. } => self.offer_answered(body.as_ref()),
            E::Refreshed { offer, answer, .. } => self.refresh_answered(&offer, &answer),
            E::Registered { expires, .. } => self.tell(Event::Registered { expires }),
            E::RegistrationFailed { status, .. } => self.tell(Event::RegistrationFailed { status }),
            E::OfferRefused { .. } => self.offer_refused(),
            E::OfferOutdated { .. } => self.offer_anew(),
            E::Referred { leg, .. } => self.sip_do(sip::Command::ReferProgress { leg, status: 603 }),
            E::Calling { .. }
            | E::Moved { .. }
            | E::Info { .. }
            | E::Probed { .. }
            | E::Bound { .. }
            | E::Unbound { .. }
            | E::Alive { .. } => {}
        }
    }

    fn invited(&mut self, leg: LegId, caller: &NameAddr, offer: Option<Body>, headers: Vec<(String, String)>) {
        if let Some(status) = self.refuses.or(self.call.is_some().then_some(486)) {
            return self.sip_do(sip::Command::Refuse { leg, status, headers: Vec::new() });
        }
        self.begin(leg, State::Ringing { offer, wanted: false, told: None });
        self.sip_do(sip::Command::Ring { leg, status: 180, body: None });
        if self.settings.manner.describes_early {
            self.open();
        }
        let from = caller.display.clone().unwrap_or_else(|| caller.uri.user_decoded());
        self.tell(Event::Incoming { from, headers });
    }

    fn established(&mut self, leg: LegId, body: Option<&Body>) {
        let Some(call) = self.call.as_mut().filter(|call| call.leg == leg) else { return };
        let state = std::mem::replace(&mut call.state, State::Talking { offer: None });
        let accepted = match (&state, body) {
            (State::Dialing { offer } | State::Answering { offer: Some(offer) }, Some(body)) => {
                sdp::accept(offer, &body.bytes).map(Some)
            }
            (State::Dialing { .. }, None) if call.agreed.is_some() => Ok(None), // An UPDATE came before.
            (State::Dialing { .. } | State::Answering { offer: Some(_) }, None) => Err(sdp::Refusal::NoAudio),
            _ => Ok(None),
        };
        match accepted {
            Ok(session) => {
                session.into_iter().for_each(|session| self.connect(session));
                self.tell(Event::Connected);
            }
            Err(_) => {
                self.hang_up();
                self.tell(Event::Failed { status: 488 });
            }
        }
    }

    fn ended(&mut self, answered: bool, reason: Option<sip::Reason>) {
        self.forget();
        self.tell(Event::Ended { answered, reason: reason.map(|reason| reason.text) });
    }
}
