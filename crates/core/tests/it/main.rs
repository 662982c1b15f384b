//! Tests of the pure core: tables for the planner, properties over a model world.

mod properties;
mod random;
mod table;
mod world;
