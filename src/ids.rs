//! Names of things, and the one source of randomness.
//!
//! Ids that the engine makes ([`CallId`], [`LegId`] …) are node + start epoch + counter, unique over
//! restarts and nodes, and sort by age within one start. Names that people give ([`QueueId`],
//! [`LineId`] …) are shared strings. An agent's id is the agent's number at the desk: a handle,
//! not a name, so it may stand in logs.
//!
//! [`Rng`] is cryptographic, since SIP tags, branches and nonces come from it, and forks by name, so
//! that one more draw in one module does not change what another one sees.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

macro_rules! made_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}-{}-{}"), self.0 >> 54, self.0 >> 32 & 0x3f_ffff, self.0 & 0xffff_ffff)
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                let wrong = || format!(concat!("`{}` is no ", stringify!($name), "; it looks like ", $letter, "0-1-42"), s);
                let mut parts = s.strip_prefix($letter).ok_or_else(wrong)?.split('-').map(str::parse::<u64>);
                let mut next = |limit: u64| match parts.next() {
                    Some(Ok(n)) if n <= limit => Ok(n),
                    _ => Err(wrong()),
                };
                let (node, epoch, counter) = (next(0x3ff)?, next(0x3f_ffff)?, next(0xffff_ffff)?);
                if parts.next().is_some() { return Err(wrong()) }
                Ok($name(node << 54 | epoch << 32 | counter))
            }
        }
    };
}

made_id!(/** A customer's journey, from the first INVITE to the last leg gone. */ CallId, "c");
made_id!(/** One party of a call. */ LegId, "l");
made_id!(/** One piece of work that waits in a queue. */ WorkId, "w");
made_id!(/** One agent held for one work. */ ReservationId, "r");

/// Counts ids of one kind: 10 bits of node, 22 bits of start epoch, 32 bits of counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdCounter {
    prefix: u64,
    next: u32,
}

impl IdCounter {
    /// `node` ≤ 1023; `epoch` ≤ 4,194,303, one more at each start of the node.
    pub fn new(node: u16, epoch: u32) -> IdCounter {
        assert!(node < 1 << 10 && epoch < 1 << 22, "node or start epoch out of range");
        IdCounter { prefix: u64::from(node) << 54 | u64::from(epoch) << 32, next: 0 }
    }

    /// How many are left of this start.
    pub fn left(&self) -> u32 {
        u32::MAX - self.next
    }

    pub fn take(&mut self) -> u64 {
        self.next = self.next.checked_add(1).expect("four thousand million ids in one start");
        self.prefix | u64::from(self.next)
    }
}

macro_rules! given_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            pub fn new(name: &str) -> Self { $name(name.into()) }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", &*self.0) }
        }
    };
}

given_name!(/** A queue, by its name in the configuration. */ QueueId);
given_name!(/** A line (a number that callers dial), by its name in the configuration. */ LineId);
given_name!(/** A flow, by its name: the flow file's stem. */ FlowId);
given_name!(/** A skill, by its name. */ SkillId);
given_name!(/** A trunk, by its name in the configuration. */ TrunkId);
given_name!(/** Somebody who leads agents of some queues, by the name in the configuration. */ LeadId);

/// An agent, by the number he has at the desk (1 … 99,999,999).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub u32);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A leg's end of the audio. Chosen by the engine, unique within one start; `plane` says which plane owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortId {
    pub plane: u16,
    pub number: u64,
}

/// A seeded cryptographic generator. Never seeded from the system except once, in the shell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rng {
    seed: [u8; 32],
    stream: ChaCha12Rng,
}

impl Rng {
    pub fn new(seed: [u8; 32]) -> Rng {
        Rng { seed, stream: ChaCha12Rng::from_seed(seed) }
    }

    /// A generator from a small number: for the simulator and tests.
    pub fn from_number(seed: u64) -> Rng {
        Rng::new(Sha256::digest(seed.to_le_bytes()).into())
    }

    /// An independent generator; depends on the seed and the name only, not on what was drawn before.
    pub fn fork(&self, name: &str) -> Rng {
        Rng::new(Sha256::new().chain_update(self.seed).chain_update(name).finalize().into())
    }

    pub fn next_u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    pub fn next_u32(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// A number in `0..n`; `n` > 0. (The bias of the multiply-shift is below 2⁻³² for any `n` < 2³².)
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw needs at least one outcome");
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// `bytes` random bytes as lower-case hexadecimal digits: tags, branches, nonces.
    pub fn hex(&mut self, bytes: usize) -> String {
        let mut text = vec![0; 2 * bytes];
        self.stream.fill_bytes(&mut text[bytes..]);
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
        // Each byte becomes two digits; the bytes still to be read are always behind those already written.
        for index in 0..bytes {
            let byte = text[bytes + index];
            (text[2 * index], text[2 * index + 1]) = (digit(byte >> 4), digit(byte & 15));
        }
        String::from_utf8(text).expect("digits are text")
    }
}

/// Characters of a word that is a code.
const LONGEST_CODE: usize = 64;

/// A word that stands in the log for good. Free text would be somebody's personal data there.
pub fn is_code(name: &str) -> bool {
    let known = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    (1..=LONGEST_CODE).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_node_epoch_and_counter_and_read_back() {
        let mut counter = IdCounter::new(3, 17);
        let first = CallId(counter.take());
        assert_eq!(first.to_string(), "c3-17-1");
        assert_eq!("c3-17-1".parse(), Ok(first));
        assert!(CallId(counter.take()) > first);
        for bad in ["", "c", "c1-2", "c1-2-3-4", "l3-17-1", "c1024-1-1", "c1-2-4294967296", "cx-1-1"] {
            assert!(bad.parse::<CallId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn forks_depend_on_the_name_only() {
        let mut root = Rng::from_number(1);
        let before = root.fork("sip").next_u64();
        root.next_u64();
        assert_eq!(root.fork("sip").next_u64(), before);
        assert_ne!(root.fork("media").next_u64(), before);
    }

    #[test]
    fn draws_stay_in_range() {
        let mut rng = Rng::from_number(2);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[rng.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
    }

    #[test]
    fn hexadecimal_digits_are_those_of_the_bytes_drawn() {
        let mut rng = Rng::from_number(3);
        let mut raw = [0; 40];
        rng.clone().stream.fill_bytes(&mut raw);
        assert_eq!(rng.hex(40), raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(rng.hex(0), "");
    }
}
