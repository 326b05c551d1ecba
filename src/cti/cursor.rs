//! Where a reader is in the log. Opaque to clients: a version, the number of the last event that was told, and when
//! that was, so that a cursor of another log is recognized.

use crate::time::Wall;

const VERSION: u8 = 1;

/// After which event to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// 0: before the first.
    pub seq: u64,
    pub at: Wall,
}

impl Cursor {
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17);
        bytes.push(VERSION);
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.at.0.to_be_bytes());
        bytes
    }

    /// None for what is no cursor of ours.
    pub fn from_bytes(bytes: &[u8]) -> Option<Cursor> {
        let (version, rest) = bytes.split_first()?;
        let (seq, at) = rest.split_at_checked(8)?;
        let at = Wall(i64::from_be_bytes(at.try_into().ok()?));
        (*version == VERSION).then_some(Cursor { seq: u64::from_be_bytes(seq.try_into().ok()?), at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor { seq: 1 << 40, at: Wall(-5) };
        assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor));
        let mut longer = cursor.to_bytes();
        longer.push(0);
        let mut newer = cursor.to_bytes();
        newer[0] = 2;
        for wrong in [&[][..], &[1], &longer, &newer, &cursor.to_bytes()[..16]] {
            assert_eq!(Cursor::from_bytes(wrong), None);
        }
    }
}
