//! Whether bytes are text.

/// Whether bytes are UTF-8; quicker than the standard library where they are few and ASCII.
#[inline]
pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    (bytes.len() <= FEW && is_ascii(bytes)) || std::str::from_utf8(bytes).is_ok()
}

/// Up to here a look at all bytes costs less than a call of what is made for long ones.
const FEW: usize = 64;

fn is_ascii(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let all = words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word));
    let rest = rest.iter().fold(0, |all, byte| all | byte);
    all & NOT_ASCII == 0 && rest < 0x80
}

/// The bits that no ASCII character has, of eight.
const NOT_ASCII: u64 = u64::from_ne_bytes([0x80; 8]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_judged_as_the_standard_library_does() {
        for len in (0..20).chain([FEW - 1, FEW, FEW + 1]) {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    assert_eq!(is_utf8(&bytes), std::str::from_utf8(&bytes).is_ok(), "{byte:#x} at {at} of {len}");
                }
            }
        }
        assert!(is_utf8("ä, ß und €".as_bytes()));
        assert!(!is_utf8(&"€".as_bytes()[..2]));
    }
}
