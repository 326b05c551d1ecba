//! What was written → what it means: files under `deploy/` and `ivr-flows/` lowered to plain data.
//!
//! [`load`] reads the configuration, the flows its lines name and the list of recorded texts, and either
//! returns all of it, checked as a whole, or every problem at once with file, line, column and what is
//! allowed instead.

use crate::center::Center;
use crate::ids::FlowId;
pub use crate::ivr::written::Problem;
use crate::ivr::{Flow, PromptText};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// All that a start needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration file, as it is shown to people.
    pub file: String,
    pub center: Center,
    /// Every flow that a line names.
    pub flows: BTreeMap<FlowId, Flow>,
    pub server: ServerSettings,
    /// Every sound that can be heard: prompts, music, answers to short codes. By name, each once.
    pub sounds: Vec<Sound>,
    /// Found but harmless, such as a step that nothing leads to.
    pub warnings: Vec<Problem>,
}

/// How this process meets the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// This node's number in ids (0 … 1,023).
    pub node: u16,
    pub sip: SipListener,
    /// Where `/metrics`, `/healthz` and `/readyz` are served. Default `127.0.0.1:8080`.
    pub http: SocketAddr,
    pub media: MediaSettings,
    /// Where the log, passwords and spoken prompts are kept. Default `data`, relative to the working directory.
    pub data: PathBuf,
    /// Default `info`.
    pub log_level: LogLevel,
    /// A file of lines `user:password`; none: passwords are made at first start and kept in `data`.
    pub password_file: Option<PathBuf>,
}

/// Where SIP is spoken over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipListener {
    /// Default `127.0.0.1:5060`.
    pub bind: SocketAddr,
    /// What peers are told (Via, Contact). Default: `bind`; needed where that is unspecified (`0.0.0.0`).
    pub advertised: SocketAddr,
}

/// Where audio is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// Default: the address of the SIP listener.
    pub bind: IpAddr,
    /// What SDP says. Default: `bind`, or the SIP listener's advertised address where `bind` is unspecified.
    pub advertised: IpAddr,
    /// First and last UDP port (1,024 … 65,535); each leg takes an even one and the odd one above it.
    /// Default 20,000 … 59,999.
    pub ports: (u16, u16),
    /// Threads for audio (1 … 256); none: one per core.
    pub planes: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A sound by name, and where its audio comes from. At least one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// As flows, queues and short codes name it.
    pub name: String,
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
