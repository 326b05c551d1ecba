//! The operating system's clocks, read here and nowhere else.

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

/// Wall time, UTC.
#[expect(clippy::disallowed_methods, reason = "this is where the shell reads the clock")]
pub fn wall() -> Wall {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
