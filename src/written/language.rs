//! Language tags: the form of BCP 47 (RFC 5646 §2.1) and whether the language exists.
//!
//! Known languages are the codes of ISO 639-1, 639-3 and 639-5 of which the registry of primary subtags consists:
//! three letters only where there are no two (RFC 5646 §2.2.1). Left out: whether a script, region or variant
//! exists, and tags that are grandfathered or all private.

use super::Value;

/// In order, two letters first.
const KNOWN: &str = include_str!("languages.txt");
const ALLOWED: &str = "a language (BCP 47) such as \"en\" or \"de-AT\"";
/// Longest tag: RFC 5646 §4.4.1 asks for 35 characters at least.
const MAX_TAG: usize = 35;

/// Reads a tag such as `en`, `de-AT`, `zh-Hant-TW`.
pub fn language(value: &Value<'_>) -> Option<String> {
    let allowed = value.text_as_written().map_or(ALLOWED.to_owned(), why);
    value.parsed(&allowed, |s| (is_well_formed(s) && is_known(s)).then(|| s.to_owned()))
}

/// What is allowed, with what is wrong about this one.
fn why(wrong: &str) -> String {
    let dashed = wrong.replace('_', "-");
    match is_well_formed(wrong) {
        true => format!("{ALLOWED}; no language has the code \"{}\"", primary(wrong)),
        false if is_well_formed(&dashed) && is_known(&dashed) => format!("{ALLOWED}; did you mean \"{dashed}\"?"),
        false => ALLOWED.to_owned(),
    }
}

fn primary(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}

fn is_known(tag: &str) -> bool {
    let primary = primary(tag);
    KNOWN.split_ascii_whitespace().any(|known| known == primary)
}

/// language [-extlang] [-script] [-region] *(-variant) *(-extension) [-x-private]
fn is_well_formed(tag: &str) -> bool {
    let mut parts = tag.split('-').peekable();
    let letters = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_alphabetic());
    let within =
        |part: &str, least: usize| (least..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let region = |part: &str| letters(part, 2) || (part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()));
    let variant = |part: &str| within(part, 5) || (within(part, 4) && part.as_bytes()[0].is_ascii_digit());
    if tag.len() > MAX_TAG || !parts.next().is_some_and(|part| letters(part, 2) || letters(part, 3)) {
        return false;
    }
    for _ in 0..3 {
        _ = parts.next_if(|part| letters(part, 3));
    }
    _ = parts.next_if(|part| letters(part, 4));
    _ = parts.next_if(|part| region(part));
    while parts.next_if(|part| variant(part)).is_some() {}
    while let Some(singleton) = parts.next() {
        let private = singleton.eq_ignore_ascii_case("x");
        if !within(singleton, 1) || singleton.len() != 1 {
            return false;
        }
        let least = if private { 1 } else { 2 };
        let mut any = false;
        while parts.next_if(|part| within(part, least)).is_some() {
            any = true;
        }
        if !any || (private && parts.peek().is_some()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_well_formed_or_not() {
        let good = ["en", "de-AT", "zh-Hant-TW", "zh-yue-HK", "sr-Latn", "es-419", "de-1996", "sl-rozaj", "EN-us"];
        let more = ["en-u-co-phonebk", "de-x-mine", "gsw", "ar-a-b1-x-y"];
        for tag in good.into_iter().chain(more) {
            assert!(is_well_formed(tag) && is_known(tag), "{tag}");
        }
        let bad =
            ["", "e", "english", "en-", "-en", "en--US", "en_US", "en-u", "de-x", "en-toolongsubtag", "1n", "en-é"];
        for tag in bad.into_iter().chain(["en-a-u", "en-US-US-US"]) {
            assert!(!is_well_formed(tag), "{tag}");
        }
        for tag in ["xx", "qq-DE", "eng", "deu"] {
            assert!(is_well_formed(tag) && !is_known(tag), "{tag}");
        }
    }

    #[test]
    fn all_codes_are_listed_once() {
        let codes: Vec<&str> = KNOWN.split_ascii_whitespace().collect();
        let ordered = codes.windows(2).all(|pair| (pair[0].len(), pair[0]) < (pair[1].len(), pair[1]));
        assert!(ordered && codes.len() > 7_000, "{}", codes.len());
    }
}
