//! The one error of the crate, and the small one that decoders return.
//!
//! [`Error`] carries plain values (a topic's name as text, never a topic), so that every floor can use it without
//! importing upward. Each variant is something a caller can act on and holds the numbers: what was asked for and what
//! was possible. [`Corruption`] is what pure decoders say of bytes: it knows no files; whoever read the bytes adds
//! path and position.
//!
//! Texts are lower case, end without a full stop, and never repeat their source, which is in the chain.

mod corruption;
mod variants;

mod callback;
mod chain;
mod numbers;
mod policy;

pub(crate) use callback::{guarded, text_of};
pub(crate) use chain::Chain;
pub use corruption::Corruption;
pub use variants::{Error, Result};
