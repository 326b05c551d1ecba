//! Signals: what asks the server to stop.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM, SIGINT | drain; a second one: stop at once |
//! | SIGHUP | certificates are read again ([`super::signaling::tls`]); calls go on. Sent by the system because the terminal that `serve` was started at is gone: drain |

use super::journal::Entry;
use anyhow::Result;
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};

const KEPT: &str = "SIGHUP: certificates for SIP, if there are any, are read again; nothing else is";

/// Signals from here on.
pub struct Signals {
    /// Somebody started the server at a terminal.
    attended: bool,
}

impl Signals {
    pub fn new() -> Signals {
        Signals { attended: std::io::stdin().is_terminal() }
    }

    /// Returns when one asks to stop; `again`, while it stops already. A terminal that goes may say so twice, and asks for
    /// no hurry.
    ///
    /// # Errors
    /// The system takes no handlers.
    pub async fn asks_to_stop(&self, again: bool) -> Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {}
            }
            match self.attended && !std::io::stdin().is_terminal() {
                true if again => {}
                true => return Ok(()),
                false => Entry::info("server", KEPT).tell(),
            }
        }
    }
}
