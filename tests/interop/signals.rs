//! What a server does on signals.

use super::harness::{Ground, SECOND, wait_until};
use super::peers::Sipp;
use super::server::{Server, Wishes};

/// `systemctl reload`, where no certificate is configured: there is nothing to be read again, and nothing ends.
#[test]
fn a_hang_up_ends_nothing() {
    let ground = Ground::new("hang_up");
    let mut server = Server::start(&ground, &Wishes::agents(&["ada"]));
    let waiting = || server.metrics()["tierline_queue_waiting{queue=\"general\"}"];
    let mut caller = Sipp { seconds: 6.0, ..Sipp::default() }.start(&ground, &server);
    wait_until("he waits", 20 * SECOND, || waiting() == 1.0);
    server.program.signal(libc::SIGHUP);
    assert_eq!(caller.wait(30 * SECOND), 0);
    assert!(server.program.is_running());
    let ended = server.wait_ended(1, 10 * SECOND);
    assert_eq!(ended[0]["cause"], "CallerHungUp");
}
