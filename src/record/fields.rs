//! The fields of Kafka's own records and of its protocol: numbers big-endian, strings and lists with their lengths before them.
//!
//! A reader takes values off the front of bytes; what is cut short or cannot be is `None`. No length is trusted: a list is
//! no longer than the bytes that are left, since every element takes one or more. Flexible versions (KIP-482) have compact lengths, larger
//! by one so that 0 is null, and tagged fields behind, which are passed over.

/// Takes values off the front of bytes.
#[derive(Debug, Clone)]
pub(crate) struct FieldReader<'a>(pub(crate) &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A list's count, which cannot be larger than what is left, as every element takes a byte or more.
    pub(crate) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.i32()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(crate) fn string(&mut self) -> Option<String> {
        self.nullable_string()?
    }

    /// The inner `None` is null.
    pub(crate) fn nullable_string(&mut self) -> Option<Option<String>> {
        match self.i16()? {
            -1 => Some(None),
            length => self.text(usize::try_from(length).ok()?).map(Some),
        }
    }

    /// The inner `None` is null.
    pub(crate) fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        self.nullable_bytes()?
    }

    /// The same fields in a flexible version.
    pub(crate) fn compact_string(&mut self) -> Option<String> {
        self.compact_nullable_string()?
    }

    /// The inner `None` is null.
    pub(crate) fn compact_nullable_string(&mut self) -> Option<Option<String>> {
        match self.unsigned_varint()?.checked_sub(1) {
            None => Some(None),
            Some(length) => self.text(usize::try_from(length).ok()?).map(Some),
        }
    }

    pub(crate) fn compact_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.unsigned_varint()?.checked_sub(1)?;
        self.take(usize::try_from(length).ok()?)
    }

    pub(crate) fn compact_count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.unsigned_varint()?.checked_sub(1)?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// Passes over the tagged fields that end a flexible structure.
    pub(crate) fn skip_tagged(&mut self) -> Option<()> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.take(usize::try_from(length).ok()?)?;
        }
        Some(())
    }

    fn unsigned_varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        std::str::from_utf8(self.take(length)?).ok().map(str::to_owned)
    }
}

/// The longest string that there can be, in bytes.
pub(crate) const STRING_BYTES_MAX: usize = i16::MAX.unsigned_abs() as usize;

/// A string of no more than [`STRING_BYTES_MAX`], which whoever takes one in has checked.
pub(crate) fn put_string(output: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("what becomes a string was checked to be short enough");
    output.extend_from_slice(&length.to_be_bytes());
    output.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_nullable_string(output: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(output, text),
        None => output.extend_from_slice(&(-1_i16).to_be_bytes()),
    }
}

pub(crate) fn put_bytes(output: &mut Vec<u8>, bytes: &[u8]) {
    put_count(output, bytes.len());
    output.extend_from_slice(bytes);
}

pub(crate) fn put_nullable_bytes(output: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(output, bytes),
        None => output.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

pub(crate) fn put_count(output: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("what is in one record is counted in 31 bits");
    output.extend_from_slice(&count.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_and_every_cut_is_seen() {
        let mut bytes = Vec::new();
        put_string(&mut bytes, "café");
        put_nullable_string(&mut bytes, None);
        put_bytes(&mut bytes, &[1, 2]);
        put_nullable_bytes(&mut bytes, None);
        let read = |bytes: &[u8]| {
            let mut reader = FieldReader(bytes);
            let fields = (reader.string()?, reader.nullable_string()?, reader.bytes()?.to_vec());
            Some((fields, reader.nullable_bytes()?.map(<[u8]>::to_vec), reader.0.len()))
        };
        assert_eq!(read(&bytes), Some((("café".to_owned(), None, vec![1, 2]), None, 0)));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn compact_fields_are_read() {
        let mut reader = FieldReader(&[3, b'o', b'k', 0, 2, 7, 1, 0, 3, 9, 9, 9]);
        assert_eq!(reader.compact_string().as_deref(), Some("ok"));
        assert_eq!(reader.compact_nullable_string(), Some(None));
        assert_eq!(reader.compact_bytes(), Some(&[7][..]));
        assert_eq!(reader.skip_tagged(), Some(()));
        assert_eq!(reader.0, []);
        assert_eq!(FieldReader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).compact_bytes(), None, "33 bits");
        assert_eq!(FieldReader(&[9, 1]).compact_count(), None, "more elements than bytes");
        assert_eq!(FieldReader(&[0, 0, 0, 9, 1]).count(), None);
    }
}
