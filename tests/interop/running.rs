//! Starting, draining, crashing, and what the program tells about itself.

use super::harness::{GENEROUS, Ground, SECOND, talk_for, wait_until};
use super::peers::{Baresip, Sipp, event, phone, phone_agent};
use super::server::{DIRECT, Server, TIERLINE, Wishes, serve};
use super::wire;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

#[test]
fn wrong_settings_are_told_all_at_once() {
    let ground = Ground::new("wrong_settings");
    let config = ground.file("wrong.toml");
    let text = "version = 1\n[center]\nname = \"x\"\n[line.a]\nnumbers = [\"1x\"]\nflow = \"nowhere\"\n\
                [limits]\nsilence = \"0s\"\ncalles = 5\n";
    std::fs::write(&config, text).expect("a configuration");
    let mut start = ground.run("wrong", &mut serve(&config, &ground.file("data")));
    assert_eq!(start.wait(15 * SECOND), 2);
    let said = start.errors();
    // A flow cannot be missed where there is no directory of flows: that is one mistake, not two.
    for place in ["wrong.toml:1:1: there is no directory", "wrong.toml:5:", "wrong.toml:8:", "wrong.toml:9:"] {
        assert!(said.contains(place), "nothing about {place}…:\n{said}");
    }
    assert!(said.contains("calles") && said.contains("1s"), "{said}");
    assert!(!ground.file("data").exists(), "a start that was refused left something behind");
}

/// A WAV of silence at 8 kHz, as nobody can use it: `channels` and `bits`.
fn odd_wav(channels: u16, bits: u16) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    wav.extend(channels.to_le_bytes());
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend((8_000 * u32::from(frame)).to_le_bytes());
    wav.extend(frame.to_le_bytes());
    wav.extend(bits.to_le_bytes());
    wav.extend(b"data");
    wav.extend((u32::from(frame) * 800).to_le_bytes());
    wav.resize(wav.len() + usize::from(frame) * 800, 0);
    let length = u32::try_from(wav.len() - 8).expect("a short file").to_le_bytes();
    wav[4..8].copy_from_slice(&length);
    wav
}

/// A wrong setting, recordings that cannot be used or read, and a data directory that another one serves from: one start
/// tells all of them, with their places.
#[test]
fn mistakes_of_every_kind_are_told_by_one_start() {
    let ground = Ground::new("every_mistake");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let (flows, sounds) = (ground.file("odd"), ground.file("odd/sounds"));
    std::fs::create_dir_all(&sounds).expect("folders");
    let flow = "version = 1\nstart = \"a\"\n[step.a]\nplay = { text = \"One.\", sound = \"deep\" }\nnext = \"b\"\n\
                [step.b]\nplay = { text = \"Two.\", sound = \"large\" }\nnext = \"c\"\n[step.c]\nqueue = \"general\"\notherwise = \"d\"\n\
                [step.d]\nhang_up = true\n";
    std::fs::write(flows.join("odd.toml"), flow).expect("a flow");
    std::fs::write(sounds.join("deep.wav"), odd_wav(1, 24)).expect("a recording");
    std::fs::write(sounds.join("hold-music.wav"), odd_wav(2, 24)).expect("a recording");
    let large = std::fs::File::create(sounds.join("large.wav")).expect("a recording");
    large.set_len(61 << 20).expect("a file with a hole");
    for name in ["ready", "not-ready", "confirm"] {
        std::fs::write(sounds.join(format!("{name}.wav")), odd_wav(1, 16)).expect("a recording");
    }
    let text = std::fs::read_to_string(&server.config).expect("the configuration");
    let odd = text.replacen("flows = \"flows\"", "flows = \"odd\"", 1).replace("flow = \"support\"", "flow = \"odd\"");
    let odd = odd.replace("flow = \"direct\"", "flow = \"odd\"");
    let odd =
        format!("{odd}\n[trunk.odd]\nserver = \"127.0.0.1:9\"\nuser = \"odd\"\npassword_file = \"gone.password\"\n");
    let (config, data) = (ground.file("odd.toml"), server.data.to_string_lossy().into_owned());
    for wrong in [true, false] {
        let odd = if wrong { odd.replacen("calls = 80", "calls = 0", 1) } else { odd.clone() };
        std::fs::write(&config, odd).expect("a configuration");
        let mut start = ground.run("odd", &mut serve(&config, &server.data));
        // Who holds the directory is all that a start has to be told, until somebody has stopped him.
        assert_eq!(start.wait(GENEROUS), if wrong { 2 } else { 1 });
        let check = ["check", "--data", &data, "--config"];
        let check = Command::new(TIERLINE).args(check).arg(&config).output().expect("tierline runs");
        assert_eq!(check.status.code(), Some(2));
        let (start, check) = (start.errors(), String::from_utf8_lossy(&check.stderr).into_owned());
        let wanted =
            ["deep.wav cannot be used", "large.wav is too large", "hold-music.wav cannot be used", "gone.password"];
        let full = if wrong { vec![&start, &check] } else { vec![&check] };
        for said in full {
            let missing: Vec<_> = wanted.iter().filter(|part| !said.contains(*part)).collect();
            assert!(missing.is_empty(), "not told: {missing:?}\n{said}");
            assert_eq!(said.contains("`calls` is 0"), wrong, "{said}");
        }
        assert!(start.contains("is in use by another tierline") && !start.contains("cannot listen on"), "{start}");
        assert!(wrong || start.lines().count() == 1, "{start}");
        // Whose ports are taken by right is told by `--data`.
        assert!(!check.contains("cannot listen on"), "{check}");
    }
}

#[test]
fn a_file_or_port_that_cannot_be_had_is_told() {
    let ground = Ground::new("cannot_start");
    let mut start = ground.run("missing", &mut serve(&ground.file("missing.toml"), &ground.file("data")));
    assert_eq!(start.wait(15 * SECOND), 2);
    assert!(start.errors().contains("missing.toml"), "{}", start.errors());

    let grpc = format!("[server.cti]\nbind = \"{}\"\n", ground.address());
    let server = Server::start(&ground, &Wishes { sip: grpc, ..Wishes::agents(&["ada"]) });
    let mut second = ground.run("second", &mut serve(&server.config, &ground.file("data-2")));
    assert_eq!(second.wait(15 * SECOND), 2, "a taken port");
    let said = second.errors();
    let place = format!("{}:", server.config.display());
    assert!(said.contains(&place) && said.contains(&server.sip.to_string()), "the taken port is not named: {said}");
    // With a wrong setting beside it, both in one go; a port that cannot be read hides no other.
    let text = std::fs::read_to_string(&server.config).expect("the configuration");
    let both = ground.file("both.toml");
    let wrong = text.replacen("calls = 80", "calls = 0", 1).replacen(
        "password_file = \"passwords\"",
        "password_file = \"none\"",
        1,
    );
    std::fs::write(&both, wrong.replacen("[server.http]\nbind = \"", "[server.http]\nbind = \"x", 1))
        .expect("a configuration");
    let check = Command::new(TIERLINE).arg("check").arg("--config").arg(&both).output().expect("tierline runs");
    let mut start = ground.run("both", &mut serve(&both, &ground.file("data-4")));
    assert_eq!((start.wait(15 * SECOND), check.status.code()), (2, Some(2)));
    for said in [start.errors(), String::from_utf8_lossy(&check.stderr).into_owned()] {
        let wanted = [
            "`calls` is 0",
            "none: cannot be read",
            "`bind` is \"x",
            "cannot listen on udp",
            "cannot listen on tcp",
            "cannot listen on grpc",
        ];
        let missing: Vec<_> = wanted.into_iter().filter(|part| !said.contains(part)).collect();
        assert!(missing.is_empty() && !said.contains("listen on http"), "not told: {missing:?}\n{said}");
    }
    assert!(!ground.file("data-4").exists(), "a start that was refused left something behind");
    // The ports of a running server are taken by right.
    let own = std::fs::read_to_string(&server.config).expect("the configuration");
    let own_data = own.replacen("[server]\n", &format!("[server]\ndata = \"{}\"\n", server.data.display()), 1);
    std::fs::write(&both, own_data).expect("a configuration");
    let check = Command::new(TIERLINE).arg("check").arg("--config").arg(&both).output().expect("tierline runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        check.status.success() && said.contains("ports were not tried") && said.contains("can be served"),
        "{said}"
    );
    // An address for audio that this machine does not have.
    let nowhere = ground.file("nowhere.toml");
    let elsewhere = text.replacen("[server.media]\n", "[server.media]\nbind = \"203.0.113.77\"\n", 1);
    std::fs::write(&nowhere, elsewhere).expect("a configuration");
    let mut start = ground.run("nowhere", &mut serve(&nowhere, &ground.file("data-5")));
    assert_eq!(start.wait(15 * SECOND), 2, "beside it, taken ports");
    let said = start.errors();
    assert!(said.contains("nowhere.toml:") && said.contains("no call could have audio"), "{said}");
    assert!(said.contains("cannot open udp 203.0.113.77:"), "{said}");
    // Only the port of HTTP taken.
    let config = ground.file("other-sip.toml");
    std::fs::write(&config, text.replace(&server.sip.to_string(), &ground.address().to_string()))
        .expect("a configuration");
    let mut third = ground.run("third", &mut serve(&config, &ground.file("data-3")));
    assert_eq!(third.wait(15 * SECOND), 2, "a taken port");
    assert!(third.errors().contains("http"), "{}", third.errors());
}

#[test]
fn a_certificate_that_cannot_be_used_is_told() {
    let ground = Ground::new("no_certificate");
    let made = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        std::fs::write(ground.file(&format!("{name}.pem")), made.cert.pem()).expect("a file");
        std::fs::write(ground.file(&format!("{name}-key.pem")), made.signing_key.serialize_pem()).expect("a file");
    };
    made("one");
    made("two");
    std::fs::write(ground.file("text.pem"), "no certificate").expect("a file");
    let center = "version = 1\n[center]\nname = \"x\"\n[line.a]\nnumbers = [\"100\"]\nflow = \"f\"\n\
                  [queue.q]\n[agent.1001]\nname = \"Ada\"\nuser = \"ada\"\nqueues = [\"q\"]\n";
    let flow = "version = 1\nstart = \"a\"\n[step.a]\nhang_up = 1\n";
    std::fs::create_dir_all(ground.file("flows")).expect("a directory");
    std::fs::write(ground.file("flows/f.toml"), flow).expect("a flow");
    let tell = |tls: &str| {
        let config = ground.file("tls.toml");
        let listen = format!("[[server.sip.listen]]\ntransport = \"tls\"\nbind = \"{}\"\n", ground.address());
        std::fs::write(&config, format!("{center}{listen}[server.sip.tls]\n{tls}\n")).expect("a configuration");
        let check = Command::new(TIERLINE).arg("check").arg("--config").arg(&config).output().expect("tierline runs");
        let mut start = ground.run("start", &mut serve(&config, &ground.file("data")));
        assert_eq!((start.wait(15 * SECOND), check.status.code()), (2, Some(2)), "{tls}");
        [start.errors(), String::from_utf8_lossy(&check.stderr).into_owned()]
    };
    for (tls, line, expect) in [
        ("certificate = \"none.pem\"\nkey = \"one-key.pem\"", 16, "none.pem: "),
        ("certificate = \"text.pem\"\nkey = \"one-key.pem\"", 16, "text.pem holds no certificate; allowed: "),
        ("certificate = \"one.pem\"\nkey = \"none.pem\"", 16, "no private key in PEM can be read from "),
        ("certificate = \"one.pem\"\nkey = \"two-key.pem\"", 16, "two-key.pem cannot be used together"),
        ("trust = \"text.pem\"", 16, "text.pem holds no certificate; allowed: "),
    ] {
        for said in tell(tls) {
            let place = format!("tls.toml:{line}:");
            assert!(said.contains(&place) && said.contains(expect), "{tls}: {place} … {expect}: {said}");
        }
    }
}

#[test]
fn a_drain_lets_calls_end_and_takes_no_new_ones() {
    let ground = Ground::new("drain");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let capture = ground.capture();
    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let mut caller = Sipp { seconds: 7.0, ..Sipp::default() }.start(&ground, &server);
    event(&agent, "Connected", 10 * SECOND);
    // By itself it would end the process (signal(7)).
    server.program.signal(libc::SIGHUP);
    server.program.signal(libc::SIGTERM);
    wait_until("no new calls are taken", 5 * SECOND, || server.get("/readyz").0 == 503);
    assert_eq!(server.get("/healthz").0, 200);
    let refused = Sipp { name: "late", scenario: "caller_refused", status: 503, ..Sipp::default() };
    assert_eq!(refused.start(&ground, &server).wait(10 * SECOND), 0);
    // Who looks by OPTIONS where to send calls is told the same (RFC 3261 §11.2).
    let asks = over_udp();
    says(&asks, server.sip, &wire::options(1, "UDP", &format!("sip:{}", server.sip)).replace("5999;", "5999;rport;"));
    assert!(hears(&asks, "SIP/2.0").starts_with("SIP/2.0 503"), "OPTIONS");
    assert!(caller.is_running(), "the running call was cut");
    assert_eq!(caller.wait(20 * SECOND), 0, "the running call did not end well");
    assert_eq!(server.program.wait(10 * SECOND), 0, "the server did not stop after its last call");
    let capture = capture.stop();
    let refusal = capture.messages.iter().find(|message| message.status() == Some(503)).expect("a 503");
    assert!(refusal.header("Retry-After").parse::<u32>().is_ok_and(|s| s > 0), "{}", refusal.text);
    let talk = capture.legs()[0].talk();
    assert!(talk.1 - talk.0 > 6.5, "the call lasted {:.1} s", talk.1 - talk.0);
    // Ctrl-C asks for the same: who is not heard dies of it, with another code.
    server.start_again();
    server.program.signal(libc::SIGINT);
    assert_eq!(server.program.wait(10 * SECOND), 0, "the server did not stop by Ctrl-C");
}

/// Who still talks when the limit of a drain passes gets a BYE, as the other side does, and the log says why.
#[test]
fn a_drain_ends_what_goes_on_longer_than_its_limit() {
    let ground = Ground::new("drain_limit");
    let wishes = Wishes { drain: "2s", ..Wishes::agents(&["ada"]) };
    let mut server = Server::start(&ground, &wishes);
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    // It hangs up by itself never: only a BYE ends it well.
    let mut caller = Sipp { scenario: "caller_waits", ..Sipp::default() }.start(&ground, &server);
    agent.program.says("Call established", 15 * SECOND);
    talk_for(SECOND);
    server.program.signal(libc::SIGTERM);
    wait_until("no new calls are taken", 5 * SECOND, || server.get("/readyz").0 == 503);
    assert!(caller.is_running() && server.program.is_running(), "the call was cut at once");
    assert_eq!(caller.wait(20 * SECOND), 0, "the caller got no BYE");
    agent.program.says("terminated", 10 * SECOND);
    assert_eq!(server.program.wait(10 * SECOND), 0, "the server did not stop after its limit");
    let call = server.wait_ended(1, SECOND).remove(0);
    assert_eq!((&call["cause"], &call["phase"]), (&"Stopped".into(), &"Connected".into()), "{call}");
}

/// A phone by hand over UDP.
fn over_udp() -> UdpSocket {
    let phone = UdpSocket::bind("127.0.0.1:0").expect("a port for a phone");
    phone.set_read_timeout(Some(GENEROUS)).expect("a time-out");
    phone
}

fn says(phone: &UdpSocket, to: SocketAddr, text: &str) {
    let text = text.replace("SIP/2.0/TCP 127.0.0.1:5999;", "SIP/2.0/UDP 127.0.0.1:5999;rport;");
    phone.send_to(text.as_bytes(), to).expect("a datagram sent");
}

/// The next message that begins so.
fn hears(phone: &UdpSocket, what: &str) -> String {
    loop {
        let mut room = [0; 4096];
        let length = phone.recv(&mut room).unwrap_or_else(|why| panic!("no {what}: {why}"));
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        if text.starts_with(what) {
            return text;
        }
    }
}

#[test]
fn a_bye_that_gets_lost_at_the_stop_is_sent_again() {
    let ground = Ground::new("last_bye");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let phone = over_udp();
    let (at, next) = (server.sip, |what: &str| hears(&phone, what));
    let say = |text: String| says(&phone, at, &text);
    let contact = format!("sip:raw@{}", phone.local_addr().expect("its address"));
    say(wire::invite(&format!("sip:{DIRECT}@{}", server.sip), &contact, ""));
    say(wire::ack(&next("SIP/2.0 200")));
    server.program.signal(libc::SIGTERM);
    wait_until("it drains", GENEROUS, || server.get("/readyz").0 == 503);
    server.program.signal(libc::SIGTERM);
    let first = next("BYE"); // as if it had never come
    assert_eq!(next("BYE"), first, "not the same once more");
    say(wire::answer(&first, "200 OK"));
    assert_eq!(server.program.wait(GENEROUS), 0, "the server did not stop");
}

/// Who has changed his network in mid-call is not where he called from: the start after a kill says BYE where he is.
#[test]
fn after_a_crash_who_has_moved_is_told_where_he_is() {
    let ground = Ground::new("crash_moved");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let (before, now) = (over_udp(), over_udp());
    let contact = |socket: &UdpSocket| format!("sip:raw@{}", socket.local_addr().expect("its address"));
    let invite = wire::invite(&format!("sip:{DIRECT}@{}", server.sip), &contact(&before), "");
    says(&before, server.sip, &invite);
    let ok = hears(&before, "SIP/2.0 200");
    let field = |name: &str| ok.lines().find(|line| line.starts_with(name)).expect("a field").to_owned();
    says(&before, server.sip, &wire::ack(&ok));
    let tagged = format!("To: <sip:{DIRECT}@{}>\r\n", server.sip);
    let again = invite.replace(&tagged, &format!("{}\r\n", field("To: "))).replace("CSeq: 1", "CSeq: 2");
    says(&now, server.sip, &again.replace(&contact(&before), &contact(&now)).replace("z9hG4bK-", "z9hG4bK-moved-"));
    let ok = hears(&now, "SIP/2.0 200");
    says(&now, server.sip, &wire::ack(&ok).replace("CSeq: 1", "CSeq: 2").replace("-ack", "-ack-moved"));
    wait_until("the log knows the call", GENEROUS, || !server.calls().is_empty());
    wait_until("the log knows it", GENEROUS, || server.drawing().contains("the caller is reached elsewhere now"));
    server.program.kill();
    server.start_again();
    let bye = hears(&now, "BYE");
    assert!(bye.starts_with(&format!("BYE {} SIP/2.0", contact(&now))), "{bye}");
    says(&now, server.sip, &wire::answer(&bye, "200 OK"));
    before.set_nonblocking(true).expect("an option set");
    let there = std::iter::from_fn(|| before.recv(&mut [0; 4096]).ok()).count();
    assert_eq!(there, 0, "something came to where he was before");
}

#[test]
fn after_a_crash_calls_are_ended_and_agents_are_still_there() {
    let ground = Ground::new("crash");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let agent = Baresip::start(&ground, &server, "ada", 1000.0, true);
    agent.wait_registered();
    let mut caller = Sipp { scenario: "caller_waits", ..Sipp::default() }.start(&ground, &server);
    agent.program.says("Call established", 15 * SECOND);
    talk_for(SECOND);
    server.program.kill();
    let capture = ground.capture();
    server.start_again();
    assert_eq!(caller.wait(20 * SECOND), 0, "the caller got no BYE");
    agent.program.says("terminated", 10 * SECOND);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    assert_eq!(call["cause"], "Restart", "{call}");
    // The next call reaches the agent, who has not registered again.
    let mut next = Sipp { name: "next", seconds: 3.0, ..Sipp::default() }.start(&ground, &server);
    assert_eq!(next.wait(20 * SECOND), 0);
    let call = server.wait_ended(2, 10 * SECOND).remove(0);
    assert_eq!(call["phase"], "Connected", "the agent was not reached: {call}");
    let registered = capture.stop().messages.iter().any(|message| message.method() == Some("REGISTER"));
    assert!(!registered, "the agent registered again: the test proves nothing");
}

#[test]
fn numbers_health_and_calls_can_be_read() {
    let ground = Ground::new("pages");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    assert_eq!((server.get("/healthz").0, server.get("/readyz").0, server.get("/nothing").0), (200, 200, 404));
    let agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let mut caller = Sipp { from: "12345", seconds: 3.0, ..Sipp::default() }.start(&ground, &server);
    event(&agent, "Connected", 10 * SECOND);
    let number = |name: &str| {
        let samples = server.metrics();
        *samples.get(name).unwrap_or_else(|| panic!("no {name} among {samples:#?}"))
    };
    for (name, value) in [
        ("tierline_calls{phase=\"connected\"}", 1.0),
        ("tierline_agents{state=\"busy\",reason=\"none\"}", 1.0),
        ("tierline_sip_bindings", 1.0),
        ("tierline_queue_waiting{queue=\"general\"}", 0.0),
        ("tierline_log_healthy", 1.0),
    ] {
        assert_eq!(number(name), value, "{name} during a call");
    }
    assert_eq!(caller.wait(20 * SECOND), 0);
    let call = server.wait_ended(1, 10 * SECOND).remove(0);
    for (name, value) in [
        ("tierline_calls{phase=\"connected\"}", 0.0),
        ("tierline_agents{state=\"ready\",reason=\"none\"}", 1.0),
        ("tierline_calls_arrived_total{line=\"direct\"}", 1.0),
        ("tierline_calls_ended_total{phase=\"connected\",cause=\"caller_hung_up\"}", 1.0),
        ("tierline_queue_answered_total{queue=\"general\"}", 1.0),
        ("tierline_offers_total{outcome=\"accepted\"}", 1.0),
        ("tierline_sip_legs", 0.0),
        ("tierline_log_lost_events_total", 0.0),
    ] {
        assert_eq!(number(name), value, "{name} after the call");
    }
    let sums = server.metrics();
    let forwarded = sums.iter().filter(|(name, _)| name.starts_with("tierline_media_packets_forwarded_total"));
    assert!(forwarded.map(|(_, count)| count).sum::<f64>() > 100.0, "{sums:#?}");
    assert_eq!(
        sums.iter().filter(|(name, _)| name.starts_with("tierline_media_ports")).map(|(_, n)| n).sum::<f64>(),
        0.0
    );
    let list = server.tierline(&["calls"]);
    let id = call["call"].as_str().expect("an id");
    assert!(list.contains(id) && !list.contains("12345"), "{list}");
    assert!(server.tierline(&["calls", "--numbers"]).contains("12345"));
    let ladder = server.tierline(&["calls", id]);
    for word in ["│", "▶", "general", "caller hung up"] {
        assert!(ladder.contains(word), "no `{word}`:\n{ladder}");
    }
}

#[test]
fn ctrl_c_of_the_phone_hangs_up_properly() {
    let ground = Ground::new("ctrl_c");
    let server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let capture = ground.capture();
    let mut agent = phone_agent(&ground, &server, "ada", 1000.0, &["--answer", "0"]);
    let mut caller = phone(&ground, &server, "caller", &["--dial", DIRECT]);
    event(&agent, "Connected", 10 * SECOND);
    caller.signal(libc::SIGINT);
    assert_eq!(caller.wait(10 * SECOND), 0);
    assert_eq!(event(&agent, "Ended", 5 * SECOND)["answered"], true);
    agent.signal(libc::SIGINT);
    assert_eq!(agent.wait(10 * SECOND), 0);
    assert_eq!(server.wait_ended(1, 5 * SECOND)[0]["cause"], "CallerHungUp");
    let capture = capture.stop();
    let taken_back = |text: &str| text.contains("xpires: 0") || text.contains("expires=0");
    let farewell = capture.messages.iter().any(|m| m.method() == Some("REGISTER") && taken_back(&m.text));
    assert!(farewell, "the phone did not take its registration back");
}

#[test]
fn the_program_explains_itself() {
    let help = Command::new(TIERLINE).arg("--help").output().expect("tierline runs");
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(["serve", "phone", "calls"].iter().all(|word| text.contains(word)), "{text}");
    // A port that nobody serves.
    let nobody = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("an address");
    let args = ["phone", "--server", &nobody.to_string(), "--user", "ada", "--data", "/nonexistent"];
    let lost = Command::new(TIERLINE).args(args).output().expect("tierline runs");
    let said = String::from_utf8_lossy(&lost.stderr);
    assert!(!lost.status.success() && said.contains("password"), "{said}");
}
