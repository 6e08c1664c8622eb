//! A fuzzer's input, taken as decisions from the front; where it is used up, every decision is the first one.

/// What is left of an input.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Input<'a> {
        Input(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte, or 0.
    pub fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at least 1 and at most 65536.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = if bound <= 256 { usize::from(self.byte()) } else { usize::from(self.short()) };
        number % bound
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn int(&mut self) -> u32 {
        u32::from(self.short()) << 16 | u32::from(self.short())
    }

    pub fn long(&mut self) -> u64 {
        u64::from(self.int()) << 32 | u64::from(self.int())
    }

    /// A number that is mostly small, and anything at all otherwise.
    pub fn offset(&mut self) -> u64 {
        match self.byte() {
            255 => self.long(),
            254 => u64::from(self.int()),
            253 => i64::MAX.unsigned_abs() - u64::from(self.byte()),
            small => u64::from(small % 32),
        }
    }

    /// So many bytes, or as many as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte that says how many, and those.
    pub fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte());
        self.take(count)
    }

    /// As [`bytes`](Self::bytes), with two bytes that say how many.
    pub fn long_bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.short());
        self.take(count)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}
