//! `[journal]`: which lines the server writes on standard error, and in which form.

use crate::written::{Section, Value};

/// How much a line matters: the least of those that are written is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// It will need somebody, or something was refused.
    Warn,
    /// What begins and ends: the server, calls, phones, trunks.
    Info,
    /// Each step of a call.
    Debug,
}

impl Level {
    const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// An object for each line.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Default `info`.
    pub level: Level,
    /// Default `text`.
    pub form: Form,
}

impl Default for JournalSettings {
    fn default() -> JournalSettings {
        JournalSettings { level: Level::Info, form: Form::Text }
    }
}

pub fn read(mut section: Section<'_>) -> JournalSettings {
    let usual = JournalSettings::default();
    let known = "\"error\", \"warn\", \"info\" or \"debug\"";
    let level = |v: Value<'_>| v.parsed(known, |text| Level::ALL.into_iter().find(|level| level.as_str() == text));
    let form = |v: Value<'_>| {
        v.parsed("\"text\" or \"json\"", |text| match text {
            "text" => Some(Form::Text),
            "json" => Some(Form::Json),
            _ => None,
        })
    };
    let level = section.take("level").and_then(level).unwrap_or(usual.level);
    let form = section.take("format").and_then(form).unwrap_or(usual.form);
    section.finish();
    JournalSettings { level, form }
}
