//! What the tests of behaviour share: where a broker lives, what is put into it, and what it gives back.

mod faulty;
mod place;
mod rows;
mod seed;

pub(crate) use faulty::{Faulty, Ran};
pub(crate) use place::{Place, START, day_long};
pub(crate) use rows::{Row, all_rows, rows_of, values};
pub(crate) use seed::Seed;
