//! Which ranges a file can have, checked before anything is read, written or allocated.
//!
//! A range may come from damaged bytes, so none is trusted: it must not be reversed, must not reach past the largest
//! position that a file can have, and must lie inside the file before memory is taken to read it.

use std::io;
use std::ops::Range;

/// The largest length of a file: positions are signed 64-bit numbers for every system.
pub(super) const FILE_BYTES_MAX: u64 = i64::MAX.unsigned_abs();
/// The most that one read copies into a buffer. A batch, whose length is a signed 32-bit number, is under half of it.
pub(super) const READ_BYTES_MAX: u64 = 4 << 30;

/// Where `bytes` bytes written at `position` end.
pub(super) fn end_of(position: u64, bytes: u64) -> io::Result<u64> {
    let end = position.checked_add(bytes).filter(|&end| end <= FILE_BYTES_MAX);
    end.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{bytes} bytes at {position} reach past the largest position of a file"),
        )
    })
}

/// How long a range is, if a file can have it.
pub(super) fn length_of(range: &Range<u64>) -> io::Result<u64> {
    let Some(bytes) = range.end.checked_sub(range.start) else {
        let text = format!("the range {}..{} ends before it starts", range.start, range.end);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    end_of(range.start, bytes)?;
    Ok(bytes)
}

/// Checks that a file of `file_bytes` has the whole of `range`; an empty range is anywhere.
pub(super) fn check_inside(range: &Range<u64>, file_bytes: u64) -> io::Result<()> {
    if range.is_empty() || range.end <= file_bytes {
        return Ok(());
    }
    let text = format!("bytes {}..{} of a file of {file_bytes}", range.start, range.end);
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

/// The size of the buffer that `bytes` bytes are to be read into.
pub(super) fn buffer_bytes(bytes: u64) -> io::Result<usize> {
    let fits = usize::try_from(bytes).ok().filter(|_| bytes <= READ_BYTES_MAX);
    fits.ok_or_else(|| {
        let text = format!("a read of {bytes} bytes is over the limit of {READ_BYTES_MAX}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_no_file_has_is_refused() {
        assert_eq!(length_of(&(3..10)).unwrap(), 7);
        assert_eq!(length_of(&(3..3)).unwrap(), 0);
        #[expect(clippy::reversed_empty_ranges, reason = "the reversed range is what is tested")]
        let reversed = length_of(&(4..3));
        assert_eq!(reversed.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(length_of(&(0..u64::MAX)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(end_of(u64::MAX, 2).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(end_of(FILE_BYTES_MAX - 2, 2).unwrap(), FILE_BYTES_MAX);
    }

    #[test]
    fn a_range_past_the_end_is_an_unexpected_eof() {
        assert!(check_inside(&(0..5), 5).is_ok());
        assert!(check_inside(&(9..9), 5).is_ok());
        assert_eq!(check_inside(&(4..6), 5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
