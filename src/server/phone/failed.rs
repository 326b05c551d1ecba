//! Why a call did not come about.

use super::Settings;

/// What the status of a call that failed means, for people.
pub fn told(status: u16, settings: &Settings) -> String {
    let words = match status {
        401 | 403 | 407 => "the server does not believe that you are who you say: look at --user and --password",
        404 if settings.user.is_some() => {
            "nobody can be reached under this number; a short code may have no such digit behind it"
        }
        404 => "nobody can be reached under this number (short codes need --user)",
        408 => "the server does not answer",
        480 | 486 | 600 | 603 => "the other side does not take the call",
        488 => "there is no common codec",
        503 => "the server takes no new calls at present",
        _ => return format!("the call failed with status {status}"),
    };
    let lacks = settings.lacks.as_ref().filter(|_| matches!(status, 401 | 403 | 407));
    lacks.map_or(words.to_owned(), |lacks| format!("{words}; {lacks}"))
}
