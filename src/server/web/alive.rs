//! Whether the engine's thread does anything at all. A page that is always well would let an orchestrator keep a process
//! whose engine stands still: whoever asks leaves a look for it, and it is well as long as the look before was answered, or
//! is not old yet.

use crate::engine::Engine;
use crate::server::clock::Clock;
use crate::server::inbox::{Inbox, Message};
use crate::time::Instant;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub struct Alive {
    inbox: Inbox,
    clock: Clock,
    /// It is well that long without an answer.
    patience: Duration,
    asked: Mutex<Option<(Instant, Receiver<()>)>>,
}

impl Alive {
    pub fn new(inbox: Inbox, patience: Duration) -> Alive {
        Alive { inbox, clock: Clock::start(), patience, asked: Mutex::default() }
    }

    /// For how long the engine has not answered, if that is too long. Waits for nobody.
    pub fn silent(&self) -> Option<Duration> {
        self.silent_at(self.clock.now())
    }

    fn silent_at(&self, now: Instant) -> Option<Duration> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take_if(|(_, answer)| answer.try_recv() == Ok(()));
        let (since, _) = asked.get_or_insert_with(|| {
            let (answer, said) = channel();
            let look = Message::Look(Box::new(move |_: &Engine| _ = answer.send(())));
            _ = self.inbox.send(look); // if nobody takes it, nobody answers
            (now, said)
        });
        let silent = now.since(*since);
        (silent >= self.patience).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::inbox::Messages;
    use crate::sim::{Options, World};

    /// What the engine's thread does with its messages; how many there were.
    fn answers(messages: &Messages) -> usize {
        let looks = std::iter::from_fn(|| messages.next()).filter_map(|message| match message {
            Message::Look(look) => Some(look),
            _ => None,
        });
        let world = World::new(Options { record: true, ..Options::swarm(1) });
        let (start, config, _) = world.recording();
        let engine = Engine::new(start.clone(), config.clone());
        looks.map(|look| look(&engine)).count()
    }

    #[test]
    fn an_engine_that_stands_still_is_not_well_after_its_time() {
        let (inbox, messages) = Inbox::new().unwrap();
        let alive = Alive::new(inbox, Duration::from_secs(60));
        let silent = |second| alive.silent_at(Instant::ZERO + Duration::from_secs(second)).map(|time| time.as_secs());
        assert_eq!((silent(0), answers(&messages)), (None, 1));
        assert_eq!((silent(100), answers(&messages)), (None, 1), "it answered long ago");
        assert_eq!((silent(200), silent(259)), (None, None));
        assert_eq!((silent(260), silent(500)), (Some(60), Some(300)));
        assert_eq!(answers(&messages), 1, "one look is enough");
        assert_eq!((silent(501), silent(560)), (None, None));
    }
}
