//! Whose T and "short" the service level is computed with: each queue's own, as configured, or one that is asked for.
//! The records have none of them: they keep how long each wait was, and other settings make other reports of it.

use super::Asked;
use crate::center::Queue;
use crate::ids::QueueId;
use crate::server::basis::{Basis, Target};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// Of all queues.
#[derive(Clone, Debug)]
pub struct Targets {
    configured: BTreeMap<String, Target>,
    /// Of a queue that is not configured.
    usual: Target,
    asked: [Option<Duration>; 2],
    file: String,
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Targets {
    /// The configuration is read if it is needed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(asked: &Asked, basis: &Basis<'_>) -> Result<Targets> {
        if asked.target.is_some() && asked.short.is_some() {
            return Ok(Targets::new(BTreeMap::new(), "", asked));
        }
        let (queues, file) = basis.queues().context(
            "the queues' targets are in the configuration; name it with --config, or give --target and --short",
        )?;
        Ok(Targets::new(queues, &file, asked))
    }

    /// `file`: where the queues are from.
    pub fn new(queues: BTreeMap<String, Target>, file: &str, asked: &Asked) -> Targets {
        let asked = [asked.target, asked.short];
        let of = |own: Target| Target {
            target_ms: asked[0].map_or(own.target_ms, ms),
            short_ms: asked[1].map_or(own.short_ms, ms),
        };
        let configured = queues.into_iter().map(|(queue, own)| (queue, of(own))).collect();
        let usual = of(Target::of(&Queue::named(QueueId::new("usual"))));
        Targets { configured, usual, asked, file: file.to_owned() }
    }

    pub fn of(&self, queue: &str) -> Target {
        self.configured.get(queue).copied().unwrap_or(self.usual)
    }

    /// Which ones were used for these queues, and where they are from.
    pub fn told(&self, queues: &BTreeSet<String>) -> String {
        let mut by: BTreeMap<Target, Vec<&str>> = BTreeMap::new();
        queues.iter().for_each(|queue| by.entry(self.of(queue)).or_default().push(queue));
        let values = |of: &Target| {
            let seconds = |ms: u64| ms as f64 / 1000.0;
            format!("T {} s, short below {} s", seconds(of.target_ms), seconds(of.short_ms))
        };
        let mut told = match by.len() {
            0 => "no queue".to_owned(),
            1 => by.keys().map(values).collect(),
            _ => {
                let each = by.iter().map(|(of, queues)| format!("{} ({})", values(of), queues.join(", ")));
                each.collect::<Vec<_>>().join("; ")
            }
        };
        told += &match self.asked {
            [Some(_), Some(_)] => ", as asked for".to_owned(),
            [Some(_), None] => format!(", T as asked for, short as in {}", self.file),
            [None, Some(_)] => format!(", short as asked for, T as in {}", self.file),
            [None, None] => format!(", as in {}", self.file),
        };
        let unknown: Vec<&str> =
            queues.iter().map(String::as_str).filter(|queue| !self.configured.contains_key(*queue)).collect();
        if !unknown.is_empty() && !self.file.is_empty() {
            _ = write!(told, "; not there, so with the defaults: {}", unknown.join(", "));
        }
        told
    }
}
