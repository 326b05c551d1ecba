//! What is spoken over gRPC: Rust made of `proto/tierline/v1/*.proto`, where each field is explained.

#![allow(clippy::all, clippy::pedantic, reason = "made by a machine")]

tonic::include_proto!("tierline.v1");

/// For reflection: the proto files as they were compiled.
pub const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tierline.v1.pb"));
