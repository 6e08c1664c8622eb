//! An error with all that caused it, as one text.

use std::fmt;

use super::variants::Error;

/// An error with its sources, on one line: for logs and reports, where nobody walks the chain.
#[derive(Debug)]
pub(crate) struct Chain<'a>(pub(crate) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
