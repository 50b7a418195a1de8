//! Numbers that tests choose by.

/// A source of numbers: endless for a seed, and for bytes as long as they are, then all zeros.
///
/// Zero is the smallest choice everywhere, so a fuzzer's bytes that end make a value that ends.
#[derive(Debug, Clone)]
pub struct Noise<'a> {
    bytes: Option<&'a [u8]>,
    state: u64,
}

impl<'a> Noise<'a> {
    /// The numbers of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { bytes: None, state: seed }
    }

    /// The numbers that these bytes are: each takes as many of them as its bound needs.
    #[must_use]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), state: 0 }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.of_width(8)
    }

    /// A number under `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let width = if bound <= 256 { 1 } else { 8 };
        // Under a `usize`, so it is one.
        (self.of_width(width) % (bound as u64).max(1)) as usize
    }

    /// 64 bits, with the edges of every width more often than chance would have them.
    pub fn bits(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => (1_u64 << self.below(64)) - 1,
            4 => self.below(256) as u64,
            _ => self.number(),
        }
    }

    /// A length up to `max`, mostly a small one.
    pub fn length(&mut self, max: usize) -> usize {
        let lengths = [0, 1, 2, 3, 7, 20, max];
        lengths[self.below(lengths.len())].min(max)
    }

    /// A Unicode scalar value, with the edges of UTF-8's and UTF-16's lengths more often than chance would have them.
    pub fn char(&mut self) -> char {
        const EDGES: [char; 12] = [
            '\0',
            'a',
            '\u{7f}',
            '\u{80}',
            '\u{ff}',
            '\u{100}',
            '\u{7ff}',
            '\u{800}',
            '\u{d7ff}',
            '\u{e000}',
            '\u{ffff}',
            '\u{10ffff}',
        ];
        match self.below(3) {
            0 => EDGES[self.below(EDGES.len())],
            1 => char::from(b' ' + self.below(95) as u8),
            _ => char::from_u32((self.number() % 0x11_0000) as u32).unwrap_or('\u{1f980}'),
        }
    }

    fn of_width(&mut self, width: usize) -> u64 {
        match &mut self.bytes {
            Some(bytes) => {
                let (head, tail) = bytes.split_at(width.min(bytes.len()));
                *bytes = tail;
                head.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
            None => {
                // SplitMix64, which takes any seed.
                self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }
}
