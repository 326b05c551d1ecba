//! The way to the engine's thread for all but datagrams: a queue, and a wake-up for a thread that waits in epoll.

use super::net::{Epoll, Wake};
use crate::engine::{Engine, Input};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use tokio::sync::OwnedSemaphorePermit;

/// What reaches the engine's thread.
pub enum Message {
    Input(Input),
    /// What came over a connection, and its room, given back when it has been handled: a connection that floods waits
    /// for its own messages and for nobody else's.
    Framed(Input, Room),
    /// Looks at the engine between two inputs: for metrics and readiness.
    Look(Box<dyn FnOnce(&Engine) + Send>),
    /// Ends the thread.
    Stop,
    /// The process cannot go on, and why.
    Failed(String),
}

/// A connection's share of the inbox: one message, and its bytes.
pub struct Room {
    pub turn: OwnedSemaphorePermit,
    pub bytes: OwnedSemaphorePermit,
}

/// Where to leave messages.
#[derive(Clone)]
pub struct Inbox {
    queue: Sender<Message>,
    wake: Wake,
    waiting: Arc<AtomicU64>,
}

/// The engine's thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Inbox {
    /// The way in, and the end that the engine's thread reads.
    pub fn new() -> io::Result<(Inbox, Messages)> {
        let ((queue, messages), wake, waiting) = (channel(), Wake::new()?, Arc::<AtomicU64>::default());
        let inbox = Inbox { queue, wake: wake.clone(), waiting: Arc::clone(&waiting) };
        Ok((inbox, Messages { queue: messages, wake, waiting }))
    }

    /// Leaves a message. Costs a system call only if the engine's thread sleeps.
    pub fn send(&self, message: Message) -> Result<(), Ended> {
        self.waiting.fetch_add(1, Relaxed); // before it may be taken
        self.queue.send(message).map_err(|_| Ended)?;
        self.wake.wake();
        Ok(())
    }

    /// How many messages have been left and not been taken.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }
}

/// The end that the engine's thread reads.
pub struct Messages {
    queue: Receiver<Message>,
    wake: Wake,
    waiting: Arc<AtomicU64>,
}

impl Messages {
    /// `epoll` tells `token` when a message has come since [`Messages::may_sleep`].
    pub fn watch(&self, epoll: &Epoll, token: u64) -> io::Result<()> {
        epoll.add_wake(&self.wake, token)
    }

    /// The next message, if one has come; `Stop` if nobody can send any more.
    pub fn next(&self) -> Option<Message> {
        match self.queue.try_recv() {
            Ok(message) => {
                self.waiting.fetch_sub(1, Relaxed);
                Some(message)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Message::Stop),
        }
    }

    /// Whether nothing has been left that was not taken.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// To be asked before each sleep. From here on a message wakes; until the next call none costs its sender a
    /// system call. What came meanwhile must be looked at before sleeping, so it is returned.
    pub fn may_sleep(&self) -> Option<Message> {
        self.wake.clear();
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_message_wakes_who_sleeps_and_none_is_overlooked() {
        let ((inbox, messages), mut epoll) = (Inbox::new().unwrap(), Epoll::new().unwrap());
        messages.watch(&epoll, 3).unwrap();
        let mut woken = |limit| epoll.wait(limit).unwrap().collect::<Vec<_>>();
        let now = Some(Duration::ZERO);
        assert!(messages.may_sleep().is_none() && woken(now).is_empty());
        inbox.send(Message::Stop).unwrap();
        inbox.send(Message::Stop).unwrap();
        assert_eq!(inbox.waiting(), 2);
        assert_eq!(woken(None), [3]);
        assert!(messages.may_sleep().is_some(), "what came while nobody slept");
        assert!(messages.next().is_some() && messages.next().is_none());
        assert_eq!(inbox.waiting(), 0);
        assert!(woken(now).is_empty(), "the wake-up is used up");
        drop(messages);
        assert_eq!(inbox.send(Message::Stop), Err(Ended));
    }

    #[test]
    fn an_inbox_that_nobody_can_fill_ends_its_reader() {
        let (inbox, messages) = Inbox::new().unwrap();
        drop(inbox);
        assert!(matches!(messages.next(), Some(Message::Stop)));
    }
}
