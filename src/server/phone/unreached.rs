//! What is said where nobody has the number that was dialed.

/// What is said of a number that nobody has: short codes look like numbers, and so do agents.
pub fn told(dialed: &str, with_user: bool) -> &'static str {
    match (dialed.starts_with('*'), with_user) {
        (true, true) => {
            "there is no such short code, or none with this digit behind it; `serve` prints those that there are"
        }
        (true, false) => "there is no such short code; they are dialed as an agent: --user NAME",
        (false, _) => {
            "nobody can be reached under this number: lines have numbers, which `serve` prints when it starts; an agent's \
             cannot be dialed, callers reach agents through queues"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_reached_hears_what_can_be_dialed() {
        let check = |dialed: &str, with_user: bool, part: &str, not: &str| {
            let told = told(dialed, with_user);
            assert!(told.contains(part) && !told.contains(not), "{dialed}: {told}");
        };
        check("1001", true, "lines have numbers", "short code");
        check("999", false, "lines have numbers", "--user");
        check("sip:1001@127.0.0.1", true, "callers reach agents through queues", "short code");
        check("*5", true, "no such short code", "lines");
        check("*1", false, "--user NAME", "lines");
    }
}
