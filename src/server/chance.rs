//! Randomness of the system, for seeds and secrets.

use anyhow::Result;

/// So many random bytes.
///
/// # Errors
/// The system gives none.
pub fn bytes<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|why| anyhow::anyhow!("the system gives no randomness: {why}"))?;
    Ok(bytes)
}
