//! Everything that is tested through the public API alone: one module per capability.

mod golden;
mod hostile;
mod interop;
