//! Who gets the next call, at size: what one event costs the router, and how that grows.
//!
//! `cargo bench --bench acd`. Two centers, one ten times the other: 1,000 and 10,000 agents, 100 and 1,000 queues,
//! 10,000 and 100,000 waiting calls, 50 different requirements. Every agent serves three queues and has ten of 50
//! skills. Then calls arrive, agents answer, hang up, finish their notes and refuse, 100,000 events in all, each timed
//! alone with what it sets off. `agent free → next offer` is the time from the end of an agent's wrap-up to the offer
//! of his next call, with 1,000 agents and 10,000 waiting.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant as Clock};
use tierline::acd::{AgentChange, Input, Output, Place, Refusal, Router, Skills};
use tierline::center::{Agent, Center, Limits, Membership, Queue, ShortCodes, WrapUp};
use tierline::ids::{AgentId, IdCounter, QueueId, ReservationId, Rng, SkillId, WorkId};
use tierline::time::Instant;

const REQUIREMENTS: u64 = 50;
const EVENTS: usize = 100_000;
const QUEUES_PER_AGENT: u64 = 3;
const SKILLS: u64 = 50;
const SKILLS_PER_AGENT: u64 = 10;

/// How large a center is.
#[derive(Clone, Copy)]
struct Size {
    agents: u32,
    queues: u64,
    waiting: u64,
}

fn queue_id(n: u64) -> QueueId {
    QueueId::new(&format!("q{n}"))
}

fn skill(n: u64) -> SkillId {
    SkillId::new(&format!("s{n}"))
}

fn center(size: Size, rng: &mut Rng) -> Center {
    let queue = |n| {
        let id = queue_id(n);
        let day = Duration::from_secs(86_400);
        let rules =
            Queue { wrap_up: WrapUp::Mandatory, max_waiting: 100_000, max_wait: day, ..Queue::named(id.clone()) };
        (id, rules)
    };
    let queues = (0..size.queues).map(queue).collect();
    let agents = (1..=size.agents).map(|n| {
        let serves = (0..QUEUES_PER_AGENT).map(|_| (queue_id(rng.below(size.queues)), Membership::default()));
        let serves: BTreeMap<_, _> = serves.collect();
        let skills: Skills =
            (0..SKILLS_PER_AGENT).map(|_| (skill(rng.below(SKILLS)), 1 + rng.below(10) as u8)).collect();
        let id = AgentId(n);
        let (number, confirm) = (None, false);
        (id, Agent { id, user: n.to_string(), name: String::new(), queues: serves, skills, number, confirm })
    });
    Center {
        trunks: BTreeMap::new(),
        name: "bench".to_owned(),
        domains: Vec::new(),
        time_zone: "UTC".to_owned(),
        language: "en".to_owned(),
        lines: BTreeMap::new(),
        queues,
        agents: agents.collect(),
        leads: BTreeMap::new(),
        reasons: BTreeMap::new(),
        codes: ShortCodes {
            ready: "*1".to_owned(),
            not_ready: "*0".to_owned(),
            ready_sound: String::new(),
            not_ready_sound: String::new(),
            confirm_sound: String::new(),
        },
        limits: Limits {
            calls: 100_000,
            silence: Duration::from_secs(30),
            drain: Duration::ZERO,
            strangers: 1,
            strangers_per_address: 1,
        },
        hours: BTreeMap::new(),
        zones: BTreeMap::new(),
        banners: BTreeMap::new(),
    }
}

/// A router at work, with what its users know.
struct Desk {
    router: Router,
    size: Size,
    rng: Rng,
    now: Instant,
    works: u64,
    ringing: VecDeque<(ReservationId, AgentId, WorkId)>,
    talking: VecDeque<(AgentId, QueueId)>,
    writing: VecDeque<AgentId>,
    waiting: BTreeSet<WorkId>,
}

impl Desk {
    fn new(size: Size) -> Desk {
        let mut rng = Rng::from_number(1);
        let router = Router::new(&center(size, &mut rng), IdCounter::new(0, 0), rng.fork("router"));
        let (ringing, talking, writing, waiting) = Default::default();
        let mut desk = Desk { router, size, rng, now: Instant::ZERO, works: 0, ringing, talking, writing, waiting };
        for agent in (1..=size.agents).map(AgentId) {
            desk.tell(Input::Agent { agent, change: AgentChange::SignIn });
        }
        while desk.waiting.len() < size.waiting as usize {
            desk.arrive();
            if !desk.ringing.is_empty() {
                desk.answer();
            }
        }
        desk
    }

    /// One input, with the outputs that follow; how long the router took.
    fn tell(&mut self, input: Input) -> Duration {
        self.now = self.now + Duration::from_millis(1);
        let begin = Clock::now();
        self.router.handle(self.now, input);
        let mut outputs = Vec::new();
        while let Some(output) = self.router.poll() {
            outputs.push(output);
        }
        let took = begin.elapsed();
        for output in outputs {
            match output {
                Output::Offered { reservation, agent, work, .. } => self.ringing.push_back((reservation, agent, work)),
                Output::Accepted { work, agent, queue, .. } => {
                    self.waiting.remove(&work);
                    self.talking.push_back((agent, queue));
                }
                Output::Withdrawn { reservation, .. } => self.ringing.retain(|(id, ..)| *id != reservation),
                Output::Rejected { work, .. } | Output::Expired { work } => _ = self.waiting.remove(&work),
                Output::State { .. } | Output::Reachable { .. } => {}
            }
        }
        took
    }

    /// Requirements 0 … 49: one skill at one of the levels 1 … 10, or none.
    fn arrive(&mut self) -> Duration {
        self.works += 1;
        let (work, requirement) = (WorkId(self.works), self.rng.below(REQUIREMENTS));
        let level = 1 + (requirement % 10) as u8;
        let skills = if requirement == 0 { Skills::new() } else { Skills::from([(skill(requirement), level)]) };
        let place = Place::new(work, queue_id(self.rng.below(self.size.queues)), self.now);
        self.waiting.insert(work);
        let priority = self.rng.below(5) as i32;
        self.tell(Input::Enqueue(Place { skills, priority, ..place }))
    }

    fn answer(&mut self) -> Option<Duration> {
        let (reservation, ..) = self.ringing.pop_front()?;
        Some(self.tell(Input::Accept { reservation }))
    }

    fn refuse(&mut self) -> Option<Duration> {
        let (reservation, ..) = self.ringing.pop_front()?;
        Some(self.tell(Input::Refuse { reservation, why: Refusal::Declined }))
    }

    fn hang_up(&mut self) -> Option<Duration> {
        let (agent, queue) = self.talking.pop_front()?;
        self.writing.push_back(agent);
        Some(self.tell(Input::Finish { agent, queue }))
    }

    /// The end of wrap-up: the next call is offered in the same step.
    fn done(&mut self) -> Option<Duration> {
        let agent = self.writing.pop_front()?;
        Some(self.tell(Input::Agent { agent, change: AgentChange::WrapUpDone }))
    }

    fn leave(&mut self) -> Option<Duration> {
        let work = *self.waiting.first()?;
        self.waiting.remove(&work);
        Some(self.tell(Input::Dequeue { work }))
    }

    fn due(&mut self) -> Option<Duration> {
        self.router.deadline().filter(|at| *at <= self.now).map(|_| self.tell(Input::Timeout))
    }
}

/// The median and the 99th of 100, in microseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64, f64) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    (at(0.5), at(0.99), at(1.0))
}

fn measure(size: Size) {
    let mut desk = Desk::new(size);
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for n in 0..EVENTS {
        let (what, took) = match n % 10 {
            0 | 5 => ("call arrives", Some(desk.arrive())),
            1 | 6 => ("agent answers", desk.answer()),
            2 | 7 => ("agent hangs up", desk.hang_up()),
            3 | 8 => ("agent free → next offer", desk.done()),
            4 => ("agent refuses", desk.refuse()),
            _ => ("caller leaves", desk.leave()),
        };
        times.entry(what).or_default().extend(took);
        times.entry("deadline").or_default().extend(desk.due());
    }
    let Size { agents, queues, waiting } = size;
    println!(
        "| {agents} agents, {queues} queues, {waiting} waiting, {REQUIREMENTS} requirements | p50 | p99 | max | n |"
    );
    println!("|---|---|---|---|---|");
    let all: Vec<Duration> = times.values().flatten().copied().collect();
    for (what, times) in times.into_iter().chain([("every event", all)]).filter(|(_, times)| !times.is_empty()) {
        let count = times.len();
        let (p50, p99, max) = spread(times);
        println!("| {what} | {p50:.1} µs | {p99:.1} µs | {max:.0} µs | {count} |");
    }
    println!();
}

fn main() {
    measure(Size { agents: 1_000, queues: 100, waiting: 10_000 });
    measure(Size { agents: 10_000, queues: 1_000, waiting: 100_000 });
}
