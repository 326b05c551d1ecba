//! Calls by trunk, what the trunks' machine wants done, and agents who are reached on numbers.
//!
//! An agent with a number counts as signed in without a phone, and as reachable while a trunk could carry a call to
//! his number. What he rests or pauses from is as for any other agent: a number that nobody answers costs a penalty
//! that ends by itself.

use super::{Engine, outside};
use crate::acd::{self, AgentChange};
use crate::center::Center;
use crate::event::{TrunkMode, What};
use crate::ids::{AgentId, TrunkId};
use crate::sip::uri::Uri;
use crate::sip::{self, Account, Secret};
use crate::trunk::{self, Output, TrunkState, Way};

impl Engine {
    pub fn trunks(&self) -> &trunk::Trunks {
        &self.trunks
    }

    pub(super) fn configure_trunks(&mut self) {
        let trunks = self.config.center.trunks.clone();
        self.trunks.handle(self.now, trunk::Input::Configure(trunks));
        // In the order of their turns, which signing in keeps for the next start.
        let mut agents: Vec<AgentId> = self.config.center.agents.keys().copied().collect();
        agents.sort_by_key(|agent| self.router.agent(*agent).map(acd::Agent::idle_since));
        for agent in agents {
            let has_phone = self.sip.bindings(&self.config.center.agents[&agent].user).next().is_some();
            let signed_in = self.router.agent(agent).is_some_and(acd::Agent::signed_in);
            let change = match self.has_number(agent) {
                true if !signed_in => Some(AgentChange::SignInUnheard),
                false if signed_in && !has_phone => Some(AgentChange::SignOut),
                _ => None,
            };
            change.into_iter().for_each(|change| self.signs_in(agent, change));
            self.look_at_reach(agent);
        }
    }

    pub(super) fn has_number(&self, agent: AgentId) -> bool {
        self.config.center.agents.get(&agent).is_some_and(|agent| agent.number.is_some())
    }

    /// Whether a trunk could carry a call to the agent's number.
    pub(super) fn number_reached(&self, agent: AgentId) -> bool {
        let number = self.config.center.agents.get(&agent).and_then(|agent| agent.number.as_deref());
        number.is_some_and(|number| self.trunks.reaches(number))
    }

    /// A trunk has become usable, or is so no more.
    fn look_at_numbers(&mut self) {
        for agent in self.config.center.agents.keys().copied().collect::<Vec<_>>() {
            if self.has_number(agent) {
                self.look_at_reach(agent);
            }
        }
    }

    /// By a phone that answers, or by his number.
    pub(super) fn look_at_reach(&mut self, agent: AgentId) {
        let Some(user) = self.config.center.agents.get(&agent).map(|agent| &agent.user) else { return };
        let reachable = self.sip.bindings(user).any(|binding| binding.alive) || self.number_reached(agent);
        if self.router.agent(agent).is_some_and(|known| known.signed_in() && known.reachable() != reachable) {
            self.router_do(acd::Input::Agent { agent, change: AgentChange::Reachable(reachable) });
        }
    }

    /// Gives back a leg's share of a trunk.
    pub(super) fn release(&mut self, trunk: TrunkId, way: Way) {
        if !self.planted(super::Bug::ForgetsTrunk) {
            self.trunks.handle(self.now, trunk::Input::Released { trunk, way });
        }
    }

    pub(super) fn trunk_said(&mut self, output: Output) {
        match output {
            Output::Probe { trunk } => self.probe(trunk),
            Output::Register { trunk } => self.register_at(&trunk),
            Output::Unregister { trunk } => self.sip_do(sip::Command::Unregister { name: trunk.to_string() }),
            Output::State { trunk, from, to } => {
                self.emit(None, What::TrunkStateChanged { trunk, from: mode(from), to: mode(to) });
                self.look_at_numbers();
            }
            Output::Registration { trunk, holds } => {
                self.emit(None, What::TrunkRegistered { trunk, holds });
                self.look_at_numbers();
            }
        }
    }

    fn server_of(&self, trunk: &TrunkId) -> Option<Uri> {
        let server = self.config.center.trunks.get(trunk)?.server.as_ref()?;
        let mut uri = outside::server_uri("", server);
        uri.user = None;
        Some(uri)
    }

    fn probe(&mut self, trunk: TrunkId) {
        let Some(uri) = self.server_of(&trunk) else { return };
        let listener = self.config.center.trunks.get(&trunk).and_then(|trunk| trunk.listener);
        self.ids.probes += 1;
        let id = self.ids.probes;
        self.probes.insert(id, trunk);
        self.sip_do(sip::Command::Probe { id, uri, listener });
    }

    /// A late answer is an answer too: looking up the name alone may take seconds. Only the latest probe's end without one
    /// says something that the trunks' machine does not know yet.
    pub(super) fn trunk_probed(&mut self, id: u64, answered: bool) {
        let Some(trunk) = self.probes.remove(&id) else { return };
        let latest = !self.probes.iter().any(|(other, of)| *of == trunk && *other > id);
        if answered {
            self.probes.retain(|other, of| *of != trunk || *other > id);
        }
        if answered || latest {
            self.trunks.handle(self.now, trunk::Input::Probed { trunk, answered });
        }
    }

    fn register_at(&mut self, trunk: &TrunkId) {
        let settings = &self.config.center.trunks[trunk];
        let listener = settings.listener;
        let (Some(user), Some(expires)) = (settings.user.clone(), settings.register) else { return };
        let Some(registrar) = self.server_of(trunk).filter(|_| !self.planted(super::Bug::ForgetsToRegister)) else {
            return;
        };
        if self.planted(super::Bug::BelievesRegistered) {
            self.trunk_registered(trunk.as_str(), true);
        }
        let name = trunk.to_string();
        let user = Account { user, secret: Secret::Held(name.clone()), realms: Vec::new() };
        let expires = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        self.sip_do(sip::Command::Register { name, user, registrar, expires, persists: true, listener });
    }

    pub(super) fn trunk_registered(&mut self, name: &str, holds: bool) {
        let trunk = TrunkId::new(name);
        self.trunks.handle(self.now, trunk::Input::Registered { trunk, holds });
    }
}

/// Puts the center's people and names into the endpoint's settings.
pub(super) fn configure_sip(sip: &mut sip::Config, center: &Center) {
    sip.realm.clone_from(&center.name);
    sip.domains.clone_from(&center.domains);
    sip.users = center.agents.values().map(|agent| agent.user.clone()).collect();
    let trunks = center.trunks.values();
    let peers = trunks.clone().flat_map(|trunk| trunk.peers.iter().map(|peer| (trunk.id.clone(), *peer)));
    sip.trunk_peers = peers.collect();
    sip.trunk_accounts = trunks.clone().filter_map(|trunk| Some((trunk.id.clone(), trunk.user.clone()?))).collect();
    sip.trunk_realms = trunks.clone().filter_map(|trunk| Some((trunk.id.clone(), trunk.realm.clone()?))).collect();
    let proven = trunks.filter(|trunk| trunk.accepts_digest);
    sip.trunk_users = proven.filter_map(|trunk| Some((trunk.user.clone()?, trunk.id.clone()))).collect();
}

fn mode(state: TrunkState) -> TrunkMode {
    match state {
        TrunkState::Unknown => TrunkMode::Unknown,
        TrunkState::Up => TrunkMode::Up,
        TrunkState::Down => TrunkMode::Down,
    }
}
