//! People behind outside numbers: vendors, agents at home, voicemails.

use super::people::{Act, Habits, Thought, between};
use crate::ids::Rng;
use crate::phone::{Ask, Event};
use std::time::Duration;

/// What somebody at an outside number does when his phone shows this.
pub(super) fn noticed(habits: &Habits, rng: &mut Rng, event: &Event) -> Vec<Act> {
    match event {
        Event::Incoming { .. } => hears_ringing(habits, rng),
        Event::Connected => talks(habits, rng),
        Event::Silent => vec![Act::Later(between(rng, 0.5, 4.0), Thought::HangUp)],
        _ => Vec::new(),
    }
}

fn hears_ringing(habits: &Habits, rng: &mut Rng) -> Vec<Act> {
    let draw = rng.unit();
    if draw < 0.1 + habits.decline / 2.0 {
        let status = [486, 486, 600, 404, 480, 603, 488][rng.below(7) as usize];
        return vec![Act::Later(between(rng, 0.0, 3.0), Thought::Refuse(status))];
    }
    match rng.below(100) {
        // Does not hear it; should it ring for ever, since who called was killed before that was in the log, he sees it at last.
        0..8 => vec![Act::Later(Duration::from_secs(300), Thought::Refuse(480))],
        8..10 => vec![Act::Later(between(rng, 0.0, 5.0), Thought::Vanish)],
        10..15 => vec![Act::Later(between(rng, 16.0, 20.0), Thought::Answer)],
        _ => vec![Act::Later(between(rng, 0.3, 6.0), Thought::Answer)],
    }
}

/// Who is asked for a key presses it, if he is no voicemail; to whom nobody has said so it means nothing.
fn talks(habits: &Habits, rng: &mut Rng) -> Vec<Act> {
    if rng.chance(0.15) {
        return vec![Act::Later(between(rng, 10.0, 40.0), Thought::HangUp)];
    }
    let length = Duration::from_secs(5) + super::people::exponential(rng, habits.mean_talk);
    let mut acts = vec![Act::Later(length, Thought::Finish)];
    if rng.chance(0.2) {
        acts.push(Act::Later(between(rng, 0.5, 2.0), Thought::Press("2")));
    }
    acts.push(Act::Later(between(rng, 2.0, 5.0), Thought::Press("1")));
    if rng.chance(habits.hold) {
        acts.push(Act::Later(length.mul_f64(0.4), Thought::Hold(true)));
        acts.push(Act::Later(length.mul_f64(0.7), Thought::Hold(false)));
    }
    if rng.chance(0.02 + habits.crash_talking) {
        acts.push(Act::Later(length.mul_f64(rng.unit()), Thought::Vanish));
    }
    acts
}

/// What declines with a status of one's own.
pub(super) fn refuses(status: u16) -> Act {
    Act::Ask(Ask::Decline { status })
}
