//! Callers and agents: patience, talk time, habits and mistakes.
//!
//! A [`Person`] holds no phone. It is told what its phone shows and what it had planned, and says what it does
//! ([`Act`]); the world carries that out. Plans belong to one call: those of an earlier call are forgotten.

use super::desktop::{DeskAct, at_desktop};
use super::{journeys, outsiders, place};
use crate::ids::Rng;
use crate::phone::{Ask, Event};
use std::time::Duration;

/// What a person does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Ask(Ask),
    Dial(&'static str),
    /// Registers the phone, with the right password or a wrong one.
    Register {
        right: bool,
    },
    Later(Duration, Thought),
    /// Says goodbye: whoever listens hangs up.
    Farewell,
    /// The phone is gone without a word.
    Vanish,
    /// A phone is there, freshly started, with the password it was given.
    Boot {
        right: bool,
    },
    /// Asks for something at the desktop.
    Desk(DeskAct),
    /// Nothing more is to be expected of this person.
    Retire,
}

/// What a person planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thought {
    Begin,
    Press(&'static str),
    /// The caller has waited long enough, unless he talks by now.
    LosePatience,
    HangUp,
    /// The one he talks with has said goodbye.
    Bidden,
    Answer,
    Decline,
    /// Declines with this status.
    Refuse(u16),
    Vanish,
    /// The talk has come to its end.
    Finish,
    Hold(bool),
    Desk(DeskAct),
    /// At the desktop, of the last call, however long it is over.
    Note(DeskAct),
    Boot,
    Break,
    Return,
    GoHome,
}

/// How often people do what makes trouble; shares of calls unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    pub decline: f64,
    pub ignore: f64,
    /// Answers in the moment when the ringing ends.
    pub late: f64,
    pub crash_ringing: f64,
    pub crash_talking: f64,
    pub hold: f64,
    /// Uses the desktop in a call.
    pub desk: f64,
    /// Of phones that are set up.
    pub wrong_password: f64,
    /// Breaks of an agent in an hour.
    pub breaks_per_hour: f64,
    /// Of agents going home.
    pub forget_to_sign_out: f64,
    /// Of callers: dials one of the desk's lines.
    pub desk_lines: f64,
    /// Of callers: dials the line that leads to an outside party.
    pub vendor_line: f64,
    /// Of callers: gives up within the first second.
    pub dial_by_mistake: f64,
    /// Of callers: the phone dies some time.
    pub caller_crash: f64,
    pub mean_patience: Duration,
    pub mean_talk: Duration,
}

impl Habits {
    /// A usual day.
    pub fn usual() -> Habits {
        Habits {
            decline: 0.01,
            ignore: 0.01,
            late: 0.003,
            crash_ringing: 0.001,
            crash_talking: 0.001,
            hold: 0.03,
            desk: 0.1,
            wrong_password: 0.02,
            breaks_per_hour: 0.5,
            forget_to_sign_out: 0.1,
            desk_lines: 0.2,
            vendor_line: 0.04,
            dial_by_mistake: 0.01,
            caller_crash: 0.002,
            mean_patience: Duration::from_secs(180),
            mean_talk: Duration::from_secs(150),
        }
    }

    /// Days on which much goes wrong, each in its own way.
    pub fn drawn(rng: &mut Rng) -> Habits {
        let mut often = |most: f64| if rng.chance(0.5) { rng.unit() * most } else { 0.0 };
        Habits {
            decline: often(0.3),
            ignore: often(0.2),
            late: often(0.3),
            crash_ringing: often(0.05),
            crash_talking: often(0.05),
            hold: often(0.3),
            desk: often(0.6),
            wrong_password: often(0.5),
            breaks_per_hour: often(8.0),
            forget_to_sign_out: often(0.5),
            desk_lines: often(0.8),
            vendor_line: often(0.4),
            dial_by_mistake: often(0.3),
            caller_crash: often(0.05),
            mean_patience: Duration::from_secs_f64(20.0 + often(200.0)),
            mean_talk: Duration::from_secs_f64(10.0 + often(120.0)),
        }
    }
}

/// A draw from an exponential distribution.
pub fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - rng.unit()).ln())
}

pub(super) fn between(rng: &mut Rng, from: f64, to: f64) -> Duration {
    Duration::from_secs_f64(from + rng.unit() * (to - from))
}

/// Somebody with a phone.
#[derive(Clone, Debug)]
pub struct Person {
    role: Role,
    habits: Habits,
    rng: Rng,
    /// Counts calls: a plan made for another one is void.
    call: u32,
    talking: bool,
}

#[derive(Clone, Debug)]
enum Role {
    Caller {
        tries: u32,
        line: &'static str,
    },
    Agent(Desk),
    /// Somebody at an outside number.
    Outsider,
    /// Does what a script says and nothing by himself.
    Puppet,
}

#[derive(Clone, Debug, Default)]
struct Desk {
    on_break: bool,
    /// The short code that is being dialed: ready or not.
    code: Option<bool>,
    leaving: bool,
    registered: bool,
}

/// A plan, and the call it belongs to.
pub type Plan = (u32, Thought);

impl Person {
    pub fn caller(habits: Habits, rng: Rng) -> Person {
        Person { role: Role::Caller { tries: 0, line: place::LINE }, habits, rng, call: 0, talking: false }
    }

    pub fn agent(habits: Habits, rng: Rng) -> Person {
        Person { role: Role::Agent(Desk::default()), habits, rng, call: 0, talking: false }
    }

    pub fn outsider(habits: Habits, rng: Rng) -> Person {
        Person { role: Role::Outsider, habits, rng, call: 0, talking: false }
    }

    pub fn puppet(rng: Rng) -> Person {
        Person { role: Role::Puppet, habits: Habits::usual(), rng, call: 0, talking: false }
    }

    pub fn is_caller(&self) -> bool {
        matches!(self.role, Role::Caller { .. })
    }

    /// The number of the present call, or of the last one.
    pub fn call(&self) -> u32 {
        self.call
    }

    /// The phone shows something. `hears_somebody` says whether a person is heard right now.
    pub fn noticed(&mut self, event: &Event) -> Vec<Act> {
        self.follow(event);
        match &mut self.role {
            Role::Puppet => Vec::new(),
            Role::Caller { .. } => self.caller_noticed(event),
            Role::Agent(_) => self.agent_noticed(event),
            Role::Outsider => outsiders::noticed(&self.habits, &mut self.rng, event),
        }
    }

    /// The time for a plan has come. `busy`: the phone is in use; `hears`: a person is heard.
    pub fn remembered(&mut self, (call, thought): Plan, busy: bool, hears: bool) -> Vec<Act> {
        if thought.is_of_a_call() && call != self.call {
            return Vec::new();
        }
        match thought {
            Thought::Begin => self.begin(),
            Thought::Press(keys) => vec![Act::Ask(Ask::Press { digits: keys.to_owned() })],
            Thought::LosePatience if hears => Vec::new(),
            Thought::LosePatience | Thought::HangUp | Thought::Bidden => self.hang_up(busy),
            Thought::Answer => vec![Act::Ask(Ask::Answer)],
            Thought::Decline => vec![Act::Ask(Ask::Decline { status: [486, 603, 480][self.rng.below(3) as usize] })],
            Thought::Refuse(status) => vec![outsiders::refuses(status)],
            Thought::Vanish => self.vanish(busy),
            Thought::Finish => self.finish(busy),
            Thought::Desk(act) | Thought::Note(act) => vec![Act::Desk(act)],
            Thought::Hold(on) => vec![Act::Ask(Ask::Hold { on })],
            Thought::Boot => vec![Act::Boot { right: true }, Act::Register { right: true }],
            Thought::Break | Thought::Return | Thought::GoHome => self.at_the_desk(thought, busy),
        }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::Incoming { .. } => self.call += 1,
            Event::Connected => self.talking = true,
            Event::Ended { .. } | Event::Failed { .. } => {
                self.talking = false;
                self.call += 1;
            }
            _ => {}
        }
    }

    fn begin(&mut self) -> Vec<Act> {
        match &mut self.role {
            Role::Puppet | Role::Outsider => Vec::new(),
            Role::Caller { tries, line } => {
                *tries += 1;
                *line = journeys::line(&mut self.rng, &self.habits);
                let line = *line;
                self.call += 1;
                self.dial_line(line)
            }
            Role::Agent(_) => {
                let right = !self.rng.chance(self.habits.wrong_password);
                let mut acts = vec![Act::Boot { right }, Act::Register { right }];
                acts.extend(self.plan_break());
                acts
            }
        }
    }

    fn dial_line(&mut self, line: &'static str) -> Vec<Act> {
        let mut acts = vec![Act::Dial(line)];
        if self.rng.chance(self.habits.dial_by_mistake) {
            acts.push(Act::Later(between(&mut self.rng, 0.0, 1.0), Thought::HangUp));
        }
        if self.rng.chance(self.habits.caller_crash) {
            acts.push(Act::Later(between(&mut self.rng, 0.0, 120.0), Thought::Vanish));
        }
        acts.push(Act::Later(Duration::from_secs(90), Thought::LosePatience)); // nobody answers at all
        acts
    }

    fn caller_noticed(&mut self, event: &Event) -> Vec<Act> {
        match event {
            Event::Connected => self.led_through_menu(),
            Event::Silent => vec![Act::Later(between(&mut self.rng, 0.5, 4.0), Thought::HangUp)],
            Event::Failed { .. } | Event::Ended { answered: false, .. } => self.perhaps_again(0.4),
            Event::Ended { answered: true, .. } => vec![Act::Retire],
            _ => Vec::new(),
        }
    }

    fn led_through_menu(&mut self) -> Vec<Act> {
        let Role::Caller { line, .. } = self.role else { return Vec::new() };
        let rng = &mut self.rng;
        let keys = journeys::keys(rng, line);
        let mut acts: Vec<Act> = keys.iter().map(|(at, keys)| Act::Later(*at, Thought::Press(keys))).collect();
        let patience = Duration::from_secs(2) + exponential(rng, self.habits.mean_patience);
        acts.push(Act::Later(patience, Thought::LosePatience));
        acts
    }

    fn perhaps_again(&mut self, chance: f64) -> Vec<Act> {
        let Role::Caller { tries, .. } = self.role else { return Vec::new() };
        match tries < 3 && self.rng.chance(chance) {
            true => vec![Act::Later(between(&mut self.rng, 5.0, 90.0), Thought::Begin)],
            false => vec![Act::Retire],
        }
    }

    fn agent_noticed(&mut self, event: &Event) -> Vec<Act> {
        let Role::Agent(desk) = &mut self.role else { return Vec::new() };
        match event {
            Event::Registered { expires: 0 } if desk.leaving => vec![Act::Retire],
            Event::Registered { .. } => {
                desk.registered = true;
                Vec::new()
            }
            Event::RegistrationFailed { .. } if desk.leaving => vec![Act::Retire],
            Event::RegistrationFailed { status: 408 | 500.. } => Vec::new(), // the phone tries again
            Event::RegistrationFailed { .. } => vec![Act::Later(between(&mut self.rng, 5.0, 30.0), Thought::Boot)],
            Event::Incoming { .. } => self.hears_ringing(),
            Event::Connected if desk.code.is_some() => vec![Act::Later(Duration::from_secs(40), Thought::HangUp)],
            Event::Connected => self.talks(),
            Event::Silent => vec![Act::Later(between(&mut self.rng, 0.5, 4.0), Thought::HangUp)],
            Event::Failed { .. } => match desk.code.take() {
                Some(ready) => vec![Act::Later(
                    between(&mut self.rng, 3.0, 20.0),
                    if ready { Thought::Return } else { Thought::Break },
                )],
                None => Vec::new(),
            },
            Event::Ended { .. } => self.code_dialed(),
            Event::Progress { .. } | Event::Digit { .. } => Vec::new(),
        }
    }

    fn hears_ringing(&mut self) -> Vec<Act> {
        let (habits, rng) = (&self.habits, &mut self.rng);
        let mut at_most = 0.0;
        let draw = rng.unit();
        let mut falls = |share: f64| {
            at_most += share;
            draw < at_most
        };
        // Whoever does not answer at all sees it at last, should it ring for ever.
        let for_ever = Act::Later(Duration::from_secs(300), Thought::Decline);
        if falls(habits.decline) {
            vec![Act::Later(between(rng, 0.5, 8.0), Thought::Decline)]
        } else if falls(habits.ignore) {
            vec![for_ever]
        } else if falls(habits.late) {
            vec![Act::Later(place::RING.mul_f64(0.98 + 0.04 * rng.unit()), Thought::Answer), for_ever]
        } else if falls(habits.crash_ringing) {
            vec![Act::Later(between(rng, 0.0, 5.0), Thought::Vanish)]
        } else {
            vec![Act::Later(between(rng, 0.8, 4.0), Thought::Answer)]
        }
    }

    fn talks(&mut self) -> Vec<Act> {
        let (habits, rng) = (&self.habits, &mut self.rng);
        let length = Duration::from_secs(4) + exponential(rng, habits.mean_talk);
        let mut acts = vec![Act::Later(length, Thought::Finish)];
        if rng.chance(habits.hold) {
            acts.push(Act::Later(length.mul_f64(0.3), Thought::Hold(true)));
            acts.push(Act::Later(length.mul_f64(0.6), Thought::Hold(false)));
        }
        if rng.chance(habits.desk) {
            acts.extend(at_desktop(rng, length));
        }
        if rng.chance(habits.crash_talking) {
            acts.push(Act::Later(length.mul_f64(rng.unit()), Thought::Vanish));
        }
        acts
    }

    /// The talk is over: one of the two hangs up; if nobody listens any more, the agent does.
    fn finish(&mut self, busy: bool) -> Vec<Act> {
        if self.rng.chance(0.6) {
            vec![Act::Farewell, Act::Later(Duration::from_secs(6), Thought::HangUp)]
        } else {
            self.hang_up(busy)
        }
    }

    fn hang_up(&mut self, busy: bool) -> Vec<Act> {
        if !busy {
            return Vec::new();
        }
        self.talking = false;
        self.call += 1;
        let mut acts = vec![Act::Ask(Ask::HangUp)];
        match &self.role {
            Role::Caller { .. } => acts.extend(self.perhaps_again(0.1)),
            Role::Agent(_) => acts.extend(self.code_dialed()),
            Role::Puppet | Role::Outsider => {}
        }
        acts
    }

    fn vanish(&mut self, busy: bool) -> Vec<Act> {
        if !busy {
            return Vec::new();
        }
        self.talking = false;
        self.call += 1;
        match &mut self.role {
            Role::Agent(desk) => {
                desk.registered = false;
                desk.code = None;
                vec![Act::Vanish, Act::Later(between(&mut self.rng, 2.0, 200.0), Thought::Boot)]
            }
            Role::Outsider => vec![Act::Vanish], // the line has another phone by the next call
            Role::Caller { .. } | Role::Puppet => vec![Act::Vanish, Act::Retire],
        }
    }

    fn code_dialed(&mut self) -> Vec<Act> {
        let Role::Agent(desk) = &mut self.role else { return Vec::new() };
        match desk.code.take() {
            Some(true) => {
                desk.on_break = false;
                self.plan_break()
            }
            Some(false) => {
                desk.on_break = true;
                vec![Act::Later(exponential(&mut self.rng, Duration::from_secs(400)), Thought::Return)]
            }
            None => Vec::new(),
        }
    }

    fn plan_break(&mut self) -> Vec<Act> {
        if self.habits.breaks_per_hour <= 0.0 {
            return Vec::new();
        }
        let mean = Duration::from_secs_f64(3_600.0 / self.habits.breaks_per_hour);
        vec![Act::Later(exponential(&mut self.rng, mean), Thought::Break)]
    }

    fn at_the_desk(&mut self, thought: Thought, busy: bool) -> Vec<Act> {
        if let Role::Outsider = self.role {
            // As long as somebody talks there, the line is in use.
            return vec![if busy { Act::Later(between(&mut self.rng, 5.0, 15.0), thought) } else { Act::Retire }];
        }
        let Role::Agent(desk) = &mut self.role else { return Vec::new() };
        if thought == Thought::GoHome {
            desk.leaving = true;
        } else if desk.leaving {
            return Vec::new();
        }
        if busy || (!desk.registered && thought != Thought::GoHome) {
            return vec![Act::Later(between(&mut self.rng, 5.0, 15.0), thought)];
        }
        match thought {
            Thought::GoHome if !desk.registered || self.rng.chance(self.habits.forget_to_sign_out) => {
                vec![Act::Vanish, Act::Retire]
            }
            Thought::GoHome => vec![Act::Ask(Ask::Unregister)],
            _ => {
                let ready = thought == Thought::Return;
                desk.code = Some(ready);
                self.call += 1;
                let number = if ready { place::READY } else { place::NOT_READY };
                // An engine that was killed answers nothing any more, not even what it had begun to.
                vec![Act::Dial(number), Act::Later(Duration::from_secs(60), Thought::HangUp)]
            }
        }
    }
}
