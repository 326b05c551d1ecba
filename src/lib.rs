//! Tierline: a telephony and routing engine for support centers.
pub mod acd;
pub mod center;
pub mod command;
pub mod config;
pub mod engine;
pub mod event;
pub mod ids;
pub mod ivr;
pub mod log;
pub mod media;
pub mod phone;
pub mod records;
pub mod server;
pub mod sim;
pub mod sip;
pub mod stats;
pub mod time;
