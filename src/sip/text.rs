//! Putting numbers and addresses into text: `core::fmt` costs several hundred instructions for each, and a message
//! has dozens.

use memchr::memchr2;
use std::fmt::Write as _;
use std::net::IpAddr;

pub(super) fn put_number(out: &mut String, number: u32) {
    if number < 10 {
        return out.push(char::from(b'0' + number as u8));
    }
    if number >= 100 {
        put_number(out, number / 100);
    }
    let at = 2 * (number % 100) as usize;
    out.push_str(&PAIRS[at..at + 2]);
}

/// The numbers below 100 with two digits each.
const PAIRS: &str = "00010203040506070809101112131415161718192021222324252627282930313233343536373839\
                     40414243444546474849505152535455565758596061626364656667686970717273747576777879\
                     8081828384858687888990919293949596979899";

/// Lower-case hexadecimal digits, at least so many: 1 … 16.
pub(super) fn put_hex(out: &mut String, number: u64, at_least: u32) {
    let digits: [u8; 16] = std::array::from_fn(|place| b"0123456789abcdef"[(number >> (60 - 4 * place) & 15) as usize]);
    let count = (16 - number.leading_zeros() / 4).max(at_least);
    out.push_str(std::str::from_utf8(&digits[16 - count as usize..]).expect("digits are text"));
}

/// An IPv6 address without brackets.
pub(super) fn put_ip(out: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                put_number(out, octet.into());
            }
        }
        IpAddr::V6(ip) => write!(out, "{ip}").expect("a string takes all that is written"),
    }
}

pub(super) fn number(number: u32) -> String {
    let mut text = String::with_capacity(10);
    put_number(&mut text, number);
    text
}

pub(super) fn has_line_end(bytes: &[u8]) -> bool {
    memchr2(b'\n', b'\r', bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_look_as_everywhere() {
        for value in [0, 7, 10, 99, 100, 65_535, 1 << 31, u32::MAX] {
            assert_eq!(number(value), value.to_string());
        }
        for value in [0, 1, 0xdead_beef, u64::MAX, 0x0123_4567_89ab_cdef] {
            let mut text = String::new();
            put_hex(&mut text, value, 16);
            put_hex(&mut text, value, 1);
            assert_eq!(text, format!("{value:016x}{value:x}"));
        }
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::1", "2001:db8::9:1", "::ffff:1.2.3.4"] {
            let mut text = String::new();
            put_ip(&mut text, address.parse().unwrap());
            assert_eq!(text, address);
        }
    }

    #[test]
    fn line_ends_are_seen_at_any_place() {
        for length in [0, 1, 15, 16, 17, 40] {
            assert!(!has_line_end(&vec![b'a'; length]));
            for (at, end) in (0..length).flat_map(|at| [(at, b'\r'), (at, b'\n')]) {
                let mut text = vec![b'a'; length];
                text[at] = end;
                assert!(has_line_end(&text), "{end} at {at} of {length}");
            }
        }
    }
}
