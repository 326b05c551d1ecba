//! Desktop programs, and the server's end of their streams: wires are cut, programs are killed or stop reading, and come
//! back with the cursor that they have kept.
//!
//! What decides is what serves: [`Feed`], [`Sight`] and [`Leases`] are the shell's. Here are the log that they read, the
//! wire, and the clock. The server learns of a cut wire at once or after a while, as by keepalive; meanwhile the
//! program may have opened another stream.
//!
//! **What a desktop was told is compared** with what one is owed who has looked since the log began and was never cut
//! off: each event once, in order, over kills of either side ([`Check::ToldOnce`]). That who logged in at a desktop is
//! there as long as his lease says is in [`super::leases`].
//!
//! A lead and an operator look too: they see other events and more of them, and have no lease. Where there are more than
//! [`FEW`] agents they look in for [`LOOK`] now and then, and begin anew each time: of a whole day of hundreds of agents they
//! would be told millions of things, one as the other.
//! What is asked at desktops is in [`super::asking`].

mod lookers;
mod programs;

use super::agenda::Due;
use super::leases::Present;
use super::shelf::Shelf;
use super::{Check, World, people, place};
use crate::command::{Actor, Ask};
use crate::cti::{self, Audience, Cursor, Feed, Sight, Told, View, Viewer, impersonal, snapshot};
use crate::engine::{Bug, Engine};
use crate::event::{Event, What};
use crate::ids::{AgentId, LeadId, Rng};
use crate::proto::{self, Item};
use lookers::Lookers;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Events read at once by who catches up.
const PORTION: usize = 16;
/// So many agents are a small world.
const FEW: u32 = 50;
/// How long a lead or an operator looks in where there are more.
const LOOK: Duration = Duration::from_secs(60);
/// The time until the next look, for each [`FEW`] of the agents.
const BETWEEN_LOOKS: Duration = Duration::from_secs(180);
/// Who is told nothing is asked after so many events whether he is to get a cursor.
const CURSORS: u64 = 512;
/// Items that wait for one who does not read.
const WAITING: usize = 4;
/// The time between two turns of one who catches up.
const TURN: Duration = Duration::from_millis(3);
/// … while he does not read.
const STUCK: Duration = Duration::from_millis(500);
/// Within this the server knows that a program is gone without a word.
const NOTICED: u64 = 15_000;

/// What comes to pass at a desktop.
#[derive(Clone, Debug)]
pub enum AtDesktop {
    /// The program opens a stream, if it has none.
    Connects,
    /// An item arrives.
    Gets {
        stream: u32,
        item: Box<Item>,
    },
    /// The program is started for a look, or ended after it.
    LooksIn,
    LooksAway,
    /// The program sees that its stream has ended.
    Ended {
        stream: u32,
    },
    /// The server sees it.
    Noticed {
        stream: u32,
        epoch: u32,
    },
    /// The server reads what one who resumes has missed.
    CatchesUp {
        stream: u32,
        epoch: u32,
    },
    /// The program reads again.
    Reads,
    /// Something goes wrong, or the agent does something without a stream.
    Trouble,
}

/// What was seen of desktops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Events that programs got …
    pub told: u64,
    /// … those of leads and operators among them.
    pub overseen: u64,
    /// Streams that went on at a cursor …
    pub resumed: u64,
    /// … and found something that they had missed.
    pub caught_up: u64,
    /// Streams that were cut for not reading.
    pub too_slow: u64,
    /// Leases that ended.
    pub lost: u64,
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looker {
    Agent(AgentId),
    Lead,
    Operator,
}

impl Looker {
    fn actor(self) -> Actor {
        match self {
            Looker::Agent(agent) => Actor::Agent(agent),
            Looker::Lead => Actor::Lead(LeadId::new(place::LEAD)),
            Looker::Operator => Actor::Operator,
        }
    }

    /// Who may have a lease.
    fn agent(self) -> Option<AgentId> {
        if let Looker::Agent(agent) = self { Some(agent) } else { None }
    }
}

/// One looker's program.
struct Program {
    rng: Rng,
    viewer: Arc<Viewer>,
    /// It runs: always, but for those who look in.
    looks: bool,
    /// The stream that it reads.
    stream: Option<u32>,
    reads: bool,
    /// The cursor of the last item, kept with what was done about it.
    kept: Option<Cursor>,
    /// The server's ends of its streams; of one that was cut it may not know yet.
    served: Vec<u32>,
    /// What concerns its agent and it was not told yet.
    owed: VecDeque<(u64, Arc<proto::Event>)>,
}

/// The server's end of a stream.
struct Stream {
    of: Looker,
    sight: Sight,
    /// As long as it is behind.
    behind: Option<Feed>,
    /// What waits for one who does not read.
    waits: VecDeque<Box<Item>>,
    /// The wire: how long an item takes; none: nothing arrives any more.
    wire: Option<Duration>,
    cut: bool,
}

/// All desktops and what serves them.
pub(super) struct Desktops {
    programs: BTreeMap<Looker, Program>,
    lookers: Lookers,
    streams: BTreeMap<u32, Stream>,
    last: u32,
    /// The server's own, until it has come to be the same as the truth.
    feed: Option<Feed>,
    /// The fold of one who has looked since the log began.
    truth: Feed,
    shelf: Shelf,
    pub present: Present,
    pub seen: Seen,
    /// Nothing goes wrong any more.
    steady: bool,
}

fn nothing() -> Feed {
    Feed { view: View::default(), at: Cursor { seq: 0, at: crate::time::Wall(0) } }
}

impl Default for Desktops {
    fn default() -> Desktops {
        Desktops {
            programs: BTreeMap::new(),
            lookers: Lookers::default(),
            streams: BTreeMap::new(),
            last: 0,
            feed: None,
            truth: nothing(),
            shelf: Shelf::default(),
            present: Present::default(),
            seen: Seen::default(),
            steady: false,
        }
    }
}

impl Desktops {
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// The last event is to be told to all of these who look.
    fn owe(&mut self, audience: &Audience, event: proto::Event) {
        let less = impersonal(&event).map(Arc::new);
        let (seq, event) = (self.truth.at.seq, Arc::new(event));
        for of in self.lookers.of(audience) {
            let Some(program) = self.programs.get_mut(&of) else { continue };
            if program.looks && program.viewer.sees(audience) {
                let less = less.as_ref().filter(|_| !program.viewer.sees_person(audience));
                program.owed.push_back((seq, Arc::clone(less.unwrap_or(&event))));
            }
        }
    }

    pub fn has_program(&self, agent: AgentId) -> bool {
        self.programs.contains_key(&Looker::Agent(agent))
    }
}

impl World {
    /// Gives some agents a desktop, at least one; and a lead and an operator.
    pub(super) fn open_desktops(&mut self) {
        let many = (self.options.desktops * f64::from(self.options.agents)).ceil() as u32;
        let agent = |key| Looker::Agent(AgentId(place::FIRST_AGENT + key * self.options.agents / many));
        let agents = (0..many.min(self.options.agents)).map(agent);
        let others = [Looker::Lead, Looker::Operator].into_iter().filter(|_| many > 0);
        for of in agents.chain(others).collect::<Vec<_>>() {
            let name = of.agent().map_or(format!("{of:?}"), |agent| agent.to_string());
            let mut rng = self.rng.fork(&format!("desktop {name}"));
            let Some(viewer) = Viewer::of(&of.actor(), &self.configuration.center) else {
                continue;
            };
            let begins = Duration::from_millis(rng.below(40_000));
            let looks = of.agent().is_some() || self.options.agents <= FEW;
            let begin = if looks { AtDesktop::Connects } else { AtDesktop::LooksIn };
            self.after(begins, Due::Desktop(of, begin));
            let trouble = begins + people::exponential(&mut rng, self.options.desktop_trouble);
            self.after(trouble, Due::Desktop(of, AtDesktop::Trouble));
            self.desktops.lookers.add(of, &viewer);
            let (viewer, served, owed) = (Arc::new(viewer), Vec::new(), VecDeque::new());
            let program = Program { rng, viewer, looks, stream: None, reads: true, kept: None, served, owed };
            self.desktops.programs.insert(of, program);
        }
    }

    /// Nothing goes wrong any more, and everybody reads what there is to read.
    pub(super) fn close_desktops(&mut self) {
        self.desktops.steady = true;
        for of in self.desktops.programs.keys().copied().collect::<Vec<_>>() {
            self.after(Duration::ZERO, Due::Desktop(of, AtDesktop::Reads));
            self.after(Duration::ZERO, Due::Desktop(of, AtDesktop::Connects));
        }
    }

    pub(super) fn at_desktop(&mut self, of: Looker, due: AtDesktop) {
        let of_us = |epoch: u32| epoch == self.epoch;
        match due {
            AtDesktop::Connects => self.desktop_connects(of),
            AtDesktop::LooksIn => self.looks_in(of),
            AtDesktop::LooksAway => self.looks_away(of),
            AtDesktop::Gets { stream, item } => self.desktop_gets(of, stream, *item),
            AtDesktop::Ended { stream } => self.desktop_sees_the_end(of, stream),
            AtDesktop::Noticed { stream, epoch } if of_us(epoch) => self.stream_ended(stream),
            AtDesktop::CatchesUp { stream, epoch } if of_us(epoch) => self.catches_up(stream),
            AtDesktop::Noticed { .. } | AtDesktop::CatchesUp { .. } => {}
            AtDesktop::Reads => self.desktop_reads(of),
            AtDesktop::Trouble => self.desktop_trouble(of),
        }
    }

    /// Nothing comes over it any more, and the server notices after this.
    fn wire_ends(&mut self, stream: u32, noticed: Duration) {
        let (of, epoch) = match self.desktops.streams.get_mut(&stream) {
            Some(served) => {
                served.wire = None;
                (served.of, self.epoch)
            }
            None => return,
        };
        self.after(noticed, Due::Desktop(of, AtDesktop::Noticed { stream, epoch }));
    }

    fn desktop_connects(&mut self, of: Looker) {
        let free = |program: &&mut Program| program.looks && program.stream.is_none();
        let Some(program) = self.desktops.programs.get_mut(&of).filter(free) else {
            return;
        };
        if self.engine.is_none() {
            let again = Duration::from_millis(300 + program.rng.below(2_000));
            return self.after(again, Due::Desktop(of, AtDesktop::Connects));
        }
        self.desktops.last += 1;
        let stream = self.desktops.last;
        program.stream = Some(stream);
        program.served.push(stream);
        let wire = Some(Duration::from_millis(1 + program.rng.below(60)));
        let (kept, sight) = (program.kept, Sight::new(Arc::clone(&program.viewer)));
        #[cfg(feature = "planted-bugs")]
        let sight = {
            let mut sight = sight;
            sight.skips = self.bug == Some(Bug::SkipsItems);
            sight
        };
        let behind = kept.map(|at| Feed { view: View::default(), at });
        let served = Stream { of, sight, behind, waits: VecDeque::new(), wire, cut: false };
        self.desktops.streams.insert(stream, served);
        match kept {
            None => self.begins(of, stream),
            Some(at) => self.resumes(of, stream, at),
        }
        let Some(agent) = of.agent() else { return };
        self.stream_opened(agent);
        if !self.desktops.truth.view.desks.contains(&agent) && !self.desktops.steady {
            self.program_asks(agent, Ask::LogIn { agent });
        }
    }

    /// A snapshot, and from there on live.
    fn begins(&mut self, of: Looker, stream: u32) {
        let Desktops { programs, streams, feed, truth, .. } = &mut self.desktops;
        let (Some(program), Some(served)) = (programs.get_mut(&of), streams.get_mut(&stream)) else { return };
        let center = &self.configuration.center;
        let true_ = snapshot(&truth.view, &program.viewer, center);
        let told = feed.as_ref().map_or_else(|| true_.clone(), |feed| snapshot(&feed.view, &program.viewer, center));
        let at = truth.at;
        // Until the start of this engine is in the log nothing is known of what runs.
        let begun = at.seq >= self.started.0.next_seq;
        self.tally.must(Check::ToldOnce, !begun || told == true_, || {
            format!("{of:?} begins with {told:?}, and should with {true_:?}")
        });
        program.owed.retain(|(seq, _)| *seq > at.seq);
        served.waits.extend(cti::in_parts(told, at.to_bytes()).into_iter().map(Box::new));
        self.hands_over(stream);
    }

    fn resumes(&mut self, of: Looker, stream: u32, at: Cursor) {
        self.desktops.seen.resumed += 1;
        let written = self.desktops.truth.at.seq;
        self.tally.must(Check::ToldOnce, at.seq <= written, || {
            format!("{of:?} was told event {}, and the log ends with {written}", at.seq)
        });
        let from = match () {
            () if self.planted(Bug::TellsAgain) => at.seq.saturating_sub(PORTION as u64),
            () if self.planted(Bug::ForgetsTheMissed) => written,
            () => at.seq,
        };
        let behind = self.desktops.streams.get_mut(&stream).and_then(|served| served.behind.as_mut());
        behind.into_iter().for_each(|feed| feed.at.seq = from);
        let due = AtDesktop::CatchesUp { stream, epoch: self.epoch };
        self.after(TURN, Due::Desktop(of, due));
    }

    /// One turn of who resumes: a portion of the log, or the step into the live stream.
    fn catches_up(&mut self, stream: u32) {
        let Desktops { streams, truth, shelf, seen, .. } = &mut self.desktops;
        let Some(served) = streams.get_mut(&stream) else { return };
        let Some(behind) = &mut served.behind else { return };
        if behind.at.seq >= truth.at.seq {
            served.behind = None;
            return;
        }
        // Who does not take what was read gets no more.
        if served.waits.is_empty() {
            let viewer = Arc::clone(&served.sight.viewer);
            for event in shelf.after(behind.at.seq).take(PORTION) {
                let Ok(told) = behind.take(event, |call| shelf.of_call(call), |audience| viewer.sees(audience));
                if let Some(item) = served.sight.item(&told, behind.at) {
                    seen.caught_up += 1;
                    served.waits.push_back(Box::new(item));
                }
            }
        }
        let (of, due) = (served.of, AtDesktop::CatchesUp { stream, epoch: self.epoch });
        self.hands_over(stream);
        let stuck = self.desktops.streams.get(&stream).is_some_and(|served| !served.waits.is_empty());
        self.after(if stuck { STUCK } else { TURN }, Due::Desktop(of, due));
    }

    /// What waits goes to a program that reads.
    fn hands_over(&mut self, stream: u32) {
        let Desktops { programs, streams, .. } = &mut self.desktops;
        let Some(served) = streams.get_mut(&stream) else { return };
        let reads = programs.get(&served.of).is_some_and(|program| program.reads || program.stream != Some(stream));
        let (of, wire, cut) = (served.of, served.wire, served.cut);
        if !reads {
            return;
        }
        let waits = served.waits.drain(..);
        let Some(delay) = wire else { return };
        for item in waits {
            self.agenda.plan(self.now + delay, Due::Desktop(of, AtDesktop::Gets { stream, item }));
        }
        if cut {
            self.after(delay, Due::Desktop(of, AtDesktop::Ended { stream }));
            self.stream_ended(stream);
        }
    }

    /// The server's end is gone.
    fn stream_ended(&mut self, stream: u32) {
        let Some(of) = self.desktops.streams.remove(&stream).map(|served| served.of) else { return };
        let program = self.desktops.programs.get_mut(&of);
        program.into_iter().for_each(|program| program.served.retain(|served| *served != stream));
        of.agent().into_iter().for_each(|agent| self.stream_closed(agent));
    }

    // What the server does.

    /// The server's process was killed: every program sees it sooner or later.
    pub(super) fn desktops_crash(&mut self) {
        for (stream, served) in std::mem::take(&mut self.desktops.streams) {
            let Some(program) = self.desktops.programs.get_mut(&served.of) else { continue };
            let seen = Duration::from_millis(program.rng.below(1_000));
            program.reads = true;
            program.served.clear();
            self.after(seen, Due::Desktop(served.of, AtDesktop::Ended { stream }));
        }
    }

    /// A start begins where the log ends, and knows what is open in it.
    pub(super) fn desktops_start(&mut self, open: &[(Event, Option<String>)]) {
        let mut view = View::default();
        for (event, _) in open {
            match &event.what {
                What::DeskEntered { agent } => _ = view.desks.insert(*agent),
                What::BannerSwitched { banner, on } => _ = view.switched.insert(banner.clone(), *on),
                _ => {}
            }
        }
        let desks = view.desks.clone();
        self.desktops.feed = Some(Feed { view, at: self.desktops.truth.at });
        self.leases_start(desks);
    }

    /// What is on disk reaches those who look.
    pub(super) fn desktops_read(&mut self, events: Vec<Arc<Event>>) {
        for event in events {
            let Desktops { programs, lookers, feed, truth, shelf, .. } = &mut self.desktops;
            shelf.keep(&event);
            // Without a program or a stream nobody gets what would be told.
            let there = |program: &Program| program.looks || !program.served.is_empty();
            let is_there = |of: &Looker| programs.get(of).is_some_and(there);
            let somebody = |audience: &Audience| lookers.any(audience, is_there);
            let Ok(owed) = truth.take(&event, |call| shelf.of_call(call), somebody);
            match feed {
                Some(feed) => {
                    let Ok(told) = feed.take(&event, |call| shelf.of_call(call), somebody);
                    self.desktops_hear(&told);
                }
                None => self.desktops_hear(&owed),
            }
            owed.into_iter().for_each(|(audience, event)| self.desktops.owe(&audience, event));
        }
        let Desktops { programs, feed, truth, shelf, .. } = &mut self.desktops;
        feed.take_if(|feed| feed.view == truth.view);
        let now = truth.at.seq;
        shelf.forget(|| programs.values().map(|it| it.kept.map_or(now, |at| at.seq)).min().unwrap_or(now));
    }

    /// The last event reaches who looks live. Now and then it is told to all: who sees none of them gets their cursors.
    fn desktops_hear(&mut self, told: &Told) {
        let Desktops { programs, lookers, streams, truth, seen, .. } = &mut self.desktops;
        let mut ends: Vec<u32> = match told {
            _ if truth.at.seq.is_multiple_of(CURSORS) => streams.keys().copied().collect(),
            None => return,
            Some((audience, _)) => {
                let lookers = lookers.of(audience);
                let programs = lookers.iter().filter_map(|of| programs.get(of));
                programs.flat_map(|program| program.served.iter().copied()).collect()
            }
        };
        ends.sort_unstable();
        ends.retain(|stream| {
            let live = |served: &&mut Stream| served.behind.is_none() && !served.cut;
            let Some(served) = streams.get_mut(stream).filter(live) else { return false };
            let Some(item) = served.sight.item(told, truth.at) else { return false };
            let takes = served.waits.len() < WAITING;
            match takes {
                true => served.waits.push_back(Box::new(item)),
                false => (served.cut, seen.too_slow) = (true, seen.too_slow + 1),
            }
            takes
        });
        ends.into_iter().for_each(|stream| self.hands_over(stream));
    }

    /// Who was not told everything yet.
    pub(super) fn untold(&self) -> Option<String> {
        let (of, program) = self.desktops.programs.iter().find(|(_, program)| !program.owed.is_empty())?;
        Some(format!("the desktop of {of:?} was not told {:?}", program.owed.front()))
    }

    /// Whose desktops have a stream, as the server sees it.
    pub(super) fn with_stream(&self) -> impl Iterator<Item = AgentId> + '_ {
        self.desktops.streams.values().filter_map(|served| served.of.agent())
    }

    pub(super) fn pause_of(&self, agent: AgentId) -> Option<&str> {
        self.engine
            .as_ref()
            .map(Engine::router)
            .and_then(|router| router.agent(agent))
            .and_then(crate::acd::Agent::pause)
    }
}
