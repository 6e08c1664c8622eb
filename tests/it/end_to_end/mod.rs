//! Producers and consumers together: what is consumed is what was sent, in its order, once.

mod book;
mod follower;
mod model;
mod threads;
mod trouble;
