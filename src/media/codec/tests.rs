//! G.722 against another program's output, and all codecs by one way.

use super::*;
use crate::ids::Rng;

/// What spandsp's output was made of: silence, noise, triangles, squares, in whole numbers. Not so
/// loud that the decoder's output is cut, which spandsp does not do.
fn signal() -> Vec<i16> {
    let mut seed = 12_345u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (seed >> 16) as i32 - 32_768
    };
    let triangle = |n: i32, period: i32| ((n % period) * 4 * 8192 / period - 2 * 8192).abs() - 8192;
    let sample = |n: i32| {
        let noise = noise();
        let value = match n / 6000 {
            0 => 0,
            1 => noise.div_euclid(64),
            2 => triangle(n, 40),
            3 => triangle(n, 37) + noise.div_euclid(16),
            4 => noise.div_euclid(3),
            5 if n % 50 < 25 => 9000,
            5 => -9000,
            6 => triangle(n, 5) * 2,
            _ => triangle(n, 400) * 3 + noise.div_euclid(256),
        };
        value.clamp(-32_768, 32_767) as i16
    };
    (0..48_000).map(sample).collect()
}

/// FNV-1a, 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn g722_is_spandsp_s_to_the_bit() {
    let (mut bytes, mut samples) = (Vec::new(), Vec::new());
    // In packets, as calls have it.
    let (mut encoder, mut decoder) = (Encoder::new(Codec::G722), Decoder::new(Codec::G722));
    signal().chunks(320).for_each(|part| encoder.encode(part, &mut bytes));
    bytes.chunks(160).for_each(|part| decoder.decode(part, &mut samples));
    // Where parts begin, so that a difference is told where it begins.
    let starts = [
        (0, "fafafafafafafafafafafafa"),
        (3000, "f87abab389a098372a042b9c"),
        (6000, "3e6fb86eca20e06bf0f87f59"),
        (9000, "5db630bb26844d23cbb25eb9"),
        (12_000, "13564ffc3b912ea8148b2b0c"),
        (15_000, "4c7a6c2dafea68e8696aeb6c"),
        (18_000, "dc5d9d378d208d57a2842549"),
        (21_000, "7af759abf2682060206061e1"),
    ];
    for (at, expect) in starts {
        let got: String = bytes[at..at + 12].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(got, expect, "from byte {at} on");
    }
    assert_eq!((bytes.len(), samples.len()), (24_000, 48_000));
    assert_eq!(hash(bytes), 0xcbb8_94f9_8a48_dabb);
    assert_eq!(hash(samples.iter().flat_map(|s| s.to_le_bytes())), 0x68f7_fd85_a084_769c);
}

#[test]
fn a_million_packets_of_anything_are_some_sound() {
    let (mut rng, mut decoder, mut samples) = (Rng::from_number(722), Decoder::new(Codec::G722), Vec::new());
    let mut ear = Ear::default();
    for _ in 0..1_000_000 {
        let bytes = rng.next_u64().to_le_bytes();
        let bytes = &bytes[..1 + (bytes[7] & 3) as usize];
        samples.clear();
        decoder.decode(bytes, &mut samples);
        assert_eq!(samples.len(), 2 * bytes.len());
    }
    ear.hear(Codec::G722, &[0xff; 160], &mut samples);
    assert!(samples.capacity() < 1000);
}

#[test]
fn what_is_encoded_is_heard_again() {
    for codec in Codec::ALL {
        let rate = 8000 * codec.samples_per_tick();
        let tone = |n: usize| (8000.0 * (std::f64::consts::TAU * 700.0 * n as f64 / rate as f64).sin()) as i16;
        let samples: Vec<i16> = (0..rate).map(tone).collect();
        let (mut bytes, mut back, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
        Encoder::new(codec).encode(&samples, &mut bytes);
        Decoder::new(codec).decode(&bytes, &mut back);
        Ear::default().hear(codec, &bytes, &mut narrow);
        assert_eq!((bytes.len(), back.len(), narrow.len()), (8000, rate, 8000), "{codec:?}");
        // G.722 is 22 samples late; the best fit is looked for.
        let noise = |late: usize| {
            let pairs = back[late + 800..].iter().zip(&samples[800..]);
            pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / back.len() as f64
        };
        let noise = (0..40).map(noise).fold(f64::MAX, f64::min);
        let ratio = 10.0 * (8000f64.powi(2) / 2.0 / noise).log10();
        assert!(ratio > 30.0, "{codec:?}: {ratio:.1} dB");
        let rising = narrow[100..].windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        assert!((689..=692).contains(&rising), "{codec:?}: {rising}");
    }
}

#[test]
fn names_and_families() {
    for codec in Codec::ALL {
        assert_eq!(Codec::named(&codec.name().to_lowercase()), Some(codec));
        assert!(codec.maps_to(codec));
    }
    assert_eq!(Codec::named("opus"), None);
    assert!(Codec::Pcmu.maps_to(Codec::Pcma) && Codec::Pcma.maps_to(Codec::Pcmu));
    assert!(!Codec::G722.maps_to(Codec::Pcmu) && !Codec::Pcma.maps_to(Codec::G722));
}
