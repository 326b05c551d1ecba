//! A network of a test's own: what its thread and the programs that it starts open there, nobody else has. Needs root.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::process::Command;

/// Takes this thread into a network where nothing is but a loopback.
pub fn network() {
    enter(libc::CLONE_NEWNET);
}

/// The same, and what is mounted from here on nobody else sees.
pub fn network_and_mounts() {
    enter(libc::CLONE_NEWNET | libc::CLONE_NEWNS);
    let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
    // SAFETY: a system call that reads two texts, which live as long as the program.
    let done = unsafe { libc::mount(none, root, std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()) };
    succeeds(done);
}

fn enter(kinds: i32) {
    // SAFETY: a plain system call; it concerns this thread and what it starts.
    succeeds(unsafe { libc::unshare(kinds) });
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("`ip`: make tools").success());
}

fn succeeds(result: i32) {
    assert_eq!(result, 0, "a network of one's own needs root: {}", std::io::Error::last_os_error());
}
