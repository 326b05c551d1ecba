//! What `serve` prints when it is up: where it listens, who may register, and what to try next.

use super::{accounts, cti};
use crate::config::{self, Loaded};
use crate::server::printing::say;
use crate::sip;
use std::io::IsTerminal;
use std::path::Path;

/// Where it listens, who may register, and what to try next.
pub fn print(loaded: &Loaded, accounts: &accounts::Loaded, epoch: u32) {
    let server = &loaded.server;
    say!("Tierline {} serves {} from {}", env!("CARGO_PKG_VERSION"), loaded.center.name, loaded.file);
    for listener in &server.sip.listeners {
        say!("  SIP    {} {}", listener.transport.as_str().to_ascii_lowercase(), listener.bind);
    }
    if server.sip.tls.own.is_none() && server.sip.listeners.iter().any(|l| l.transport == sip::Transport::Tls) {
        say!("         its certificate is for trying out; phones trust it by {}/tls/ca.pem", server.data.display());
    }
    say!("  HTTP   http://{}/  metrics, healthz, readyz", server.http);
    if let Some(cti) = &server.cti {
        let tokens = cti.token_file.clone().unwrap_or_else(|| cti::tokens::default_file(&server.data));
        say!("  gRPC   {} for desktops, with tokens from {}", cti.bind, tokens.display());
    }
    say!("  log    {} (start {epoch})", server.data.display());
    let mut lines: Vec<_> = loaded.center.lines.values().collect();
    lines.sort_by_key(|line| &line.numbers[0]); // the first is the one to try
    for line in &lines {
        say!("  line   {}: dial {}", line.id, line.numbers.join(", "));
    }
    let codes = &loaded.center.codes;
    // Standard output that is no terminal is kept by somebody: passwords go there once, when nobody can know them yet.
    if accounts.made_up && (accounts.fresh || std::io::stdout().is_terminal()) {
        say!("  agents with passwords made at first start ({}):", accounts.file.display());
        for agent in loaded.center.agents.values() {
            let queues = agent.queues.keys().map(|queue| queue.as_str()).collect::<Vec<_>>().join(", ");
            let password = &accounts.passwords[&agent.user];
            say!("         {} {:<8} {password}  {queues}", agent.id, agent.user);
        }
    } else {
        say!("  agents {} with passwords from {}", loaded.center.agents.len(), accounts.file.display());
    }
    say!(
        "An agent's phone is ready while it is registered; it dials {} for a break and {} to be ready again.",
        codes.not_ready,
        codes.ready
    );
    if let (Some(agent), Some(line)) = (loaded.center.agents.values().next(), lines.first()) {
        print_hints(server, &agent.user, &line.numbers[0]);
    }
}

/// A recording of the demo's that a phone may play, so that its caller hears something.
const FOR_TRYING: &str = "ivr-flows/sounds/agent-ready.wav";

/// Two commands that make a call, as they are to be typed here.
fn print_hints(server: &config::ServerSettings, agent: &str, line: &str) {
    let program = own_name();
    let udp = server.sip.listeners.iter().find(|listener| listener.transport == sip::Transport::Udp);
    let elsewhere = udp.filter(|listener| listener.advertised.to_string() != "127.0.0.1:5060");
    let to = elsewhere.map(|listener| format!(" --server {}", listener.advertised)).unwrap_or_default();
    let play = if Path::new(FOR_TRYING).exists() { format!(" --play {FOR_TRYING}") } else { String::new() };
    let usual = server.data == Path::new("data");
    let data = if usual { String::new() } else { format!(" --data {}", server.data.display()) };
    say!("Try, in a second and a third terminal (each comma waits half a second before the key):");
    say!("  {program} phone --user {agent} --answer{play}{to}{data}");
    say!("  {program} phone --dial {line} --press ,,,,,,,,,,,,1 --record heard.wav --hang-up 15{to}");
}

/// How this program was called, for commands that people copy.
fn own_name() -> String {
    std::env::args().next().unwrap_or_else(|| "tierline".to_owned())
}
