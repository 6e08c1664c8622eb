//! A disk that breaks on purpose, and ways to break it at every step: for tests of what runs on this crate.
//!
//! The tests of this crate itself are written with what is here. It is the feature `testing`, which is off by default; a program
//! asks for it among its `dev-dependencies`.
//!
//! - [`TestDisk`] is a [`Storage`](crate::Storage) in memory that tells the page cache from the device. [`TestDisk::after`] gives
//!   what the next process finds after a [`Crash`].
//! - [`TestDisk::inject`] makes a [`Fault`] happen: a full disk, a failed sync, a sync that lies, a bit that flips, at one
//!   [`Call`] or at many ([`Calls`]).
//! - [`EveryCrash`] ends a piece of code at each of its steps and hands what is left to a check, which is told the [`CrashPoint`];
//!   [`EveryFault`] makes each of its calls fail, each a [`FaultPoint`]. Both end at the first check that [`Failed`] and say how
//!   to repeat it. What the pieces of code return is an [`Outcome`].
//!
//! ```
//! use streamlog::testing::{Crash, EveryCrash};
//! use streamlog::{Broker, ManualClock, NewTopic, Record, Timestamp};
//!
//! let open = |disk: &streamlog::testing::TestDisk| {
//!     let clock = ManualClock::new(Timestamp::from_millis(0)); // no threads: every run is the same
//!     Broker::builder().log_dir("data").storage(disk.clone()).clock(clock).open()
//! };
//! let points = EveryCrash::new().stride(9).run(
//!     |disk, acknowledged: &mut u64| {
//!         let broker = open(disk)?;
//!         broker.admin().create_topic(NewTopic::new("orders"))?;
//!         let producer = broker.producer().build()?;
//!         for _ in 0..3 {
//!             producer.send(Record::to("orders").value("3 apples"))?.wait()?;
//!             *acknowledged += 1;
//!         }
//!         Ok(())
//!     },
//!     |disk, &acknowledged, _point| {
//!         if acknowledged > 0 {
//!             let orders = open(disk)?.topic("orders")?.partition(0)?;
//!             assert!(orders.log_end_offset() >= acknowledged);
//!         }
//!         Ok(())
//!     },
//! )?;
//! assert!(points > 30);
//! # Ok::<(), streamlog::testing::Failed>(())
//! ```

mod call;
mod crash;

mod fault;

mod directory;
mod file;
mod state;

mod test_disk;

mod likeness;

mod every_crash;
mod every_fault;
mod failed;

pub use call::{Call, Calls};
pub use crash::Crash;
pub use every_crash::{CrashPoint, EveryCrash};
pub use every_fault::{EveryFault, FaultPoint};
pub use failed::{Failed, Outcome};
pub use fault::Fault;
pub use test_disk::TestDisk;
