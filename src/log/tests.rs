//! Lines of the log, old and new, and what is open.

use super::*;
use crate::event::{
    AgentMode, Cause, DivertReason, NoChoice, OfferOutcome, Party, Personal, PersonalKind, Phase, ReasonProtocol,
    StepWay, TransferProblem, TransferTo, TrunkMode, TrunkProblem,
};
use crate::ids::{QueueId, WorkId};
use crate::time::Wall;
use std::collections::BTreeSet;

fn event(what: What) -> Event {
    Event { seq: 7, at: Wall(1000), call: Some(CallId(1)), what }
}

#[test]
fn a_line_holds_no_personal_text_and_reads_back() {
    let number = Personal { kind: PersonalKind::Number, handle: 255, text: Some("+4930123456".into()) };
    let arrived = event(What::arrives(LegId(2), None, number.clone()));
    let line = encode(&arrived);
    assert!(!line.contains("4930123456"), "{line}");
    assert!(!format!("{arrived:?}").contains("4930123456"));
    let mut back = decode(VERSION, &line).unwrap();
    assert_ne!(back, arrived);
    back.what.personal_mut().unwrap().text = number.text;
    assert_eq!(back, arrived);
}

#[test]
fn newer_and_broken_lines_are_refused_with_words() {
    assert_eq!(decode(VERSION + 1, "{}").unwrap_err(), Unreadable::Version(VERSION + 1));
    assert!(matches!(decode(VERSION, "{"), Err(Unreadable::Form(_))));
    assert!(matches!(decode(VERSION, r#"{"seq":1,"at":2,"what":{"type":"Nonsense"}}"#), Err(Unreadable::Form(_))));
}

fn changes_of(event: &Event) -> Vec<OpenChange> {
    open_changes(event).collect()
}

#[test]
fn whatever_opens_is_closed_by_its_own_end() {
    let ended = event(What::CallEnded { cause: Cause::FlowEnded, phase: Phase::InFlow });
    assert_eq!(
        changes_of(&ended),
        [OpenChange::Close(OpenKey::Call(CallId(1))), OpenChange::Close(OpenKey::Wait(CallId(1)))]
    );
    let diverted = What::Diverted { work: WorkId(1), queue: QueueId::new("sales"), why: DivertReason::Full };
    assert_eq!(changes_of(&event(diverted)), [OpenChange::Close(OpenKey::Wait(CallId(1)))]);
    let cleared = What::ConnectionCleared { leg: LegId(9), party: Party::Caller, cause: Cause::Silent };
    assert_eq!(changes_of(&event(cleared)), [OpenChange::Close(OpenKey::Leg(LegId(9)))]);
    assert_eq!(changes_of(&event(What::DrainStarted)), []);
}

#[test]
fn the_end_of_a_call_or_a_log_in_is_an_agents_turn_until_he_logs_out() {
    use AgentMode::{Busy, LoggedOut, NotReady, Ready, Reserved, WrapUp};
    let (turn, service) = (OpenKey::Turn(AgentId(7)), OpenKey::Service(AgentId(7)));
    let opens = || OpenChange::Open(turn.clone());
    let closes = |key: &OpenKey| OpenChange::Close(key.clone());
    let reachable = |reachable| event(What::PhoneReachable { agent: AgentId(7), reachable });
    assert_eq!(changes_of(&reachable(false)), [OpenChange::Open(OpenKey::Silent(AgentId(7)))]);
    assert_eq!(changes_of(&reachable(true)), [OpenChange::Close(OpenKey::Silent(AgentId(7)))]);
    let silent = OpenKey::Silent(AgentId(7));
    let rows = [
        (LoggedOut, Ready, "SignedIn", vec![closes(&service), opens()]),
        (LoggedOut, NotReady, "lunch", vec![closes(&service), opens()]),
        (LoggedOut, WrapUp, "SignedIn", vec![opens()]),
        (Busy, WrapUp, "ConversationEnded", vec![opens()]),
        (Busy, Ready, "ConversationEnded", vec![closes(&service), opens()]),
        (Busy, NotReady, "lunch", vec![closes(&service), opens()]),
        (Busy, Ready, "Vacated", vec![closes(&service)]),
        (WrapUp, Ready, "WrapUpEnded", vec![closes(&service)]),
        (Ready, Reserved, "Offered", vec![]),
        (NotReady, Ready, "Asked", vec![]),
        (Ready, LoggedOut, "SignedOut", vec![closes(&turn), closes(&silent)]),
        (WrapUp, LoggedOut, "SignedOut", vec![closes(&turn), closes(&silent)]),
        (Busy, LoggedOut, "ConversationEnded", vec![closes(&turn), closes(&silent)]),
    ];
    for (from, to, reason, expect) in rows {
        let what = What::AgentStateChanged { agent: AgentId(7), from, to, reason: reason.to_owned() };
        assert_eq!(changes_of(&event(what)), expect, "{from:?} to {to:?}, {reason}");
    }
}

#[test]
fn the_fingerprint_depends_on_every_byte_and_the_order() {
    let of = |lines: &[&str]| {
        let mut f = Fingerprint::default();
        lines.iter().for_each(|l| f.add(l));
        f.to_string()
    };
    assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    assert_ne!(of(&["ab"]), of(&["a", "b"]));
}

/// Lines as version 1 wrote them, one of each kind. They are never changed: who has such a log keeps it.
const OLD: &str = include_str!("version_1.jsonl");

#[test]
fn what_version_1_wrote_is_read() {
    let mut read = BTreeSet::new();
    for line in OLD.lines() {
        let event = decode(1, line).unwrap_or_else(|why| panic!("{why}: {line}"));
        read.insert(event.what.name());
    }
    let known: BTreeSet<&str> = SINCE[0].1.split_whitespace().filter_map(|word| word.strip_prefix("What.")).collect();
    assert_eq!(read, known);
}

/// The words that lines are made of, and the version since which each is written.
const SINCE: [(u32, &str); 9] = [
    (
        1,
        "What.EngineStarted What.DrainStarted What.Reconfigured What.CallArrived What.CallAnswered What.StepEntered \
         What.DigitKeyed What.Queued What.Delivered What.OfferEnded What.Established What.Diverted What.Held \
         What.Retrieved What.LegConfirmed What.ConnectionCleared What.CallEnded What.PhoneRegistered \
         What.PhoneUnregistered What.PhoneReachable What.AgentStateChanged What.BreakBegan What.BreakEnded \
         What.Repaired AgentMode.LoggedOut AgentMode.NotReady AgentMode.Ready AgentMode.Reserved AgentMode.Busy \
         AgentMode.WrapUp OfferOutcome.Accepted OfferOutcome.Declined OfferOutcome.NoAnswer \
         OfferOutcome.Unreachable OfferOutcome.CallerLeft OfferOutcome.Withdrawn OfferOutcome.Failed \
         DivertReason.Full DivertReason.MaxWait DivertReason.Refused Party.Caller Party.Agent Phase.Arriving \
         Phase.InFlow Phase.Queued Phase.Alerting Phase.Connected Cause.CallerHungUp Cause.AgentHungUp \
         Cause.FlowEnded Cause.Commanded Cause.Declined Cause.NoAnswer Cause.Unreachable Cause.Withdrawn \
         Cause.Silent Cause.NoMedia Cause.Exhausted Cause.Protocol Cause.Restart Cause.Defect \
         PersonalKind.Number PersonalKind.Digit PersonalKind.Dialog PersonalKind.Binding",
    ),
    (
        2,
        "What.NothingChosen NoChoice.NoKey NoChoice.WrongKey Cause.Stopped What.Transferred TransferTo.Queue \
         TransferTo.Agent TransferTo.Number Cause.Transferred What.DataAttached What.Disposed \
         PersonalKind.Text What.DeskEntered What.DeskLeft DivertReason.NoStaff DivertReason.LongWait \
         What.OutsideCalled What.NetworkReached What.TrunkFailed What.OutsideJoined What.TransferFailed \
         What.TrunkStateChanged What.TrunkRegistered TrunkMode.Unknown TrunkMode.Up TrunkMode.Down \
         TrunkProblem.Full TrunkProblem.Unreachable TrunkProblem.Overloaded TrunkProblem.Refused \
         TransferProblem.Busy TransferProblem.NoAnswer TransferProblem.Refused TransferProblem.NoTrunk \
         Party.Outside Cause.OutsideHungUp What.StepDecided What.PersonAsked What.FlowAttached \
         What.BannerSwitched DivertReason.Left StepWay.Open StepWay.Closed StepWay.Holiday StepWay.Case \
         StepWay.Otherwise StepWay.Collected StepWay.Found StepWay.NotFound StepWay.Failed StepWay.Announced StepWay.Left",
    ),
    (3, "What.CommandDone"),
    (4, "What.LegInvited"),
    // And `for_phone` of `DeskLeft`.
    (5, "What.LegMoved"),
    (6, "What.AgentReachable"),
    // And `served` of `Queued`.
    (7, "DivertReason.NotTaken"),
    // And `alive` of `EngineStarted`.
    (8, "What.LegHeard"),
    (9, "What.ReasonGiven ReasonProtocol.Sip ReasonProtocol.Q850"),
];

/// All words of an enumeration of the log: serde lists them when it meets one that is none of them.
fn words<T: for<'a> Deserialize<'a>>(of: &str) -> Vec<String> {
    let wrong = [r#""?""#, r#"{"type":"?"}"#].map(|text| serde_json::from_str::<T>(text).err());
    let listed =
        |why: serde_json::Error| Some(why.to_string().split_once("unknown variant `?`, expected")?.1.to_owned());
    let list = wrong.into_iter().flatten().find_map(listed).expect("`?` is no word");
    list.split('`').skip(1).step_by(2).map(|word| format!("{of}.{word}")).collect()
}

/// An older Tierline must not meet a word it does not know under a version that it reads.
#[test]
fn a_new_word_raises_the_version() {
    let written = [
        words::<What>("What"),
        words::<AgentMode>("AgentMode"),
        words::<OfferOutcome>("OfferOutcome"),
        words::<NoChoice>("NoChoice"),
        words::<DivertReason>("DivertReason"),
        words::<StepWay>("StepWay"),
        words::<Party>("Party"),
        words::<TransferTo>("TransferTo"),
        words::<TransferProblem>("TransferProblem"),
        words::<TrunkMode>("TrunkMode"),
        words::<TrunkProblem>("TrunkProblem"),
        words::<Phase>("Phase"),
        words::<Cause>("Cause"),
        words::<PersonalKind>("PersonalKind"),
        words::<ReasonProtocol>("ReasonProtocol"),
    ];
    let written: BTreeSet<String> = written.into_iter().flatten().collect();
    let listed: BTreeSet<String> =
        SINCE.iter().flat_map(|(_, words)| words.split_whitespace()).map(str::to_owned).collect();
    let why = "raise VERSION for what is new and list it under the new version; what was a word stays one";
    assert_eq!(written, listed, "{why}");
    assert_eq!(SINCE.last().map(|(version, _)| *version), Some(VERSION));
}
