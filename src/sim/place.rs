//! The support center that is simulated: a line with a menu and two queues, as many
//! agents as wanted; the desk's lines beside it.

use super::desk;
use crate::center::{
    Agent, Center, Form, Identity, Limits, Line, Membership, NumberPlan, Queue, Server, Share, ShortCodes, Trunk,
    WrapUp,
};
use crate::engine::{Configuration, RINGING, SILENCE};
use crate::ids::{AgentId, FlowId, LeadId, LineId, QueueId, SkillId, TrunkId};
use crate::ivr::{Flow, HangUpStep, MenuStep, PlayStep, Prompt, QueueStep, Repeats, Step, TransferStep};
use crate::media::SoundId;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// What callers dial.
pub const LINE: &str = "100";
/// What callers dial to be put through to an outside party, where there are carriers for that, and his number.
pub const VENDOR_LINE: &str = "300";
pub const VENDOR: &str = "+4940123456";
/// What agents dial to take calls, and to take none.
pub const READY: &str = "*50";
pub const NOT_READY: &str = "*51";
/// The first agent's number.
pub const FIRST_AGENT: u32 = 1001;
/// Who leads those of the queue "sales".
pub const LEAD: &str = "lena";
/// How long an agent's phone rings before the next agent is tried.
pub const RING: Duration = Duration::from_secs(18);
/// An agent's time for notes.
pub const WRAP_UP: Duration = Duration::from_secs(15);

/// Every sound of the main line, with its length in milliseconds.
const MAIN: [(&str, u64); 10] = [
    ("welcome", 3_000),
    ("menu", 5_000),
    ("wrong-key", 1_500),
    ("no-key", 1_500),
    ("busy", 2_500),
    ("music", 60_000),
    ("ready", 1_200),
    ("not-ready", 1_200),
    (SILENCE, 20),
    (RINGING, 5_000),
];
/// Every sound, by its number.
static SOUNDS: LazyLock<Vec<(String, u64)>> = LazyLock::new(|| {
    let main = MAIN.iter().map(|(name, length)| ((*name).to_owned(), *length));
    main.chain(desk::sounds()).collect()
});

/// The configuration of a center with so many agents.
pub fn configuration(agents: u32) -> Configuration {
    let mut center = Center {
        trunks: BTreeMap::new(),
        name: "tierline".to_owned(),
        domains: Vec::new(),
        time_zone: "UTC".to_owned(),
        language: "en".to_owned(),
        lines: BTreeMap::from([(LineId::new("main"), line())]),
        queues: ["sales", "support"].into_iter().map(|name| (QueueId::new(name), queue(name))).collect(),
        leads: [(LeadId::new(LEAD), [QueueId::new("sales")].into())].into(),
        agents: (0..agents).map(|n| (AgentId(FIRST_AGENT + n), agent(n))).collect(),
        reasons: BTreeMap::new(),
        codes: ShortCodes {
            ready: READY.to_owned(),
            not_ready: NOT_READY.to_owned(),
            ready_sound: "ready".to_owned(),
            not_ready_sound: "not-ready".to_owned(),
            confirm_sound: String::new(),
        },
        limits: Limits {
            calls: 20_000,
            silence: Duration::from_secs(30),
            drain: Duration::from_secs(300),
            strangers: 200,
            strangers_per_address: 20,
        },
        hours: BTreeMap::new(),
        zones: BTreeMap::new(),
        banners: BTreeMap::new(),
    };
    desk::furnish(&mut center);
    // Every second one of the first callers comes over a trunk; the very first one does not.
    let callers = (0..64).map(|n| super::parties::address(agents + 1 + 2 * n).ip().to_string()).collect::<Vec<_>>();
    let carrier = trunk("carrier", &callers.iter().map(String::as_str).collect::<Vec<_>>(), 50);
    center.trunks = BTreeMap::from([(carrier.id.clone(), carrier)]);
    let sounds = SOUNDS.iter().zip(0..).map(|((name, _), id)| (name.clone(), SoundId(id)));
    let flows = [flow(), desk::flow()].map(|flow| (flow.id.clone(), flow));
    Configuration { center, flows: flows.into(), sounds: sounds.collect() }
}

/// How long each sound is.
pub fn lengths() -> BTreeMap<SoundId, Duration> {
    SOUNDS.iter().zip(0..).map(|((_, ms), id)| (SoundId(id), Duration::from_millis(*ms))).collect()
}

/// The name of a sound.
pub fn sound_name(id: SoundId) -> &'static str {
    SOUNDS.get(id.0 as usize).map_or("?", |(name, _)| name.as_str())
}

fn line() -> Line {
    Line {
        id: LineId::new("main"),
        numbers: vec![LINE.to_owned()],
        flow: FlowId::new("main"),
        time_zone: "UTC".to_owned(),
        language: "en".to_owned(),
    }
}

/// A carrier whose calls come from these addresses, for so many calls at once each way; it leads nowhere yet.
pub fn trunk(name: &str, addresses: &[&str], calls: u32) -> Trunk {
    let peers = addresses.iter().map(|address| address.parse().expect("an address"));
    let share = Share { calls, rate: 1_000 };
    let numbers = NumberPlan {
        country: "49".to_owned(),
        national: "0".to_owned(),
        international: "00".to_owned(),
        short: 6,
        bare: false,
        form: Form::E164,
    };
    Trunk {
        id: TrunkId::new(name),
        peers: peers.collect(),
        server: None,
        user: None,
        listener: None,
        accepts_digest: false,
        register: None,
        realm: None,
        srtp: None,
        order: 10,
        weight: 1,
        incoming: share,
        outgoing: share,
        options: None,
        identity: Identity { number: None, shows_caller: false, asserts: false },
        numbers,
        allowed: Vec::new(),
        denied: Vec::new(),
    }
}

/// What [`VENDOR_LINE`]'s callers are led to: an outside number, over carriers at these addresses, tried in this order.
pub fn add_vendor(configuration: &mut Configuration, carriers: &[(String, std::net::SocketAddr)]) {
    let Configuration { center, flows, .. } = configuration;
    for ((name, at), order) in carriers.iter().zip(0..) {
        let (host, port, transport) = (at.ip().to_string(), Some(at.port()), None);
        let mut trunk = trunk(name, &[&at.to_string()], 50);
        (trunk.server, trunk.order) = (Some(Server { host, port, transport }), order);
        trunk.allowed = vec!["+49".to_owned()];
        center.trunks.insert(trunk.id.clone(), trunk);
    }
    let (vendor, id) = (FlowId::new("vendor"), LineId::new("vendor"));
    let transfer =
        TransferStep { number: VENDOR.to_owned(), ring: RING, busy: "busy".to_owned(), failed: "menu".to_owned() };
    let mut flow = flow();
    flow.steps.insert("vendor".to_owned(), Step::Transfer(transfer));
    (flow.id, flow.start) = (vendor.clone(), "vendor".to_owned());
    let line = Line { id: id.clone(), numbers: vec![VENDOR_LINE.to_owned()], flow: vendor.clone(), ..line() };
    center.lines.insert(id, line);
    flows.insert(vendor, flow);
}

/// The agent is called at [`VENDOR`], and must perhaps confirm there.
pub fn reach_on_number(configuration: &mut Configuration, agent: AgentId, confirm: bool) {
    let agent = configuration.center.agents.get_mut(&agent).expect("an agent of the script");
    (agent.number, agent.confirm) = (Some(VENDOR.to_owned()), confirm);
}

fn queue(name: &str) -> Queue {
    Queue {
        id: QueueId::new(name),
        ring_timeout: RING,
        wrap_up: WrapUp::Optional(WRAP_UP),
        max_waiting: 2_000,
        max_wait: Duration::from_secs(1_200),
        priority: i32::from(name == "sales"),
        retry_same_agent: Duration::from_secs(20),
        music: "music".to_owned(),
        short_abandon: Duration::from_secs(5),
        transfers: vec!["+49".to_owned(), "+33".to_owned()],
        ..Queue::named(QueueId::new(name))
    }
}

/// Everybody does support, every second one sales too, every fifth one is an expert.
fn agent(n: u32) -> Agent {
    let queues = if n.is_multiple_of(2) { &["sales", "support"][..] } else { &["support"] };
    let level = if n.is_multiple_of(5) { 8 } else { 2 };
    Agent {
        id: AgentId(FIRST_AGENT + n),
        user: (FIRST_AGENT + n).to_string(),
        name: format!("Agent {n}"),
        queues: queues.iter().map(|name| (QueueId::new(name), Membership::default())).collect(),
        skills: BTreeMap::from([(SkillId::new("expert"), level)]),
        number: None,
        confirm: false,
    }
}

fn flow() -> Flow {
    let said = |name: &str| vec![Prompt::sound(name)];
    let queue = |name: &str, skills| {
        Step::Queue(QueueStep {
            queue: QueueId::new(name),
            priority: 0,
            skills,
            preferred: None,
            treatment: None,
            full: "busy".to_owned(),
            timeout: "busy".to_owned(),
            refused: "busy".to_owned(),
            no_staff: "busy".to_owned(),
            long_wait: "busy".to_owned(),
        })
    };
    let menu = Step::Menu(MenuStep {
        prompts: said("menu"),
        keys: [('1', "sales"), ('2', "support"), ('3', "experts")].map(|(key, step)| (key, step.to_owned())).into(),
        timeout: Duration::from_secs(5),
        repeats: Repeats {
            most: 2,
            invalid: said("wrong-key"),
            no_input: said("no-key"),
            again: Vec::new(),
            otherwise: "support".to_owned(),
        },
    });
    let play = PlayStep { prompts: said("welcome"), interruptible: true, next: "menu".to_owned() };
    let steps = [
        ("welcome", Step::Play(play)),
        ("menu", menu),
        ("sales", queue("sales", BTreeMap::new())),
        ("support", queue("support", BTreeMap::new())),
        ("experts", queue("support", BTreeMap::from([(SkillId::new("expert"), 5)]))),
        ("busy", Step::HangUp(HangUpStep { prompts: said("busy") })),
    ];
    Flow {
        id: FlowId::new("main"),
        start: "welcome".to_owned(),
        steps: steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect(),
        language: "en".to_owned(),
        texts: Vec::new(),
        variables: BTreeMap::new(),
        person: None,
    }
}
