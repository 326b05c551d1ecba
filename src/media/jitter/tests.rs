//! Tables of packets and ticks.

use super::*;
use crate::ids::Rng;

const MS: u64 = 1_000_000;

/// Packets as `ms sequence [ticks [ssrc]]`, with 160 ticks a number; what each tick (every 20 ms, from 5 ms on) brings:
/// `.` nothing, else a letter for each packet (`a` for sequence 0), `_` for a gap, with the ticks if not 160.
fn check(packets: &str, ticks: u64, expect: &str) {
    let mut buffer = Buffer::new();
    let mut packets: Vec<Vec<u64>> =
        packets.split(',').map(|row| row.split_whitespace().map(|w| w.parse().unwrap()).collect()).collect();
    packets.sort_by_key(|row| row[0]);
    let (mut packets, mut got) = (packets.into_iter().peekable(), Vec::new());
    for tick in 0..ticks {
        let at = 5 + 20 * tick;
        while let Some(row) = packets.next_if(|row| row[0] <= at) {
            let (sequence, length) = (row[1], row.get(2).copied().unwrap_or(160));
            let payload = vec![b'a' + (sequence % 26) as u8; length as usize];
            let (timestamp, ssrc) = ((sequence * 160) as u32, row.get(3).copied().unwrap_or(1) as u32);
            let packet = Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc, payload: &payload };
            buffer.put(Instant(row[0] * MS), &packet);
        }
        got.push(match buffer.take(Instant(at * MS)) {
            Frame::Nothing => ".".to_owned(),
            Frame::Pieces { pieces, .. } => pieces.iter().map(shown).collect(),
        });
    }
    assert_eq!(got.join(" "), expect);
}

fn shown(piece: &Piece) -> String {
    let (name, ticks) = match piece {
        Piece::Audio(bytes) => (char::from(bytes[0]), bytes.len()),
        Piece::Gap(ticks) => ('_', *ticks as usize),
    };
    if ticks == 160 { name.to_string() } else { format!("{name}{ticks}") }
}

#[test]
fn packets_come_out_in_order() {
    check("0 0,20 1,40 2,60 3", 6, ". a b c d _");
    // Reordered, duplicated.
    check("0 0,20 2,21 1,22 1,60 3,61 2", 5, ". a b c d");
    // 40 ms, 30 ms and 10 ms in a packet.
    check("0 0 320,40 2 320", 5, ". a a c c");
    check("0 0 240,0 3 240", 5, ". a a80_80 _ d");
    check("0 0 80,10 1 80", 3, ". a80_80 b80_80");
    // Numbers that wrap.
    check("0 26843545,20 26843546", 3, ". b c");
}

#[test]
fn loss_is_covered_and_costs_no_delay() {
    check("0 0,20 1,60 3,80 4,100 5", 7, ". a b _ d e f");
    check("0 0,20 1,80 4,100 5,120 6", 8, ". a b _ _ e f g");
    // Lost while the buffer was empty: those after it show that it will not come.
    check("0 0,60 2,70 3,90 4", 7, ". a _ c d e _");
}

#[test]
fn what_is_late_makes_the_delay_longer() {
    check("0 0,50 1,70 2,90 3,110 4", 8, ". a _ b c d e _");
    // Half a frame of it has been heard in the meantime: nothing is heard twice.
    check("0 0,20 1,90 2,100 3,120 4", 8, ". a b _ _ c d e");
}

#[test]
fn a_pause_begins_anew() {
    // With silence suppression the timestamps go on, or do not.
    check("0 0,20 1,400 20,420 21", 24, ". a b _ _ _ _ . . . . . . . . . . . . . . u v _");
    check("0 0,20 1,400 2,420 3", 24, ". a b _ _ _ _ . . . . . . . . . . . . . . c d _");
    // Another source, another time.
    check("0 0,20 1,30 700 160 2,50 701 160 2", 6, ". a . y z _");
    check("0 0,20 1,40 900,60 901", 6, ". a . q r _");
}

#[test]
fn what_comes_too_early_makes_the_delay_shorter() {
    let (mut buffer, mut shorter, mut sent) = (Buffer::new(), Vec::new(), 0);
    for tick in 0..1000u64 {
        // Five at once, then one each 20 ms: all but the first are 80 ms early.
        while sent < tick + 5 {
            let (timestamp, payload) = (sent as u32 * 160, [0; 160]);
            let packet = Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: 1, payload: &payload };
            buffer.put(Instant(20 * tick * MS), &packet);
            sent += 1;
        }
        if let Frame::Pieces { ticks: 320, pieces } = buffer.take(Instant((20 * tick + 5) * MS)) {
            assert!(pieces.iter().all(|piece| matches!(piece, Piece::Audio(_))));
            shorter.push(tick);
        }
    }
    // One frame each two seconds, until little is left to come early by.
    assert_eq!((shorter.len(), buffer.held.len()), (4, 1), "{shorter:?}");
    assert!(shorter.windows(2).all(|w| w[1] - w[0] >= 100), "{shorter:?}");
}

#[test]
fn a_flood_stays_small() {
    let (mut buffer, mut rng) = (Buffer::new(), Rng::from_number(6));
    let (mut now, mut audio) = (0, 0u64);
    for n in 0..200_000u64 {
        let timestamp = match rng.below(20) {
            0 => rng.next_u32(),
            1 => (n as u32) * 160 + rng.below(40_000) as u32,
            _ => (n as u32) * 160,
        };
        let (ssrc, payload) = (1 + u32::from(rng.chance(0.01)), vec![1; 1 + rng.below(480) as usize]);
        let packet = Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc, payload: &payload };
        buffer.put(Instant(now), &packet);
        now += rng.below(25 * MS);
        if rng.chance(0.6)
            && let Frame::Pieces { pieces, ticks } = buffer.take(Instant(now))
        {
            let sum: u32 =
                pieces.iter().map(|piece| if let Piece::Audio(b) = piece { b.len() as u32 } else { 0 }).sum();
            assert!(sum <= ticks);
            audio += u64::from(sum);
        }
        assert!(buffer.held.len() <= MAX_PACKETS);
    }
    assert!(audio > 1_000_000, "{audio}");
}
