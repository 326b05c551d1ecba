//! What was written → what it means: files under `deploy/` and `ivr-flows/` lowered to plain data.
//!
//! [`load()`] reads the configuration, the flows its lines name and the list of recorded texts, and either
//! returns all of it, checked as a whole, or every problem at once with file, line, column and what is
//! allowed instead. It reads files and decides nothing else: sockets, clocks and speech are the shell's.

mod audio;
mod calendar;
mod circles;
mod cti;
mod gathering;
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
use crate::ivr::{Flow, PromptText};
use crate::media::{Terms, TonesHeard};
use crate::written::Page;
pub use crate::written::Problem;
pub use calendar::time_zone;
pub use cti::{CtiSettings, TicketingSettings};
use gathering::Gathering;
pub use journal::{Form, JournalSettings, Level};
pub use keep::KeepSettings;
pub use passwords::passwords;
pub use protocol::Protocol;
pub use reference::reference;
pub use sip::{ConnectionSettings, SipListener, SipSettings, TlsSettings};
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
    pub node: Option<u16>,
    pub listeners: Vec<SipListener>,
    /// With line and column of `bind`.
    pub http: Option<(SocketAddr, (usize, usize))>,
    /// Where audio comes.
    pub media: Option<MediaSettings>,
    /// The same of desktops, if any may connect.
    pub grpc: Option<(SocketAddr, (usize, usize))>,
    pub tls: TlsSettings,
    pub password_file: Kept,
    pub data: Option<PathBuf>,
    /// Those that are known.
    pub sounds: Vec<Sound>,
    pub secrets: Secrets,
}

impl Needs {
    /// What is left where the ports are another's by right.
    #[must_use]
    pub fn without_ports(self) -> Needs {
        Needs { listeners: Vec::new(), http: None, media: None, grpc: None, ..self }
    }
}

/// Where secrets are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// A mistake hides it.
    #[default]
    Unknown,
    /// In the data directory, made up by the server.
    MadeUp,
    In(PathBuf),
}

impl Kept {
    pub fn file(&self) -> Option<&Path> {
        match self {
            Kept::In(file) => Some(file),
            Kept::Unknown | Kept::MadeUp => None,
        }
    }

    fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Kept::In(file) => Some(file),
            Kept::Unknown | Kept::MadeUp => None,
        }
    }
}

impl From<Option<PathBuf>> for Kept {
    /// Of settings without a mistake.
    fn from(file: Option<PathBuf>) -> Kept {
        file.map_or(Kept::MadeUp, Kept::In)
    }
}

/// Files of secrets beside that of the phones' passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Of trunks, each the password.
    pub trunks: Vec<PathBuf>,
    /// Of desktops.
    pub tokens: Kept,
    /// What the ticketing system is shown.
    pub ticketing: Option<PathBuf>,
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
        let ServerSettings {
            node,
            sip,
            http,
            http_place,
            cti,
            ticketing,
            media,
            password_file,
            data,
            trunk_passwords,
            ..
        } = self.server.clone();
        let secrets = Secrets {
            trunks: trunk_passwords.into_values().collect(),
            tokens: cti.as_ref().and_then(|cti| cti.token_file.clone()).into(),
            ticketing: ticketing.and_then(|ticketing| ticketing.token_file),
        };
        Needs {
            node: Some(node),
            listeners: sip.listeners,
            http: Some((http, http_place)),
            media: Some(media),
            grpc: cti.map(|cti| (cti.bind, cti.place)),
            tls: sip.tls,
            password_file: password_file.into(),
            data: Some(data),
            sounds: self.sounds.clone(),
            secrets,
        }
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

/// How a file of the disk is called where people read it: what a configuration names, without `deploy/..` in it.
pub fn shown(file: &Path) -> String {
    Source::Disk.shown(file)
}

/// The demo inside the program.
pub fn load_embedded() -> Result<Loaded, Box<Refused>> {
    load_from(Source::Embedded, Path::new(source::DEMO))
}

const A_FLOW: &str = "this is a flow and no configuration; allowed: a file such as deploy/tierline.toml, which says where its \
                      flows are (`tierline flow` shows one)";

fn load_from(source: Source, file: &Path) -> Result<Loaded, Box<Refused>> {
    let shown = source.shown(file);
    let refused = |problems, needs| Box::new(Refused { file: shown.clone(), problems: Problems(problems), needs });
    let text = source.text(file).map_err(|problem| refused(vec![problem], Needs::default()))?;
    let page = Page::new(&shown, &text);
    if read::is_flow(&page) {
        return Err(refused(vec![Problem::whole(&shown, A_FLOW.to_owned())], Needs::default()));
    }
    let written = read::read(&page);
    let base = file.parent().unwrap_or(Path::new(""));
    let mut gathering = Gathering::new(source, base.join(&written.flows_dir.it));
    if page.is_broken() {
        // What it says of ports and passwords is a guess.
        gathering.beside_broken(&written);
        let mut problems = [page.into_problems(), gathering.problems].concat();
        in_order(&mut problems);
        return Err(refused(problems, Needs::default()));
    }
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
        .chain(needs.password_file.file_mut())
        .chain(needs.secrets.tokens.file_mut())
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
    in_order(&mut problems);
    let sounds: Vec<Sound> = gathering.sounds.into_values().map(|(sound, _)| sound).collect();
    if !problems.is_empty() {
        needs.secrets.trunks = server.trunk_passwords.into_values().collect();
        needs.secrets.ticketing = server.ticketing.and_then(|ticketing| ticketing.token_file);
        return Err(refused(problems, Needs { sounds, ..needs }));
    }
    let warnings = [written.warnings, gathering.warnings].concat();
    let files = gathering.source.stems(&gathering.flows_dir, "toml").into_iter();
    let unread = files.filter(|name| !flows.contains_key(&FlowId::new(name))).collect();
    Ok(Loaded { file: shown, center: written.center, flows, unread, server, sounds, warnings })
}

/// Each file's together, from its first line on; behind them what concerns the file as a whole. The files stay as they came.
fn in_order(problems: &mut [Problem]) {
    let mut files: Vec<String> = problems.iter().map(|problem| problem.file.clone()).collect();
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    problems.sort_by_key(|problem| {
        let file = files.iter().position(|file| *file == problem.file);
        (file, problem.line == 0, problem.line, problem.column)
    });
}

#[cfg(test)]
mod tests;
