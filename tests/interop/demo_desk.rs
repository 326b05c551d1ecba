//! The demo's help desk as it is shipped: `deploy/tierline.toml`, `ivr-flows/desk.toml` and `tierline ticketing`, dialed by
//! SIPp, answered by people at baresip; the screener has nothing else but `tierline agent`.

use super::audio::find_prompt;
use super::capture::{Capture, Leg};
use super::clock::Clock;
use super::first_call::{at_the_terminal, demo_at, types};
use super::harness::{GENEROUS, Ground, Program, SECOND, talk_for, wait_until};
use super::heard::{HEARD, assert_no_gap, assert_sounds, heard_by, music_from, sound};
use super::help_desk::{assert_both_hear, assert_hears};
use super::leaving::offers;
use super::peers::{Baresip, Sipp};
use super::server::{Server, TIERLINE, password};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tierline::time::civil_from_days;

const CALLER: f64 = 600.0;
const ADA: (&str, f64) = ("ada", 1000.0);
const BEN: (&str, f64) = ("ben", 800.0);
const CLEO: (&str, f64) = ("cleo", 700.0);
const HOUR: i64 = 3_600;

struct Desk<'g> {
    ground: &'g Ground,
    server: Server<'g>,
    grpc: String,
    ticketing: Program,
    phones: Vec<Baresip>,
}

/// Seconds to ten o'clock of a coming Wednesday that is no holiday of the desk.
fn until_wednesday() -> i64 {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()).expect("a time");
    let off =
        |day: i64| [(1, 1), (12, 24), (12, 25), (12, 26)].contains(&(civil_from_days(day).1, civil_from_days(day).2));
    // 1970-01-01 was a Thursday.
    let day = (now / (24 * HOUR) + 1..).find(|day| (day + 3) % 7 == 2 && !off(*day)).expect("a Wednesday");
    day * 24 * HOUR + 10 * HOUR - now
}

impl<'g> Desk<'g> {
    /// Open, on a Wednesday; the phones register one after the other, so that the first has been free for longest.
    fn open(ground: &'g Ground, people: &[(&str, f64)]) -> Desk<'g> {
        let [sip, http, grpc, tickets] = [(); 4].map(|()| ground.address());
        let shipped = demo_at(ground, [sip, http, grpc]);
        let commented = "# [ticketing] ";
        assert!(shipped.contains(commented), "the demo's configuration does not say {commented} any more");
        let ticketing = format!("[ticketing]\naddress = \"http://{tickets}\"\n# ");
        let config = ground.file("demo.toml");
        std::fs::write(&config, shipped.replacen(commented, &ticketing, 1)).expect("a configuration");
        // As an earlier start has left it: with passwords that these phones know.
        std::fs::create_dir_all(ground.file("data")).expect("a folder");
        let passwords: String =
            ["ada", "ben", "cleo", "dan"].map(|user| format!("{user}:{}\n", password(user))).concat();
        let file = ground.file("data/passwords");
        std::fs::write(&file, passwords).expect("passwords");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("a file for its owner only");
        let mut example = Command::new(TIERLINE);
        let example = example.args(["ticketing", "--listen", &tickets.to_string(), "--data", "tickets"]);
        let ticketing = ground.run("ticketing", example);
        ticketing.says("tickets are kept", GENEROUS);
        let clock = Clock::new(&ground.file(""));
        clock.set(until_wednesday());
        let server = Server::serving(ground, (config, sip, http), Some(clock), None);
        let phones = people.iter().map(|(user, hz)| {
            let phone = Baresip::start(ground, &server, user, *hz, true);
            phone.wait_registered();
            phone
        });
        let phones = phones.collect();
        Desk { ground, server, grpc: format!("http://{grpc}"), ticketing, phones }
    }

    fn calls(&self, from: &str, seconds: f64, keys: &[(f64, u8)]) -> Program {
        let name = format!("caller-{}", self.server.calls().len() + 1);
        let caller = Sipp { name: &name, from, number: "200", seconds, says: CALLER, keys, ..Sipp::default() };
        caller.start(self.ground, &self.server)
    }

    /// Somebody calls, and it is over.
    fn call(&self, from: &str, seconds: f64, keys: &[(f64, u8)]) {
        assert_eq!(self.calls(from, seconds, keys).wait(GENEROUS * 2), 0, "SIPp is not content");
    }

    /// Which phones rang in the newest call, one after the other, and what became of it.
    fn rang(&self) -> Vec<(u64, String)> {
        let calls = self.server.calls().len();
        offers(&self.server.wait_ended(calls, GENEROUS)[0])
    }

    fn asks(&self, user: &str, name: &str, lines: &[&str]) -> Program {
        let mut command = Command::new(TIERLINE);
        command.args(["agent", "--user", user, "--server", &self.grpc, "--json", "--data"]).arg(&self.server.data);
        lines.iter().for_each(|line| _ = command.args(["--do", line]));
        self.ground.run(name, &mut command)
    }

    fn banner(&self, state: &str) {
        let mut command = Command::new(TIERLINE);
        command.args(["banner", state, "outage", "--server", &self.grpc, "--data"]).arg(&self.server.data);
        assert!(command.status().expect("tierline runs").success(), "the announcement is not switched {state}");
    }

    fn opened(&self, ticket: u32) {
        self.ticketing.says(&format!("ticket {ticket} opened"), GENEROUS);
    }
}

fn accepted(agents: &[u64]) -> Vec<(u64, String)> {
    agents.iter().map(|agent| (*agent, "Accepted".to_owned())).collect()
}

/// The caller's legs in order, each with those of the agents who talked with him.
fn calls(capture: &Capture) -> Vec<(Leg, Vec<Leg>)> {
    let mut calls: Vec<(Leg, Vec<Leg>)> = Vec::new();
    for leg in capture.legs() {
        match calls.last_mut().filter(|_| leg.to != "200") {
            Some((_, agents)) => agents.push(leg),
            None => calls.push((leg, Vec::new())),
        }
    }
    calls
}

/// Each of the three skills leads to somebody who has it, though another one of level 1 has been free for longer; an
/// outage is told while it is switched on; a ticket's status is heard in German, and nobody is rung.
#[test]
fn the_demo_desk_finds_who_can_help_tells_an_outage_and_speaks_german() {
    let ground = Ground::new("demo_desk");
    let desk = Desk::open(&ground, &[CLEO, BEN]);
    let capture = ground.capture();
    // Accounts: only Ben has it, and Cleo has been free for longer.
    desk.call("guest", 10.0, &[(1.5, 2), (3.0, 2)]);
    assert_eq!(desk.rang(), accepted(&[1002]));
    desk.opened(1001);
    // Hardware: both have it; Cleo has been free for longer.
    desk.call("guest", 13.0, &[(1.5, 2), (8.0, 3)]);
    assert_eq!(desk.rang(), accepted(&[1003]));
    // Network: Cleo writes notes, Ben is free and cannot do it. The caller waits for her.
    desk.call("guest", 20.0, &[(1.5, 2), (3.0, 1)]);
    assert_eq!(desk.rang(), accepted(&[1003]));
    // In German: the status of the first ticket, and nothing else.
    desk.banner("on");
    let number = [(8.5, 1), (9.1, 0), (9.7, 0), (10.3, 1), (10.9, 11)];
    desk.call("guest", 34.0, &[&[(5.0, 9), (7.0, 1)], &number[..], &[(22.0, 1)]].concat());
    assert_eq!(desk.rang(), []);
    let capture = capture.stop();
    let calls = calls(&capture);
    assert_eq!(calls.iter().map(|(_, agents)| agents.len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
    for ((caller, agents), hz) in calls.iter().zip([BEN.1, CLEO.1, CLEO.1]) {
        assert_both_hear(&capture, &desk.server, (caller, CALLER), (&agents[0], hz));
    }
    assert_hears(&capture, &calls[1].0, &desk.server, "desk-topic-en");
    let (waits, cleo) = (&calls[2].0, &calls[2].1[0]);
    for name in ["desk-waiting-en", "say-en-1", "desk-waiting-en-2"] {
        assert_hears(&capture, waits, &desk.server, name);
    }
    let music = heard_by(&capture, waits, &desk.server).samples(cleo.began - 1.5, cleo.began - 0.1);
    assert_sounds(&music, &[&music_from(&music)]);
    let german = ["desk-outage-en", "desk-ticket-de-2", "say-de-1", "say-de-0", "desk-ticket-de-3", "desk-tell-de"];
    for name in german.into_iter().chain(["desk-more-de"]) {
        assert_hears(&capture, &calls[3].0, &desk.server, name);
    }
}

/// 0 leads to a screener, who notes and dispatches with nothing but a phone and a command line; who calls again about that
/// ticket comes to level 2 at once. Without a ticketing system a keyed ticket leads to the screener; at night nobody rings.
#[test]
fn the_demo_desk_has_screeners_a_level_2_and_a_night() {
    let ground = Ground::new("demo_desk_levels");
    let mut desk = Desk::open(&ground, &[CLEO, ADA]);
    let data = desk.server.data.to_string_lossy().into_owned();
    let agent = ["agent", "--user", "ada", "--server", &desk.grpc, "--data", &data];
    let (screen, mut keyboard) = at_the_terminal(&ground, "screener", &agent);
    ["login", "ready"].iter().for_each(|line| types(&mut keyboard, line));
    wait_until("both are done", GENEROUS, || screen.output().matches("  done").count() == 2);
    screen.says("you are ", GENEROUS);
    let capture = ground.capture();
    let mut caller = desk.calls("jo", 26.0, &[(11.0, 0)]);
    screen.says("the phone rings: jo on desk, from screeners", GENEROUS);
    screen.says("you talk with the caller", GENEROUS);
    talk_for(3 * SECOND);
    let noted = "attach name=Jo category=network summary=\"the VPN is down\"";
    [noted, "dispatch level2", "dispose sent", "ready"].iter().for_each(|line| types(&mut keyboard, line));
    assert_eq!(caller.wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(desk.rang(), accepted(&[1001, 1003]));
    desk.opened(1001);
    wait_until("the ticketing system knows where it is", GENEROUS, || {
        let tickets = rusqlite::Connection::open(ground.file("tickets/tickets.db")).expect("the tickets");
        tickets.query_row("SELECT tier FROM level WHERE ticket = '1001'", [], |row| row.get::<_, i64>(0)) == Ok(2)
    });
    // She has her minute for notes, and needs it not.
    assert_eq!(desk.asks("cleo", "analyst", &["ready"]).wait(GENEROUS), 0);
    let number = [(3.0, 1), (3.6, 0), (4.2, 0), (4.8, 1), (5.4, 11)];
    desk.call("jo", 30.0, &[&[(1.5, 1)], &number[..], &[(13.5, 1), (22.5, 1)]].concat());
    assert_eq!(desk.rang(), accepted(&[1003]));
    // It takes connections and says nothing.
    desk.ticketing.signal(libc::SIGSTOP);
    desk.call("jo", 30.0, &[&[(1.5, 1)], &number[..], &[(13.5, 1)]].concat());
    assert_eq!(desk.rang(), accepted(&[1001]));
    // Nobody knows that ticket now: she sees what was keyed.
    screen.says("  keyed: 1001", GENEROUS);
    let night = until_wednesday() + 10 * HOUR;
    desk.server.program.kill();
    desk.server.clock.as_ref().expect("a clock").set(night);
    desk.server.start_again();
    desk.phones.iter().for_each(|phone| _ = phone.tell("uareg"));
    let caller = Sipp { name: "at-night", scenario: "caller_waits", number: "200", ..Sipp::default() };
    assert_eq!(caller.start(&ground, &desk.server).wait(GENEROUS), 0, "SIPp is not content");
    assert_eq!(desk.rang(), []);
    let capture = capture.stop();
    let calls = calls(&capture);
    assert_eq!(calls.iter().map(|(_, agents)| agents.len()).collect::<Vec<_>>(), [2, 1, 1, 0]);
    let heard =
        [&["desk-menu-en"][..], &["desk-tell-en", "desk-more-en"], &["desk-status-en"], &["desk-after-hours-en"]];
    for ((caller, _), names) in calls.iter().zip(heard) {
        names.iter().for_each(|name| assert_hears(&capture, caller, &desk.server, name));
    }
    let talks = [(0, 0, ADA.1), (0, 1, CLEO.1), (1, 0, CLEO.1), (2, 0, ADA.1)];
    for (call, agent, hz) in talks {
        let (caller, agents) = &calls[call];
        assert_both_hear(&capture, &desk.server, (caller, CALLER), (&agents[agent], hz));
    }
}

/// Who presses nothing is told more and more of what there is to press, and led to a person; who does not want to wait for one
/// presses a key, is thanked, and the flow hangs up.
#[test]
fn the_demo_desk_helps_who_presses_nothing_and_lets_go_who_does_not_wait() {
    let ground = Ground::new("demo_desk_silent");
    let desk = Desk::open(&ground, &[]);
    let capture = ground.capture();
    let caller = Sipp { scenario: "caller_waits", number: "200", keys: &[(40.0, 1)], seconds: 60.0, ..Sipp::default() };
    assert_eq!(caller.start(&ground, &desk.server).wait(GENEROUS * 2), 0, "SIPp is not content");
    assert_eq!(desk.rang(), []);
    let call = desk.server.wait_ended(1, GENEROUS).remove(0);
    assert_eq!(call["segments"][0]["queue"], "screeners", "{call}");
    let capture = capture.stop();
    let legs = capture.legs();
    assert_eq!(legs.len(), 1, "{legs:?}");
    let heard = heard_by(&capture, &legs[0], &desk.server);
    let (from, until) = legs[0].talk();
    assert_no_gap(&capture, "the caller", &heard, (from, until));
    let samples = heard.samples(from, until);
    let names =
        ["desk-menu-en", "desk-menu-en-2", "desk-menu-en-3", "desk-waiting-en", "desk-waiting-en-2", "desk-goodbye-en"];
    let places = names.map(|name| {
        let (at, share) = find_prompt(&samples, &sound(name));
        assert!(share >= HEARD, "{name} was heard in {share:.1} % of its frames at best");
        at
    });
    assert!(places.is_sorted(), "{names:?} at {places:?}");
}
