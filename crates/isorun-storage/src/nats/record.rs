//! The record of what an owner keeps, and of the change that is being made.

use isorun_core::StorageUsage;

use super::subject;

/// What an owner keeps, but for one change that may have been made since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Before the change.
    pub(super) usage: StorageUsage,
    pub(super) intent: Option<Intent>,
}

/// A change that was about to be made when the record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) kind: Kind,
    /// Names this change, as no other is named.
    pub(super) op: String,
    pub(super) key: String,
    /// The revision of the key that it is to replace; 0 where there is none.
    pub(super) base: u64,
    /// What the owner keeps once it is made.
    pub(super) after: StorageUsage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Delete,
}

impl Record {
    /// One line: `1 BYTES KEYS`, and of an intent `KIND OP BASE BYTES KEYS KEY`, the key as in its subject.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("1 {} {}", self.usage.bytes, self.usage.keys);
        if let Some(Intent { kind, op, key, base, after }) = &self.intent {
            let kind = match kind {
                Kind::Set => "set",
                Kind::Delete => "delete",
            };
            text += &format!(" {kind} {op} {base} {} {} {}", after.bytes, after.keys, subject::token(key));
        }
        text
    }

    /// None for what [`to_text`](Self::to_text) does not write.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').take(10).collect();
        let usage =
            |bytes: &str, keys: &str| Some(StorageUsage { bytes: bytes.parse().ok()?, keys: keys.parse().ok()? });
        match words[..] {
            ["1", bytes, keys] => Some(Self { usage: usage(bytes, keys)?, intent: None }),
            ["1", bytes, keys, kind, op, base, bytes_after, keys_after, key] => {
                let kind = match kind {
                    "set" => Kind::Set,
                    "delete" => Kind::Delete,
                    _ => return None,
                };
                let (base, after) = (base.parse().ok()?, usage(bytes_after, keys_after)?);
                let intent = Intent { kind, op: op.to_owned(), key: subject::text(key)?, base, after };
                Some(Self { usage: usage(bytes, keys)?, intent: Some(intent) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let usage = |bytes, keys| StorageUsage { bytes, keys };
        for kind in [Kind::Set, Kind::Delete] {
            let intent = Intent { kind, op: "x1".to_owned(), key: "a b\n".to_owned(), base: 7, after: usage(9, 2) };
            let record = Record { usage: usage(3, 1), intent: Some(intent) };
            assert_eq!(Record::from_text(&record.to_text()), Some(record));
        }
        assert_eq!(Record { usage: usage(3, 1), intent: None }.to_text(), "1 3 1");
        assert_eq!(Record::from_text("1 3 1"), Some(Record { usage: usage(3, 1), intent: None }));
        for text in [
            "",
            "1",
            "2 3 1",
            "1 3 x",
            "1 3 1 set",
            "1 3 1 put x 0 1 1 k",
            "1 3 1 set x 0 1 1 =",
            "1 3 1 set x 0 1 1 k l",
        ] {
            assert_eq!(Record::from_text(text), None, "{text}");
        }
    }
}
