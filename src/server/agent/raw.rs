//! Items of the stream as JSON, a line each: for scripts, and for what is read of them here.

use crate::proto;
use serde_json::{Map, Value};

/// What is there at present, its states in words.
pub(super) fn snapshot(snapshot: &proto::Snapshot) -> Value {
    let mut told = serde_json::to_value(snapshot).unwrap_or_default();
    told["type"] = "snapshot".into();
    told["role"] = snapshot.role().as_str_name().into();
    for (place, agent) in snapshot.agents.iter().enumerate() {
        told["agents"][place]["state"] = agent.state().as_str_name().into();
    }
    told
}

/// An event as one flat object: `type`, `at_ms`, `call`, and its own fields.
pub(super) fn event(event: &proto::Event) -> Value {
    let what = event.what.as_ref().and_then(|what| serde_json::to_value(what).ok());
    let (name, mut fields) = match what {
        Some(Value::Object(what)) => what.into_iter().next().unwrap_or_default(),
        _ => Default::default(),
    };
    let mut told = Map::new();
    told.insert("type".into(), name.into());
    told.insert("at_ms".into(), event.at_ms.into());
    told.insert("call".into(), event.call.clone().into());
    if let Some(proto::event::What::AgentStateChanged(it)) = &event.what {
        (fields["from"], fields["to"]) = (it.from().as_str_name().into(), it.to().as_str_name().into());
    }
    if let Some(proto::event::What::OfferEnded(it)) = &event.what {
        fields["outcome"] = it.outcome().as_str_name().into();
    }
    if let Value::Object(fields) = fields {
        // The call in full stands beside its name, where it is told at all.
        let fields = fields.into_iter().filter(|(name, value)| name != "call" || value.is_object());
        told.extend(fields.map(|(name, value)| (if name == "call" { "case".to_owned() } else { name }, value)));
    }
    Value::Object(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn states_in_a_snapshot_are_words() {
        let agent = proto::AgentView { agent: 1001, state: proto::AgentState::NotReady as i32, ..Default::default() };
        let role = proto::Role::Lead as i32;
        let told = snapshot(&proto::Snapshot { role, agents: vec![agent], ..Default::default() });
        assert_eq!((&told["role"], &told["agents"][0]["state"]), (&json!("ROLE_LEAD"), &json!("NOT_READY")), "{told}");
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let caller = |call: Option<&proto::CallView>| call.map(|call| call.caller.clone());
        for call in [None, Some(proto::CallView { caller: "+4930123".into(), ..Default::default() })] {
            let queued = proto::Queued { queue: "general".into(), call: call.clone(), ..Default::default() };
            let what = Some(proto::event::What::Queued(queued));
            let told = event(&proto::Event { at_ms: 5, call: "c0-1-1".into(), what });
            assert_eq!((told["type"].as_str(), told["queue"].as_str()), (Some("queued"), Some("general")));
            assert_eq!((told["call"].as_str(), told["at_ms"].as_i64()), (Some("c0-1-1"), Some(5)));
            assert_eq!(told["case"]["caller"].as_str().map(str::to_owned), caller(call.as_ref()));
        }
    }
}
