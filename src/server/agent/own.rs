//! Whether calls can come to the agent who asks, by what the stream has told of him.

use crate::proto::command::Ask;
use serde_json::Value;

/// What is known of his own row.
#[derive(Default)]
pub(super) struct Own {
    /// As the events name it; empty before anything is known.
    state: String,
    /// Signed in, and no phone or trunk reaches him.
    unreachable: bool,
}

impl Own {
    /// Takes what is told, as JSON, if it is of agent `me`.
    pub fn hear(&mut self, me: u64, told: &Value) {
        let row =
            |told: &Value| Some((told["state"].as_str()?.to_owned(), told["unreachable"].as_bool() == Some(true)));
        let is_mine = |told: &Value| me != 0 && told["agent"].as_u64() == Some(me);
        match told["type"].as_str() {
            Some("snapshot") => {
                let mine = told["agents"].as_array().into_iter().flatten().find(|told| is_mine(told)).and_then(row);
                mine.into_iter().for_each(|(state, unreachable)| *self = Own { state, unreachable });
            }
            Some("agent_state_changed") if is_mine(told) => {
                self.state = told["to"].as_str().unwrap_or_default().to_owned();
                self.unreachable &= self.state != LOGGED_OUT;
            }
            Some("agent_reachable") if is_mine(told) => self.unreachable = told["reachable"].as_bool() == Some(false),
            _ => {}
        }
    }

    /// He is at work, and not on a break.
    pub fn may_get_calls(&self) -> bool {
        ["READY", "RESERVED", "BUSY", "WRAP_UP"].contains(&self.state.as_str())
    }

    /// When what he has asked for comes about, if it is not at once.
    pub fn later(&self, ask: &Ask) -> Option<&'static str> {
        match (self.state.as_str(), ask) {
            ("RESERVED" | "BUSY", Ask::NotReady(_)) => Some("your break begins after this call and its notes"),
            ("WRAP_UP", Ask::NotReady(_)) => Some("your break begins after your notes"),
            ("RESERVED" | "BUSY", Ask::Ready(_)) => Some("you are ready after this call and its notes"),
            ("RESERVED" | "BUSY", Ask::MoreTime(_)) => Some("that is for your notes after this call"),
            _ => None,
        }
    }

    /// Why no call can come to him, also when he is ready.
    pub fn lacks(&self) -> Option<&'static str> {
        match self.state == LOGGED_OUT {
            true => Some("no phone of yours is registered: no call can come yet"),
            false if self.unreachable => Some("no phone of yours answers: no call can come yet"),
            false => None,
        }
    }
}

const LOGGED_OUT: &str = "LOGGED_OUT";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_is_ready_and_has_no_phone_is_told() {
        let mut own = Own::default();
        let mut check = |told: Value, expect: &str| {
            own.hear(1004, &told);
            let lacks = own.lacks();
            assert!(
                lacks.map_or(expect.is_empty(), |why| !expect.is_empty() && why.starts_with(expect)),
                "{told}: {lacks:?}"
            );
        };
        check(json!({ "type": "agent_state_changed", "agent": 1001, "to": "LOGGED_OUT" }), "");
        let rows = json!([{ "agent": 1001, "state": "READY" }, { "agent": 1004, "state": "LOGGED_OUT" }]);
        check(json!({ "type": "snapshot", "agents": rows }), "no phone of yours is registered");
        check(json!({ "type": "snapshot", "agents": [] }), "no phone of yours is registered");
        check(
            json!({ "type": "agent_state_changed", "agent": 1001, "to": "READY" }),
            "no phone of yours is registered",
        );
        check(json!({ "type": "agent_state_changed", "agent": 1004, "to": "READY" }), "");
        check(json!({ "type": "agent_reachable", "agent": 1004, "reachable": false }), "no phone of yours answers");
        check(json!({ "type": "agent_state_changed", "agent": 1004, "to": "NOT_READY" }), "no phone of yours answers");
        check(json!({ "type": "agent_reachable", "agent": 1004, "reachable": true }), "");
        let rows = json!([{ "agent": 1004, "state": "READY", "unreachable": true }]);
        check(json!({ "type": "snapshot", "agents": rows }), "no phone of yours answers");
        check(json!({ "type": "agent_state_changed", "agent": 1004, "to": "LOGGED_OUT" }), "no phone of yours is");
        for (to, may) in
            [("LOGGED_OUT", false), ("NOT_READY", false), ("READY", true), ("BUSY", true), ("WRAP_UP", true)]
        {
            own.hear(1004, &json!({ "type": "agent_state_changed", "agent": 1004, "to": to }));
            assert_eq!(own.may_get_calls(), may, "{to}");
        }
    }

    /// Who asks for a break while he talks hears when it begins.
    #[test]
    fn what_is_asked_for_in_a_talk_comes_after_it() {
        use crate::proto::{MoreTime, NotReady, Ready};
        let mut own = Own::default();
        let pause = Ask::NotReady(NotReady { reason: "lunch".to_owned() });
        let more = Ask::MoreTime(MoreTime { seconds: 20 });
        let asks = [pause, Ask::Ready(Ready {}), more];
        let (both, talk, notes) = ("after this call and its notes", "after this call", "after your notes");
        for (to, when) in [
            ("BUSY", [Some(both), Some(both), Some(talk)]),
            ("RESERVED", [Some(both), Some(both), Some(talk)]),
            ("WRAP_UP", [Some(notes), None, None]),
            ("READY", [None; 3]),
            ("NOT_READY", [None; 3]),
        ] {
            own.hear(1004, &json!({ "type": "agent_state_changed", "agent": 1004, "to": to }));
            for (ask, when) in asks.iter().zip(when) {
                let told = own.later(ask);
                assert!(
                    told.is_some() == when.is_some() && told.is_none_or(|told| told.ends_with(when.unwrap_or("?"))),
                    "{to}: {ask:?}: {told:?}"
                );
            }
        }
    }
}
