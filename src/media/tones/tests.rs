//! Keys as Q.24 wants them taken and not taken, and voices.

use super::*;
use crate::ids::Rng;
use crate::media::codec::Encoder;
use std::f64::consts::TAU;

/// A key, and how it sounds.
struct Key {
    key: char,
    ms: usize,
    /// Of the lower tone, in dBm0; how much louder the higher one is, in dB.
    level: f64,
    twist: f64,
    /// Off their frequencies, in 1/1000.
    off: f64,
}

fn key(key: char) -> Key {
    Key { key, ms: 60, level: -10.0, twist: 2.0, off: 0.0 }
}

fn sound(k: &Key) -> Vec<i16> {
    let row = KEYS.iter().position(|row| row.contains(&k.key)).unwrap();
    let column = KEYS[row].iter().position(|key| *key == k.key).unwrap();
    let peak = |level: f64| 32_124.0 * 10f64.powf((level - 3.17) / 20.0);
    let tones = [(ROWS[row], peak(k.level)), (COLUMNS[column], peak(k.level + k.twist))];
    let tones = tones.map(|(hz, peak)| (f64::from(hz) * (1.0 + k.off / 1000.0), peak));
    let sample = |n: usize| tones.iter().map(|(hz, peak)| peak * (TAU * hz * n as f64 / 8000.0).sin()).sum::<f64>();
    (0..k.ms * 8).map(|n| sample(n) as i16).collect()
}

/// What is heard in these samples, sent in packets of 20 ms; those in `lost` do not come.
fn listen(samples: &[i16], codec: Codec, lost: &[usize]) -> String {
    let (mut tones, mut bytes) = (Tones::default(), Vec::new());
    let wide = crate::media::wav::resample(samples, 8000, 8000 * codec.samples_per_tick() as u32);
    Encoder::new(codec).encode(&wide, &mut bytes);
    let packets = bytes.chunks(160).enumerate().filter(|(n, _)| !lost.contains(n));
    packets
        .flat_map(|(n, payload)| {
            let timestamp = n as u32 * 160;
            tones.packet(&Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: 1, payload }, codec)
        })
        .collect()
}

/// Whether it is heard once wherever it begins, 60 ms after something else.
fn taken(k: &Key) -> bool {
    (0..BLOCK).step_by(17).all(|start| {
        let samples = [vec![0; 400 + start], sound(k), vec![0; 800]].concat();
        listen(&samples, Codec::Pcmu, &[]) == k.key.to_string()
    })
}

/// Nothing is pressed where no two blocks say the same, however long that goes on: blocks begin with the stream, so that
/// who sends can do it.
#[test]
fn another_key_in_each_block_for_a_long_time_is_no_key() {
    let block = |k: char| sound(&Key { ms: 20, ..key(k) })[..BLOCK].to_vec();
    let samples: Vec<i16> = (0..600).flat_map(|n| block(if n % 2 == 0 { '1' } else { '2' })).collect();
    assert_eq!(listen(&samples, Codec::Pcmu, &[]), "");
}

#[test]
fn every_key_is_heard_once_in_every_codec() {
    let keys = "0123456789*#ABCD1122";
    let all: Vec<i16> = keys.chars().flat_map(|k| [sound(&key(k)), vec![0; 480]].concat()).collect();
    for codec in Codec::ALL {
        assert_eq!(listen(&all, codec, &[]), keys, "{codec:?}");
    }
    // Held for two seconds; with a packet lost in it.
    let long = sound(&Key { ms: 2000, ..key('7') });
    assert_eq!(listen(&long, Codec::Pcma, &[]), "7");
    assert_eq!(listen(&long, Codec::Pcma, &[20, 50]), "7");
    // One that goes over into another.
    let two = [sound(&key('1')), sound(&key('9'))].concat();
    assert_eq!(listen(&two, Codec::Pcmu, &[]), "19");
}

#[test]
fn the_limits_of_q24() {
    let ok = [
        Key { ms: 40, ..key('5') },
        Key { level: -3.0, twist: 0.0, ..key('1') },
        Key { level: -30.0, ..key('D') },
        Key { twist: 7.0, ..key('3') },
        Key { twist: -3.5, ..key('#') },
        Key { off: 15.0, ..key('A') },
        Key { off: -15.0, ..key('C') },
    ];
    assert_eq!(ok.iter().map(taken).collect::<Vec<_>>(), [true; 7]);
    let not = [
        Key { ms: 12, ..key('5') },
        Key { level: -45.0, ..key('5') },
        Key { twist: 12.0, ..key('5') },
        Key { twist: -8.0, ..key('5') },
        Key { off: 80.0, ..key('D') },
    ];
    assert_eq!(not.iter().map(taken).collect::<Vec<_>>(), [false; 5]);
}

#[test]
fn voices_music_and_noise_press_nothing() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-flows/sounds");
    let mut seconds = 0;
    for file in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ext| ext == "wav") {
            let [samples, _] = crate::media::wav::read(&std::fs::read(&file).unwrap()).unwrap();
            seconds += samples.len() / 8000;
            // Also louder than they are.
            for gain in [1, 3] {
                let samples: Vec<i16> = samples.iter().map(|s| s.saturating_mul(gain)).collect();
                assert_eq!(listen(&samples, Codec::Pcmu, &[]), "", "{} ×{gain}", file.display());
            }
        }
    }
    assert!(seconds > 20, "{seconds} s of sound");
    let mut rng = Rng::from_number(24);
    let noise: Vec<i16> = (0..800_000).map(|_| (rng.next_u32() as i16) / 4).collect();
    assert_eq!(listen(&noise, Codec::Pcmu, &[]), "");
    // A key under a voice as loud as itself is none: better missed than made up.
    let tone = |hz: f64| (0..8000).map(move |n| (6000.0 * (TAU * hz * f64::from(n) / 8000.0).sin()) as i16);
    for others in [[350.0, 440.0], [480.0, 620.0], [697.0, 2000.0], [500.0, 1336.0]] {
        let both: Vec<i16> = tone(others[0]).zip(tone(others[1])).map(|(a, b)| a + b).collect();
        assert_eq!(listen(&both, Codec::Pcmu, &[]), "", "{others:?}");
    }
}

#[test]
fn hostile_streams_are_only_sound() {
    let (mut rng, mut tones) = (Rng::from_number(23), Tones::default());
    for _ in 0..20_000 {
        let payload: Vec<u8> = (0..1 + rng.below(200)).map(|_| rng.next_u32() as u8).collect();
        let (timestamp, ssrc) = (rng.next_u32() >> rng.below(32), rng.below(2) as u32);
        let codec = Codec::ALL[rng.below(3) as usize];
        tones
            .packet(&Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc, payload: &payload }, codec);
        assert!(tones.rest.len() < BLOCK);
    }
}
