//! Why a call did not come about.

use super::Settings;

/// What the status of a call that failed means, for people.
pub fn told(status: u16, settings: &Settings) -> String {
    let words = match status {
        401 | 403 | 407 => "the server does not believe that you are who you say: look at --user and --password",
        404 => unreached(settings.dial.as_deref().unwrap_or_default(), settings.user.is_some()),
        408 => "the server does not answer",
        480 | 486 | 600 | 603 => "the other side does not take the call",
        488 => "there is no common codec",
        503 => "the server takes no new calls at present",
        _ => return format!("the call failed with status {status}"),
    };
    let lacks = settings.lacks.as_ref().filter(|_| matches!(status, 401 | 403 | 407));
    lacks.map_or(words.to_owned(), |lacks| format!("{words}; {lacks}"))
}

/// What is said of a number that nobody has: short codes look like numbers, and so do agents.
fn unreached(dialed: &str, with_user: bool) -> &'static str {
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
            let told = unreached(dialed, with_user);
            assert!(told.contains(part) && !told.contains(not), "{dialed}: {told}");
        };
        check("1001", true, "lines have numbers", "short code");
        check("999", false, "lines have numbers", "--user");
        check("sip:1001@127.0.0.1", true, "callers reach agents through queues", "short code");
        check("*5", true, "no such short code", "lines");
        check("*1", false, "--user NAME", "lines");
    }
}
