//! What `serve` prints when it is up: where it listens, who may register, and what to try next.

use super::{accounts, cti, journal};
use crate::center::{Agent, Center};
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
        say!("  gRPC   {} for desktops, with tokens from {}", cti.bind, config::shown(&tokens));
    }
    say!("  log    {} (start {epoch})", server.data.display());
    let mut lines: Vec<_> = loaded.center.lines.values().collect();
    lines.sort_by_key(|line| &line.numbers[0]); // the first is the one to try
    for line in &lines {
        say!("  line   {}: dial {}", line.id, line.numbers.join(", "));
    }
    let codes = &loaded.center.codes;
    agents(&loaded.center, accounts, Audience::of_output()).iter().for_each(|line| say!("{line}"));
    say!(
        "An agent's phone is ready while it is registered; it dials {} for a break and {} to be ready again.",
        codes.not_ready,
        codes.ready
    );
    if let (Some(agent), Some(line)) = (loaded.center.agents.values().next(), lines.first()) {
        print_hints(server, &agent.user, &line.numbers[0]);
    }
}

/// Who reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Somebody who sits there.
    Terminal,
    /// A file or a program of whoever has started this; what a container's runtime keeps, too.
    Another,
    /// systemd's journal: what it keeps is read by more than the owner of our files.
    Journal,
}

impl Audience {
    fn of_output() -> Audience {
        match std::io::stdout().is_terminal() {
            true => Audience::Terminal,
            false if journal::is_systemds(libc::STDOUT_FILENO) => Audience::Journal,
            false => Audience::Another,
        }
    }

    /// What is kept somewhere gets a password once, at the start that has made it up; a journal gets none.
    fn may_see(self, user: &str, accounts: &accounts::Loaded) -> bool {
        accounts.made_up
            && match self {
                Audience::Terminal => true,
                Audience::Another => accounts.fresh.contains(user),
                Audience::Journal => false,
            }
    }
}

/// Lines that say who may register, and by which password, where whoever reads them may see it.
fn agents(center: &Center, accounts: &accounts::Loaded, audience: Audience) -> Vec<String> {
    let (file, all) = (config::shown(&accounts.file), center.agents.values());
    let (shown, others): (Vec<&Agent>, Vec<&Agent>) = all.partition(|agent| audience.may_see(&agent.user, accounts));
    let mut lines = Vec::new();
    if !shown.is_empty() {
        lines.push(format!("  agents with passwords made at first start ({file}):"));
        lines.extend(shown.iter().map(|agent| {
            let queues = agent.queues.keys().map(|queue| queue.as_str()).collect::<Vec<_>>().join(", ");
            let password = &accounts.passwords[&agent.user];
            format!("         {} {:<8} {password}  {queues}", agent.id, agent.user)
        }));
    }
    match others.len() {
        0 => {}
        1..=NAMED if accounts.made_up => {
            let users = others.iter().map(|agent| agent.user.as_str()).collect::<Vec<_>>().join(", ");
            lines.push(format!("  agents {users}: their passwords, made at first start, are in {file}"));
        }
        count => lines.push(format!("  agents {count} with passwords from {file}")),
    }
    lines
}

/// So many accounts are told by name.
const NAMED: usize = 10;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Demo passwords in a journal are secrets in logs: they go there never, and into what else is kept at one start only.
    #[test]
    fn a_password_is_printed_where_only_who_started_this_reads_it() {
        let center = config::load(None).unwrap_or_else(|refused| panic!("{}", refused.problems)).center;
        let users: BTreeSet<String> = center.agents.values().map(|agent| agent.user.clone()).collect();
        let passwords: BTreeMap<String, String> =
            users.iter().map(|user| (user.clone(), format!("{user}-knows"))).collect();
        let dir = std::env::temp_dir().join(format!("tierline-banner-{}", std::process::id()));
        let told = |made_up: bool, fresh: &[&str], audience| {
            let fresh = fresh.iter().map(|user| (*user).to_owned()).collect();
            let accounts = accounts::load(&center, (None, &BTreeMap::new()), &dir).expect("made up");
            let passwords = passwords.clone();
            let accounts = accounts::Loaded { made_up, fresh, file: "data/passwords".into(), passwords, ..accounts };
            let lines = agents(&center, &accounts, audience).join("\n");
            assert!(lines.contains("data/passwords"), "{lines}");
            let seen = users.iter().filter(|user| lines.contains(&format!("{user}-knows"))).count();
            (seen, users.iter().all(|user| lines.contains(user.as_str())))
        };
        std::fs::create_dir_all(&dir).expect("a directory");
        let all: Vec<&str> = users.iter().map(String::as_str).collect();
        for (made_up, fresh, audience, passwords, named) in [
            (true, &[][..], Audience::Terminal, all.len(), true),
            (true, &all[..], Audience::Another, all.len(), true),
            (true, &all[..1], Audience::Another, 1, true),
            (true, &[], Audience::Another, 0, true),
            (true, &all[..], Audience::Journal, 0, true),
            (false, &[], Audience::Terminal, 0, false),
        ] {
            assert_eq!(told(made_up, fresh, audience), (passwords, named), "{made_up} {fresh:?} {audience:?}");
        }
        _ = std::fs::remove_dir_all(&dir);
    }
}
