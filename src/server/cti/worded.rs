//! A refusal in words that name what was asked for, and what there is. The engine's own words are the same for everybody.

use crate::center::Center;
use crate::proto::{self, Outcome, Refusal, command::Ask, outcome, transfer};
use crate::written::{did_you_mean, shown};

/// So many names are told; a center may have thousands of queues.
const TOLD: usize = 30;

/// Names the word that is wrong, where it is a name.
pub fn refusal(outcome: &mut Outcome, ask: Option<&Ask>, center: &Center) {
    let (Some(outcome::Result::Refused(refused)), Some(ask)) = (&mut outcome.result, ask) else { return };
    refused.text = match (refused.why(), ask) {
        (Refusal::NoSuchBanner, Ask::SwitchBanner(proto::SwitchBanner { banner, .. })) => {
            none("announcement", banner, center.banners.keys().map(String::as_str))
        }
        (Refusal::NoSuchQueue, Ask::Dispatch(proto::Dispatch { queue, .. })) => no_queue(queue, center),
        (Refusal::NoSuchQueue, Ask::Transfer(proto::Transfer { to: Some(transfer::To::Queue(queue)), .. })) => {
            no_queue(queue, center)
        }
        (Refusal::Invalid, Ask::NotReady(proto::NotReady { reason })) if is_unknown(reason, center) => {
            none("reason", reason, center.reasons.keys().map(String::as_str))
        }
        _ => return,
    };
}

/// A reason that is known, or none at all, was refused for something else.
fn is_unknown(reason: &str, center: &Center) -> bool {
    !center.reasons.is_empty() && !reason.is_empty() && !center.reasons.contains_key(reason)
}

fn no_queue(queue: &str, center: &Center) -> String {
    none("queue", queue, center.queues.keys().map(|queue| queue.as_str()))
}

fn none<'k>(what: &str, wrong: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let asked = shown(wrong);
    let allowed: Vec<&str> = known.clone().take(TOLD).collect();
    let more = known.clone().count() - allowed.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    match allowed.is_empty() {
        true => format!("there is no {what} `{asked}`: none is configured"),
        false => {
            format!("there is no {what} `{asked}`; allowed: {}{more}{}", allowed.join(", "), did_you_mean(wrong, known))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::center::NotReadyReason;

    #[test]
    fn who_is_refused_a_name_is_told_it_and_what_there_is() {
        let center = crate::config::load(None).unwrap_or_else(|refused| panic!("{}", refused.problems)).center;
        let told = |why: Refusal, ask: Ask, center: &Center| {
            let refused = proto::Refused { why: why.into(), text: "as it was".to_owned() };
            let mut outcome = Outcome { result: Some(outcome::Result::Refused(refused)) };
            refusal(&mut outcome, Some(&ask), center);
            match outcome.result {
                Some(outcome::Result::Refused(refused)) => refused.text,
                _ => String::new(),
            }
        };
        let switch = |banner: &str| Ask::SwitchBanner(proto::SwitchBanner { banner: banner.to_owned(), on: true });
        let outage = told(Refusal::NoSuchBanner, switch("outag"), &center);
        assert_eq!(outage, "there is no announcement `outag`; allowed: outage; did you mean \"outage\"?");
        let long = told(Refusal::NoSuchBanner, switch(&"\u{1b}x".repeat(60_000)), &center);
        assert!(long.len() < 500 && !long.contains('\u{1b}'), "what somebody sent is cut and made visible: {long}");
        let mut bare = center.clone();
        bare.banners.clear();
        let none = told(Refusal::NoSuchBanner, switch("storm"), &bare);
        assert_eq!(none, "there is no announcement `storm`: none is configured");
        let dispatch = Ask::Dispatch(proto::Dispatch { queue: "moon".to_owned(), ..Default::default() });
        assert!(
            told(Refusal::NoSuchQueue, dispatch.clone(), &center).starts_with("there is no queue `moon`; allowed: ")
        );
        assert_eq!(told(Refusal::WrongState, dispatch, &center), "as it was");
        let pause = Ask::NotReady(proto::NotReady { reason: "lunhc".to_owned() });
        let (mut with, mut without) = (center.clone(), center.clone());
        without.reasons.clear();
        assert_eq!(told(Refusal::Invalid, pause.clone(), &without), "as it was");
        with.reasons.insert("lunch".to_owned(), NotReadyReason { digit: None, productive: false });
        assert!(told(Refusal::Invalid, pause, &with).starts_with("there is no reason `lunhc`; allowed: "));
        for reason in ["lunch", ""] {
            let pause = Ask::NotReady(proto::NotReady { reason: reason.to_owned() });
            assert_eq!(told(Refusal::Invalid, pause, &with), "as it was", "`{reason}` is not what is wrong");
        }
    }
}
