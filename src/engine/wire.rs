//! What the SIP endpoint says, and to whom it goes.

use super::{Engine, Output, arrival};
use crate::sip;

impl Engine {
    pub(super) fn sip_said(&mut self, output: sip::Output) {
        match output {
            sip::Output::Send { flow, bytes } => self.outputs.push_back(Output::Sip { flow, bytes }),
            sip::Output::Verify { query, credentials, method } => {
                self.outputs.push_back(Output::Verify { query, credentials, method });
            }
            sip::Output::Prove { query, held, user, asked } => {
                self.outputs.push_back(Output::Prove { query, held, user, asked });
            }
            sip::Output::Resolve { query, uri } => self.outputs.push_back(Output::Resolve { query, uri }),
            sip::Output::Event(event) => self.sip_happened(event),
        }
    }

    fn sip_happened(&mut self, event: sip::Event) {
        use sip::Event as E;
        match event {
            E::Invited { leg, source, replaces: Some(_), .. } => self.replacing(leg, &source),
            E::Invited { leg, source, caller: from, called, offer, headers, flow, .. } => {
                self.invited(leg, source, arrival::Arrival { from, called, offer, headers, flow });
            }
            E::Calling { leg, invite } => self.calls_out(leg, &invite),
            E::Provisional { leg, body, .. } => {
                self.rings_at(leg);
                self.says_early(leg, body);
            }
            E::Established { leg, body, dialog } => self.established(leg, body, dialog),
            E::Moved { leg, dialog } => self.moved(leg, dialog),
            E::Failed { leg, status, reason, why, retry_after } => {
                self.gives_reason(leg, reason.as_ref());
                self.failed(leg, status, why, retry_after);
            }
            E::Cancelled { leg, reason } => {
                self.gives_reason(leg, reason.as_ref());
                self.cancelled(leg);
            }
            E::Offered { leg, body } => self.offered(leg, body),
            E::OfferAnswered { leg, body } => self.offer_answered(leg, body),
            E::Refreshed { leg, offer, answer } => self.refresh_answered(leg, &offer, &answer),
            E::Ended { leg, reason, why } => {
                self.gives_reason(leg, reason.as_ref());
                self.ended(leg, why);
            }
            E::Bound { user, binding } => self.bound(user, binding),
            E::Unbound { user, binding, .. } => self.unbound(user, binding),
            E::Alive { user, alive } => self.alive(user, alive),
            E::Info { leg, body } => self.informed(leg, body),
            E::Registered { name, expires } => self.trunk_registered(&name, expires > 0),
            E::RegistrationFailed { name, .. } => self.trunk_registered(&name, false),
            E::Probed { id, answered } => self.trunk_probed(id, answered),
            // We make no offers of our own in a running call.
            E::Referred { leg, .. } => self.sip_do(sip::Command::ReferProgress { leg, status: 603 }),
            E::OfferRefused { .. } | E::OfferOutdated { .. } => {}
        }
    }
}
