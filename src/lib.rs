//! Tierline: a telephony and routing engine for support centers.
//!
//! **Everything that decides is a plain struct with three verbs:** `handle(now, input)`, `poll() -> Option<Output>`,
//! `deadline() -> Option<Instant>`. It never waits, locks, reads a clock, opens a socket or draws randomness from the
//! system. The SIP endpoint, a media plane, a flow run, the router, the engine, the phone and the simulated world all
//! have this shape. There is no trait for it; it is a convention. Who has learned one has learned all.
//!
//! ```text
//!                    phones                                 people who look
//!                     │   ▲                                     ▲
//!  server (tokio) ────┼───┼── clock · sockets · disk · HTTP ────┼──── does I/O, decides nothing
//!                     ▼   │                                     │
//!           ┌──────────── engine::Engine ────────────┐  Event   ├─ log      (durable form, what is open)
//!           │ sip::Endpoint   ivr::Run   acd::Router │ ───────▶ ├─ records  (fold: rows of tables)
//!           └───────┬───────────────────▲────────────┘          ├─ stats    (fold: numbers)
//!            media::Command        media::Event                  └─ cti, ticketing (told over gRPC)
//!           ┌───────▼───────────────────┴────────────┐
//!           │ media::Plane × N  (S)RTP, bridges, DTMF│  one thread each
//!           └────────────────────────────────────────┘
//!  sim::World drives the same Engine with a simulated network, people and clock.
//! ```
//!
//! One [`engine::Engine`] on one thread, N [`media::Plane`]s on N threads, a thin shell ([`server`]).
//!
//! # Reading order
//!
//! [`event`] (what happens), [`engine`] (how an input becomes events), [`acd`] (who takes the next call),
//! [`ivr`] (what a caller is led through), [`trunk`] (which carrier takes the next call out), [`sip`] and [`media`] (the wire), [`server::driver`] (the one loop),
//! [`sim`] (how all of it is tested).
//!
//! # Who must not know whom
//!
//! | module | may use | never |
//! |---|---|---|
//! | [`table`], [`time`], [`ids`] | std; `time` also `table` | – |
//! | [`center`] | `time`, `ids` | everything else |
//! | [`expr`] | `ids`, `written` | everything else |
//! | [`sip`], [`media`], [`ivr`], [`acd`], [`trunk`] | `table`, `time`, `ids`, `center`; `ivr` also `expr`, `written` | each other, `event`, `command`, `engine`, tokio, sockets |
//! | [`event`], [`command`] | `time`, `ids`, `center` (`command` also `event`) | the cores, `engine`, `server` |
//! | [`engine`] | the five cores, `event`, `command` | `config`, `server`, `sim`, tokio |
//! | [`log`], [`records`], [`stats`] | `event`, `command`, `ladder`; `stats` also `records` (formulas, paths) | `server`, `engine` |
//! | [`cti`], [`ticketing`] | `event`, `command`, `proto` (`ticketing` also `cti`) | `server`, `engine` |
//! | [`ladder`], [`written`], [`proto`] | std; `proto` also tonic | everything else |
//! | [`config`] | every module's plain data | being imported by any of them |
//! | [`phone`] | `time`, `ids`, `sip`, `media` | tokio, sockets |
//! | [`sim`] | all pure modules | `server`, tokio |
//! | [`server`] | everything | being imported by any but `main` |
//!
//! `tests/tidy.rs` checks this table from the sources; `clippy.toml` bans clocks, sleeping and randomly seeded maps
//! outside the shell.
//!
//! # Promises that hold everywhere
//!
//! - **Time** is an argument; wall time is UTC and only in events and headers.
//! - **Randomness** comes from one seed, forked by name ([`ids::Rng`]).
//! - **State is plain serializable data**: an engine in mid-call can be written down and read back.
//! - **Events** are made in one place, [`engine`], in one total order, and carry handles in place of names, numbers
//!   and keys ([`event::Personal`]).
//! - **Passwords** never reach the engine: it asks whether credentials prove a user, and the answer is an input, so
//!   a recording of a run holds neither passwords nor Digest responses nor keys of SRTP, and replays the same. (It
//!   holds the seed, numbers, and what callers key: it is for its owner only.)
//! - **What waits for the log** is stated in [`log`].

pub mod acd;
pub mod center;
pub mod command;
pub mod config;
pub mod cti;
pub mod engine;
pub mod event;
pub mod expr;
pub mod ids;
pub mod ivr;
pub mod ladder;
pub mod log;
pub mod media;
pub mod phone;
pub mod proto;
pub mod records;
pub mod server;
pub mod sim;
pub mod sip;
pub mod stats;
pub mod table;
pub mod ticketing;
pub mod time;
pub mod trunk;
pub mod written;
