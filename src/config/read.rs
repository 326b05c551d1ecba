//! The configuration file: every setting with its range and default (`deploy/tierline.toml` explains them).

use super::values::{address, domain, kept, list, local, name, named, time_zone, user};
use super::{
    HttpLimits, Kept, Needs, Problem, Secrets, ServerSettings, audio, calendar, cti, journal, keep, limits, routing,
    sip, staffing, trunk,
};
use crate::center::{Agent, Banner, Center, Limits, Line, NotReadyReason, Queue, Relaxation, ShortCodes};
use crate::ids::{AgentId, FlowId, LeadId, LineId, QueueId};
use crate::ivr::load::{check_version, skills};
use crate::written::{Page, Place, Said, Section, Value, language};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Characters of a name that people see.
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 2_000;
/// Sounds that confirm the short codes.
pub const READY_SOUND: &str = "agent-ready";
pub const NOT_READY_SOUND: &str = "agent-not-ready";
/// … and the one that asks who answers on an agent's number to press 1.
pub const CONFIRM_SOUND: &str = "agent-confirm";

/// What the configuration file says, apart from the flows and sounds that it names.
#[derive(Debug)]
pub struct Written {
    pub center: Center,
    pub server: ServerSettings,
    pub needs: Needs,
    /// Directory of flows, as written, and where.
    pub flows_dir: Said<String>,
    /// False if mistakes hide which queues there are: references to others are not mistakes then.
    pub queues_known: bool,
    /// False if mistakes hide who the agents are.
    pub agents_known: bool,
    /// Each flow that a line names, and where the first does.
    pub flows: BTreeMap<FlowId, Place>,
    /// Each music that a queue names, and where the first does.
    pub music: BTreeMap<String, Place>,
    /// The texts of [`READY_SOUND`], [`NOT_READY_SOUND`] and, where it is needed, [`CONFIRM_SOUND`], with their places.
    pub code_texts: Vec<(&'static str, Said<String>)>,
    pub warnings: Vec<Problem>,
}

/// Whether the page has what a flow has, and nothing of a center.
pub fn is_flow(page: &Page<'_>) -> bool {
    let root = page.root();
    root.has("step") && !root.has("center") && !root.has("line")
}

/// Reads a whole page; what is wrong is reported there, with stand-ins in the result.
pub fn read(page: &Page<'_>) -> Written {
    let mut root = page.root();
    check_version(&mut root);
    let mut about = root.section("center");
    let mut reader = Reader::new(page, &mut about);
    let name = about.require("name", "the center's name").and_then(|v| v.text(MAX_NAME)).unwrap_or_default();
    let domains = list(about.take("domains"), "a list of domains such as [\"example.org\"]", domain);
    about.finish();
    let queues = reader.queues(&mut root);
    let lines = reader.lines(&mut root);
    let hours = calendar::read(root.section("hours"));
    let banners = reader.banners(root.section("banner"), &lines);
    let told = page.told();
    let agents = reader.agents(root.section("agent"));
    let agents_known = page.told() == told && !root.misspells("agent");
    let carriers = trunk::read(root.section("trunk"), &agents);
    let trunks = &carriers.trunks;
    for number in reader.called.iter().filter(|number| !trunks.values().any(|trunk| trunk.allows(&number.it))) {
        page.report(&number.place, format!("no trunk may call {}; `allowed` of a [trunk] says what may", number.it));
    }
    trunk::check_transfers(page, &queues, trunks);
    let confirms = agents.values().any(|agent| agent.number.is_some() && agent.confirm);
    let (codes, code_texts) = reader.codes(root.section("codes"), confirms);
    let reasons = reader.reasons(root.section("reason"), &codes.not_ready);
    let limits = limits::read(root.section("limits"));
    let (journal, keep) = (journal::read(root.section("journal")), keep::read(root.section("keep")));
    let told = page.told();
    let section = root.section("server");
    let hidden = page.told() != told || root.misspells("server");
    let (mut server, needs, flows_dir) = reader.server(section, &limits);
    let needs = if hidden { Needs::default() } else { needs };
    trunk::check_listeners(page, &carriers, &server.sip.listeners);
    let trunk::Trunks { trunks, passwords, .. } = carriers;
    server.trunk_passwords = passwords;
    (server.journal, server.keep) = (journal, keep);
    server.ticketing = cti::ticketing(&mut root);
    root.finish();
    reader.warnings.extend(staffing::of_queues(page, &queues, &reader.relaxed, &agents, server.cti.is_some()));
    let queues = queues.into_iter().map(|(id, queue)| (id, queue.it)).collect();
    let leads = std::mem::take(&mut reader.leads);
    let Reader { time_zone, language, queues_known, flows, music, warnings, .. } = reader;
    let zones = lines.values().map(|line| &line.time_zone).chain([&time_zone]);
    let zones = zones.map(|name| (name.clone(), calendar::zone(name))).collect();
    let center = Center {
        name,
        domains,
        time_zone,
        language,
        lines,
        queues,
        agents,
        leads,
        trunks,
        reasons,
        codes,
        limits,
        hours,
        zones,
        banners,
    };
    Written { center, server, needs, flows_dir, queues_known, agents_known, flows, music, code_texts, warnings }
}

struct Reader<'p> {
    page: &'p Page<'p>,
    time_zone: String,
    language: String,
    /// Every number that can be dialed → what it belongs to.
    numbers: BTreeMap<String, String>,
    queue_names: BTreeSet<QueueId>,
    queues_known: bool,
    flows: BTreeMap<FlowId, Place>,
    music: BTreeMap<String, Place>,
    warnings: Vec<Problem>,
    /// Agents' outside numbers.
    called: Vec<Said<String>>,
    /// Each step of the queues' `relax`, and where it is.
    relaxed: Vec<(Place, Relaxation)>,
    leads: BTreeMap<LeadId, BTreeSet<QueueId>>,
}

impl<'p> Reader<'p> {
    fn new(page: &'p Page<'p>, about: &mut Section<'p>) -> Reader<'p> {
        Reader {
            page,
            time_zone: about.take("time_zone").and_then(|v| time_zone(&v)).unwrap_or("UTC".into()),
            language: about.take("language").and_then(|v| language(&v)).unwrap_or("en".into()),
            numbers: BTreeMap::new(),
            queue_names: BTreeSet::new(),
            queues_known: true,
            flows: BTreeMap::new(),
            music: BTreeMap::new(),
            warnings: Vec::new(),
            called: Vec::new(),
            relaxed: Vec::new(),
            leads: BTreeMap::new(),
        }
    }

    fn queues(&mut self, root: &mut Section<'p>) -> BTreeMap<QueueId, Said<Queue>> {
        let told = self.page.told();
        let tables = named(root.section("queue"), "queue");
        self.queues_known = self.page.told() == told && !root.misspells("queue");
        self.queue_names = tables.iter().map(|(id, ..)| QueueId::new(id)).collect();
        tables.into_iter().map(|(id, place, table)| (QueueId::new(&id), self.queue(&id, place, table))).collect()
    }

    fn queue(&mut self, id: &str, place: Place, mut table: Section<'p>) -> Said<Queue> {
        let (second, none) = (Duration::from_secs(1), Duration::ZERO);
        let music = table.take("music").and_then(|v| Some((name(&v, "the name of a recording")?, v.place)));
        // The default's file is looked for as if it had been written at the queue.
        let (music, at) = music.unwrap_or(("hold-music".into(), place.clone()));
        self.music.entry(music.clone()).or_insert(at);
        let mut it = Queue {
            ring_timeout: table.duration("ring_timeout", second..=5 * MINUTE, 20 * second),
            max_waiting: table.whole("max_waiting", 1..=100_000, 1000) as u32,
            max_wait: table.duration("max_wait", 10 * second..=DAY, 30 * MINUTE),
            priority: table.whole("priority", -1000..=1000, 0) as i32,
            retry_same_agent: table.duration("retry_same_agent", none..=HOUR, MINUTE),
            music,
            short_abandon: table.duration("short_abandon", none..=5 * MINUTE, 5 * second),
            target: table.duration("target", second..=HOUR, 20 * second),
            ..Queue::named(QueueId::new(id))
        };
        let (hardly_meant, relaxed) = routing::rules(&mut table, &mut it, &place);
        self.warnings.extend(hardly_meant);
        self.relaxed.extend(relaxed.into_iter().zip(it.relax.iter().cloned()));
        table.finish();
        Said { it, place }
    }

    fn lines(&mut self, root: &mut Section<'p>) -> BTreeMap<LineId, Line> {
        let section = root.require("line", "at least one table such as [line.support]").and_then(|v| v.section());
        let tables = section.map(|section| named(section, "line")).unwrap_or_default();
        tables.into_iter().filter_map(|(id, _, table)| Some((LineId::new(&id), self.line(&id, table)?))).collect()
    }

    fn line(&mut self, id: &str, mut table: Section<'p>) -> Option<Line> {
        let wanted = "a list of numbers such as [\"100\"]";
        let numbers = table.require("numbers", wanted);
        if let Some(none) = numbers.as_ref().filter(|v| v.is_list() && v.entries() == 0) {
            self.page.report(&none.place, format!("the line `{id}` has no number; allowed: {wanted}"));
        }
        let numbers = list(numbers, wanted, |value| self.number(value, &format!("the line `{id}`")));
        let flow = table.require("flow", "the name of a flow: its file without .toml");
        let flow = flow.and_then(|v| Some((FlowId::new(&name(&v, "the name of a flow")?), v.place)));
        let time_zone = table.take("time_zone").and_then(|v| time_zone(&v)).unwrap_or(self.time_zone.clone());
        let language = table.take("language").and_then(|v| language(&v)).unwrap_or(self.language.clone());
        table.finish();
        let (flow, place) = flow?;
        self.flows.entry(flow.clone()).or_insert(place);
        Some(Line { id: LineId::new(id), numbers, flow, time_zone, language })
    }

    /// A number that can be dialed; it belongs to one thing only.
    fn number(&mut self, value: &Value<'_>, whose: &str) -> Option<String> {
        let number = value.parsed("1 to 32 of 0-9, * and #, with or without a leading +", |s| {
            let digits = s.strip_prefix('+').unwrap_or(s);
            let good = (1..=32).contains(&digits.len());
            (good && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#'))).then(|| s.to_owned())
        })?;
        self.claim(&number, &value.place, whose);
        Some(number)
    }

    fn claim(&mut self, number: &str, place: &Place, whose: &str) {
        if let Some(owner) = self.numbers.get(number) {
            self.page.report(place, format!("the number {number} belongs to {owner} already; give another one"));
        } else {
            self.numbers.insert(number.into(), whose.into());
        }
    }

    fn agents(&mut self, section: Section<'p>) -> BTreeMap<AgentId, Agent> {
        let (mut agents, mut users) = (BTreeMap::new(), BTreeSet::new());
        for value in section.rest() {
            let number = value.label.parse::<u32>().ok().filter(|n| (1..=99_999_999).contains(n));
            let number = number.filter(|n| n.to_string() == value.label);
            let (label, place) = (value.label.clone(), value.key_place.clone());
            if number.is_none() {
                self.page.report(&place, format!("an agent cannot have the number `{label}`; allowed: 1 to 99999999"));
            } else {
                self.claim(&label, &place, &format!("the agent {label}"));
            }
            let agent = value.section().and_then(|table| self.agent(AgentId(number.unwrap_or(0)), table));
            let Some(agent) = agent else { continue };
            if !users.insert(agent.it.user.clone()) {
                self.page.report(
                    &agent.place,
                    format!("another agent has the user `{}`; allowed: one that no other agent has", agent.it.user),
                );
            }
            agents.insert(agent.it.id, agent.it);
        }
        agents
    }

    /// The agent, and where the user is written.
    fn agent(&mut self, id: AgentId, mut table: Section<'p>) -> Option<Said<Agent>> {
        let user = table.require("user", "what the phone registers as").and_then(|v| Some((user(&v)?, v.place)));
        let name = table.take("name").and_then(|v| v.text(MAX_NAME));
        let names: Vec<&str> = self.queue_names.iter().map(QueueId::as_str).take(20).collect();
        let allowed = match names.is_empty() {
            true => "a list of queues; write a table such as [queue.support] for each".to_owned(),
            false => format!("a list of queues ({})", names.join(", ")),
        };
        let queues = list(table.take("queues"), &allowed, |value| {
            let (queue, member) = routing::membership(value);
            Some((self.queue_named(&queue?, &allowed)?, member))
        });
        let skills = table.take("skills").map(skills).unwrap_or_default();
        let number = table.take("number").and_then(|v| Some(Said { it: trunk::e164(&v)?, place: v.place }));
        let confirm = table.take("confirm").and_then(|v| v.flag()).unwrap_or(true);
        table.finish();
        let number = number.map(|said| {
            self.called.push(said.clone());
            said.it
        });
        let (user, place) = user?;
        let name = name.unwrap_or(user.clone());
        Some(Said {
            it: Agent { id, user, name, queues: queues.into_iter().collect(), skills, number, confirm },
            place,
        })
    }

    /// A queue that exists, as far as it is known which do.
    fn queue_named(&mut self, value: &Value<'_>, allowed: &str) -> Option<QueueId> {
        if let (false, Some(queue)) = (self.queues_known, value.text_as_written()) {
            return Some(QueueId::new(queue));
        }
        // That there is none at all is told once.
        self.queues_known &= !self.queue_names.is_empty();
        value.one_of(allowed, self.queue_names.iter().map(QueueId::as_str)).map(QueueId::new)
    }

    fn banners(&mut self, section: Section<'p>, lines: &BTreeMap<LineId, Line>) -> BTreeMap<String, Banner> {
        let known: Vec<&str> = lines.keys().map(LineId::as_str).collect();
        let allowed = format!("a list of lines ({})", known.iter().take(20).copied().collect::<Vec<_>>().join(", "));
        let banner = |mut table: Section<'p>| {
            let on = table.take("on").and_then(|v| v.flag()).unwrap_or(false);
            let lines =
                list(table.take("lines"), &allowed, |v| v.one_of(&allowed, known.iter().copied()).map(LineId::new));
            let callers = list(table.take("callers"), "a list of beginnings of numbers such as [\"+4930\"]", |value| {
                value.parsed("1 to 32 of 0-9 with or without a leading +", |s| {
                    let digits = s.strip_prefix('+').unwrap_or(s);
                    let good = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
                    good.then(|| s.to_owned())
                })
            });
            table.finish();
            Banner { on, lines: lines.into_iter().collect(), callers }
        };
        named(section, "banner").into_iter().map(|(name, _, table)| (name, banner(table))).collect()
    }

    fn codes(&mut self, mut section: Section<'p>, confirms: bool) -> (ShortCodes, Vec<(&'static str, Said<String>)>) {
        let mut code = |key, default: &str| match section.take(key) {
            Some(value) => self.number(&value, &format!("the code `{key}`")).unwrap_or_default(),
            None => {
                self.claim(default, &section.place, &format!("the code `{key}`"));
                default.into()
            }
        };
        let (ready, not_ready) = (code("ready", "*1"), code("not_ready", "*0"));
        let mut text = |key, default: &str| {
            let written = section.take(key).and_then(|v| Some(Said { it: v.text(MAX_TEXT)?, place: v.place }));
            written.unwrap_or(Said { it: default.into(), place: section.place.clone() })
        };
        let mut texts = vec![
            (READY_SOUND, text("ready_text", "You are ready.")),
            (NOT_READY_SOUND, text("not_ready_text", "You are not ready.")),
        ];
        let confirm = text("confirm_text", "A caller is waiting for you. Press 1 to take the call.");
        texts.extend(confirms.then_some((CONFIRM_SOUND, confirm)));
        section.finish();
        let (ready_sound, not_ready_sound) = (READY_SOUND.into(), NOT_READY_SOUND.into());
        let codes = ShortCodes { ready, not_ready, ready_sound, not_ready_sound, confirm_sound: CONFIRM_SOUND.into() };
        (codes, texts)
    }

    /// Each digit makes a code of its own, behind the one for "not ready".
    fn reasons(&mut self, section: Section<'p>, code: &str) -> BTreeMap<String, NotReadyReason> {
        let mut reasons = BTreeMap::new();
        for (name, (reason, place)) in routing::reasons(section) {
            if let Some(digit) = reason.digit {
                self.claim(&format!("{code}{digit}"), &place, &format!("the reason `{name}`"));
            }
            reasons.insert(name, reason);
        }
        reasons
    }

    fn server(&mut self, mut section: Section<'p>, limits: &Limits) -> (ServerSettings, Needs, Said<String>) {
        let node = section.take("node").map_or(Some(0), |v| v.whole(0..=1023)).map(|node| node as u16);
        let data =
            section.take("data").map_or_else(|| (!section.misspells("data")).then(|| "data".into()), |v| v.text(1000));
        let data = data.map(PathBuf::from);
        let flows_dir = section.take("flows").and_then(|v| Some(Said { it: v.text(1000)?, place: v.place }));
        let flows_dir = flows_dir.unwrap_or(Said { it: "../ivr-flows".into(), place: section.place.clone() });
        let password_file = kept(&mut section, "password_file");
        let sip = sip::read(section.section("sip"), password_file.file().is_some());
        let mut http_section = section.section("http");
        let written = http_section.take("bind");
        let http_place = written.as_ref().map_or((0, 0), |v| v.page.line_and_column(&v.place));
        let http = written.map_or(Some(local(8080)), |v| address(&v));
        let agent_series = http_section.take("agent_series").and_then(|v| v.flag()).unwrap_or(false);
        let http_limits = HttpLimits {
            connections: http_section.whole("connections", 1..=10_000, 100) as usize,
            timeout: http_section.duration("timeout", MINUTE / 60..=10 * MINUTE, MINUTE / 2),
            engine_silent: http_section.duration("engine_silent", MINUTE / 12..=10 * MINUTE, MINUTE),
        };
        http_section.finish();
        let hides_cti = section.has("cti") || section.misspells("cti");
        let cti = cti::read(&mut section, &self.queue_names, &mut self.leads);
        let media = audio::settings(section.section("media"), &sip.listeners, limits, &mut self.warnings);
        section.finish();
        let without = if hides_cti { Kept::Unknown } else { Kept::MadeUp };
        let (cti, tokens) = cti.map_or((None, without), |(cti, tokens)| (Some(cti), tokens));
        let needs = Needs {
            node,
            listeners: sip.listeners.clone(),
            http: http.map(|http| (http, http_place)),
            media: Some(media.clone()),
            grpc: cti.as_ref().map(|cti| (cti.bind, cti.place)),
            tls: sip.tls.clone(),
            password_file: password_file.clone(),
            data: data.clone(),
            sounds: Vec::new(),
            secrets: Secrets { tokens, ..Secrets::default() },
        };
        let (http, ticketing) = (http.unwrap_or(local(8080)), None);
        let (data, password_file) = (data.unwrap_or_default(), password_file.file().map(Path::to_owned));
        let (trunk_passwords, journal, keep) = (BTreeMap::new(), Default::default(), Default::default());
        let server = ServerSettings {
            node: node.unwrap_or_default(),
            sip,
            http,
            http_place,
            http_limits,
            agent_series,
            media,
            cti,
            ticketing,
            data,
            password_file,
            journal,
            keep,
            trunk_passwords,
        };
        (server, needs, flows_dir)
    }
}
