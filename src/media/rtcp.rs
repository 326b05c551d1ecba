//! Compound RTCP packets, read and written (RFC 3550 §6): sender and receiver reports, CNAME, BYE.
//!
//! Left out: other items of SDES; application packets, extended reports (RFC 3611) and feedback (RFC 4585), which are
//! skipped; packets of reduced size (RFC 5506), which are agreed on or not sent.

use super::rtp::MAX_PACKET;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// The item CNAME (§6.5.1).
const CNAME: u8 = 1;

/// Bytes of a part's header, of what a sender says of itself, of a report block.
const HEADER: usize = 8;
const SENT: usize = 20;
const BLOCK: usize = 24;

/// What a compound packet says, as far as one of two parties needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compound<'a> {
    /// Who says it.
    pub ssrc: u32,
    /// Of what it sends, if it sends.
    pub sent: Option<Sent>,
    /// Of what it hears of one source: of us, when read.
    pub heard: Option<Block>,
    pub cname: Option<&'a [u8]>,
    /// It leaves.
    pub bye: bool,
}

/// What a sender says of itself (§6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The time of this report: seconds, and 2⁻³² s.
    pub ntp: u64,
    /// The same time in units of the media's timestamps.
    pub timestamp: u32,
    /// Since the source began; without headers.
    pub packets: u32,
    pub octets: u32,
}

/// What a receiver says of one source (§6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Lost since the report before, in 1/256.
    pub fraction: u8,
    /// Lost since it began, −2²³ … 2²³−1; below zero if there were duplicates.
    pub lost: i32,
    /// Cycles of the sequence number, and the highest.
    pub highest: u32,
    /// Interarrival jitter in units of the media's timestamps.
    pub jitter: u32,
    /// The middle of `ntp` of the last report of this source, and the time since then in 2⁻¹⁶ s; both 0 for none.
    pub last_report: u32,
    pub delay: u32,
}

/// Who sends the first part of a compound packet, also of an encrypted one; `None` if it is no report.
pub fn source(bytes: &[u8]) -> Option<u32> {
    let (head, _) = bytes.split_first_chunk::<HEADER>()?;
    let report = head[0] >> 6 == 2 && matches!(head[1], SENDER_REPORT | RECEIVER_REPORT);
    (report && bytes.len() <= MAX_PACKET).then(|| number(head, 4))
}

impl<'a> Compound<'a> {
    /// Reads a datagram; `None` if it is not as §A.2 says: well-formed parts of which the first is a report. Of what is
    /// said of sources, that about `ours` is kept.
    pub fn read(bytes: &'a [u8], ours: u32) -> Option<Compound<'a>> {
        let mut compound = Compound { ssrc: source(bytes)?, ..Compound::default() };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (head, _) = rest.split_first_chunk::<4>()?;
            let length = (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1) * 4;
            let (mut part, after) = rest.split_at_checked(length)?;
            if head[0] >> 6 != 2 {
                return None;
            }
            if head[0] & 0x20 != 0 {
                // Only the last part may be padded; its last byte counts the padding.
                let padding = usize::from(*part.last()?);
                part = part.get(..part.len().checked_sub(padding).filter(|_| padding > 0 && after.is_empty())?)?;
            }
            compound.part(head[1], usize::from(head[0] & 0x1f), part, ours)?;
            rest = after;
        }
        Some(compound)
    }

    fn part(&mut self, kind: u8, count: usize, part: &'a [u8], ours: u32) -> Option<()> {
        match kind {
            SENDER_REPORT => {
                let blocks = part.get(HEADER + SENT..)?;
                if number(part, 4) == self.ssrc {
                    self.sent = Some(Sent::read(&part[HEADER..]));
                }
                self.blocks(blocks, count, ours)
            }
            RECEIVER_REPORT => self.blocks(part.get(HEADER..)?, count, ours),
            DESCRIPTION => {
                self.cname = self.cname.or(cname(part.get(4..)?, count, self.ssrc)?);
                Some(())
            }
            BYE => {
                let sources = part.get(4..4 + count * 4)?;
                self.bye |= sources.chunks_exact(4).any(|source| number(source, 0) == self.ssrc);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn blocks(&mut self, bytes: &[u8], count: usize, ours: u32) -> Option<()> {
        let blocks = bytes.get(..count * BLOCK)?.chunks_exact(BLOCK);
        let about_us = blocks.map(Block::read).find(|block| block.ssrc == ours);
        self.heard = about_us.or(self.heard);
        Some(())
    }

    /// Appends the packet: a report, the name (of at most 255 bytes), and a BYE.
    pub fn write(&self, out: &mut Vec<u8>) {
        let blocks = usize::from(self.heard.is_some());
        let (kind, own) = if self.sent.is_some() { (SENDER_REPORT, SENT) } else { (RECEIVER_REPORT, 0) };
        head(out, blocks, kind, HEADER + own + blocks * BLOCK);
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        if let Some(sent) = &self.sent {
            sent.write(out);
        }
        if let Some(block) = &self.heard {
            block.write(out);
        }
        if let Some(name) = self.cname {
            // The list of items ends with a zero, and the part on a whole word (§6.5).
            let length = (HEADER + 2 + name.len() + 1).next_multiple_of(4);
            let end = out.len() + length;
            head(out, 1, DESCRIPTION, length);
            out.extend_from_slice(&self.ssrc.to_be_bytes());
            out.extend_from_slice(&[CNAME, name.len() as u8]);
            out.extend_from_slice(name);
            out.resize(end, 0);
        }
        if self.bye {
            head(out, 1, BYE, HEADER);
            out.extend_from_slice(&self.ssrc.to_be_bytes());
        }
    }
}

fn head(out: &mut Vec<u8>, count: usize, kind: u8, length: usize) {
    let words = (length / 4 - 1) as u16;
    out.extend_from_slice(&[0x80 | count as u8, kind]);
    out.extend_from_slice(&words.to_be_bytes());
}

impl Sent {
    fn read(bytes: &[u8]) -> Sent {
        let ntp = u64::from(number(bytes, 0)) << 32 | u64::from(number(bytes, 4));
        Sent { ntp, timestamp: number(bytes, 8), packets: number(bytes, 12), octets: number(bytes, 16) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ntp.to_be_bytes());
        [self.timestamp, self.packets, self.octets].iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
    }
}

impl Block {
    fn read(bytes: &[u8]) -> Block {
        Block {
            ssrc: number(bytes, 0),
            fraction: bytes[4],
            lost: (number(bytes, 4) << 8) as i32 >> 8,
            highest: number(bytes, 8),
            jitter: number(bytes, 12),
            last_report: number(bytes, 16),
            delay: number(bytes, 20),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let lost = self.lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0xff_ffff;
        let words = [self.ssrc, u32::from(self.fraction) << 24 | lost, self.highest, self.jitter];
        words.iter().chain(&[self.last_report, self.delay]).for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
    }
}

/// The name of `ssrc` in the chunks of a description; the outer `None` for chunks that are not well-formed.
fn cname(mut bytes: &[u8], chunks: usize, ssrc: u32) -> Option<Option<&[u8]>> {
    let mut found = None;
    for _ in 0..chunks {
        let (source, mut items) = bytes.split_first_chunk::<4>()?;
        let ours = u32::from_be_bytes(*source) == ssrc;
        while let (kind @ 1.., rest) = items.split_first().map(|(kind, rest)| (*kind, rest))? {
            let (length, rest) = rest.split_first()?;
            let (text, rest) = rest.split_at_checked(usize::from(*length))?;
            if kind == CNAME && ours {
                found = Some(text);
            }
            items = rest;
        }
        // One to four zeros up to the next whole word.
        let used = bytes.len() - items.len();
        bytes = bytes.get((used + 1).next_multiple_of(4)..)?;
    }
    Some(found)
}

/// The 32 bits at `at`, which are there.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rng;

    const OURS: u32 = 0x0a0b_0c0d;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    /// A packet and what is read of it, in words.
    fn check(packet: &str, expect: &str) {
        let bytes = hex(packet);
        let Some(c) = Compound::read(&bytes, OURS) else { return assert_eq!("-", expect, "{packet}") };
        let mut got = format!("{:x}", c.ssrc);
        if let Some(s) = c.sent {
            got += &format!(" sent {:x} {} {} {}", s.ntp, s.timestamp, s.packets, s.octets);
        }
        if let Some(b) = c.heard {
            got +=
                &format!(" heard {} {} {} {} {:x} {}", b.fraction, b.lost, b.highest, b.jitter, b.last_report, b.delay);
        }
        if let Some(name) = c.cname {
            got += &format!(" name {}", String::from_utf8_lossy(name));
        }
        got += if c.bye { " bye" } else { "" };
        assert_eq!(got, expect, "{packet}");
    }

    const EMPTY: &str = "80c90001 00000007";
    const ABOUT_US: &str = "0a0b0c0d 40fffffe 00010005 00000050 12345678 00010000";

    #[test]
    fn reports_are_read() {
        check(EMPTY, "7");
        check("80c80006 00000007 00000001 80000000 000000a0 00000003 000001e0", "7 sent 180000000 160 3 480");
        check(&format!("81c90007 00000007 {ABOUT_US}"), "7 heard 64 -2 65541 80 12345678 65536");
        let other = "01020304 00000001 00000000 00000000 00000000 00000000";
        check(&format!("82c9000d 00000007 {other} {ABOUT_US}"), "7 heard 64 -2 65541 80 12345678 65536");
        check(&format!("81c90007 00000007 {other}"), "7");
        // A second report of another source goes on with blocks.
        check(&format!("{EMPTY} 81c90007 00000007 {ABOUT_US}"), "7 heard 64 -2 65541 80 12345678 65536");
        // Names: of us, of others, with another item before, in two chunks, ending on a word's last byte.
        check(&format!("{EMPTY} 81ca0003 00000007 01036162 63000000"), "7 name abc");
        check(&format!("{EMPTY} 81ca0003 00000008 01036162 63000000"), "7");
        check(&format!("{EMPTY} 81ca0003 00000007 06015101 01610000"), "7 name a");
        check(&format!("{EMPTY} 82ca0004 00000008 00000000 00000007 01016100"), "7 name a");
        check(&format!("{EMPTY} 81ca0002 00000007 00000000"), "7");
        check(&format!("{EMPTY} 81cb0001 00000007"), "7 bye");
        check(&format!("{EMPTY} 82cb0003 00000008 00000007 02627900"), "7 bye");
        check(&format!("{EMPTY} 81cb0001 00000008"), "7");
        // APP, extended report, feedback, something unknown.
        check(&format!("{EMPTY} 80cc0002 00000007 41424344 80cf0001 00000007 81ce0002 00000007 00000008"), "7");
        check(&format!("{EMPTY} 80ff0000"), "7");
        check(&format!("{EMPTY} a0cc0003 00000007 41424344 00000004"), "7"); // padded
    }

    #[test]
    fn what_is_no_compound_packet_is_not_read() {
        for packet in [
            "",
            "80c90001",
            "80ca0001 00000007",                   // begins with a description
            "40c90001 00000007",                   // another version
            "80c90002 00000007",                   // shorter than it says
            "80c90001 00000007 00",                // longer
            "80c90001 00000007 00ca0000",          // version 0 inside
            "81c90001 00000007",                   // blocks that are not there
            "80c80001 00000007",                   // a sender's report without its half
            "80c90000",                            // no source
            "80c90001 00000007 81ca0001 00000007", // a chunk without an end
            "80c90001 00000007 81ca0002 00000007 01090000",
            "80c90001 00000007 81cb0000",          // a BYE of nobody
            "a0c90002 00000007 00000004 80ca0000", // padding in the middle
            "a0c90001 00000000",
            "a0c90001 000000ff",
        ] {
            check(packet, "-");
        }
        let mut long = hex(EMPTY);
        (0..400).for_each(|_| long.extend(hex("80cc0000")));
        assert_eq!(Compound::read(&long, OURS), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let sent = Some(Sent { ntp: 1 << 40 | 77, timestamp: 160, packets: 1, octets: 2 });
        let block = |lost| Block { ssrc: OURS, fraction: 9, lost, highest: 3, jitter: 4, last_report: 5, delay: 6 };
        let rows = [
            Compound { ssrc: 7, ..Compound::default() },
            Compound { ssrc: 7, sent, cname: Some(b"a"), ..Compound::default() },
            Compound { ssrc: 7, heard: Some(block(-3)), cname: Some(b"abcdef0123456789"), ..Compound::default() },
            Compound { ssrc: 7, sent, heard: Some(block(70_000)), cname: Some(b"abcd"), bye: true },
            Compound { ssrc: 7, cname: Some(b"abcde"), ..Compound::default() },
        ];
        for row in rows {
            let mut out = Vec::new();
            row.write(&mut out);
            assert_eq!(Compound::read(&out, OURS), Some(row));
        }
        let (mut out, heard) = (Vec::new(), Some(block(1 << 30)));
        Compound { heard, ..Compound::default() }.write(&mut out);
        assert_eq!(Compound::read(&out, OURS).unwrap().heard.unwrap().lost, 0x7f_ffff);
    }

    #[test]
    fn a_million_mutations_do_not_panic() {
        let mut seeds = Vec::new();
        let (sent, heard) = (Some(Sent::default()), Some(Block { ssrc: OURS, ..Block::default() }));
        for (sent, heard, bye) in [(sent, heard, false), (None, heard, true), (None, None, false)] {
            let mut bytes = Vec::new();
            Compound { ssrc: 7, sent, heard, cname: Some(b"0123456789abcdef"), bye }.write(&mut bytes);
            seeds.push(bytes);
        }
        seeds.push(hex(&format!(
            "{EMPTY} 82ca0004 00000008 06015100 00000007 01016100 a0cc0003 00000007 41424344 00000004"
        )));
        let (mut rng, mut read, mut bytes) = (Rng::from_number(3550), 0, Vec::new());
        for n in 0..1_000_000 {
            bytes.clone_from(&seeds[n % seeds.len()]);
            crate::media::mutation::mutate(&mut bytes, &mut rng);
            read += u32::from(Compound::read(&bytes, OURS).is_some());
        }
        assert!((100_000..900_000).contains(&read), "{read}");
    }
}
