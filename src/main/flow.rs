//! `tierline flow`.

use super::values::tried_keys;
use clap::Subcommand;
use std::path::PathBuf;
use tierline::server;
use tierline::server::flows::Found;

#[derive(Subcommand)]
pub enum FlowWhat {
    /// Draw a flow as a tree, or for a page that draws Mermaid.
    Draw {
        /// The flow: its file without .toml.
        flow: String,
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print a chart in the language of Mermaid.
        #[arg(long)]
        mermaid: bool,
    },
    /// Walk through a flow and print what a caller would hear.
    Try(TryArgs),
}

#[derive(clap::Args)]
pub struct TryArgs {
    /// The flow: its file without .toml.
    flow: String,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keys, each pressed once what is said has been heard and a key is waited for: 0-9, *, #, A-D; a comma lets the time
    /// pass. With ! before it a key is pressed while something is said.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true, value_parser = tried_keys, default_value = ",")]
    keys: String,
    /// The line that is called. Default: the first that leads to the flow.
    #[arg(long, value_name = "NAME")]
    line: Option<String>,
    /// The caller's number. Default: withheld.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    caller: String,
    /// The caller's language. Default: the line's.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// When, as the clocks of the line show it, such as "2026-12-24 10:30". Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// What look-ups find: fields such as state=open,tier=2, or nothing. Default: they fail.
    #[arg(long, value_name = "FIELDS", value_parser = server::flows::found_fields)]
    found: Option<Found>,
    /// An announcement that is on; may be given again.
    #[arg(long, value_name = "NAME")]
    banner: Vec<String>,
}

pub fn flow(what: FlowWhat) -> anyhow::Result<String> {
    match what {
        FlowWhat::Draw { flow, config, mermaid } => server::flows::draw(config.as_deref(), &flow, mermaid),
        FlowWhat::Try(TryArgs { flow, config, keys, line, caller, language, at, found, banner: banners }) => {
            let trial = server::flows::Trial { keys, line, caller, language, at, found, banners };
            server::flows::try_out(config.as_deref(), &flow, trial)
        }
    }
}
