//! Texts with pieces changed, dropped, doubled and moved, for tests: whatever comes of it must be read or refused.

/// Up to four changes to `text`; `below(n)` draws a number below n.
pub fn mangled(text: &str, mut below: impl FnMut(u64) -> u64) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=below(4) {
        let at = below(bytes.len() as u64) as usize;
        let end = (at + 1 + below(12) as usize).min(bytes.len());
        match below(4) {
            0 => bytes[at] = b"[]{}=\"'.\n#x1\xc3\x00\xff,"[below(16) as usize],
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = below(bytes.len() as u64) as usize;
                bytes.splice(to..to, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
