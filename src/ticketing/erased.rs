//! What is not to be said any more: a person's texts are erased in the log while requests with them still wait here. What is
//! left of them then is what a start would read: that something was noted, and not what.

use super::case::{Case, Request};
use super::{Outbox, Output};
use crate::cti::CallRow;
use crate::ids::CallId;
use crate::proto::{self, follow_call_request::What as Follow};
use std::collections::BTreeMap;

impl Outbox {
    pub(super) fn erased(&mut self, call: CallId) {
        self.view.calls.get_mut(&call).into_iter().for_each(forget);
        self.cases.get_mut(&call).into_iter().for_each(Case::erase);
        for output in &mut self.outputs {
            if let Output::Send { call: of, request } = output
                && *of == call
            {
                request.erase();
            }
        }
        self.outputs.push_back(Output::Erased { call });
    }
}

fn forget(row: &mut CallRow) {
    row.caller = None;
    row.keys.clear();
    row.data.values_mut().for_each(|value| *value = "".into());
}

impl Case {
    fn erase(&mut self) {
        self.forget_names();
        forget(&mut self.row);
        self.jobs.iter_mut().for_each(|job| job.request.erase());
    }
}

impl Request {
    fn erase(&mut self) {
        let blank = |data: &mut BTreeMap<String, String>| data.values_mut().for_each(String::clear);
        match self {
            Request::Find(it) => it.number.clear(),
            Request::Open(it) => {
                let proto::OpenTicketRequest { number, category, impact, urgency, summary, keys, data, .. } = it;
                [number, category, impact, urgency, summary, keys].into_iter().for_each(String::clear);
                blank(data);
            }
            Request::Pop(it) => {
                [&mut it.number, &mut it.name, &mut it.keys].into_iter().for_each(String::clear);
                it.tickets.clear();
                blank(&mut it.data);
            }
            Request::Follow(it) => match &mut it.what {
                Some(Follow::Attached(it)) => it.value.clear(),
                Some(Follow::Disposed(it)) => it.notes.clear(),
                // A queue or an agent is nobody's secret.
                Some(Follow::Transferred(it)) if !["queue ", "agent "].iter().any(|own| it.to.starts_with(own)) => {
                    it.to = crate::cti::view::OUTSIDE.to_owned();
                }
                Some(Follow::Transferred(_) | Follow::Answered(_) | Follow::Ended(_)) | None => {}
            },
        }
    }
}
