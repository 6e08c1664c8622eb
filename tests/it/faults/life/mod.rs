//! One life of a broker that uses everything there is, the book of what it was promised on the way, and whether that is kept.

mod commits;
mod groups;
mod ledger;
mod live;
mod members;
mod outlived;
mod steps;
mod survivor;

pub(crate) use ledger::{Kept, Ledger};
pub(crate) use live::{live, open, open_in};
pub(crate) use outlived::{check_outlived, live_on};
pub(crate) use steps::LIFE;
pub(crate) use survivor::check;
