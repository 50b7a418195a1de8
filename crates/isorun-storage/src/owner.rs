//! Whose keys these are, as a prefix that no other owner's keys have.

use isorun_core::{ComponentId, StorageError};

/// The text of a component id that has been checked: letters, digits, `-`, `_`, `.` and two slashes, 386 bytes at most.
///
/// So a zero byte ends it, and an owner and a key are never mistaken for another owner and another key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner(Box<str>);

impl Owner {
    /// # Errors
    /// [`StorageError::Unavailable`] for an id that [`ComponentId::is_plain`] denies.
    pub(crate) fn of(id: &ComponentId) -> Result<Self, StorageError> {
        if id.is_plain() {
            Ok(Self(id.as_str().into()))
        } else {
            let id: String = id.as_str().chars().take(SHOWN_CHARS_MAX).collect();
            Err(StorageError::Unavailable {
                reason: format!("`{}` is no id that can keep anything", id.escape_debug()),
            })
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A key of this owner, or what a key begins with, among the keys of all.
    pub(crate) fn key(&self, key: &str) -> Vec<u8> {
        [self.0.as_bytes(), &[0], key.as_bytes()].concat()
    }
}

const SHOWN_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_one_owner_begins_as_the_keys_of_another() {
        let owner = |text: &str| Owner::of(&ComponentId::parse(text).unwrap()).unwrap();
        let (one, longer) = (owner("a/b/c"), owner("a/b/c0"));
        assert!(!longer.key("k").starts_with(&one.key("")));
        assert!(!one.key("0\0k").starts_with(&longer.key("")));
    }

    #[test]
    fn an_id_that_would_read_as_another_keeps_nothing() {
        for id in
            [ComponentId::new("a/b", "c", "d"), ComponentId::new("a", "b", "c\0k"), ComponentId::new("", "b", "c")]
        {
            assert!(matches!(Owner::of(&id), Err(StorageError::Unavailable { .. })), "{id:?}");
        }
    }
}
