//! How a line looks: text for people, or an object of JSON for programs.
//!
//! ```text
//! 2026-11-27T08:00:01.250Z info  call c0-1-5: arrives line=support
//! {"time":"2026-11-27T08:00:01.250Z","level":"info","subject":"call","call":"c0-1-5","said":"arrives","line":"support"}
//! ```

use super::{Entry, Shape, Value};
use crate::config::{Form, Level};
use crate::time::Wall;
use std::fmt::Write;

/// Adds `line` and its end.
pub(super) fn put(to: &mut String, shape: Shape, at: Wall, line: &Entry) {
    if shape.systemd {
        _ = write!(to, "<{}>", priority(line.level));
    }
    match shape.form {
        Form::Json => json(to, at, line),
        Form::Text => {
            if !shape.systemd {
                _ = write!(to, "{at} {:<5} ", line.level.as_str());
            }
            to.push_str(line.subject);
            line.call.iter().for_each(|call| _ = write!(to, " {call}"));
            _ = write!(to, ": {}", line.said);
            fields(to, line);
        }
    }
    to.push('\n');
}

/// As other commands than `serve` say it.
pub(super) fn plain(line: &Entry) -> String {
    let what = if line.level == Level::Error { "error" } else { "warning" };
    let mut text = format!("{what}: {}", line.said);
    fields(&mut text, line);
    text
}

/// syslog(3)'s.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

fn fields(to: &mut String, line: &Entry) {
    for (name, value) in &line.fields {
        _ = match value {
            Value::Text(text) if text.bytes().all(is_plain) && !text.is_empty() => write!(to, " {name}={text}"),
            value => write!(to, " {name}={}", value.json()),
        };
    }
}

/// What needs no quotes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/+@[]".contains(&byte)
}

fn json(to: &mut String, at: Wall, line: &Entry) {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), at.to_string().into());
    object.insert("level".into(), line.level.as_str().into());
    object.insert("subject".into(), line.subject.into());
    object.extend(line.call.map(|call| ("call".into(), call.to_string().into())));
    object.insert("said".into(), line.said.into());
    object.extend(line.fields.iter().map(|(name, value)| ((*name).into(), value.json())));
    _ = write!(to, "{}", serde_json::Value::Object(object));
}

impl Value {
    fn json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Whole(number) => (*number).into(),
            Value::Real(number) => (*number).into(),
            Value::Flag(flag) => (*flag).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;

    fn check(form: Form, systemd: bool, expect: &str) {
        let line = Entry::warn("call", "is not as it should be")
            .of(Some(CallId(5)))
            .with("waited", std::time::Duration::from_millis(2_500))
            .with("why", &anyhow::anyhow!("no \"room\"\nleft"))
            .with("line", "support");
        let mut text = String::new();
        put(&mut text, Shape { form, systemd }, Wall(1_790_000_000_250), &line);
        assert_eq!(text, expect);
    }

    #[test]
    fn a_line_is_one_line_in_each_form() {
        let call = CallId(5);
        let fields = r#"waited=2.5 why="no \"room\"\nleft" line=support"#;
        let text = format!("call {call}: is not as it should be {fields}\n");
        check(Form::Text, false, &format!("2026-09-21T14:13:20.250Z warn  {text}"));
        check(Form::Text, true, &format!("<4>{text}"));
        let json: serde_json::Value = serde_json::json!({
            "time": "2026-09-21T14:13:20.250Z", "level": "warn", "subject": "call", "call": call.to_string(),
            "said": "is not as it should be", "waited": 2.5, "why": "no \"room\"\nleft", "line": "support",
        });
        check(Form::Json, false, &format!("{json}\n"));
        check(Form::Json, true, &format!("<4>{json}\n"));
    }

    #[test]
    fn other_commands_say_it_plainly() {
        let line = Entry::warn("sip", "the buffer is small").with("kib", 208u64);
        assert_eq!(plain(&line), "warning: the buffer is small kib=208");
    }
}
