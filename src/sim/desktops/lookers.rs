//! Whom an event may concern: found, where hundreds of desktops would be asked one after the other.

use super::Looker;
use crate::cti::{Audience, Viewer};
use crate::ids::QueueId;
use std::collections::BTreeMap;

/// All who look, and those who serve each queue.
#[derive(Default)]
pub struct Lookers {
    all: Vec<Looker>,
    /// Those who see more than their own.
    overseers: Vec<Looker>,
    serving: BTreeMap<QueueId, Vec<Looker>>,
}

impl Lookers {
    pub fn add(&mut self, of: Looker, viewer: &Viewer) {
        self.all.push(of);
        match viewer {
            Viewer::Agent { queues, .. } => {
                queues.iter().for_each(|queue| self.serving.entry(queue.clone()).or_default().push(of));
            }
            Viewer::Lead { .. } | Viewer::Operator => self.overseers.push(of),
        }
    }

    /// Everybody whom it concerns, and few others; in order, each once.
    pub fn of(&self, audience: &Audience) -> Vec<Looker> {
        if audience.everybody {
            return self.all.clone();
        }
        let mut lookers: Vec<_> = audience.agents.iter().map(|agent| Looker::Agent(*agent)).collect();
        lookers.extend(self.serving(audience));
        lookers.extend(&self.overseers);
        lookers.sort_unstable();
        lookers.dedup();
        lookers
    }

    /// Whether there is such a one among them.
    pub fn any(&self, audience: &Audience, such: impl Fn(&Looker) -> bool) -> bool {
        let some = |lookers: &[Looker]| lookers.iter().any(&such);
        match audience.everybody {
            true => some(&self.all),
            false => {
                let mut agents = audience.agents.iter().map(|agent| Looker::Agent(*agent));
                agents.any(|agent| such(&agent)) || some(&self.overseers) || some(self.serving(audience))
            }
        }
    }

    /// Who serves its queue, if that is told.
    fn serving(&self, audience: &Audience) -> &[Looker] {
        let queue = audience.queue.as_ref().filter(|_| audience.queue_agents);
        queue.and_then(|queue| self.serving.get(queue)).map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;

    /// Who sees an event is found for it, whatever it says.
    #[test]
    fn nobody_whom_an_event_concerns_is_left_out() {
        let (one, other) = (QueueId::new("one"), QueueId::new("other"));
        let agent = |n, queue: &QueueId| {
            (Looker::Agent(AgentId(n)), Viewer::Agent { agent: AgentId(n), queues: [queue.clone()].into() })
        };
        let lead = Viewer::Lead { queues: [one.clone()].into(), agents: [AgentId(2)].into() };
        let rest = [(Looker::Lead, lead), (Looker::Operator, Viewer::Operator)];
        let all: Vec<_> = [agent(1, &one), agent(2, &one), agent(3, &other)].into_iter().chain(rest).collect();
        let mut lookers = Lookers::default();
        all.iter().for_each(|(of, viewer)| lookers.add(*of, viewer));
        let mut found = 0;
        for bits in 0..48_u32 {
            let agents = (1..=3).filter(|n| bits & 1 << (n - 1) > 0).map(AgentId).collect();
            let (queue_agents, everybody) = (bits & 8 > 0, bits == 47);
            let queue = [None, Some(one.clone()), Some(other.clone())][bits as usize / 16].clone();
            let audience = Audience { agents, queue, queue_agents, everybody };
            let of = lookers.of(&audience);
            let sees = all.iter().filter(|(_, viewer)| viewer.sees(&audience)).map(|(of, _)| *of);
            assert!(of.is_sorted_by(|a, b| a < b), "{of:?}");
            assert!(all.iter().all(|(looker, _)| lookers.any(&audience, |it| it == looker) == of.contains(looker)));
            sees.for_each(|looker| assert!(of.contains(&looker), "{looker:?} is told of {audience:?}"));
            found += of.len();
        }
        assert!(found < 48 * all.len() * 9 / 10, "{found}");
    }
}
