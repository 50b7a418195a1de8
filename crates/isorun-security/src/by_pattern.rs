//! Values by patterns of components, found without looking at all of them.

use std::collections::{BTreeMap, HashMap};

use isorun_core::{ComponentId, ComponentPattern};

/// A map from patterns, asked for those that match a component.
///
/// What takes time are the patterns with `*` in them, of which there are few; those of one component cost nothing to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByPattern<V> {
    /// Patterns with a `*`.
    wide: BTreeMap<ComponentPattern, V>,
    /// Patterns of one component each, by its text. Ids that are not plain can share one.
    exact: HashMap<Box<str>, BTreeMap<ComponentPattern, V>>,
}

impl<V> Default for ByPattern<V> {
    fn default() -> Self {
        Self { wide: BTreeMap::new(), exact: HashMap::new() }
    }
}

impl<V: Default> ByPattern<V> {
    /// The value of that very pattern; a new one, if it has none.
    pub(crate) fn entry(&mut self, pattern: ComponentPattern) -> &mut V {
        let alike = if pattern.named_parts() == PARTS {
            self.exact.entry(pattern.to_string().into()).or_default()
        } else {
            &mut self.wide
        };
        alike.entry(pattern).or_default()
    }
}

impl<V> ByPattern<V> {
    /// The patterns that match a component, in their order, with their values.
    pub(crate) fn matching<'a>(&'a self, id: &ComponentId) -> impl Iterator<Item = (&'a ComponentPattern, &'a V)> {
        self.candidates(id).filter(|(pattern, _)| pattern.matches(id))
    }

    /// Whether there is no pattern in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.wide.is_empty() && self.exact.is_empty()
    }

    /// Those that are looked at for it.
    ///
    /// In their order, as far as they match: where two that match differ first, one has a `*`, which comes before any name.
    fn candidates<'a>(&'a self, id: &ComponentId) -> impl Iterator<Item = (&'a ComponentPattern, &'a V)> {
        self.wide.iter().chain(self.exact.get(id.as_str()).into_iter().flatten())
    }
}

/// Parts of a pattern.
const PARTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ComponentPattern {
        ComponentPattern::parse(text).unwrap()
    }

    #[test]
    fn as_many_are_looked_at_among_ten_as_among_ten_thousand() {
        let looked_at = |count: u32| {
            let mut map = ByPattern::<()>::default();
            *map.entry(pattern("demo/counter/*")) = ();
            for at in 0..count {
                *map.entry(pattern(&format!("demo/counter/{at}"))) = ();
            }
            ["demo/counter/3", "demo/counter/none"].map(|id| map.candidates(&ComponentId::parse(id).unwrap()).count())
        };
        assert_eq!(looked_at(10), [2, 1]);
        assert_eq!(looked_at(10_000), [2, 1]);
    }

    #[test]
    fn ids_of_the_same_text_are_told_apart() {
        let (a, b) = (ComponentId::new("a/b", "c", "d"), ComponentId::new("a", "b/c", "d"));
        let star = ComponentId::new("a", "*", "d");
        let mut map = ByPattern::<u8>::default();
        *map.entry((&a).into()) = 1;
        *map.entry((&star).into()) = 2;
        let found = |id: &ComponentId| map.matching(id).map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!((found(&a), found(&b), found(&star)), (vec![1], vec![], vec![2]));
        assert!(found(&ComponentId::new("a", "b", "d")).is_empty(), "a part that is called `*` is no pattern");
    }
}
