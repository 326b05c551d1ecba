//! Agents at their desktops: what they do there in a talk, and how it is asked of the engine.

use super::people::{Act, Thought};
use super::place::{FIRST_AGENT, VENDOR};
use crate::command::{Ask, Verb};
use crate::ids::{AgentId, QueueId, Rng, SkillId};
use std::time::Duration;

/// What an agent asks for at the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskAct {
    Hold,
    Retrieve,
    Attach,
    Dispatch(Wanted),
    /// To a number outside, which may be allowed or not.
    Outside(&'static str),
    /// To the agent of this place, who may not exist.
    Transfer(u32),
    Dispose,
    HangUp,
}

/// Where a caller is sent, and what he needs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub queue: &'static str,
    /// Of the skill "expert"; 0: none. Some levels nobody has.
    pub level: u8,
    pub priority: i32,
}

/// Numbers that agents send callers to: over a carrier, to one that no carrier takes, to one that no agent may call.
const NUMBERS: [&str; 5] = ["+4930555", "+4989777", VENDOR, "+33123456", "+19005550123"];

/// What an agent does at the desktop in a talk of this length.
pub fn at_desktop(rng: &mut Rng, length: Duration) -> Vec<Act> {
    let wanted = Wanted {
        queue: ["sales", "support"][rng.below(2) as usize],
        level: [0, 0, 2, 5, 8, 9][rng.below(6) as usize],
        priority: [0, 0, -2, 3][rng.below(4) as usize],
    };
    let other = rng.below(12) as u32;
    let number = NUMBERS[rng.below(NUMBERS.len() as u64) as usize];
    let plan: &[(f64, DeskAct)] = match rng.below(7) {
        0 => &[(0.2, DeskAct::Hold), (0.4, DeskAct::Retrieve)],
        1 => &[(0.2, DeskAct::Hold), (0.3, DeskAct::Hold), (0.5, DeskAct::Transfer(other))],
        2 => &[(0.3, DeskAct::Attach), (0.5, DeskAct::Dispatch(wanted)), (0.6, DeskAct::Dispose)],
        3 => &[(0.4, DeskAct::Attach), (0.5, DeskAct::Transfer(other))],
        4 => &[(0.4, DeskAct::Outside(number))],
        5 => &[(0.2, DeskAct::Hold), (0.4, DeskAct::Outside(number))],
        _ => &[(0.4, DeskAct::Dispose), (0.5, DeskAct::HangUp)],
    };
    let mut acts: Vec<Act> =
        plan.iter().map(|(at, act)| Act::Later(length.mul_f64(*at), Thought::Desk(*act))).collect();
    if rng.chance(0.4) {
        let note = if rng.chance(0.5) { DeskAct::Dispose } else { DeskAct::Attach };
        acts.push(Act::Later(length + Duration::from_millis(rng.below(600_000)), Thought::Note(note)));
    }
    acts
}

impl Thought {
    /// It is void when the call is over in which it was planned.
    pub(super) fn is_of_a_call(self) -> bool {
        use Thought as T;
        !matches!(self, T::Begin | T::Note(_) | T::Boot | T::Break | T::Return | T::GoHome)
    }
}

/// The same as a command.
pub fn asked_at_desk(agent: AgentId, act: DeskAct) -> Ask {
    let verb = match act {
        DeskAct::Hold => Verb::Hold,
        DeskAct::Retrieve => Verb::Retrieve,
        DeskAct::Attach => Verb::Attach([("name".to_owned(), "Jo of the desktop".to_owned())].into()),
        DeskAct::Dispatch(Wanted { queue, level, priority }) => {
            let skills = (level > 0).then(|| (SkillId::new("expert"), level)).into_iter().collect();
            Verb::Dispatch { queue: QueueId::new(queue), skills, priority }
        }
        DeskAct::Outside(number) => Verb::ToNumber(number.to_owned()),
        DeskAct::Transfer(place) => Verb::ToAgent(AgentId(FIRST_AGENT + place)),
        DeskAct::Dispose => Verb::Dispose { disposition: "solved".to_owned(), notes: "Jo was glad".to_owned() },
        DeskAct::HangUp => Verb::HangUp,
    };
    Ask::Serve { agent, call: None, verb }
}

/// What an agent asks for, as a ladder shows it.
pub fn in_words(ask: &Ask) -> String {
    let Ask::Serve { verb, .. } = ask else {
        return match ask {
            Ask::LogIn { .. } => "log in",
            Ask::LogOut { .. } => "log out",
            Ask::MoreTime { .. } => "more time",
            Ask::NotReady { .. } => "not ready",
            Ask::DeskLost { .. } => "lost",
            Ask::DeskBack { .. } => "back",
            _ => "ready",
        }
        .to_owned();
    };
    match verb {
        Verb::HangUp => "hang up".to_owned(),
        Verb::Hold => "hold".to_owned(),
        Verb::Retrieve => "retrieve".to_owned(),
        Verb::Attach(_) => "attach".to_owned(),
        Verb::Dispatch { queue, .. } => format!("dispatch to {queue}"),
        Verb::ToAgent(other) => format!("transfer to {other}"),
        Verb::ToNumber(_) => "transfer outside".to_owned(),
        Verb::Dispose { disposition, .. } => format!("dispose {disposition}"),
        Verb::Answer => "answer".to_owned(),
    }
}
