//! A gateway as its clients and nodes see it: real sockets, a real repository, real reloads.
//!
//! Nothing sleeps: what takes time is waited for, with a deadline far beyond what it should take.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod answers;
mod client;
mod client_certificate;
mod encrypted;
mod expiry;
mod failures;
mod forwarding;
mod grpc;
mod grpc_service;
mod health;
mod hostile;
mod http2;
mod keepalive;
mod lifecycle;
mod limits;
mod moody;
mod names;
mod nameserver;
mod observed;
mod origin;
mod overload;
mod program;
mod protocols;
mod reload;
mod remote;
mod repository;
mod streaming;
mod tls_origin;
mod websocket;
mod websocket_server;
mod world;
