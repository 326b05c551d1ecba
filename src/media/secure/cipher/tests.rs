//! The vectors of RFC 3711 appendix B and RFC 7714 §16, §17.

use super::*;
use crate::media::secure::Key;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// RFC 3711 §B.2.
#[test]
fn counter_mode_keystream() {
    let cipher = Aes128::new(&array("2B7E151628AED2A6ABF7158809CF4F3C").into());
    let iv = Ids { ssrc: 0, index: 0 }.counter(&array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
    let mut stream = vec![0; 1_044_512];
    counter_mode(&cipher, iv, &mut stream);
    for (block, expect) in [
        (0x0000, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (0x0001, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (0x0002, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(stream[block * 16..][..16], hex(expect), "{block:#x}");
    }
    let mut part = [0; 37]; // no whole number of blocks
    counter_mode(&cipher, iv, &mut part);
    assert_eq!(part, stream[..37]);
}

/// RFC 3711 §B.3.
#[test]
fn session_keys() {
    let cipher = Aes128::new(&array("E1F97A0D3E018BE0D64FA32C06DE4139").into());
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let auth = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098 \
                6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
    for (label, expect) in [(0, "C61E7A93744F39EE10734AFE3FF7A087"), (2, "30CBBC08863D8C85D49DB34A9AE1"), (1, auth)] {
        let mut out = vec![0xff; hex(expect).len()];
        derive(&cipher, &salt, label, &mut out);
        assert_eq!(out, hex(expect), "{label}");
    }
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SALT: &str = "517569642070726f2071756f";

/// The RFC's session keys, without derivation.
fn gcm(long: bool) -> Ciphers {
    let (key, salt) = (hex(KEY), array(SALT));
    let transform = match long {
        true => Transform::Gcm256 { cipher: Box::new(Aes256Gcm::new_from_slice(&key).unwrap()), salt },
        false => Transform::Gcm128 { cipher: Box::new(Aes128Gcm::new_from_slice(&key[..16]).unwrap()), salt },
    };
    Ciphers { audio: transform.clone(), control: transform }
}

/// RFC 7714 §16.1, §16.2.
#[test]
fn gcm_audio() {
    let clear = hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 \
                     61727465 73207472 6573");
    let short = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
                 899d7f27beb16a9152cf765ee4390cce";
    let long = "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
                7aa3db36dfffd6b0f9bb7878d7a76c13";
    let ids = Ids { ssrc: 0x5501_a0b2, index: 0xf17b };
    assert_eq!(ids.nonce(&array(SALT)), array("51753c6580c2726f20718414"));
    for (ciphers, text) in [(gcm(false), short), (gcm(true), long)] {
        let mut packet = clear.clone();
        ciphers.seal(&mut packet, 0, 12, ids, b"");
        assert_eq!(packet, [&clear[..12], &hex(text)].concat());
        assert_eq!(ciphers.open(&mut packet, 12, ids, b""), Ok(()));
        assert_eq!(packet, clear);
    }
}

/// RFC 7714 §17.1, §17.2.
#[test]
fn gcm_control() {
    let clear =
        hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef \
                     deadbeef deadbeef");
    let short = "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2f\
                 c5abf87245d9eade800005d4";
    let long = "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f\
                57ff6f6cb26ac3be800005d4";
    let ids = Ids { ssrc: 0x4d61_7273, index: 0x5d4 };
    for (ciphers, text) in [(gcm(false), short), (gcm(true), long)] {
        let mut packet = clear.clone();
        ciphers.seal_control(&mut packet, 0, ids, b"");
        assert_eq!(packet, [&clear[..8], &hex(text)].concat());
        assert_eq!(ciphers.control_index(&packet, b""), Some(0x5d4));
        assert_eq!(ciphers.open_control(&mut packet, ids, b""), Ok(()));
        assert_eq!(packet, clear);
    }
}

#[test]
fn sizes_are_as_the_suites_say() {
    let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7][..], &[0x55; 160]].concat();
    let rtcp = hex("80c90001 00000007");
    for (suite, audio, control) in
        [(Suite::AesCm80, 10, 14), (Suite::AesCm32, 4, 14), (Suite::Gcm128, 16, 20), (Suite::Gcm256, 16, 20)]
    {
        for identifier in [&b""[..], b"\x00\x01"] {
            let keying = Keying { suite, key: Key::new(vec![7; suite.length()]), identifier: identifier.to_vec() };
            let (ciphers, ids) = (Ciphers::new(&keying), Ids { ssrc: 7, index: 1 });
            let (mut one, mut two) = (rtp.clone(), rtcp.clone());
            ciphers.seal(&mut one, 0, 12, ids, identifier);
            ciphers.seal_control(&mut two, 0, ids, identifier);
            let more = identifier.len();
            assert_eq!((one.len() - rtp.len(), two.len() - rtcp.len()), (audio + more, control + more), "{suite:?}");
            assert_ne!(one[12..172], rtp[12..172]);
            assert_eq!(ciphers.open(&mut one, 12, ids, identifier), Ok(()));
            assert_eq!(ciphers.open_control(&mut two, ids, identifier), Ok(()));
            assert_eq!((one, two), (rtp.clone(), rtcp.clone()));
        }
    }
}

/// RFC 6188 §7.2: the derivation with AES-256, as AEAD_AES_256_GCM has it.
#[test]
fn long_session_keys() {
    let key: [u8; 32] = array("f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6");
    let (cipher, salt) = (Aes256::new(&key.into()), hex("3b04803de51ee7c96423ab5b78d2"));
    let auth = "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05";
    for (label, expect) in [
        (0, "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"),
        (2, "fa31791685ca444a9e07c6c64e93"),
        (1, auth),
    ] {
        let mut out = vec![0; hex(expect).len()];
        derive(&cipher, &salt, label, &mut out);
        assert_eq!(out, hex(expect), "{label}");
    }
}

/// Whole packets from a master key, as libsrtp makes them (`test/srtp_driver.c`).
#[test]
fn another_implementation_makes_the_same_packets() {
    let rows = [
        (
            Suite::AesCm80,
            "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
            "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
            "7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
        ),
        (
            Suite::Gcm128,
            "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
            "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
            "c98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
        ),
    ];
    let body = "abababababababababababababababab";
    let (rtp, rtcp) = ("800f1234decafbadcafebabe", "81c8000bcafebabe");
    for (suite, key, audio, control) in rows {
        let ciphers = Ciphers::new(&Keying { suite, key: Key::new(hex(key)), identifier: Vec::new() });
        let ids = |index| Ids { ssrc: 0xcafe_babe, index };
        let (mut one, mut two) = (hex(&format!("{rtp}{body}")), hex(&format!("{rtcp}{body}")));
        ciphers.seal(&mut one, 0, 12, ids(0x1234), b"");
        ciphers.seal_control(&mut two, 0, ids(1), b"");
        assert_eq!((one, two), (hex(&format!("{rtp}{audio}")), hex(&format!("{rtcp}{control}"))), "{suite:?}");
    }
}
