//! What flows ask the ticketing system for while a call runs.
//!
//! | query | parameters | fields of the answer |
//! |---|---|---|
//! | `ticket-status` | `ticket` as it was keyed, `caller` | `state`, `text`, and those that the system adds |
//!
//! A query that is not in this table, or a system that is not there, slow or wrong, makes the look-up fail; the flow
//! says what happens then. What could be answered never is not asked again. Parameters are personal and are written down nowhere.

use super::Line;
use crate::engine::Input;
use crate::ids::CallId;
use crate::ivr::Found;
use crate::proto::TicketStatusResponse;
use crate::server::inbox::{Inbox, Message};
use crate::ticketing::Failure;
use std::collections::BTreeMap;
use std::time::Duration;

/// The only query so far.
const TICKET_STATUS: &str = "ticket-status";

/// One question of a flow.
pub struct Question {
    pub call: CallId,
    pub id: u64,
    pub query: String,
    pub with: BTreeMap<String, String>,
    /// How long the flow waits for the answer.
    pub timeout: Duration,
}

/// Asks and answers through the inbox, always: a flow that hears nothing waits for its time to pass.
pub fn asker(line: Option<Line>, runtime: tokio::runtime::Handle, inbox: Inbox) -> Box<dyn Fn(Question) + Send> {
    Box::new(move |Question { call, id, query, with, timeout }| {
        let (line, inbox) = (line.clone(), inbox.clone());
        runtime.spawn(async move {
            let answer = tokio::time::timeout(timeout, ask(line, &query, with)).await;
            let found = answer.unwrap_or(Found::Failed);
            _ = inbox.send(Message::Input(Input::LookedUp { call, id, found })); // an engine that has ended needs none
        });
    })
}

async fn ask(line: Option<Line>, query: &str, mut with: BTreeMap<String, String>) -> Found {
    let mut parameter = |name: &str| with.remove(name).unwrap_or_default();
    match line {
        Some(line) if query == TICKET_STATUS => match line.status(parameter("ticket"), parameter("caller")).await {
            Ok(Some(answer)) => Found::Fields(fields(answer)),
            Ok(None) => Found::Nothing,
            Err(Failure::Later | Failure::NoMethod) => Found::Failed,
            Err(Failure::Never) => Found::Refused,
        },
        _ => Found::Refused,
    }
}

/// The two that every system knows take precedence over those of the same name.
fn fields(answer: TicketStatusResponse) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = answer.fields.into_iter().collect();
    fields.extend([("state".to_owned(), answer.status), ("text".to_owned(), answer.text)]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_systems_own_fields_stand_beside_state_and_text() {
        let own = [("tier", "2"), ("state", "wrong")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = TicketStatusResponse { found: true, status: "open".into(), text: "T".into(), fields: own.into() };
        let expect = [("state", "open"), ("text", "T"), ("tier", "2")];
        assert_eq!(fields(answer), expect.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
