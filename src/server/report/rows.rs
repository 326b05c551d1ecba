//! The rows of a report until all of them are known, in little memory: millions of them must not take that of the calls
//! beside them.
//!
//! A name's rows lie one behind the other as they came, in order of time, each as how many intervals have passed since the
//! one before and its numbers, of seven bits in a byte; most numbers are small. Read, all names go through time side by side.

use super::sheet::{Column, Value};
use crate::server::wrong::Wrong;
use anyhow::Result;
use std::collections::BTreeMap;

/// Rows of one report: at some 35 bytes each they take about 400 MB, perhaps beside the calls.
pub const MOST: usize = 10_000_000;

/// Bytes that no row needs: each of its numbers takes ten at most.
const ROOM: usize = 256;

/// Numbers in intervals of time, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    columns: &'static [Column],
    by: BTreeMap<String, Packed>,
    count: usize,
    most: usize,
}

/// The rows of one name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Packed {
    bytes: Vec<u8>,
    /// The interval that comes after the last one.
    next: usize,
}

impl Rows {
    /// None yet; each will have a value for each of these columns.
    pub fn new(columns: &'static [Column]) -> Rows {
        Rows::up_to(MOST, columns)
    }

    pub(super) fn up_to(most: usize, columns: &'static [Column]) -> Rows {
        Rows { columns, by: BTreeMap::new(), count: 0, most }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by.keys().map(String::as_str)
    }

    /// Adds what `name` has in the `n`th interval, later than all that it has already.
    ///
    /// # Errors
    /// There are too many rows.
    pub fn add(&mut self, n: usize, name: &str, values: &[Value]) -> Result<()> {
        if self.count == self.most {
            let rows = format!("there would be more than {} rows", self.most);
            return Err(Wrong(format!("{rows}; name a shorter time, longer intervals, or one with `--only`")).into());
        }
        self.count += 1;
        if !self.by.contains_key(name) {
            self.by.insert(name.to_owned(), Packed::default());
        }
        let packed = self.by.get_mut(name).expect("it has just been put there");
        // A vector that grows by itself has room for as much again: of millions of rows that is what another one would need.
        if packed.bytes.capacity() - packed.bytes.len() < ROOM {
            packed.bytes.reserve_exact(ROOM.max(packed.bytes.len() / 16));
        }
        number((n - packed.next) as u64, &mut packed.bytes);
        packed.next = n + 1;
        values.iter().for_each(|value| value.pack(&mut packed.bytes));
        Ok(())
    }

    /// All of them, interval by interval and name by name.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str, Vec<Value>)> {
        let mut places: Vec<Place<'_>> = self.by.iter().map(|(name, packed)| Place::of(name, packed)).collect();
        let (mut n, mut at) = (0, 0);
        std::iter::from_fn(move || {
            loop {
                if at == places.len() {
                    (n, at) = (places.iter().filter_map(|place| place.next).min()?, 0);
                }
                let place = &mut places[at];
                at += 1;
                if place.next == Some(n) {
                    let values = self.columns.iter().map(|column| Value::unpack(*column, &mut place.bytes)).collect();
                    place.step(n + 1);
                    return Some((n, place.name, values));
                }
            }
        })
    }
}

/// How far the rows of one name are read.
struct Place<'a> {
    name: &'a str,
    bytes: &'a [u8],
    /// The next row's interval.
    next: Option<usize>,
}

impl<'a> Place<'a> {
    fn of(name: &'a str, packed: &'a Packed) -> Place<'a> {
        let mut place = Place { name, bytes: &packed.bytes, next: None };
        place.step(0);
        place
    }

    fn step(&mut self, from: usize) {
        self.next = (!self.bytes.is_empty()).then(|| from + read(&mut self.bytes) as usize);
    }
}

/// Seven bits in a byte, the low ones first; the eighth says that more follow.
pub(super) fn number(mut n: u64, to: &mut Vec<u8>) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

pub(super) fn read(from: &mut &[u8]) -> u64 {
    let (mut n, mut shift) = (0, 0);
    while let Some((byte, rest)) = from.split_first() {
        *from = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::new("count", ""), Column::time("time", ""), Column::share("share", "")];

    /// Whatever a row can hold comes back as it was, in order of time and of names.
    #[test]
    fn what_is_packed_is_what_is_read() {
        let mut rows = Rows::new(&COLUMNS);
        assert_eq!(rows.iter().count(), 0);
        let counts = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        let times = [None, Some(0), Some(126), Some(127), Some(900_000), Some(u64::MAX - 1)];
        let shares = [None, Some(0.0), Some(1.0), Some(2.0 / 3.0)];
        let row = |n: usize| {
            let (count, time, share) = (counts[n % counts.len()], times[n % times.len()], shares[n % shares.len()]);
            vec![Value::Count(count), Value::Ms(time), Value::Share(share)]
        };
        // Not all names are there all the time, and the last come first.
        let there = |n: usize, name: &str| !(n / 100).is_multiple_of(2) || name == "b" || n.is_multiple_of(7);
        for (name, n) in ["c", "b", "a"].into_iter().flat_map(|name| (3..1_000).map(move |n| (name, n))) {
            if there(n, name) {
                rows.add(n, name, &row(n + name.len())).unwrap();
            }
        }
        let all = (3..1_000).flat_map(|n| ["a", "b", "c"].map(|name| (n, name)));
        let expect: Vec<_> = all.filter(|(n, name)| there(*n, name)).map(|(n, name)| (n, name, row(n + 1))).collect();
        assert_eq!(rows.len(), expect.len());
        assert_eq!(rows.iter().collect::<Vec<_>>(), expect);
    }

    /// What [`MOST`] says of memory: quarters of an hour of somebody who does a little of everything in each of them.
    #[test]
    fn a_row_takes_some_thirty_bytes() {
        let mut rows = Rows::new(&crate::server::report::agents::COLUMNS);
        for n in 0..1_000 {
            let times = [899_999, 123_456, 200_000, 15_000, 400_000, 60_000, 0].map(|ms| Value::Ms(Some(ms)));
            let (counts, talk) = ([3, 1, 0, 2].map(Value::Count), [300_000, 99_000].map(|ms| Value::Ms(Some(ms))));
            let share = [Value::Share(Some(0.7))];
            let row: Vec<Value> = times.into_iter().chain(share).chain(counts).chain(talk).collect();
            rows.add(n, "1001", &row).unwrap();
        }
        let bytes: usize = rows.by.values().map(|packed| packed.bytes.capacity()).sum();
        assert!(bytes < 40_000, "{bytes} bytes");
    }

    /// A report that would need too much memory is refused, and takes no more of it before.
    #[test]
    fn too_many_rows_are_refused() {
        let filled = |most: usize| {
            let mut rows = Rows::up_to(most, &COLUMNS[..1]);
            let all = (0..92).flat_map(|n| ["ada", "ben"].map(|name| (n, name)));
            let added = all.into_iter().try_for_each(|(n, name)| rows.add(n, name, &[Value::Count(1)]));
            (rows.iter().count(), added)
        };
        let (kept, added) = filled(184);
        assert!(kept == 184 && added.is_ok(), "{kept} kept, {added:?}");
        let (kept, refused) = filled(183);
        let refused = refused.unwrap_err();
        assert!(kept == 183 && refused.is::<Wrong>(), "{kept} kept, {refused}");
        assert!(refused.to_string().contains("more than 183 rows; name a shorter time"), "{refused}");
    }
}
