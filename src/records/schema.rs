//! The tables of the records, described: one line for each column, with its unit. `tierline records schema` prints
//! [`reference`], which is `docs/records.md`.

use std::fmt::Write;

/// A table.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub what: &'static str,
    /// The columns that name a row.
    pub key: &'static str,
    pub columns: &'static [Column],
}

/// A column.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    /// `INTEGER` or `TEXT`.
    pub kind: &'static str,
    /// May be NULL.
    pub optional: bool,
    pub unit: &'static str,
    pub what: &'static str,
}

const fn int(name: &'static str, unit: &'static str, what: &'static str) -> Column {
    Column { name, kind: "INTEGER", optional: false, unit, what }
}

const fn text(name: &'static str, unit: &'static str, what: &'static str) -> Column {
    Column { name, kind: "TEXT", optional: false, unit, what }
}

const fn maybe(column: Column) -> Column {
    Column { optional: true, ..column }
}

const ID: &str = "number";
const AT: &str = "ms since 1970, UTC";
const MS: &str = "ms";
const NAME: &str = "name";
const WORD: &str = "word";
const FLAG: &str = "0 or 1";

/// Of whom the row is.
const CALL_ID: Column = int("call", ID, "the call");
const N: Column = int("n", "1, 2 …", "counts within the call");

pub const CALL: Table = Table {
    name: "call",
    what: "One row for each call that has ended, short codes of agents included.",
    key: "call",
    columns: &[
        CALL_ID,
        maybe(text("line", NAME, "the line that was called; none: an agent's short code")),
        maybe(int("by_agent", "agent", "the agent who called")),
        maybe(text("trunk", NAME, "the trunk that brought it")),
        text("language", "tag", "the call's language at its beginning"),
        int("private", FLAG, "the caller wants his number not to be shown to agents"),
        int(
            "caller",
            "handle",
            "stands for the caller's number, which is in `personal` of `events.db` until it is erased",
        ),
        int("arrived", AT, "its INVITE came"),
        maybe(int("answered", AT, "it was answered, by a flow or an agent")),
        int("ended", AT, "its last leg was gone"),
        maybe(text("phase", WORD, "how far it had come: Arriving, InFlow, Queued, Alerting, Connected")),
        maybe(text("cause", WORD, "why it ended: CallerHungUp, AgentHungUp, FlowEnded, Silent, Restart …")),
        text("outcome", WORD, "Served, Transferred, Abandoned, LeftFlow, FlowEnded, Failed"),
        maybe(text("queue", NAME, "the last queue that it waited in")),
        maybe(int("agent", "agent", "the last agent who talked")),
        int("waited_ms", MS, "in queues, all waits together"),
        int("talked_ms", MS, "with agents, without what was held"),
        int("held_ms", MS, "with agents, held"),
    ],
};

pub const SEGMENT: Table = Table {
    name: "segment",
    what: "One stretch of one participant's part of a call. Those of one leg follow each other without gap or overlap, \
           from its beginning to its end; the caller's from `call.arrived` on.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        int("leg", ID, "the participant's leg"),
        text("party", WORD, "caller, agent, outside"),
        text("kind", WORD, "arriving, flow, waiting, ringing, talking, held"),
        maybe(int("agent", "agent", "whose leg it is; of the caller's: with whom he talks")),
        maybe(text("queue", NAME, "in which the caller waits, or which the agent was called for")),
        maybe(text("trunk", NAME, "over which the leg goes")),
        int("began", AT, ""),
        int("ended", AT, ""),
    ],
};

pub const OFFER: Table = Table {
    name: "offer",
    what: "One row for each agent's phone that was rung for a caller.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        int("reservation", ID, "the agent's reservation"),
        int("work", ID, "the wait, as `queue_interval.work`"),
        maybe(text("queue", NAME, "the queue")),
        int("agent", "agent", "whose phone"),
        int("began", AT, "it was rung"),
        int("ended", AT, "the ringing ended"),
        text(
            "result",
            WORD,
            "answered, refused, missed (no answer, not reachable), cancelled (by the caller, another agent or us)",
        ),
        text(
            "outcome",
            WORD,
            "the log's word: Accepted, Declined, NoAnswer, Unreachable, CallerLeft, Withdrawn, Failed",
        ),
    ],
};

pub const QUEUE_INTERVAL: Table = Table {
    name: "queue_interval",
    what: "One row for each wait in a queue, with the talk that followed.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        int("work", ID, "the wait"),
        text("queue", NAME, "the queue"),
        int("priority", "points", "asked for by the flow; one point is worth a minute of waiting"),
        int(
            "again",
            FLAG,
            "back in the queue because the agent's phone was lost, a number outside was not reached (then `transfer` has why), or the one agent he was sent to did not take him: reports count the first wait only",
        ),
        int("began", AT, "the wait"),
        int("ended", AT, "the wait"),
        int("waited_ms", MS, "in this queue, now"),
        text(
            "outcome",
            WORD,
            "answered, abandoned (hung up, or gone), diverted (went on in the flow), lost (we ended it)",
        ),
        maybe(text(
            "reason",
            WORD,
            "of a diversion: Full, MaxWait, Refused, Left, NoStaff, LongWait, NotTaken; of an end: its cause",
        )),
        maybe(int("agent", "agent", "who answered")),
        int("talked_ms", MS, "with that agent, without what was held"),
        int("held_ms", MS, "with that agent, held"),
        maybe(int(
            "told_ms",
            MS,
            "of an answered wait: how long the flow first said that it would be; none: it said nothing",
        )),
    ],
};

pub const AGENT_INTERVAL: Table = Table {
    name: "agent_interval",
    what: "One agent in one state. An agent's intervals follow each other without gap or overlap. The present one of each \
           agent is not here yet.",
    key: "agent, event",
    columns: &[
        int("agent", "agent", "the agent"),
        int("event", ID, "the event of the log that began it"),
        text("mode", WORD, "LoggedOut, NotReady, Ready, Reserved, Busy, WrapUp"),
        text("reason", WORD, "what moved the agent there; of NotReady the reason of the break"),
        maybe(int("call", ID, "the call, while the agent talks and writes it up")),
        int("began", AT, ""),
        int("ended", AT, ""),
        int(
            "unreachable",
            FLAG,
            "ready by `mode`, but no phone of the agent's answered and no trunk could carry a call to the agent's number",
        ),
        maybe(int(
            "work",
            ID,
            "of talk (Busy) and writing up (WrapUp): the wait that was answered, as `queue_interval.work`; none: a call of the agent's own",
        )),
    ],
};

pub const FLOW_PATH: Table = Table {
    name: "flow_path",
    what: "A caller's way through one flow. Who comes back to it goes on in the same row; what is heard while waiting is a row of its own.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        text("flow", NAME, "the flow; `@ready` and `@not-ready` confirm agents' short codes"),
        int("waiting", FLAG, "heard while waiting in a queue"),
        int("began", AT, "entered"),
        int("ended", AT, "left last"),
        int("spent_ms", MS, "in it, without what came between"),
        int("steps", "count", "steps passed"),
        text("path", "names", "the steps passed, with ` > ` between them"),
        int("person", FLAG, "the key that asks for a person was pressed"),
        text("exit", WORD, "queue, flow, outside, answered, diverted, ended, hung_up, failed"),
        maybe(text("exit_to", NAME, "the queue or flow, or why it was diverted")),
        int(
            "contained",
            FLAG,
            "the flow came to its end here, without a queue, an outside party or the wish for a person",
        ),
    ],
};

pub const LOOK_UP: Table = Table {
    name: "look_up",
    what: "A flow asked the ticketing system.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        text("flow", NAME, "the flow"),
        text("step", NAME, "the step"),
        int("asked", AT, "the caller came to the step"),
        text("result", WORD, "found, not_found, failed"),
        int("took_ms", MS, "until the answer"),
    ],
};

pub const TRANSFER: Table = Table {
    name: "transfer",
    what: "A caller was sent on: by an agent, or by a flow to a number outside.",
    key: "call, n",
    columns: &[
        CALL_ID,
        N,
        int("at", AT, ""),
        maybe(int("agent", "agent", "who did it; none: a flow")),
        text("kind", WORD, "queue, agent, number"),
        maybe(text("to_queue", NAME, "the queue")),
        maybe(int("to_agent", "agent", "the agent")),
        text(
            "result",
            WORD,
            "done (waits in the queue, or talks with the agent or the outside party), not_taken (by the agent: waits where he came from), failed, ended (the call, before)",
        ),
        maybe(text("reason", WORD, "of a failure: Busy, NoAnswer, Refused, NoTrunk")),
    ],
};

pub const DISPOSITION: Table = Table {
    name: "disposition",
    what: "An agent has coded a call, in it or after it; of several for one call and agent the last one counts.",
    key: "event",
    columns: &[
        int("event", ID, "the event of the log"),
        CALL_ID,
        int("agent", "agent", "who coded it"),
        int("at", AT, ""),
        text("disposition", NAME, "the code"),
    ],
};

pub const GAP: Table = Table {
    name: "gap",
    what: "Events that could not be written to the log, because the disk was full or too slow: what happened then may be \
           missing in all tables. Of more than 1,000 gaps the oldest are put together. A rebuild leaves them as they are.",
    key: "event",
    columns: &[
        int("event", ID, "the last event before it; 0: what an earlier version knew of all gaps together"),
        int("count", "events", "how many are missing"),
        int("began", AT, "the last event before it"),
        int("ended", AT, "the first event after it"),
    ],
};

/// All tables that hold records.
pub const TABLES: [&Table; 10] =
    [&CALL, &SEGMENT, &OFFER, &QUEUE_INTERVAL, &AGENT_INTERVAL, &FLOW_PATH, &LOOK_UP, &TRANSFER, &DISPOSITION, &GAP];

const HEAD: &str = "\
# The records

`records.db` in the data directory, SQLite. Written by the server, half a second behind the calls, two under load; made anew
from the event log with `tierline records rebuild`. Read it with any SQLite program, read-only (`mode=ro`), also while the
server runs.

No personal data: numbers and keys are handles here. A call's number is shown by `tierline calls` as `cNODE-START-COUNT`:
`node << 54 | start << 32 | count`; legs (`l`), waits (`w`) and reservations (`r`) in the same way.

Made by `tierline records schema`.
";

/// The description of all tables, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for Table { name, what, key, columns } in TABLES {
        _ = write!(page, "\n## {name}\n\n{what} Key: {key}.\n\n| column | type | unit | what |\n|---|---|---|---|\n");
        for Column { name, kind, optional, unit, what } in *columns {
            let null = if *optional { ", may be NULL" } else { "" };
            _ = writeln!(page, "| `{name}` | {kind}{null} | {unit} | {what} |");
        }
    }
    page
}
