//! Names that people give and refer to: their form, and which known ones a misspelled one may stand for.

/// What [`is_name`] allows, in words.
pub const A_NAME: &str = "1 to 64 of a-z, 0-9, _ and -";
/// Known names that are proposed for an unknown one.
const MAX_PROPOSED: usize = 3;

/// Whether `s` may name a step, a queue, a flow, a skill or a sound.
pub fn is_name(s: &str) -> bool {
    (1..=64).contains(&s.len()) && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// `; did you mean "Europe/Berlin"?`, or nothing where no known name is near.
pub fn did_you_mean<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    proposal(&near(wrong, known))
}

pub(super) fn proposal(near: &[&str]) -> String {
    let near: Vec<String> = near.iter().map(|name| format!("\"{name}\"")).collect();
    match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// The known names that differ from `wrong` in a third of its letters at most, nearest first; for names with
/// parts (`Europe/Berlin`), those whose last part does so count after them.
pub(super) fn near<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    if wrong.len() > 64 {
        return Vec::new(); // comparing takes time, and nothing that is known is as long
    }
    let wrong = wrong.to_ascii_lowercase();
    let last_part = |s: &str| s.rsplit('/').next().unwrap_or_default().to_owned();
    let most = |s: &str| (s.chars().count() / 3).max(1);
    let distance = |name: &str| {
        let name = name.to_ascii_lowercase();
        let whole = strsim::osa_distance(&wrong, &name);
        let parts = strsim::osa_distance(&last_part(&wrong), &last_part(&name));
        let by_part = name.contains('/') && parts <= most(&last_part(&wrong)) && last_part(&wrong).len() > 2;
        let most_off = most(&wrong).min(3);
        (whole <= most_off && whole < wrong.chars().count())
            .then_some(whole)
            .or(by_part.then_some(parts + most_off + 1))
    };
    let mut found: Vec<(usize, &str)> = known.into_iter().filter_map(|name| Some((distance(name)?, name))).collect();
    found.sort_unstable();
    let nearest = found.first().map_or(0, |(distance, _)| *distance);
    let close = found.into_iter().filter(|(distance, _)| *distance <= nearest + 1);
    close.take(MAX_PROPOSED).map(|(_, name)| name).collect()
}

/// `1 line`, `2 lines`.
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["Europe/Berlin", "Europe/Paris", "America/New_York", "Africa/Lusaka", "queue", "line", "menu"];
        let check = |wrong: &str, expect: &[&str]| assert_eq!(near(wrong, known), expect, "{wrong}");
        check("Europe/Berln", &["Europe/Berlin"]);
        check("europe/berlin", &["Europe/Berlin"]);
        check("Berlin", &["Europe/Berlin"]);
        check("America/NewYork", &["America/New_York"]);
        check("queues", &["queue"]);
        check("lnie", &["line"]);
        check("Mars", &[]);
        check("", &[]);
        check(&"x".repeat(1000), &[]);
        assert_eq!(did_you_mean("men", known), "; did you mean \"menu\"?");
        assert_eq!(did_you_mean("x", ["a1", "b1"]), "");
    }
}
