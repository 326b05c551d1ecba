//! Real phones and tools against the running program, with audio heard both ways.
//!
//! SIPp, baresip and `tierline phone` call one another through `tierline serve`; what reached whom is judged from
//! a capture of the loopback interface. *Heard* means: the right tone or prompt in at least 95 % of the 20 ms
//! frames from answer to BYE, in both directions, and no gap over 60 ms.
//!
//! These are the only tests that open ports. Each has its own server, folder and ports, so they run side by side.
#![allow(clippy::disallowed_methods, reason = "real programs run in real time")]

#[path = "place/alone.rs"]
mod alone;
#[path = "interop/audio.rs"]
mod audio;
#[path = "interop/capture.rs"]
mod capture;
#[path = "interop/center.rs"]
mod center;
#[path = "place/clock.rs"]
mod clock;
#[path = "place/disk.rs"]
mod disk;
#[path = "interop/harness.rs"]
mod harness;
#[path = "interop/nets.rs"]
mod nets;
#[path = "interop/peers.rs"]
mod peers;
#[path = "interop/prometheus.rs"]
mod prometheus;
#[path = "interop/server.rs"]
mod server;

#[path = "interop/alerts.rs"]
mod alerts;
#[path = "interop/broken.rs"]
mod broken;
#[path = "interop/carriers.rs"]
mod carriers;
#[path = "interop/codecs.rs"]
mod codecs;
#[path = "interop/connections.rs"]
mod connections;
#[path = "interop/copied.rs"]
mod copied;
#[path = "interop/counted.rs"]
mod counted;
#[path = "interop/crowd.rs"]
mod crowd;
#[path = "interop/demo_desk.rs"]
mod demo_desk;
#[path = "interop/desktop.rs"]
mod desktop;
#[path = "interop/edge.rs"]
mod edge;
#[path = "interop/endpoint.rs"]
mod endpoint;
#[path = "interop/erased.rs"]
mod erased;
#[path = "interop/farewell.rs"]
mod farewell;
#[path = "interop/first_call.rs"]
mod first_call;
#[path = "interop/flood.rs"]
mod flood;
#[path = "interop/flow.rs"]
mod flow;
#[path = "interop/flows.rs"]
mod flows;
#[path = "interop/guarding.rs"]
mod guarding;
#[path = "interop/heard.rs"]
mod heard;
#[path = "interop/help_desk.rs"]
mod help_desk;
#[path = "interop/holding.rs"]
mod holding;
#[path = "interop/home.rs"]
mod home;
#[path = "interop/keys.rs"]
mod keys;
#[path = "interop/leaving.rs"]
mod leaving;
#[path = "interop/listeners.rs"]
mod listeners;
#[path = "interop/numbers.rs"]
mod numbers;
#[path = "interop/outbound.rs"]
mod outbound;
#[path = "interop/pages.rs"]
mod pages;
#[path = "interop/pairs.rs"]
mod pairs;
#[cfg(feature = "planted-bugs")]
#[path = "interop/planted.rs"]
mod planted;
#[path = "interop/recording.rs"]
mod recording;
#[path = "interop/reporting.rs"]
mod reporting;
#[path = "interop/rights.rs"]
mod rights;
#[path = "interop/running.rs"]
mod running;
#[path = "interop/secrets.rs"]
mod secrets;
#[path = "interop/sending.rs"]
mod sending;
#[path = "interop/sharing.rs"]
mod sharing;
#[path = "interop/signals.rs"]
mod signals;
#[path = "interop/spare.rs"]
mod spare;
#[path = "interop/storm.rs"]
mod storm;
#[path = "interop/streams.rs"]
mod streams;
#[path = "interop/supervised.rs"]
mod supervised;
#[path = "interop/tier0.rs"]
mod tier0;
#[path = "interop/torture.rs"]
mod torture;
#[path = "interop/trunks.rs"]
mod trunks;
#[path = "interop/tunnel.rs"]
mod tunnel;
#[path = "interop/unreachable.rs"]
mod unreachable;
#[path = "interop/vanishing.rs"]
mod vanishing;
#[path = "interop/wire.rs"]
mod wire;
#[path = "interop/zone.rs"]
mod zone;
