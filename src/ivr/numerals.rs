//! Digits, numbers, times of day and dates in words, put together from recorded pieces.
//!
//! Each language has one set of pieces, named `say-en-7`, and its own grammar. A language without one cannot say
//! values: that is told when the flow is read, never by silence.

use super::flow::PromptText;
use crate::expr::Value;
use serde::{Deserialize, Serialize};

/// How a value is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// One after the other: a ticket's number.
    Digits,
    /// As one number, up to 999,999; what is larger is said in digits.
    Number,
    /// A time of day, also as `17:30`, or the one in `2026-12-24T17:30`.
    Time,
    /// A day of the year, as `2026-12-24`, or with a time behind it: day and month. In German in the dative, as after „am“.
    Date,
}

/// What the names of all pieces begin with.
pub const PIECE: &str = "say-";
/// Languages that values are said in.
pub const LANGUAGES: [&str; 2] = ["de", "en"];
/// Digits of one value that are said.
const MAX_DIGITS: usize = 32;

/// Piece → what is said, for each language.
const ENGLISH: &[(&str, &str)] = &[
    ("0", "zero"),
    ("1", "one"),
    ("2", "two"),
    ("3", "three"),
    ("4", "four"),
    ("5", "five"),
    ("6", "six"),
    ("7", "seven"),
    ("8", "eight"),
    ("9", "nine"),
    ("10", "ten"),
    ("11", "eleven"),
    ("12", "twelve"),
    ("13", "thirteen"),
    ("14", "fourteen"),
    ("15", "fifteen"),
    ("16", "sixteen"),
    ("17", "seventeen"),
    ("18", "eighteen"),
    ("19", "nineteen"),
    ("20", "twenty"),
    ("30", "thirty"),
    ("40", "forty"),
    ("50", "fifty"),
    ("60", "sixty"),
    ("70", "seventy"),
    ("80", "eighty"),
    ("90", "ninety"),
    ("hundred", "hundred"),
    ("thousand", "thousand"),
    ("oh", "oh"),
    ("oclock", "o'clock"),
    ("day-1", "first"),
    ("day-2", "second"),
    ("day-3", "third"),
    ("day-4", "fourth"),
    ("day-5", "fifth"),
    ("day-6", "sixth"),
    ("day-7", "seventh"),
    ("day-8", "eighth"),
    ("day-9", "ninth"),
    ("day-10", "tenth"),
    ("day-11", "eleventh"),
    ("day-12", "twelfth"),
    ("day-13", "thirteenth"),
    ("day-14", "fourteenth"),
    ("day-15", "fifteenth"),
    ("day-16", "sixteenth"),
    ("day-17", "seventeenth"),
    ("day-18", "eighteenth"),
    ("day-19", "nineteenth"),
    ("day-20", "twentieth"),
    ("day-30", "thirtieth"),
    ("month-1", "January"),
    ("month-2", "February"),
    ("month-3", "March"),
    ("month-4", "April"),
    ("month-5", "May"),
    ("month-6", "June"),
    ("month-7", "July"),
    ("month-8", "August"),
    ("month-9", "September"),
    ("month-10", "October"),
    ("month-11", "November"),
    ("month-12", "December"),
];
const GERMAN: &[(&str, &str)] = &[
    ("0", "null"),
    ("1", "eins"),
    ("2", "zwei"),
    ("3", "drei"),
    ("4", "vier"),
    ("5", "fünf"),
    ("6", "sechs"),
    ("7", "sieben"),
    ("8", "acht"),
    ("9", "neun"),
    ("10", "zehn"),
    ("11", "elf"),
    ("12", "zwölf"),
    ("13", "dreizehn"),
    ("14", "vierzehn"),
    ("15", "fünfzehn"),
    ("16", "sechzehn"),
    ("17", "siebzehn"),
    ("18", "achtzehn"),
    ("19", "neunzehn"),
    ("20", "zwanzig"),
    ("30", "dreißig"),
    ("40", "vierzig"),
    ("50", "fünfzig"),
    ("60", "sechzig"),
    ("70", "siebzig"),
    ("80", "achtzig"),
    ("90", "neunzig"),
    ("one", "ein"),
    ("and", "und"),
    ("hundred", "hundert"),
    ("thousand", "tausend"),
    ("oclock", "Uhr"),
    ("day-1", "ersten"),
    ("day-2", "zweiten"),
    ("day-3", "dritten"),
    ("day-4", "vierten"),
    ("day-5", "fünften"),
    ("day-6", "sechsten"),
    ("day-7", "siebten"),
    ("day-8", "achten"),
    ("day-9", "neunten"),
    ("day-10", "zehnten"),
    ("day-11", "elften"),
    ("day-12", "zwölften"),
    ("day-13", "dreizehnten"),
    ("day-14", "vierzehnten"),
    ("day-15", "fünfzehnten"),
    ("day-16", "sechzehnten"),
    ("day-17", "siebzehnten"),
    ("day-18", "achtzehnten"),
    ("day-19", "neunzehnten"),
    ("day-20", "zwanzigsten"),
    ("day-30", "dreißigsten"),
    ("month-1", "Januar"),
    ("month-2", "Februar"),
    ("month-3", "März"),
    ("month-4", "April"),
    ("month-5", "Mai"),
    ("month-6", "Juni"),
    ("month-7", "Juli"),
    ("month-8", "August"),
    ("month-9", "September"),
    ("month-10", "Oktober"),
    ("month-11", "November"),
    ("month-12", "Dezember"),
];

/// `en` for `en-GB`; none for a language without pieces.
fn primary(language: &str) -> Option<&'static str> {
    let primary = language.split('-').next().unwrap_or_default();
    LANGUAGES.into_iter().find(|known| known.eq_ignore_ascii_case(primary))
}

/// All pieces of a language as texts; none where values cannot be said.
pub fn pieces(language: &str) -> Option<Vec<PromptText>> {
    let primary = primary(language)?;
    let table = if primary == "de" { GERMAN } else { ENGLISH };
    let text = |(piece, text): &(&str, &str)| PromptText {
        name: name(primary, piece),
        text: (*text).to_owned(),
        language: primary.to_owned(),
    };
    Some(table.iter().map(text).collect())
}

fn name(primary: &str, piece: &str) -> String {
    format!("{PIECE}{primary}-{piece}")
}

/// The sounds that say `value`; none where there is nothing to say.
pub fn spoken(language: &str, form: Form, value: &Value) -> Vec<String> {
    let Some(primary) = primary(language) else { return Vec::new() };
    let pieces = match (form, value) {
        (Form::Time, Value::Time(minutes)) => clock(primary, *minutes),
        (Form::Time, value) if time_in(&value.to_string()).is_some() => {
            time_in(&value.to_string()).map(|minutes| clock(primary, minutes)).unwrap_or_default()
        }
        (Form::Date, value) => match date_in(&value.to_string()) {
            Some((month, day)) => date(primary, month, day),
            None => digits(&value.to_string()),
        },
        (Form::Number, value) => match value.to_string().parse::<u32>().ok().filter(|n| *n < 1_000_000) {
            Some(number) => whole(primary, number, true),
            None => digits(&value.to_string()),
        },
        (Form::Digits | Form::Time, value) => digits(&value.to_string()),
    };
    pieces.iter().map(|piece| name(primary, piece)).collect()
}

/// Month and day of what begins as `2026-12-24`.
fn date_in(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.get(..10)?.split('-');
    let year_fits = parts.next()?.len() == 4;
    let mut part = |range: std::ops::RangeInclusive<u32>| {
        let number = parts.next().filter(|part| part.len() == 2)?.parse().ok()?;
        range.contains(&number).then_some(number)
    };
    let (month, day) = (part(1..=12)?, part(1..=31)?);
    year_fits.then_some((month, day))
}

/// The minutes of `17:30`, alone or behind a date.
fn time_in(text: &str) -> Option<u16> {
    let time = if date_in(text).is_some() { text.get(11..16)? } else { text.get(..5).filter(|_| text.len() <= 8)? };
    let (hour, minute) = time.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// "December twenty fourth", „vier und zwanzigsten Dezember“.
fn date(primary: &str, month: u32, day: u32) -> Vec<String> {
    let (month, ordinal) = (vec![format!("month-{month}")], |day: u32| vec![format!("day-{day}")]);
    let of_day = match day {
        0..=20 | 30 => ordinal(day),
        _ if primary == "de" => {
            [whole(primary, day % 10, false), vec!["and".to_owned()], ordinal(day / 10 * 10)].concat()
        }
        _ => [vec![(day / 10 * 10).to_string()], ordinal(day % 10)].concat(),
    };
    if primary == "de" { [of_day, month].concat() } else { [month, of_day].concat() }
}

fn digits(text: &str) -> Vec<String> {
    text.chars().filter(char::is_ascii_digit).take(MAX_DIGITS).map(String::from).collect()
}

fn clock(primary: &str, minutes: u16) -> Vec<String> {
    let (hour, minute) = (u32::from(minutes / 60 % 24), u32::from(minutes % 60));
    let rest = whole(primary, minute, true);
    let hour = whole(primary, hour, false);
    let word = |word: &str| vec![word.to_owned()];
    match (primary, minute) {
        ("de", 0) => [hour, word("oclock")].concat(),
        ("de", _) => [hour, word("oclock"), rest].concat(),
        (_, 0) => [hour, word("oclock")].concat(),
        (_, 1..=9) => [hour, word("oh"), rest].concat(),
        _ => [hour, rest].concat(),
    }
}

/// A number below a million. `last`: nothing follows, which in German makes `eins` of `ein`.
fn whole(primary: &str, number: u32, last: bool) -> Vec<String> {
    let word = |word: &str| vec![word.to_owned()];
    let rest = |number: u32| if number == 0 { Vec::new() } else { whole(primary, number, last) };
    let one = primary == "de";
    match number {
        1 if one && !last => word("one"),
        0..=19 => word(&number.to_string()),
        20..=99 if number.is_multiple_of(10) => word(&number.to_string()),
        20..=99 if one => {
            [whole(primary, number % 10, false), word("and"), word(&(number / 10 * 10).to_string())].concat()
        }
        20..=99 => [word(&(number / 10 * 10).to_string()), word(&(number % 10).to_string())].concat(),
        100..=999 => [whole(primary, number / 100, false), word("hundred"), rest(number % 100)].concat(),
        _ => [whole(primary, number / 1_000, false), word("thousand"), rest(number % 1_000)].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn words(language: &str, form: Form, value: &Value) -> String {
        let texts = pieces(language).unwrap_or_default().into_iter().map(|piece| (piece.name, piece.text));
        let texts: BTreeMap<String, String> = texts.collect();
        spoken(language, form, value).iter().map(|piece| texts[piece].clone()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        let check = |number: i64, english: &str, german: &str| {
            assert_eq!(words("en-GB", Form::Number, &Value::Number(number)), english);
            assert_eq!(words("de", Form::Number, &Value::Number(number)), german);
        };
        check(0, "zero", "null");
        check(1, "one", "eins");
        check(17, "seventeen", "siebzehn");
        check(20, "twenty", "zwanzig");
        check(21, "twenty one", "ein und zwanzig");
        check(101, "one hundred one", "ein hundert eins");
        check(999, "nine hundred ninety nine", "neun hundert neun und neunzig");
        check(1_000, "one thousand", "ein tausend");
        check(21_300, "twenty one thousand three hundred", "ein und zwanzig tausend drei hundert");
        check(101_001, "one hundred one thousand one", "ein hundert ein tausend eins");
        check(1_000_000, "one zero zero zero zero zero zero", "eins null null null null null null");
    }

    #[test]
    fn digits_and_times_are_said_too() {
        let check = |form, value, english: &str, german: &str| {
            assert_eq!(words("en", form, &value), english);
            assert_eq!(words("de-AT", form, &value), german);
        };
        check(Form::Digits, Value::Text("40-1é".into()), "four zero one", "vier null eins");
        check(Form::Digits, Value::Text(String::new()), "", "");
        check(Form::Number, Value::Text("12".into()), "twelve", "zwölf");
        check(Form::Number, Value::Text("x12".into()), "one two", "eins zwei");
        check(Form::Time, Value::Time(13 * 60), "thirteen o'clock", "dreizehn Uhr");
        check(Form::Time, Value::Time(61), "one oh one", "ein Uhr eins");
        check(Form::Time, Value::Time(8 * 60 + 30), "eight thirty", "acht Uhr dreißig");
        assert_eq!(words("fr", Form::Digits, &Value::Number(1)), "");
        assert_eq!(pieces("fr"), None);
    }

    #[test]
    fn dates_are_said_as_people_say_them() {
        let check = |text: &str, english: &str, german: &str| {
            assert_eq!(words("en", Form::Date, &Value::Text(text.into())), english);
            assert_eq!(words("de", Form::Date, &Value::Text(text.into())), german);
        };
        check("2026-12-24", "December twenty fourth", "vier und zwanzigsten Dezember");
        check("2026-01-01T08:00:00Z", "January first", "ersten Januar");
        check("2026-03-20", "March twentieth", "zwanzigsten März");
        check("2026-05-21", "May twenty first", "ein und zwanzigsten Mai");
        check("2026-07-30", "July thirtieth", "dreißigsten Juli");
        check("2026-10-31", "October thirty first", "ein und dreißigsten Oktober");
        check("2026-13-01", "two zero two six one three zero one", "zwei null zwei sechs eins drei null eins");
        check("tomorrow", "", "");
        check("ä026-12-24", "zero two six one two two four", "null zwei sechs eins zwei zwei vier");
        let time = |text: &str| words("en", Form::Time, &Value::Text(text.into()));
        assert_eq!((time("17:30"), time("2026-12-24T09:05:00Z")), ("seventeen thirty".into(), "nine oh five".into()));
        assert_eq!((time("25:00"), time("")), ("two five zero zero".to_owned(), String::new()));
        let every = (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day)));
        every.for_each(|(m, d)| {
            check(
                &format!("2026-{m:02}-{d:02}"),
                &words("en", Form::Date, &date_of(m, d)),
                &words("de", Form::Date, &date_of(m, d)),
            )
        });
    }

    fn date_of(month: u32, day: u32) -> Value {
        Value::Text(format!("2026-{month:02}-{day:02} 10:00"))
    }
}
