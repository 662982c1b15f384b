//! The store from outside: what it promises, and what happens to it when the disk lies.

mod damage;
mod figures;
mod helpers;
mod model;
mod objects;
mod opening;
mod records;
mod sweep;
