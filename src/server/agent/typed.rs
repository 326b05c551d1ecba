//! What is typed: which lines there are, how each is written, and what it asks for.

use crate::proto::{self, command::Ask};
use crate::written::did_you_mean;
use std::time::Duration;

/// The word that a line begins with, how the line is written, and what it does.
const LINES: [(&str, &str, &str); 17] = [
    ("login", "login", "begin your work at this desktop"),
    ("logout", "logout", "end it: no calls come, though your phone is there"),
    ("ready", "ready", "take calls; ends a break, and time for notes"),
    ("break", "break [REASON]", "take none until you are ready again"),
    ("answer", "answer", "tell your phone to answer the call that rings"),
    ("hold", "hold", "let the caller hear music"),
    ("retrieve", "retrieve", "talk with the caller again"),
    ("hangup", "hangup", "end the call"),
    ("attach", "attach NAME=VALUE …", "keep it for the next agent and the ticket; NAME=\"more than a word\""),
    ("dispatch", "dispatch QUEUE [SKILL=LEVEL …] [+POINTS]", "send the caller on, to somebody who has these skills"),
    ("transfer", "transfer QUEUE|agent NUMBER|number NUMBER", "send the caller on"),
    ("dispose", "dispose WORD [NOTES]", "code the call; after it, that ends the time for notes"),
    ("more", "more [SECONDS]", "time for notes after the talk, or more of it"),
    ("banner", "banner on|off NAME", "switch an announcement, where you may"),
    ("wait", "wait EVENT [SECONDS]", "in scripts: go on when delivered, established, call_ended … has come"),
    ("help", "help [WORD]", "say this, or how one line is written"),
    ("quit", "quit", "end this program, and with it your desktop: no calls come to who has logged in here"),
];

/// What `wait` may wait for.
pub(super) const EVENTS: [&str; 20] = [
    "snapshot",
    "call_arrived",
    "step_entered",
    "key_pressed",
    "queued",
    "delivered",
    "offer_ended",
    "established",
    "diverted",
    "held",
    "retrieved",
    "data_attached",
    "transferred",
    "disposed",
    "connection_cleared",
    "call_ended",
    "agent_state_changed",
    "restarted",
    "banner_switched",
    "agent_reachable",
];

/// A line that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// Empty, or a remark.
    Nothing,
    /// To be shown.
    Help(String),
    Quit,
    Wait {
        event: String,
        /// None: as long as it takes.
        limit: Option<Duration>,
    },
    Ask(Ask),
}

/// All that can be typed.
pub(super) fn help() -> String {
    LINES.iter().map(|(_, form, does)| format!("  {form:<42}{does}")).collect::<Vec<_>>().join("\n")
}

/// What lines may begin with.
pub fn words() -> impl Iterator<Item = &'static str> {
    LINES.iter().map(|(word, ..)| *word)
}

/// What a line means.
///
/// # Errors
/// It is none of those that there are, or not written as that one is: in words, with what is allowed.
pub(super) fn read(line: &str) -> Result<Line, String> {
    let line = line.trim();
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_start();
    match (verb, rest) {
        _ if line.is_empty() || line.starts_with('#') => Ok(Line::Nothing),
        ("quit", "") => Ok(Line::Quit),
        ("help", "") => Ok(Line::Help(help())),
        ("help", word) => match found(word) {
            Some((_, form, does)) => Ok(Line::Help(format!("  {form:<42}{does}"))),
            None => Err(unknown(word)),
        },
        ("wait", event) if !event.is_empty() => wait(event),
        _ => asked(verb, rest).map(Line::Ask).ok_or_else(|| match found(verb) {
            Some((_, form, _)) => format!("`{line}` is not understood; allowed: {form}"),
            None => unknown(verb),
        }),
    }
}

fn found(verb: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    LINES.iter().find(|(word, ..)| *word == verb)
}

fn unknown(verb: &str) -> String {
    let near = did_you_mean(verb, words());
    format!("nothing is called `{verb}` here; `help` says what can be typed{near}")
}

fn wait(rest: &str) -> Result<Line, String> {
    let (event, limit) = rest.split_once(' ').unwrap_or((rest, ""));
    if !EVENTS.contains(&event) {
        let near = did_you_mean(event, EVENTS);
        return Err(format!("there is no event `{event}`; allowed: {}{near}", EVENTS.join(", ")));
    }
    let seconds = |limit: &str| limit.trim().parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    let limit = match limit {
        "" => None,
        limit => {
            let wrong = || format!("`{limit}` is no time to wait for `{event}`; allowed: 1 to 86400 seconds");
            Some(Duration::from_secs(seconds(limit).ok_or_else(wrong)?))
        }
    };
    Ok(Line::Wait { event: event.to_owned(), limit })
}

/// What the server is asked for.
fn asked(verb: &str, rest: &str) -> Option<Ask> {
    let call = String::new;
    let pair = |word: String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(match (verb, rest.split_once(' ').unwrap_or((rest, ""))) {
        ("login", ("", _)) => Ask::LogIn(proto::LogIn {}),
        ("logout", ("", _)) => Ask::LogOut(proto::LogOut {}),
        ("ready", ("", _)) => Ask::Ready(proto::Ready {}),
        ("break", _) => Ask::NotReady(proto::NotReady { reason: rest.to_owned() }),
        ("hold", ("", _)) => Ask::Hold(proto::Hold { call: call() }),
        ("retrieve", ("", _)) => Ask::Retrieve(proto::Retrieve { call: call() }),
        ("hangup", ("", _)) => Ask::HangUp(proto::HangUp { call: call() }),
        ("answer", ("", _)) => Ask::Answer(proto::Answer {}),
        ("banner", (state @ ("on" | "off"), banner)) if !banner.is_empty() => {
            Ask::SwitchBanner(proto::SwitchBanner { banner: banner.to_owned(), on: state == "on" })
        }
        ("attach", _) if !rest.is_empty() => {
            let data = quoted(rest)?.into_iter().map(pair).collect::<Option<_>>()?;
            Ask::Attach(proto::Attach { call: call(), data })
        }
        ("dispatch", (queue, rest)) if !queue.is_empty() => {
            let (points, skills): (Vec<String>, Vec<String>) =
                quoted(rest)?.into_iter().partition(|word| word.starts_with(['+', '-']));
            let level = |word: String| pair(word).and_then(|(name, level)| Some((name, level.parse().ok()?)));
            let skills = skills.into_iter().map(level).collect::<Option<_>>()?;
            let points: Vec<i32> = points.iter().map(|points| points.parse().ok()).collect::<Option<_>>()?;
            Ask::Dispatch(proto::Dispatch {
                call: call(),
                queue: queue.to_owned(),
                skills,
                priority: points.iter().sum(),
            })
        }
        ("transfer", (kind, rest)) if !kind.is_empty() => {
            use proto::transfer::To;
            let to = match (kind, rest.trim()) {
                ("agent", number) => To::Agent(number.parse().ok()?),
                ("number", number) if !number.is_empty() => To::Number(number.to_owned()),
                ("number", _) => return None,
                (queue, "") => To::Queue(queue.to_owned()),
                _ => return None,
            };
            Ask::Transfer(proto::Transfer { call: call(), to: Some(to) })
        }
        ("more", ("", _)) => Ask::MoreTime(proto::MoreTime { seconds: 0 }),
        ("more", (seconds, "")) => Ask::MoreTime(proto::MoreTime { seconds: seconds.parse().ok()? }),
        ("dispose", (word, notes)) if !word.is_empty() => {
            Ask::Dispose(proto::Dispose { call: call(), disposition: word.to_owned(), notes: notes.to_owned() })
        }
        _ => return None,
    })
}

/// The words of a line; what stands in double quotes belongs together, the quotes are left out. None if one is open at the
/// end.
fn quoted(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut is_open) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                is_open = !is_open;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !is_open => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    (!is_open).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_may_be_waited_for() {
        let proto = include_str!("../../../proto/tierline/v1/desk.proto");
        let events = proto.split("oneof what {").nth(2).and_then(|rest| rest.split('}').next()).unwrap();
        let named = events.lines().filter_map(|line| line.trim().split(" = ").next()?.split_once(' '));
        let named = named.filter(|(kind, _)| !kind.starts_with("//")).map(|(_, name)| name);
        assert_eq!(std::iter::once("snapshot").chain(named).collect::<Vec<_>>(), EVENTS);
    }

    #[test]
    fn typed_lines_are_understood() {
        let check = |line: &str, expect: Option<Ask>| {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            assert_eq!(asked(verb, rest), expect, "{line}");
        };
        check("ready", Some(Ask::Ready(proto::Ready {})));
        check("ready now", None);
        check("break lunch at noon", Some(Ask::NotReady(proto::NotReady { reason: "lunch at noon".into() })));
        check("break", Some(Ask::NotReady(proto::NotReady { reason: String::new() })));
        let data = [("name".to_owned(), "Jo".to_owned()), ("category".to_owned(), "vpn".to_owned())].into();
        check("attach name=Jo category=vpn", Some(Ask::Attach(proto::Attach { call: String::new(), data })));
        let data = [("name".to_owned(), "Jo Doe".to_owned()), ("summary".to_owned(), "mail is down".to_owned())].into();
        let attach = proto::Attach { call: String::new(), data };
        check("attach name=\"Jo Doe\"  \"summary=mail is down\"", Some(Ask::Attach(attach)));
        check("attach name=\"Jo", None);
        check("attach Jo", None);
        check("attach", None);
        let skills = [("network".to_owned(), 5)].into();
        let dispatch = proto::Dispatch { queue: "level-1".into(), skills, ..Default::default() };
        check("dispatch level-1 network=5", Some(Ask::Dispatch(dispatch)));
        let skills = [("network".to_owned(), 5)].into();
        let dispatch = proto::Dispatch { queue: "level-1".into(), skills, priority: 9, ..Default::default() };
        check("dispatch level-1 network=5 +9", Some(Ask::Dispatch(dispatch)));
        check("dispatch level-1 +many", None);
        check("dispatch", None);
        let transfer = |to| Some(Ask::Transfer(proto::Transfer { call: String::new(), to: Some(to) }));
        check("transfer agent 1002", transfer(proto::transfer::To::Agent(1002)));
        check("transfer number +4930123", transfer(proto::transfer::To::Number("+4930123".into())));
        check("transfer level-1", transfer(proto::transfer::To::Queue("level-1".into())));
        check("transfer level-1 network=5", None);
        check("transfer number", None);
        check("transfer agent Ben", None);
        let dispose =
            proto::Dispose { call: String::new(), disposition: "solved".into(), notes: "it was the cable".into() };
        check("dispose solved it was the cable", Some(Ask::Dispose(dispose)));
        check("more", Some(Ask::MoreTime(proto::MoreTime { seconds: 0 })));
        check("more 90", Some(Ask::MoreTime(proto::MoreTime { seconds: 90 })));
        check("more time", None);
        check("sing", None);
        let banner = proto::SwitchBanner { banner: "outage".into(), on: false };
        check("banner off outage", Some(Ask::SwitchBanner(banner)));
        check("banner outage", None);
    }

    #[test]
    fn who_mistypes_a_line_is_told_how_it_is_written() {
        for (line, expect) in [
            ("dispose", "`dispose` is not understood; allowed: dispose WORD [NOTES]"),
            ("attach ticket", "`attach ticket` is not understood; allowed: attach NAME=VALUE …"),
            ("redy", "nothing is called `redy` here; `help` says what can be typed; did you mean \"ready\"?"),
            (
                "help dispos",
                "nothing is called `dispos` here; `help` says what can be typed; did you mean \"dispose\"?",
            ),
            ("wait", "`wait` is not understood; allowed: wait EVENT [SECONDS]"),
            ("wait establishd", "there is no event `establishd`; allowed: snapshot, "),
            ("wait established soon", "`soon` is no time to wait for `established`; allowed: 1 to 86400 seconds"),
            ("wait established 0", "`0` is no time to wait for `established`; allowed: 1 to 86400 seconds"),
        ] {
            let told = read(line).expect_err(line);
            assert!(told.starts_with(expect), "{told}");
        }
    }

    #[test]
    fn remarks_waits_and_help_are_no_business_of_the_server_s() {
        let wait =
            |seconds: Option<u64>| Line::Wait { event: "established".into(), limit: seconds.map(Duration::from_secs) };
        for (line, expect) in [
            ("", Line::Nothing),
            ("# the phone first", Line::Nothing),
            (" quit ", Line::Quit),
            ("wait established", wait(None)),
            ("wait established 90", wait(Some(90))),
            ("ready", Line::Ask(Ask::Ready(proto::Ready {}))),
        ] {
            assert_eq!(read(line), Ok(expect), "{line}");
        }
        let Ok(Line::Help(one)) = read("help more") else { panic!("help of one line") };
        assert!(one.trim().starts_with("more [SECONDS]") && help().contains(&one), "{one}");
    }
}
