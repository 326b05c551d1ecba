//! What commands print on standard output. Whoever reads it may leave (`tierline calls | head`): then nothing more is
//! printed, and nothing is wrong.

use anyhow::{Result, anyhow};
use std::fmt::Arguments;
use std::io::{BufWriter, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

static LEFT: AtomicBool = AtomicBool::new(false);
/// Why not all could be printed, where it was not the reader.
static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// Whether nothing more can be printed.
pub fn nobody_reads() -> bool {
    LEFT.load(Relaxed)
}

/// Prints it at once.
pub fn print(text: Arguments<'_>) {
    if nobody_reads() {
        return;
    }
    // Line by line would be a call of the system for each; a report has millions.
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    if let Err(why) = out.write_fmt(text).and_then(|()| out.flush()) {
        LEFT.store(true, Relaxed);
        let failed = (why.kind() != ErrorKind::BrokenPipe).then(|| why.to_string());
        *FAILED.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}

/// # Errors
/// Something could not be printed, and not because the reader has left.
pub fn all_was_written() -> Result<()> {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.map_or(Ok(()), |why| Err(anyhow!("not all could be printed: {why}")))
}

/// As `println!`, for whoever may leave.
#[macro_export]
macro_rules! say_a_line {
    ($($what:tt)*) => {
        $crate::server::printing::print(format_args!("{}\n", format_args!($($what)*)))
    };
}
pub use say_a_line as say;
