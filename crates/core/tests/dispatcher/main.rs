//! The dispatcher over a real ledger and an engine of make-believe that misbehaves on command.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod dispatch;
mod events;
mod kinds;
mod parts;
mod recovery;
mod rollback;
mod watch;
mod yard;
