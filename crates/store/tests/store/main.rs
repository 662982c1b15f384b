//! The store from outside: what it promises, and what happens to it when the disk lies.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::print_stdout, reason = "figures are for people")]

mod damage;
mod figures;
mod helpers;
mod model;
mod objects;
mod opening;
mod outgoing;
mod records;
mod sweep;
mod totals;
