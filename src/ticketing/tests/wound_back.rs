//! A log that is put back from a copy gives the numbers and the ids that it has lost again, to others.

use super::*;

/// A ticketing system that keeps what the proto file asks for: it does what a key says once, and gives the same answer again.
#[derive(Default)]
struct System {
    known: BTreeMap<String, String>,
    /// What it took for new, by call.
    took: Vec<(CallId, String)>,
}

impl System {
    /// Answers all that is said; the tickets that were told of a call.
    fn serves(&mut self, scene: &mut Scene) -> BTreeMap<CallId, String> {
        let mut tickets = BTreeMap::new();
        while let Some((call, request)) = scene.sent().pop() {
            let answer = match &request {
                Request::Find(_) => found(),
                Request::Open(it) => {
                    let ticket = self.once(call, &it.key);
                    tickets.insert(call, ticket.clone());
                    opened(&ticket)
                }
                Request::Pop(proto::ScreenPopRequest { key, .. })
                | Request::Follow(proto::FollowCallRequest { key, .. }) => {
                    self.once(call, key);
                    Ok(Response::Taken)
                }
            };
            scene.outbox.handle(Wall(scene.now), Input::Answered { call, result: answer });
        }
        tickets
    }

    fn once(&mut self, call: CallId, key: &str) -> String {
        let next = (1_000 + self.known.len()).to_string();
        if !self.known.contains_key(key) {
            self.took.push((call, bare(key).to_owned()));
        }
        self.known.entry(key.to_owned()).or_insert(next).clone()
    }
}

/// One who waits, talks and hangs up, at `now`: `offer` is the number of what was offered.
fn talked(scene: &mut Scene, now: i64, offer: u64) {
    scene.now = now;
    scene.arrives(CALL);
    scene.rings(offer, 1001);
    scene.answered(offer, 1001);
    scene.ends();
}

/// The same numbers, calls and offers once more, as after a start whose number was lost with the log: nothing of it is
/// swallowed, and who calls now has no ticket of who called then. What was told and is in the log still is known by its key.
#[test]
fn a_log_that_is_put_back_tells_what_is_new_and_nobody_gets_anothers_ticket() {
    let (mut system, mut scene) = (System::default(), Scene::new());
    scene.arrives(CallId(9));
    let copy = scene.log.clone();
    talked(&mut scene, 60_000, 1);
    let lost = system.serves(&mut scene);
    let first = std::mem::take(&mut system.took);
    let mut scene = Scene::new();
    for event in copy {
        scene.log.push(event.clone());
        scene.outbox.handle(Wall(120_000), Input::Event(Box::new(event)));
    }
    talked(&mut scene, 120_000, 1);
    let now = system.serves(&mut scene);
    assert_eq!(first, system.took, "the same happened, and all of it is new");
    assert!(first.len() == 4 && now.len() == 1 && now != lost, "{lost:?}, and now {now:?}");
    // The whole log again, as where nothing is known of what was told: nothing new, and the same ticket.
    let log = std::mem::take(&mut scene.log);
    let mut scene = Scene::new();
    system.took.clear();
    log.into_iter().for_each(|event| scene.outbox.handle(Wall(121_000), Input::Event(Box::new(event))));
    scene.now = 121_000;
    assert_eq!((system.serves(&mut scene), system.took), (now, Vec::new()));
}

/// Keys had no time once: what was done then is not done again.
#[test]
fn what_an_earlier_version_has_done_is_known() {
    let done =
        ["pop-r0-0-1", "follow-5", "open-c0-0-1"].map(|key| (format!("{}-{key}", log_name(LOG)), "77".to_owned()));
    let mut scene = Scene { outbox: begun(done.into(), 1), log: Vec::new(), now: 0 };
    talked(&mut scene, 0, 1);
    assert_eq!(scene.says(), "find +4930123");
    assert_eq!(scene.hears(found()), "follow-7 [77]");
}
