//! The point at which a check failed, and why.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the pieces of code return that are run again and again: `?` makes one of most errors, `.into()` of a text.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A check did not hold, or a piece of code failed by itself: at which point, why, and how to repeat it. Or nothing was checked.
///
/// Its text has the error that it was given with all that caused it, as a file and a byte may be known only further down. So it
/// has no [`source`](Error::source) of its own.
///
/// # Examples
///
/// ```
/// use streamlog::testing::EveryCrash;
///
/// let failed = EveryCrash::new().run(|_, _: &mut ()| Ok(()), |_, (), _| Err("3 apples are missing".into())).unwrap_err();
/// assert!(failed.to_string().starts_with("at step 1 of 1, the end, Kill: 3 apples are missing"));
/// ```
pub struct Failed {
    /// With what the text begins.
    place: String,
    why: Box<dyn Error + Send + Sync>,
    again: String,
}

impl Failed {
    pub(super) fn new(point: impl fmt::Display, why: Box<dyn Error + Send + Sync>, again: String) -> Failed {
        Failed { place: format!("at {point}"), why, again }
    }

    /// What was asked for is no point of the run: a check that was never called has not held.
    pub(super) fn unchecked(why: String) -> Failed {
        Failed { place: "no point was checked".to_owned(), why: why.into(), again: String::new() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)?;
        let mut source = self.why.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        if self.again.is_empty() { Ok(()) } else { write!(f, " (repeat it with {})", self.again) }
    }
}

/// As it is printed: this is what a test shows that unwraps it.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failed {}

/// Runs code that may panic as well as fail.
pub(super) fn attempt(code: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| Err(words_of(&*panic).into()))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::testing::EveryCrash;

    #[test]
    fn an_error_is_told_with_all_that_caused_it_and_once() {
        let check = || -> Outcome {
            let source = io::Error::other("sector 7");
            Err(crate::Error::Io { op: "read", path: "data/t-0".into(), source })?
        };
        let inner = || EveryCrash::new().run(|_, (): &mut ()| Ok(()), |_, (), _| check());
        let told = "at step 1 of 1, the end, Kill: cannot read data/t-0: sector 7 (repeat it with";
        assert!(inner().unwrap_err().to_string().starts_with(told), "{:?}", inner());
        let outer = EveryCrash::new().run(|_, (): &mut ()| Ok(()), |_, (), _| Ok(inner().map(drop)?));
        let outer = format!("{:?}", outer.unwrap_err());
        assert_eq!(outer.matches("sector 7").count(), 1, "{outer}");
    }
}
