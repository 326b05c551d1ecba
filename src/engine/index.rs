//! Ways from what is dialed, registered or run to what is configured.

use super::{Configuration, arrival};
use crate::ids::{AgentId, FlowId, LineId};
use crate::ivr::{self, Flow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    pub lines: BTreeMap<String, LineId>,
    pub users: BTreeMap<String, AgentId>,
    /// The configured flows and those of the short codes.
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
    /// Those that depend on how long a caller will wait.
    #[serde(default)]
    pub forecasts: BTreeSet<FlowId>,
}

impl Index {
    pub fn new(config: &Configuration) -> Index {
        let center = &config.center;
        let flows = config.flows.values().cloned().chain(arrival::code_flows(&center.codes));
        let lines = center.lines.values().flat_map(|l| l.numbers.iter().map(|n| (n.clone(), l.id.clone())));
        let users = center.agents.values().map(|a| (a.user.clone(), a.id));
        let forecasts = config.flows.values().filter(|flow| flow.asks(ivr::EXPECTED)).map(|flow| flow.id.clone());
        Index {
            lines: lines.collect(),
            users: users.collect(),
            forecasts: forecasts.collect(),
            flows: flows.map(|flow| (flow.id.clone(), Arc::new(flow))).collect(),
        }
    }
}
