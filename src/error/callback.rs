//! A user's own code, called: a panic of it is an error, and goes no further.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

use super::variants::Error;

/// Calls a user's own code. What it may leave half done must be its own.
///
/// # Errors
///
/// [`Error::CallbackPanicked`] with the name that `callback` gives.
pub(crate) fn guarded<T>(callback: impl FnOnce() -> String, code: impl FnOnce() -> T) -> Result<T, Error> {
    panic::catch_unwind(AssertUnwindSafe(code))
        .map_err(|payload| Error::CallbackPanicked { callback: callback(), text: text_of(payload) })
}

/// What a panic said.
pub(crate) fn text_of(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            // Dropped, a value of no known type could panic again.
            mem::forget(payload);
            "a value that is no text".to_owned()
        }
    }
}
