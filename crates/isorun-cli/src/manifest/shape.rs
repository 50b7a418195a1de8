//! What may stand where in a manifest, before any value is looked at closer: tables, their keys, and the kind of each value.
//!
//! What has no place there is told and taken out, so that the rest can still be read: all that is wrong is told at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::problem::Problems;

/// What a key's value may be.
enum Kind {
    Text,
    /// A text, or several.
    Texts,
    /// Several texts, in an array.
    Array,
    Flag,
    Whole,
    /// What a component may keep.
    Storage,
    /// What a component is told.
    Setting,
    /// A table with these keys, and how one is written.
    Table(&'static [Key], &'static str),
    /// Any number of tables with these keys, and how one is written.
    Tables(&'static [Key], &'static str),
    /// A table with any keys.
    Any(&'static Kind),
}

/// A key, whether it must be there, and what it may be.
struct Key(&'static str, bool, Kind);

const MANIFEST: &[Key] = &[
    Key("node", true, Kind::Table(NODE, "[node]")),
    Key("supervisor", false, Kind::Tables(SUPERVISOR, "[[supervisor]]")),
    Key("component", false, Kind::Tables(COMPONENT, "[[component]]")),
    Key("route", false, Kind::Tables(ROUTE, "[[route]]")),
];

const NODE: &[Key] = &[
    Key("name", true, Kind::Text),
    Key("listen", false, Kind::Texts),
    Key("insecure", false, Kind::Flag),
    Key("storage", false, Kind::Text),
    Key("accept", false, Kind::Any(&Kind::Texts)),
    Key("stop-within", false, Kind::Text),
    Key("log", false, Kind::Table(LOG, "[node.log]")),
];

const LOG: &[Key] = &[Key("lines-per-component", false, Kind::Whole), Key("bytes", false, Kind::Text)];

const SUPERVISOR: &[Key] = &[
    Key("name", true, Kind::Text),
    Key("parent", false, Kind::Text),
    Key("restart", false, Kind::Text),
    Key("strategy", false, Kind::Text),
    Key("max-restarts", false, Kind::Whole),
    Key("within", false, Kind::Text),
    Key("backoff-min", false, Kind::Text),
    Key("backoff-max", false, Kind::Text),
];

const COMPONENT: &[Key] = &[
    Key("id", true, Kind::Text),
    Key("file", true, Kind::Text),
    Key("supervisor", false, Kind::Text),
    Key("restart", false, Kind::Text),
    Key("settings", false, Kind::Any(&Kind::Setting)),
    Key("may-send", false, Kind::Texts),
    Key("storage", false, Kind::Storage),
    Key("mailbox", false, Kind::Table(MAILBOX, "{ messages = N, bytes = SIZE }")),
    Key("budget", false, Kind::Table(BUDGET, "{ memory = SIZE, fuel = N, time = TIME }")),
    Key("links", false, Kind::Any(&Kind::Text)),
    Key("wasi", false, Kind::Array),
    Key("dirs", false, Kind::Array),
    Key("env", false, Kind::Any(&Kind::Text)),
];

const MAILBOX: &[Key] = &[Key("messages", false, Kind::Whole), Key("bytes", false, Kind::Text)];

const BUDGET: &[Key] =
    &[Key("memory", false, Kind::Text), Key("fuel", false, Kind::Whole), Key("time", false, Kind::Text)];

const QUOTA: &[Key] = &[Key("bytes", false, Kind::Text), Key("keys", false, Kind::Whole)];

const ROUTE: &[Key] = &[Key("to", true, Kind::Text), Key("at", true, Kind::Texts)];

impl Kind {
    /// What is wanted, in words.
    fn wanted(&self) -> String {
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Texts => "a text in quotes, or an array of texts".into(),
            Self::Array => "an array of texts, like [\"a\", \"b\"]".into(),
            Self::Flag => "true or false".into(),
            Self::Whole => "a whole number from 0 on".into(),
            Self::Storage => "true, false, a size like \"64MiB\", or { bytes = SIZE, keys = N }".into(),
            Self::Setting => "a text, a number, or true or false".into(),
            Self::Table(_, form) => format!("a table, written `{form}`"),
            Self::Tables(_, form) => format!("one of any number: write `{form}`"),
            Self::Any(of) => format!("a table: {{ NAME = VALUE }}, each value {}", of.wanted()),
        }
    }
}

/// What a value is instead, in words.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Tells what of a manifest has no place in one, and takes it out.
pub fn shaped(text: &str, manifest: &mut Spanned<DeTable<'_>>, problems: &mut Problems) {
    let at = manifest.span();
    Shape { text, problems }.table("the manifest", MANIFEST, manifest.get_mut(), at);
}

struct Shape<'a> {
    text: &'a str,
    problems: &'a mut Problems,
}

impl Shape<'_> {
    /// Whether a table has all that it must have; what it has too much is taken out.
    ///
    /// This and [`fits`](Self::fits) call each other as deep as the tables of keys are, whatever a manifest says.
    fn table(&mut self, what: &str, keys: &'static [Key], table: &mut DeTable<'_>, at: Range<usize>) -> bool {
        let missing: Vec<&str> =
            keys.iter().filter(|key| key.1).map(|key| key.0).filter(|key| !has(table, key)).collect();
        if let Some(first) = missing.first() {
            let lacks = match *first {
                "node" => "there is no `[node]`: it gives the node its `name`".to_owned(),
                _ => format!("{what} lacks {}", quoted(&missing)),
            };
            self.problems.add(self.text, at, lacks);
        }
        for (name, mut value) in std::mem::replace(table, DeTable::new()) {
            let Some(Key(_, _, kind)) = keys.iter().find(|key| key.0 == name.get_ref()) else {
                self.problems.add(self.text, name.span(), unknown(what, name.get_ref(), keys));
                continue;
            };
            if self.fits(name.get_ref(), kind, &mut value) {
                table.insert(name, value);
            }
        }
        // What was there and did not fit has been told.
        keys.iter().filter(|key| key.1).all(|key| has(table, key.0))
    }

    /// Whether a value can stand at a key; what it has too much is taken out.
    fn fits(&mut self, name: &str, kind: &'static Kind, value: &mut Spanned<DeValue<'_>>) -> bool {
        let at = value.span();
        let all_texts = |array: &DeArray<'_>| array.iter().all(|one| one.get_ref().is_str());
        match (kind, value.get_mut()) {
            (Kind::Text | Kind::Texts | Kind::Storage | Kind::Setting, DeValue::String(_))
            | (Kind::Flag | Kind::Storage | Kind::Setting, DeValue::Boolean(_)) => return true,
            (Kind::Texts | Kind::Array, DeValue::Array(array)) if all_texts(array) => return true,
            (Kind::Whole, DeValue::Integer(number)) if is_whole(number) => return true,
            (Kind::Setting, DeValue::Integer(number))
                if i64::from_str_radix(number.as_str(), number.radix()).is_ok() =>
            {
                return true;
            }
            (Kind::Setting, DeValue::Float(number)) => {
                if number.as_str().parse().is_ok_and(f64::is_finite) {
                    return true;
                }
                let what = format!("`{name}` is no finite number; write it as a text where the component wants it");
                self.problems.add(self.text, at, what);
                return false;
            }
            (Kind::Storage, DeValue::Table(table)) => {
                return self.table("{ bytes = SIZE, keys = N }", QUOTA, table, at);
            }
            (Kind::Table(keys, form), DeValue::Table(table)) => return self.table(form, keys, table, at),
            (Kind::Any(of), DeValue::Table(table)) => {
                for (name, mut value) in std::mem::replace(table, DeTable::new()) {
                    if self.fits(name.get_ref(), of, &mut value) {
                        table.insert(name, value);
                    }
                }
                return true;
            }
            (Kind::Tables(keys, form), DeValue::Array(array)) => {
                for mut one in std::mem::replace(array, DeArray::new()) {
                    let at = one.span();
                    let fits = match one.get_mut() {
                        DeValue::Table(table) => self.table(form, keys, table, at),
                        other => {
                            let what = format!("`{name}` is {}, and here is {}", kind.wanted(), found(other));
                            self.problems.add(self.text, at, what);
                            false
                        }
                    };
                    if fits {
                        array.push(one);
                    }
                }
                return true;
            }
            (Kind::Tables(keys, form), DeValue::Table(table)) => {
                self.table(form, keys, table, at.clone());
            }
            (
                Kind::Text
                | Kind::Texts
                | Kind::Array
                | Kind::Flag
                | Kind::Whole
                | Kind::Storage
                | Kind::Setting
                | Kind::Table(..)
                | Kind::Tables(..)
                | Kind::Any(_),
                _,
            ) => {}
        }
        let what = format!("`{name}` is {}, and here is {}", kind.wanted(), found(value.get_ref()));
        self.problems.add(self.text, at, what);
        false
    }
}

fn has(table: &DeTable<'_>, wanted: &str) -> bool {
    table.iter().any(|(name, _)| name.get_ref() == wanted)
}

fn is_whole(number: &DeInteger<'_>) -> bool {
    u64::from_str_radix(number.as_str(), number.radix()).is_ok()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn unknown(what: &str, name: &str, keys: &[Key]) -> String {
    let names = || keys.iter().map(|key| key.0);
    let rest = match isorun::nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
    };
    format!("`{}` is no key of {what}; {rest}", name.escape_debug())
}
