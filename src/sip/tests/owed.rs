//! Phones that were not reached when their call ended, and register again: what they are told, when, and over what.

use super::phones::Phone;
use super::*;
use crate::sip::header::Name;

/// Of a phone behind a NAT, whose Contact leads nowhere, and of one that takes connections there.
const HIDDEN: &str = "sip:1001@192.168.1.7:40000;transport=tcp";
const OPEN: &str = "sip:1001@10.0.0.2:5070;transport=tcp";

/// A center, one of whose phones has registered over connection 1.
struct Scene {
    phone: Phone,
    contact: &'static str,
    leg: LegId,
    /// The INVITE, once one has gone out.
    invite: Option<Request>,
    record: Option<InviteRecord>,
}

fn flow(connection: u64) -> Flow {
    Flow { listener: 0, transport: Transport::Tcp, remote: "10.0.0.2:40000".parse().unwrap(), connection }
}

/// `BYE 6` for a BYE over connection 6, `CANCEL 10.0.0.2:5070` for one over a connection that is still to be made.
fn asked(outputs: &[Output]) -> Vec<String> {
    let one = |output: &Output| match output {
        Output::Send { flow, bytes } => match Message::parse(bytes, &Limits::default()).unwrap() {
            Message::Request(Request { method: Method::Ack | Method::Options, .. }) | Message::Response(_) => None,
            Message::Request(request) if flow.connection == 0 => Some(format!("{} {}", request.method, flow.remote)),
            Message::Request(request) => Some(format!("{} {}", request.method, flow.connection)),
        },
        _ => None,
    };
    outputs.iter().filter_map(one).collect()
}

impl Scene {
    fn new(contact: &'static str) -> Scene {
        let mut phone = Phone::new();
        phone.raw.endpoint.config.listeners[0].transport = Transport::Tcp;
        let leg = phone.raw.endpoint.next_leg();
        let mut scene = Scene { phone, contact, leg, invite: None, record: None };
        scene.registers("1001", 1);
        scene
    }

    /// Whoever it is comes over a connection; what goes out to it beside its answers.
    fn registers(&mut self, user: &str, connection: u64) -> Vec<String> {
        self.phone.raw.over = Some(flow(connection));
        self.phone.renew();
        let outputs = self.phone.proven(
            "REGISTER",
            user,
            &format!("To: <sip:{user}@10.0.0.1>\nContact: <{}>\n", self.contact),
            1,
        );
        assert_eq!(statuses(&outputs), [200]);
        self.answered_by(200, outputs)
    }

    /// The phone answers each BYE and CANCEL with this status, and a CANCEL's INVITE with 487 if that is 200.
    fn answered_by(&mut self, status: u16, outputs: Vec<Output>) -> Vec<String> {
        let told = asked(&outputs);
        for request in requests(&outputs) {
            if matches!(request.method, Method::Bye | Method::Cancel) {
                self.answers(&request, status);
            }
            if request.method == Method::Cancel && status == 200 {
                let invite = self.invite.clone().expect("it rings");
                assert_eq!(request.headers.top_via(), invite.headers.top_via(), "§9.1");
                self.answers(&invite, 487);
            }
        }
        told
    }

    fn answers(&mut self, request: &Request, status: u16) -> Vec<Output> {
        let mut response = Response::to_request(request, status, Some("phone"));
        response.headers.push(Name::Contact, format!("<{}>", self.contact));
        let flow = self.phone.raw.over.unwrap();
        self.phone.raw.input(Input::Received { flow, bytes: response.to_bytes() })
    }

    fn rings(&mut self) {
        let call = offering(invite_of(self.leg, self.contact, Some(flow(1))), Body::sdp("offer"));
        let outputs = self.phone.raw.input(Input::Command(call));
        let record = |output: &Output| match output {
            Output::Event(Event::Calling { invite, .. }) => Some(invite.clone()),
            _ => None,
        };
        self.record = outputs.iter().find_map(record);
        let invite = requests(&outputs).into_iter().find(is(Method::Invite)).unwrap();
        self.answers(&invite, 180);
        self.invite = Some(invite);
    }

    fn talks(&mut self) {
        self.rings();
        let invite = self.invite.clone().unwrap();
        assert_eq!(requests(&self.answers(&invite, 200))[0].method, Method::Ack);
    }

    fn breaks(&mut self, connection: u64) -> Vec<Output> {
        self.phone.raw.input(Input::TransportFailed { flow: flow(connection) })
    }

    fn hangs_up(&mut self) -> Vec<Output> {
        self.phone.raw.input(Input::Command(Command::HangUp { leg: self.leg, reason: None }))
    }

    /// A connection to there cannot be made.
    fn refused(&mut self, remote: &str) {
        let flow = Flow { remote: remote.parse().unwrap(), ..flow(0) };
        self.phone.raw.input(Input::TransportFailed { flow });
    }

    /// A new start, which knows what was written down, takes back what rang.
    fn starts_anew(&mut self) -> Vec<Output> {
        let mut anew = Scene::new(self.contact);
        std::mem::swap(&mut self.phone, &mut anew.phone);
        // The new start's phone has not registered yet.
        let mut config = self.phone.raw.endpoint.config.clone();
        config.keepalive = None;
        self.phone.raw.endpoint = Endpoint::new(config, Rng::from_number(8), IdCounter::new(4, 1));
        let text = serde_json::to_string(&self.record).unwrap();
        let invite = serde_json::from_str::<Option<InviteRecord>>(&text).unwrap().expect("it was written down");
        self.leg = self.phone.raw.endpoint.next_leg();
        let restore = Command::RestoreInvite { leg: self.leg, invite };
        self.phone.raw.input(Input::Command(restore));
        self.hangs_up()
    }
}

#[test]
fn who_talked_when_his_connection_broke_gets_his_bye_when_he_is_back() {
    let mut scene = Scene::new(HIDDEN);
    scene.talks();
    scene.breaks(1);
    scene.hangs_up();
    scene.refused("192.168.1.7:40000");
    assert_eq!(scene.registers("1002", 5), Vec::<String>::new(), "a colleague");
    assert_eq!(scene.registers("1001", 6), ["BYE 6"]);
    assert_eq!(scene.registers("1001", 7), Vec::<String>::new(), "once");
}

#[test]
fn who_rang_when_his_connection_broke_stops_when_he_is_back() {
    let mut scene = Scene::new(HIDDEN);
    scene.rings();
    let failed = scene.breaks(1);
    assert!(failed.iter().any(|output| matches!(output, Output::Event(Event::Failed { .. }))), "{failed:?}");
    assert_eq!(scene.registers("1001", 6), ["CANCEL 6"]);
    assert_eq!(scene.registers("1001", 7), Vec::<String>::new(), "once");
}

#[test]
fn a_phone_that_answered_meanwhile_gets_ack_and_bye() {
    let mut scene = Scene::new(HIDDEN);
    scene.rings();
    scene.breaks(1);
    let mut outputs = Vec::new();
    scene.phone.raw.over = Some(flow(6));
    scene.phone.renew();
    outputs.extend(scene.phone.proven("REGISTER", "1001", &format!("Contact: <{HIDDEN}>\n"), 1));
    assert_eq!(asked(&outputs), ["CANCEL 6"]);
    let invite = scene.invite.clone().unwrap();
    let outputs = scene.answers(&invite, 200);
    let methods: Vec<_> = requests(&outputs).into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
    assert_eq!(asked(&outputs), ["BYE 6"]);
}

#[test]
fn a_start_takes_back_what_rang_over_a_connection_of_the_start_before() {
    // At its Contact, if that is where it was.
    let mut scene = Scene::new(OPEN);
    scene.rings();
    assert_eq!(asked(&scene.starts_anew()), ["CANCEL 10.0.0.2:5070"]);
    // If nobody is there, or it is behind a NAT: when it comes.
    scene.refused("10.0.0.2:5070");
    assert_eq!(scene.registers("1001", 6), ["CANCEL 6"]);
    let mut scene = Scene::new(HIDDEN);
    scene.rings();
    assert_eq!(asked(&scene.starts_anew()), ["CANCEL 10.0.0.2:40000"]);
    scene.refused("10.0.0.2:40000");
    assert_eq!(scene.registers("1002", 5), Vec::<String>::new());
    assert_eq!(scene.registers("1001", 6), ["CANCEL 6"]);
    assert_eq!(scene.registers("1001", 7), Vec::<String>::new());
}

/// Of two phones it may be the other one that comes first, which knows nothing of it.
#[test]
fn each_phone_of_a_user_is_asked_until_one_knows_the_call() {
    let mut scene = Scene::new(HIDDEN);
    scene.talks();
    scene.breaks(1);
    scene.hangs_up();
    scene.refused("192.168.1.7:40000");
    scene.phone.raw.over = Some(flow(6));
    scene.phone.renew();
    let outputs = scene.phone.proven("REGISTER", "1001", "Contact: <sip:1001@192.168.1.8:40000;transport=tcp>\n", 1);
    assert_eq!(scene.answered_by(481, outputs), ["BYE 6"]);
    let outputs = scene.phone.proven("REGISTER", "1001", "Contact: <sip:1001@192.168.1.8:40000;transport=tcp>\n", 1);
    assert_eq!(asked(&outputs), Vec::<String>::new(), "its refresh");
    assert_eq!(scene.registers("1001", 7), ["BYE 7"]);
    assert_eq!(scene.registers("1001", 8), Vec::<String>::new());
}

#[test]
fn what_is_long_over_is_told_to_nobody() {
    for (minutes, expect) in [(9, vec!["BYE 6"]), (11, vec![])] {
        let mut scene = Scene::new(HIDDEN);
        scene.talks();
        scene.breaks(1);
        scene.hangs_up();
        scene.refused("192.168.1.7:40000");
        scene.phone.raw.run(minutes * 60_000);
        assert_eq!(scene.registers("1001", 6), expect, "{minutes}");
    }
}

/// Nobody who only leaves, or was heard in time, is told anything.
#[test]
fn nothing_is_owed_to_who_was_told() {
    let mut scene = Scene::new(HIDDEN);
    scene.talks();
    let outputs = scene.hangs_up();
    assert_eq!(scene.answered_by(200, outputs), ["BYE 1"]);
    scene.breaks(1);
    assert_eq!(scene.registers("1001", 6), Vec::<String>::new());
    // An INVITE that was never heard rings nowhere.
    let mut scene = Scene::new(HIDDEN);
    scene.phone.raw.input(Input::Command(invite_of(scene.leg, HIDDEN, Some(flow(1)))));
    scene.breaks(1);
    assert_eq!(scene.registers("1001", 6), Vec::<String>::new());
}

/// Whoever is back before it is known that his old way leads nowhere need not register once more.
#[test]
fn who_was_back_before_his_old_way_failed_is_told_then() {
    for rings in [false, true] {
        let mut scene = Scene::new(HIDDEN);
        if rings {
            scene.rings()
        } else {
            scene.talks()
        }
        assert_eq!(scene.registers("1001", 6), Vec::<String>::new());
        scene.phone.raw.over = Some(flow(6));
        let before = asked(&scene.hangs_up());
        let outputs = scene.breaks(1);
        let (first, then) = if rings { ("CANCEL 1", "CANCEL 6") } else { ("BYE 1", "BYE 6") };
        assert_eq!((before, scene.answered_by(200, outputs)), (vec![first.to_owned()], vec![then.to_owned()]));
        assert_eq!(scene.registers("1001", 7), Vec::<String>::new());
    }
}

/// The same of one that rings: the phone that knows it comes while the other one's CANCEL is still waited for.
#[test]
fn each_phone_of_a_user_is_asked_which_of_them_rings() {
    let mut scene = Scene::new(HIDDEN);
    scene.rings();
    scene.breaks(1);
    scene.phone.raw.over = Some(flow(6));
    scene.phone.renew();
    let outputs = scene.phone.proven("REGISTER", "1001", "Contact: <sip:1001@192.168.1.8:40000;transport=tcp>\n", 1);
    assert_eq!(scene.answered_by(481, outputs), ["CANCEL 6"]);
    assert_eq!(scene.registers("1001", 7), ["CANCEL 7"]);
    assert_eq!(scene.registers("1001", 8), Vec::<String>::new());
}
