//! Owners and keys as tokens of subjects.

use crate::owner::Owner;

/// Where an owner's usage stands, below the subjects of the bucket.
pub(super) fn usage(prefix: &str, owner: &Owner) -> String {
    format!("{prefix}{}.usage", token(owner.as_str()))
}

/// Where the value under a key stands.
pub(super) fn value(prefix: &str, owner: &Owner, key: &str) -> String {
    format!("{}{}", values(prefix, owner), token(key))
}

/// What the subjects of all values of an owner begin with.
pub(super) fn values(prefix: &str, owner: &Owner) -> String {
    format!("{prefix}{}.k.", token(owner.as_str()))
}

/// The subjects of all that is of an owner.
pub(super) fn all(prefix: &str, owner: &Owner) -> String {
    format!("{prefix}{}.>", token(owner.as_str()))
}

/// One token, and another for each text: letters, digits, `-` and `_` stand for themselves, any other byte as `=` and two
/// hexadecimal digits.
pub(super) fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => token.push(byte.into()),
            _ => {
                token.push('=');
                token.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
            }
        }
    }
    token
}

/// The text that [`token`] made one of; none for what it did not make.
pub(super) fn text(of: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(of.len());
    let mut rest = of.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'=' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            plain => plain,
        };
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).ok()?;
    (token(&text) == of).then_some(text)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_token_of_ours_is_no_text() {
        for token in ["=", "=4", "=4x", "=41", "=2E", "a.b", "\u{e9}", "=ff"] {
            assert_eq!(text(token), None, "{token}");
        }
        assert_eq!(token("a/b.c *>"), "a=2fb=2ec=20=2a=3e");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_its_token(of in any::<String>()) {
            let token = token(&of);
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte)));
            prop_assert_eq!(text(&token), Some(of));
        }
    }
}
