//! Who is at a desktop: each agent's streams, and until when he counts as there without one.

use crate::ids::AgentId;
use std::collections::BTreeMap;

/// `T`: the time that leases run by.
#[derive(Clone, Debug)]
pub struct Leases<T>(BTreeMap<AgentId, Lease<T>>);

#[derive(Clone, Debug)]
struct Lease<T> {
    streams: u32,
    until: T,
    /// Somebody looks when the lease has run out: one for each agent, however often it is renewed.
    watched: bool,
}

/// What is found when a lease may have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookout<T> {
    /// A stream is open.
    Here,
    /// Renewed meanwhile.
    Until(T),
    Gone,
}

impl<T> Default for Leases<T> {
    fn default() -> Leases<T> {
        Leases(BTreeMap::new())
    }
}

impl<T: Copy + Ord> Leases<T> {
    /// Whether he is at a desktop, or was so lately that nobody has found it gone.
    pub fn knows(&self, agent: AgentId) -> bool {
        self.0.contains_key(&agent)
    }

    /// A stream is open from `now` on. True for the first one.
    pub fn enter(&mut self, agent: AgentId, now: T) -> bool {
        let lease = self.0.entry(agent).or_insert(Lease { streams: 0, until: now, watched: false });
        lease.streams += 1;
        lease.streams == 1
    }

    /// A stream has ended. True if somebody must look from now on.
    pub fn leave(&mut self, agent: AgentId, until: T) -> bool {
        self.0.get_mut(&agent).into_iter().for_each(|lease| lease.streams -= 1);
        self.renew(agent, until)
    }

    /// True if somebody must look from now on.
    pub fn renew(&mut self, agent: AgentId, until: T) -> bool {
        let lease = self.0.entry(agent).or_insert(Lease { streams: 0, until, watched: false });
        lease.until = until;
        lease.streams == 0 && !std::mem::replace(&mut lease.watched, true)
    }

    /// As `renew` for who has no lease that runs; whose does, keeps it as it is. True if somebody must look from now on.
    pub fn expect(&mut self, agent: AgentId, until: T) -> bool {
        let runs = self.0.get(&agent).is_some_and(|lease| lease.streams > 0 || lease.watched);
        !runs && self.renew(agent, until)
    }

    #[cfg(test)]
    pub fn until(&self, agent: AgentId) -> Option<T> {
        self.0.get(&agent).map(|lease| lease.until)
    }

    pub fn look(&mut self, agent: AgentId, now: T) -> Lookout<T> {
        match self.0.get_mut(&agent) {
            Some(lease) if lease.streams > 0 => {
                lease.watched = false;
                Lookout::Here
            }
            Some(lease) if lease.until > now => Lookout::Until(lease.until),
            _ => {
                self.0.remove(&agent);
                Lookout::Gone
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: AgentId = AgentId(1001);

    /// A desktop that is gone, back for a moment, and gone again has its whole patience anew; one looks for it.
    #[test]
    fn who_came_back_for_a_moment_is_not_looked_for_by_the_first_going() {
        let mut leases = Leases::default();
        assert!(!leases.knows(ADA));
        assert!(leases.enter(ADA, 0) && !leases.enter(ADA, 0));
        assert!(!leases.leave(ADA, 10), "one is left");
        assert!(leases.leave(ADA, 11), "from now on somebody looks");
        assert!(leases.knows(ADA) && leases.enter(ADA, 5));
        assert!(!leases.leave(ADA, 15), "he looks already");
        assert_eq!(leases.look(ADA, 11), Lookout::Until(15));
        assert!(leases.enter(ADA, 12));
        assert_eq!(leases.look(ADA, 15), Lookout::Here);
        assert!(leases.leave(ADA, 30), "nobody looks any more");
        assert_eq!(leases.look(ADA, 30), Lookout::Gone);
        assert!(!leases.knows(ADA) && leases.0.is_empty());
    }
}
