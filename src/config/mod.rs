//! What was written → what it means: files under `deploy/` and `ivr-flows/` lowered to plain data.
//!
//! [`load()`] reads the configuration, the flows its lines name and the list of recorded texts, and either
//! returns all of it, checked as a whole, or every problem at once with file, line, column and what is
//! allowed instead. It reads files and decides nothing else: sockets, clocks and speech are the shell's.

mod audio;
mod calendar;
mod circles;
mod cti;
mod journal;
mod keep;
mod limits;
mod passwords;
mod protocol;
mod read;
mod reference;
mod routing;
mod sip;
mod sounds;
mod source;
mod staffing;
mod trunk;
mod values;

use crate::center::Center;
use crate::ids::{FlowId, TrunkId};
use crate::ivr::load::{self, Surroundings};
use crate::ivr::{Flow, PromptText};
use crate::media::{Terms, TonesHeard};
pub use crate::written::Problem;
use crate::written::{Page, did_you_mean};
pub use calendar::time_zone;
pub use cti::{CtiSettings, TicketingSettings};
pub use journal::{Form, JournalSettings, Level};
pub use keep::KeepSettings;
pub use passwords::passwords;
pub use protocol::Protocol;
use read::Written;
pub use reference::reference;
pub use sip::{ConnectionSettings, SipListener, SipSettings, TlsSettings};
use sounds::Recordings;
use source::Source;
pub use source::is_built_in;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// All that a start needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration file, as it is shown to people.
    pub file: String,
    pub center: Center,
    /// Every flow that a line names.
    pub flows: BTreeMap<FlowId, Flow>,
    /// Flow files that no line and no flow leads to: they are not read.
    pub unread: Vec<String>,
    pub server: ServerSettings,
    /// Every sound that can be heard: prompts, music, answers to short codes. By name, each once.
    pub sounds: Vec<Sound>,
    /// Found but harmless, such as a step that nothing leads to.
    pub warnings: Vec<Problem>,
}

/// Ports and files that a start needs, as far as could be read which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub listeners: Vec<SipListener>,
    /// With line and column of `bind`.
    pub http: Option<(SocketAddr, (usize, usize))>,
    /// Where audio comes.
    pub media: Option<MediaSettings>,
    /// The same of desktops, if any may connect.
    pub grpc: Option<(SocketAddr, (usize, usize))>,
    pub tls: TlsSettings,
    pub password_file: Option<PathBuf>,
    pub data: PathBuf,
    /// Those that are known.
    pub sounds: Vec<Sound>,
    /// Files of passwords and tokens that a refused configuration names.
    pub secrets: Vec<PathBuf>,
}

/// Why a configuration cannot be served. What it needs is known nevertheless, so that a taken port is told in the same
/// go as a wrong setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The configuration file, as it is shown to people.
    pub file: String,
    pub problems: Problems,
    pub needs: Needs,
}

impl Loaded {
    pub fn needs(&self) -> Needs {
        let ServerSettings { sip, http, http_place, cti, media, password_file, data, .. } = self.server.clone();
        let (media, grpc) = (Some(media), cti.map(|cti| (cti.bind, cti.place)));
        let (listeners, http, tls) = (sip.listeners, Some((http, http_place)), sip.tls);
        let (sounds, secrets) = (self.sounds.clone(), Vec::new()); // they are read with what they are for
        Needs { listeners, http, grpc, media, tls, password_file, data, sounds, secrets }
    }
}

/// What may be open at once where HTTP is served, and how long nothing may come there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    pub connections: usize,
    pub timeout: std::time::Duration,
    /// `/healthz` says that it is not well once the engine has not answered for so long.
    pub engine_silent: std::time::Duration,
}

/// How this process meets the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// This node's number in ids (0 … 1,023). A log belongs to the node that began it.
    pub node: u16,
    pub sip: SipSettings,
    /// Where `/metrics`, `/healthz` and `/readyz` are served. Default `127.0.0.1:8080`.
    pub http: SocketAddr,
    /// Line and column of `bind` in [server.http]; 0 if nothing is written.
    pub http_place: (usize, usize),
    pub http_limits: HttpLimits,
    /// Numbers of agents one by one.
    pub agent_series: bool,
    pub media: MediaSettings,
    /// None: no desktop connects.
    pub cti: Option<CtiSettings>,
    /// None: there is no ticketing system.
    pub ticketing: Option<TicketingSettings>,
    /// Where the log, passwords and spoken prompts are kept. Default `data`, relative to the working directory.
    pub data: PathBuf,
    /// A file of lines `user:password`; none: passwords are made at first start and kept in `data`.
    pub password_file: Option<PathBuf>,
    /// Which lines are written on standard error, and how.
    pub journal: JournalSettings,
    /// How long what is kept.
    pub keep: KeepSettings,
    /// Files with the password of one trunk each.
    pub trunk_passwords: BTreeMap<TrunkId, PathBuf>,
}

/// A second address where audio is spoken, and what SDP says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub bind: IpAddr,
    pub advertised: IpAddr,
}

/// Where audio is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// Default: the address of the SIP listener.
    pub bind: IpAddr,
    /// What SDP says. Default: `bind`, or the SIP listener's advertised address where `bind` is unspecified.
    pub advertised: IpAddr,
    /// The same of the other kind of addresses (IPv6 beside IPv4), where audio is spoken there too. Default: where a SIP
    /// listener is.
    pub other: Option<Spoken>,
    /// First and last UDP port (1,024 … 65,535); each leg takes an even one and the odd one above it,
    /// also where nothing listens on the odd one (RFC 5761).
    /// Default 20,000 … 59,999.
    pub ports: (u16, u16),
    /// Line and column of `bind` or `ports` in [server.media]; 0 if nothing is written.
    pub place: (usize, usize),
    /// Threads for audio (1 … 256); none: one per core.
    pub planes: Option<u16>,
    /// Codecs in order of preference, whether audio is encrypted, and whether RTP and RTCP share a port. Default: all that
    /// are known; if the peer knows how.
    pub terms: Terms,
    /// From which phones keys are heard as tones. Default: from those that press none as events.
    pub tones: TonesHeard,
}

/// A sound by name, and where its audio comes from. At least one of `recording` and `speak` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// As flows, queues and short codes name it.
    pub name: String,
    /// Where it is written, for people: `ivr-flows/support.toml:9:8`.
    pub place: String,
    /// A WAV that exists.
    pub recording: Option<Recording>,
    /// The text to speak because nobody has recorded it, or, beside a recording, because that one says
    /// something else by now.
    pub speak: Option<PromptText>,
}

/// A WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recording {
    File(PathBuf),
    /// Part of the program.
    Embedded(&'static [u8]),
}

/// Everything that is wrong with a configuration and the files it names. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, problem)| match i {
            0 => write!(f, "{problem}"),
            _ => write!(f, "\n{problem}"),
        })
    }
}

impl std::error::Error for Problems {}

/// Reads `file`, or, without one, `deploy/tierline.toml` of the working directory, or, where there is none, the
/// demo inside the program.
pub fn load(file: Option<&Path>) -> Result<Loaded, Box<Refused>> {
    let demo = Path::new(source::DEMO);
    match file {
        Some(file) => load_from(Source::Disk, file),
        None if Source::Disk.has(demo) => load_from(Source::Disk, demo),
        None => load_embedded(),
    }
}

/// The demo inside the program.
pub fn load_embedded() -> Result<Loaded, Box<Refused>> {
    load_from(Source::Embedded, Path::new(source::DEMO))
}

fn load_from(source: Source, file: &Path) -> Result<Loaded, Box<Refused>> {
    let shown = source.shown(file);
    let refused = |problems, needs| Box::new(Refused { file: shown.clone(), problems: Problems(problems), needs });
    let text = source.text(file).map_err(|problem| refused(vec![problem], Needs::default()))?;
    let page = Page::new(&shown, &text);
    let written = read::read(&page);
    if page.is_broken() {
        return Err(refused(page.into_problems(), Needs::default())); // which other files it names is a guess
    }
    let base = file.parent().unwrap_or(Path::new(""));
    let mut gathering = Gathering::new(source, base.join(&written.flows_dir.it));
    let flows = match source.has_folder(&gathering.flows_dir) {
        true => gathering.all(&page, &written),
        false => {
            let folder = source.shown(&gathering.flows_dir);
            page.report(&written.flows_dir.place, format!("there is no directory {folder}; allowed: one with flows"));
            BTreeMap::new()
        }
    };
    let (mut server, mut needs) = (written.server, written.needs);
    let tls = server.sip.tls.paths().chain(needs.tls.paths());
    tls.chain(server.password_file.as_mut())
        .chain(needs.password_file.as_mut())
        .chain(server.trunk_passwords.values_mut())
        .for_each(|file| *file = base.join(&*file));
    let cti = server.cti.iter_mut().flat_map(|cti| {
        cti.token_file.iter_mut().chain(cti.tls.iter_mut().flat_map(|(certificate, key)| [certificate, key]))
    });
    let ticketing = server.ticketing.iter_mut().flat_map(|t| t.token_file.iter_mut().chain(&mut t.trust));
    cti.chain(ticketing).for_each(|file| *file = base.join(&*file));
    if let Some(file) = &server.password_file {
        // Whether a user in it is unknown can be said only of a center that is known.
        let wrong = match written.agents_known {
            true => passwords(file, &written.center).err().map(|problems| problems.0),
            false => Source::Disk.text(file).err().map(|problem| vec![problem]),
        };
        gathering.problems.extend(wrong.into_iter().flatten());
    }
    let mut problems = page.into_problems();
    problems.append(&mut gathering.problems);
    let mut told = BTreeSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
    let sounds: Vec<Sound> = gathering.sounds.into_values().map(|(sound, _)| sound).collect();
    if !problems.is_empty() {
        let cti = server.cti.iter().flat_map(|cti| &cti.token_file);
        let tokens = cti.chain(server.ticketing.iter().flat_map(|ticketing| &ticketing.token_file));
        let secrets = server.trunk_passwords.values().chain(tokens).cloned().collect();
        return Err(refused(problems, Needs { sounds, secrets, ..needs }));
    }
    let warnings = [written.warnings, gathering.warnings].concat();
    let files = gathering.source.stems(&gathering.flows_dir, "toml").into_iter();
    let unread = files.filter(|name| !flows.contains_key(&FlowId::new(name))).collect();
    Ok(Loaded { file: shown, center: written.center, flows, unread, server, sounds, warnings })
}

/// Brings together what the configuration names: flows, and the sounds heard in them and in queues.
struct Gathering {
    source: Source,
    flows_dir: PathBuf,
    recordings: Recordings,
    /// By name, with what is said; music says nothing.
    sounds: BTreeMap<String, (Sound, Option<PromptText>)>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Gathering {
    fn new(source: Source, flows_dir: PathBuf) -> Gathering {
        let mut problems = Vec::new();
        let recordings = Recordings::read(source, flows_dir.join("sounds"), &mut problems);
        Gathering { source, flows_dir, recordings, sounds: BTreeMap::new(), problems, warnings: Vec::new() }
    }

    /// All that lies in the directory of flows.
    fn all(&mut self, page: &Page<'_>, written: &Written) -> BTreeMap<FlowId, Flow> {
        let flows = self.flows(page, written);
        self.code_texts(page, written);
        self.music(page, written);
        flows
    }

    fn flows(&mut self, page: &Page<'_>, written: &Written) -> BTreeMap<FlowId, Flow> {
        let center = &written.center;
        let around = Surroundings { queues_known: written.queues_known, ..Surroundings::of(center) };
        let mut flows = BTreeMap::new();
        let mut wanted: Vec<(FlowId, Problem)> = Vec::new();
        wanted.extend(written.flows.iter().map(|(id, place)| (id.clone(), page.problem(place, String::new()))));
        let mut seen: BTreeSet<FlowId> = written.flows.keys().cloned().collect();
        let mut leads: BTreeMap<(FlowId, FlowId), Problem> = BTreeMap::new();
        while let Some((id, named)) = wanted.pop() {
            let path = self.flows_dir.join(format!("{id}.toml"));
            if !self.source.has(&path) {
                let others = self.source.stems(&self.flows_dir, "toml");
                let near = did_you_mean(id.as_str(), others.iter().map(String::as_str));
                let message = format!("there is no flow `{id}`: {} is no file{near}", self.source.shown(&path));
                self.problems.push(Problem { message, ..named });
                continue;
            }
            let shown = self.source.shown(&path);
            let text = self.source.text(&path).map_err(|problem| vec![problem]);
            match text.and_then(|text| load::load(id.clone(), &shown, &text, &around)) {
                Ok(read) => {
                    self.prompts(&shown, &read);
                    let at = |(line, column): (usize, usize)| Problem {
                        file: shown.clone(),
                        line,
                        column,
                        message: String::new(),
                    };
                    read.music.iter().for_each(|(name, spot)| self.one_music(name, at(*spot)));
                    leads.extend(read.flows.iter().map(|(other, spot)| ((id.clone(), other.clone()), at(*spot))));
                    let others = read.flows.iter().filter(|(other, _)| seen.insert((*other).clone()));
                    wanted.extend(others.map(|(other, spot)| (other.clone(), at(*spot))));
                    self.warnings.extend(staffing::of_flow(&shown, &read, center));
                    self.warnings.extend(read.warnings);
                    flows.insert(id, read.flow);
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        for circles::Circle { from, to, message } in circles::circles(&flows) {
            let place = leads.get(&(from, to)).cloned();
            self.problems.extend(place.map(|place| Problem { message, ..place }));
        }
        flows
    }

    fn prompts(&mut self, file: &str, read: &load::Read) {
        for prompt in read.flow.prompts() {
            let (line, column) = read.places[&prompt.name];
            self.prompt(prompt, Problem { file: file.into(), line, column, message: String::new() });
        }
        for (name, (line, column)) in &read.named {
            let silent = self.sounds.get(name).is_some_and(|(sound, _)| sound.recording.is_none());
            if silent {
                let message = format!("its text is spoken, for nobody has recorded {}", self.recordings.lacks(name));
                self.warnings.push(Problem { file: file.into(), line: *line, column: *column, message });
            }
        }
    }

    /// Adds a text. `at` is a problem without a message yet: where it is written.
    fn prompt(&mut self, prompt: &PromptText, at: Problem) {
        let place = format!("{}:{}:{}", at.file, at.line, at.column);
        match self.sounds.get(&prompt.name) {
            Some((_, Some(other))) if other == prompt => {}
            Some((sound, _)) => {
                let message = format!(
                    "the sound `{}` is something else at {}; give this one another name",
                    prompt.name, sound.place
                );
                self.problems.push(Problem { message, ..at });
            }
            None => {
                let sound = self.recordings.prompt(prompt, &place);
                self.sounds.insert(prompt.name.clone(), (sound, Some(prompt.clone())));
            }
        }
    }

    fn code_texts(&mut self, page: &Page<'_>, written: &Written) {
        for (name, said) in &written.code_texts {
            let language = written.center.language.clone();
            let prompt = PromptText { name: (*name).into(), text: said.it.clone(), language };
            self.prompt(&prompt, page.problem(&said.place, String::new()));
        }
    }

    fn music(&mut self, page: &Page<'_>, written: &Written) {
        for (name, place) in &written.music {
            self.one_music(name, page.problem(place, String::new()));
        }
    }

    /// Adds music. `at` is a problem without a message yet: where it is named.
    fn one_music(&mut self, name: &str, at: Problem) {
        match self.recordings.music(name, &format!("{}:{}:{}", at.file, at.line, at.column)) {
            Some(sound) => drop(self.sounds.entry(name.to_owned()).or_insert((sound, None))),
            None => {
                let message = format!("nobody has recorded the music: {}", self.recordings.lacks(name));
                self.problems.push(Problem { message, ..at });
            }
        }
    }
}

#[cfg(test)]
mod tests;
