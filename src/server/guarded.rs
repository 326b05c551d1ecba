//! For threads that nobody waits for, and whose end nobody would see: what panics costs what it was about, not the thread.
//! That something panicked is told by the journal; what is lost by it, whoever guards.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`. None if it panicked: what it has changed is not to be trusted then.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
