//! Signals: what asks the server to stop.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM, SIGINT | drain; a second one: stop at once |
//! | SIGHUP | certificates are read again ([`super::signaling::tls`]); calls go on. Sent by the system because the terminal that `serve` was started at is gone: drain |

use super::journal::Entry;
use anyhow::Result;
use std::io::IsTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};

const KEPT: &str = "SIGHUP: certificates for SIP, if there are any, are read again; nothing else is";

/// Signals from here on: one that comes while another is being looked at is not lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Somebody started the server at a terminal.
    attended: bool,
}

impl Signals {
    /// # Errors
    /// The system takes no handlers.
    pub fn new(runtime: &tokio::runtime::Handle) -> Result<Signals> {
        let _in_runtime = runtime.enter();
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            attended: std::io::stdin().is_terminal(),
        })
    }

    /// Returns when one asks to stop; `again`, while it stops already. A terminal that goes may say so twice, and asks for
    /// no hurry.
    pub async fn asks_to_stop(&mut self, again: bool) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
            match self.attended && !std::io::stdin().is_terminal() {
                true if again => {}
                true => return,
                false => Entry::info("server", KEPT).tell(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Who sends both at once wants it to stop now; one of them alone lets it drain.
    #[test]
    fn a_second_signal_is_heard_while_the_first_is_looked_at() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut signals = Signals::new(&tokio::runtime::Handle::current()).unwrap();
            for signal in [libc::SIGINT, libc::SIGTERM] {
                // SAFETY: a signal to this process, which has a handler for it.
                assert_eq!(unsafe { libc::raise(signal) }, 0);
            }
            signals.asks_to_stop(false).await;
            let again = tokio::time::timeout(Duration::from_secs(20), signals.asks_to_stop(true)).await;
            assert!(again.is_ok(), "the second signal was lost");
            let third = tokio::time::timeout(Duration::ZERO, signals.asks_to_stop(true)).await;
            assert!(third.is_err(), "and each counts once");
        });
    }
}
