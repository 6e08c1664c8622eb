//! The point at which a check failed, and why.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the pieces of code return that are run again and again: `?` makes one of most errors, `.into()` of a text.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A check did not hold, or a piece of code failed by itself: at which point, why, and how to repeat it.
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
    point: String,
    why: Box<dyn Error + Send + Sync>,
    again: String,
}

impl Failed {
    pub(super) fn new(point: impl fmt::Display, why: Box<dyn Error + Send + Sync>, again: String) -> Failed {
        Failed { point: point.to_string(), why, again }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.point, self.why)?;
        if self.again.is_empty() { Ok(()) } else { write!(f, " (repeat it with {})", self.again) }
    }
}

/// As it is printed: this is what a test shows that unwraps it.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.source()
    }
}

/// Runs code that may panic as well as fail.
pub(super) fn attempt(code: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| Err(words_of(&*panic).into()))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    text.to_owned()
}
