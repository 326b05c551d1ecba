//! What a configuration names: ports, certificates, sounds, the ticketing system, the log.

use super::Finding;
use super::certificate::Certificate;
use crate::config::{self, Loaded};
use crate::server::store::{self, Examined, Unusable};
use crate::server::{clock, healthy, opening, speech, ticketing};
use crate::sip::Transport;
use crate::time::Wall;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Handle;

/// What a start would open; where a server has it open, that one is asked.
pub fn ports(loaded: &Loaded, runtime: &Handle) -> Vec<Finding> {
    if let Some(by) = store::in_use(&loaded.server.data) {
        return vec![match healthy::ask(loaded.server.http, true) {
            Ok(_) => Finding::ok("server", format!("process {by} serves and takes new calls")),
            Err(why) => Finding::wrong(
                "server",
                format!("process {by} serves, but: {why:#}"),
                "draining ends by itself; else the server's own output says more",
            ),
        }];
    }
    let mut missing = opening::lacking(&loaded.file, &loaded.needs(), runtime);
    opening::secrets(loaded, &loaded.server.data, &mut missing);
    let lacking: Vec<&str> = missing.lines.iter().flat_map(|line| line.lines()).collect();
    if lacking.is_empty() {
        return vec![Finding::ok("start", "all ports are free, and all files that a start needs can be read")];
    }
    let advice = "a start would be refused: `ss -lnptu` shows who has a port; correct the file that is named";
    lacking.into_iter().map(|what| Finding::wrong("start", what, advice)).collect()
}

/// A leg takes two ports, a call has two legs.
pub fn audio_ports(loaded: &Loaded) -> Finding {
    let (first, last) = loaded.server.media.ports;
    audio_ports_of(u32::from(last) - u32::from(first) + 1, loaded.center.limits.calls)
}

fn audio_ports_of(ports: u32, calls: u32) -> Finding {
    let found = format!("{ports} audio ports are enough for {} calls; `limits.calls` is {calls}", ports / 4);
    match ports / 4 < calls {
        true => Finding::warning("audio ports", found, "widen `server.media.ports`, or lower `limits.calls`"),
        false => Finding::ok("audio ports", found),
    }
}

/// Those of SIP over TLS and of gRPC, if they are our own.
pub fn certificates(loaded: &Loaded) -> Vec<Finding> {
    let sip = &loaded.server.sip;
    let speaks_tls = sip.listeners.iter().any(|listener| listener.transport == Transport::Tls);
    let of_sip = sip.tls.own.as_ref().filter(|_| speaks_tls).map(|(certificate, _)| certificate);
    let of_grpc = loaded.server.cti.as_ref().and_then(|cti| cti.tls.as_ref()).map(|(certificate, _)| certificate);
    let judge = |file: &Path, names: &[String]| match Certificate::read(file) {
        Ok(read) => certificate_of(file, &read, names, clock::wall()),
        Err(why) => Finding::wrong("certificate", format!("{why:#}"), "name a PEM file with the whole chain"),
    };
    // What phones are told to call: our domains. Desktops know us by an address of their own.
    let sip = of_sip.map(|file| judge(file, &loaded.center.domains));
    sip.into_iter().chain(of_grpc.map(|file| judge(file, &[]))).collect()
}

const DAY: i64 = 86_400_000;
/// What is renewed by a program is renewed by then.
const SOON: i64 = 14;

fn certificate_of(file: &Path, read: &Certificate, names: &[String], now: Wall) -> Finding {
    let file = config::shown(file);
    let days = (read.until.0 - now.0).div_euclid(DAY);
    let renew = "renew it: a new file is taken within 5 s, without a restart";
    if days < 0 {
        return Finding::wrong("certificate", format!("{file} ended at {}", read.until), renew);
    }
    if read.from > now {
        let found = format!("{file} begins at {}, and the clock says {now}", read.from);
        return Finding::wrong("certificate", found, "look at the clock, or use the one before");
    }
    let missing: Vec<&str> = names.iter().filter(|name| !read.is_for(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Finding::wrong(
            "certificate",
            format!("{file} is not for {}", missing.join(", ")),
            "phones that look at names refuse it: have it made for all of `center.domains`",
        );
    }
    let found = format!("{file} is good for {days} days");
    match days < SOON {
        true => Finding::warning("certificate", found, renew),
        false => Finding::ok("certificate", found),
    }
}

/// Recordings, and programs that speak what nobody has recorded.
pub fn sounds(loaded: &Loaded) -> Vec<Finding> {
    let speakers = speech::Speaker::installed();
    let names: Vec<&str> = speakers.iter().map(speech::Speaker::name).collect();
    match speech::foresee(&loaded.sounds, &loaded.server.data.join("prompts"), &speakers) {
        Ok(()) if names.is_empty() => {
            let count = loaded.sounds.len();
            vec![Finding::ok("speech", format!("all {count} sounds are there; no program could speak a new text"))]
        }
        Ok(()) => vec![Finding::ok("speech", format!("new texts are spoken by {}", names.join(" and ")))],
        Err(problems) => {
            let advice = "install flite (English) or espeak-ng, or record the text";
            problems.0.iter().map(|problem| Finding::wrong("speech", problem.to_string(), advice)).collect()
        }
    }
}

pub fn ticketing(loaded: &Loaded, runtime: &Handle) -> Finding {
    let Some(settings) = &loaded.server.ticketing else {
        return Finding::ok("ticketing", "none is configured");
    };
    match runtime.block_on(ticketing::reach(settings)) {
        Ok(()) => Finding::ok("ticketing", format!("{} answers", settings.address)),
        Err(why) => Finding::warning(
            "ticketing",
            format!("{} does not answer: {why:#}", settings.address),
            "calls go on and tickets are told later, but flows that look tickets up fail: start it, or correct \
             `ticketing.address`, `token_file` or `trust`",
        ),
    }
}

/// How long a log is read for damage. A large one takes longer: what could be read by then was whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of the write-ahead log, in bytes: it is emptied hourly unless somebody reads for hours.
const LARGE: u64 = 1 << 30;

/// The log, and when its last event was.
pub fn log(loaded: &Loaded) -> (Vec<Finding>, Option<Wall>) {
    let (data, node) = (&loaded.server.data, loaded.server.node);
    match store::examine(data, node, PATIENCE) {
        Ok(None) => (vec![Finding::ok("log", format!("there is none in {} yet", data.display()))], None),
        Ok(Some(examined)) => (vec![log_of(&examined)], examined.last_at),
        Err(why) => {
            let otherwise = "keep the directory as it is; start with another as `--data`, or bring a copy back";
            let (found, advice) = match why.downcast_ref::<Unusable>() {
                Some(unusable) => (unusable.found(), Unusable::ADVICE),
                None => (format!("{why:#}"), otherwise),
            };
            (vec![Finding::wrong("log", found, advice)], None)
        }
    }
}

fn log_of(examined: &Examined) -> Finding {
    let Examined { last_seq, bytes, pending, damage, complete, .. } = examined;
    if let Some(damage) = damage {
        return Finding::wrong(
            "log",
            format!("it is damaged: {damage}"),
            "keep a copy of the directory, look at the disk (`dmesg`), and start on a copy that is whole",
        );
    }
    let extent = if *complete { "whole" } else { "whole as far as 10 s of reading went" };
    let found = format!("{last_seq} events in {} MiB, {extent}", bytes >> 20);
    match *pending > LARGE {
        true => Finding::warning(
            "log",
            format!("{found}; {} MiB wait to be moved into it", pending >> 20),
            "somebody has been reading it for hours: `fuser events.db` says who",
        ),
        false => Finding::ok("log", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health::{Ok as Well, Warning, Wrong};
    use super::super::certificate::tests::made;
    use super::*;

    #[test]
    fn audio_ports_for_all_calls() {
        assert_eq!((audio_ports_of(40_000, 2000).health, audio_ports_of(400, 2000).health), (Well, Warning));
    }

    #[test]
    fn certificates_that_end_begin_or_are_for_others() {
        let dir = std::env::temp_dir().join(format!("tierline-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let file = dir.join("own.pem");
        let names = ["support.example".to_owned(), "help.example".to_owned()];
        let pem = made(&["support.example", "help.example"], (2026, 6, 1), (2026, 9, 1)).pem();
        std::fs::write(&file, pem).expect("a file");
        let read = Certificate::read(&file).expect("a certificate");
        let at = |days: i64| certificate_of(&file, &read, &names, Wall(read.from.0 + days * DAY));
        for (days, expected, part) in [
            (-1, Wrong, "begins at 2026-06-01"),
            (0, Well, "good for 92 days"),
            (79, Warning, "good for 13 days"),
            (93, Wrong, "ended at 2026-09-01"),
        ] {
            let found = at(days);
            assert!(found.health == expected && found.found.contains(part), "after {days} days: {found:?}");
        }
        let names = ["support.example".to_owned(), "other.example".to_owned()];
        let found = certificate_of(&file, &read, &names, Wall(read.from.0 + DAY));
        assert!(found.health == Wrong && found.found.ends_with("is not for other.example"), "{found:?}");
        std::fs::remove_dir_all(&dir).expect("a folder");
    }

    #[test]
    fn a_log_that_is_damaged_or_held_up() {
        let whole = Examined { last_seq: 7, last_at: None, bytes: 1 << 21, pending: 0, damage: None, complete: true };
        assert_eq!(log_of(&whole).health, Well);
        assert!(log_of(&Examined { complete: false, ..whole.clone() }).found.contains("as far as 10 s"));
        assert_eq!(log_of(&Examined { pending: 2 << 30, ..whole.clone() }).health, Warning);
        assert_eq!(log_of(&Examined { damage: Some("page 4".into()), ..whole }).health, Wrong);
    }
}
