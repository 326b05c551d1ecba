//! The operating system's clocks: what events, timers and the keeping of what is old have. Beside it, `store` times its own
//! commits, and progress, lag and certificates are told by clocks of their own.

use crate::time::{Instant, Wall};
use std::time::SystemTime;

/// Monotonic time since the process began to serve; copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where the shell reads the clock")]
    pub fn start() -> Clock {
        Clock { origin: std::time::Instant::now() }
    }

    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn origin(&self) -> std::time::Instant {
        self.origin
    }

    /// The same moment for libraries that want their own kind.
    pub fn std(&self, at: Instant) -> std::time::Instant {
        self.origin + std::time::Duration::from_nanos(at.0)
    }
}

/// The time that the engine's events have: of the start, and what has passed since. No jump of the wall clock is in it.
#[derive(Clone, Copy, Debug)]
pub struct EventTime {
    pub clock: Clock,
    /// Wall time where `clock` began.
    pub began: Wall,
}

impl EventTime {
    pub fn now(&self) -> Wall {
        self.began + self.clock.now().since(Instant::ZERO)
    }
}

/// Wall time, UTC.
#[expect(clippy::disallowed_methods, reason = "this is where the shell reads the clock")]
pub fn wall() -> Wall {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// What the clocks of this machine showed then (`TZ`, or the system's zone); `at` in milliseconds since 1970.
pub fn local(at: i64) -> String {
    let seconds: libc::time_t = at.div_euclid(1000);
    // SAFETY: all zeros is a value of this plain struct, whose pointer to a name nobody follows.
    let mut clock: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: reads a number and writes into a struct that both live through the call.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut clock) };
    format!("{:02}:{:02}:{:02}", clock.tm_hour, clock.tm_min, clock.tm_sec)
}
