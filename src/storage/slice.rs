//! A piece of a file in memory, shared by reference count.
//!
//! Whoever holds a [`Slice`] may keep it for as long as they like: the map, the buffer or the written block that it is
//! a part of lives until the last slice of it is dropped, whatever happens to the file meanwhile.

use std::fmt;
use std::ops::{Deref, Range};

use bytes::Bytes;

/// Immutable bytes read from storage; cloning and sub-slicing copy nothing.
///
/// # Examples
///
/// ```
/// use streamlog::Slice;
///
/// let whole = Slice::from(b"streamlog".to_vec());
/// let part = whole.slice(0..6).expect("within the slice");
/// drop(whole);
/// assert_eq!(&part[..], b"stream");
/// assert_eq!(Slice::from_owner("a file's words"), Slice::from(b"a file's words".to_vec()));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Slice(Bytes);

impl Slice {
    /// Shares what `owner` holds, and drops `owner` with the last slice of it: a map, a pooled buffer.
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + 'static) -> Slice {
        Slice(Bytes::from_owner(owner))
    }

    /// A part of these bytes, or `None` where `range` reaches outside them. Copies nothing.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Slice> {
        (range.start <= range.end && range.end <= self.0.len()).then(|| Slice(self.0.slice(range)))
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Slice {
        Slice(Bytes::from(bytes))
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_is_refused() {
        let slice = Slice::from(vec![1, 2, 3]);
        assert_eq!(slice.slice(1..3).as_deref(), Some(&[2, 3][..]));
        assert!(slice.slice(0..4).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "the reversed range is what is tested")]
        let reversed = slice.slice(2..1);
        assert!(reversed.is_none());
    }
}
