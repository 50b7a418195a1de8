//! A manifest as TOML has it: what may stand where, before anything of it is looked at closer.
//!
//! `docs/manifest.md` has every key; a test compares the two.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// A text, and where it stands.
pub type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Without it something is wrong, and has been told.
    pub node: Option<Node>,
    #[serde(default, rename = "supervisor")]
    pub supervisors: Vec<Supervisor>,
    #[serde(default, rename = "component")]
    pub components: Vec<Component>,
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    pub name: Text,
    #[serde(default)]
    pub listen: Option<OneOrMore>,
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub storage: Option<Text>,
    #[serde(default)]
    pub accept: BTreeMap<Text, OneOrMore>,
    #[serde(default)]
    pub stop_within: Option<Text>,
    #[serde(default)]
    pub log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    pub lines_per_component: Option<Spanned<u64>>,
    pub bytes: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Supervisor {
    pub name: Text,
    pub parent: Option<Text>,
    pub restart: Option<Text>,
    pub strategy: Option<Text>,
    pub max_restarts: Option<Spanned<u64>>,
    pub within: Option<Text>,
    pub backoff_min: Option<Text>,
    pub backoff_max: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Component {
    pub id: Text,
    pub file: Text,
    pub supervisor: Option<Text>,
    pub restart: Option<Text>,
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    pub may_send: Option<OneOrMore>,
    pub storage: Option<Spanned<StorageGrant>>,
    #[serde(default)]
    pub mailbox: Mailbox,
    #[serde(default)]
    pub budget: Budget,
    #[serde(default)]
    pub links: BTreeMap<Text, Text>,
    #[serde(default)]
    pub wasi: Vec<Text>,
    #[serde(default)]
    pub dirs: Vec<Text>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mailbox {
    pub messages: Option<Spanned<u64>>,
    pub bytes: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    pub memory: Option<Text>,
    pub fuel: Option<Spanned<u64>>,
    pub time: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    pub to: Text,
    pub at: OneOrMore,
}

/// `"a"`, or `["a", "b"]`. What is wrong with one of them is told of all, as the reader of TOML knows no more.
pub type OneOrMore = Spanned<Texts>;

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text, or an array of texts")]
pub enum Texts {
    One(String),
    More(Vec<String>),
}

impl Texts {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// What a component is told: anything that has an obvious text.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text, a number, or true or false")]
pub enum Setting {
    Text(String),
    Flag(bool),
    Whole(i64),
    Float(f64),
}

impl Setting {
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
        }
    }
}

/// `true`, or a quota.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "true, false, a size like \"64MiB\", or { bytes = SIZE, keys = N }")]
pub enum StorageGrant {
    Flag(bool),
    Bytes(String),
    Quota(Quota),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quota {
    pub bytes: Option<String>,
    pub keys: Option<u64>,
}
