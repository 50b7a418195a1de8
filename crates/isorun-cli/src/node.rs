//! Nodes as the command line names them: one of this machine by its name, or any by where it listens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use isorun::actors::RemoteNode;
use isorun::{ComponentId, Failure, Transport};

use crate::address::{Address, PeerPlace};
use crate::exit::{DEADLINE, FAILED, Failed};
use crate::keys::Keys;
use crate::load;

/// Where another node takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlace(PeerPlace);

impl NodePlace {
    /// A way there; nothing is opened yet.
    pub fn transport(&self, keys: &Keys) -> Result<Arc<dyn Transport>, Failed> {
        self.0.transport(keys)
    }
}

impl FromStr for NodePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "another node is named by where it listens, like tcp://HOST:PORT, unix:///PATH or nats://HOST/NODE";
        // By way of a NATS server it is the node's name that is listened to.
        let place = if text.starts_with("nats") { PeerPlace::parse(text) } else { PeerPlace::of_host(text) };
        place.unwrap_or_else(|| Err(format!("`{}` is no place of a node: {form}", text.escape_debug()))).map(Self)
    }
}

impl fmt::Display for NodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.address {
            // Of many nodes there it is the one of that name.
            Address::Nats(_) => self.0.fmt(f),
            address => address.fmt(f),
        }
    }
}

/// A node that a command looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeArg {
    /// One of this machine.
    Named(String),
    Place(NodePlace),
}

impl FromStr for NodeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if is_name(text) {
            return Ok(Self::Named(text.into()));
        }
        if ComponentId::parse(text).is_ok() {
            return Err(format!(
                "`{text}` is a component; its node goes first: a name that `isorun up` was given, or a place"
            ));
        }
        text.parse().map(Self::Place)
    }
}

/// Whether a message or call was not sent since the other end kept silent for too long, as `isorun-rpc` and `isorun` word
/// it.
pub fn is_late(cause: &str) -> bool {
    ["no hello within ", "no connection within ", "did not answer in time"].iter().any(|words| cause.contains(words))
}

/// A node that is to be asked, and what it is called in messages.
pub struct Asked {
    pub node: RemoteNode,
    pub name: String,
}

impl Asked {
    /// The node of that name or place; the one of this machine where none is given.
    pub fn find(node: Option<&NodeArg>, keys: &Keys) -> Result<Self, Failed> {
        let runtime = load::runtime()?;
        match node {
            Some(NodeArg::Place(place)) => {
                let node = RemoteNode::new(&runtime, place.transport(keys)?);
                Ok(Self { node, name: place.to_string() })
            }
            Some(NodeArg::Named(name)) => Self::here(&runtime, name),
            None => Self::here(&runtime, &Self::only()?),
        }
    }

    /// Where that is, in a sentence.
    pub fn at(&self) -> String {
        if self.name.starts_with("node ") { format!("on {}", self.name) } else { format!("at {}", self.name) }
    }

    /// Why it gives no answer.
    pub fn failed(&self, failure: &Failure) -> Failed {
        match failure {
            Failure::NotSent { cause } => self.unreached(cause).or_else(|| {
                is_late(cause).then(|| Failed::new(DEADLINE, format!("{} does not answer: {cause}", self.name)))
            }),
            // What helps is the command's to say.
            Failure::Deadline { .. } => {
                Some(Failed::new(DEADLINE, format!("{} does not answer: {failure}", self.name)))
            }
            _ => None,
        }
        .unwrap_or_else(|| Failed::describe(&self.name, failure))
    }

    /// The failure for that cause, where it is that no node runs there.
    pub fn unreached(&self, cause: &str) -> Option<Failed> {
        let cause = cause.strip_prefix("not sent: ").unwrap_or(cause);
        let scheme = cause.strip_prefix("cannot reach ")?.split(':').next()?;
        // Behind a NATS server nobody may be for reasons of its own, and who has to do with keys did answer.
        let nobody = cause.contains("onnection refused") || (scheme == "unix" && cause.contains("o such file"));
        if scheme.starts_with("nats") || !nobody {
            return None;
        }
        Some(match self.name.strip_prefix("node ") {
            Some(name) => Failed::usage(format!("node `{name}` does not run")).hint("`isorun up FILE` starts it"),
            None => Failed::new(FAILED, format!("no node listens there: {cause}"))
                .kind("not-sent")
                .hint("`isorun up FILE` starts one; its manifest says `listen`"),
        })
    }

    #[cfg(unix)]
    fn here(runtime: &isorun::Runtime, name: &str) -> Result<Self, Failed> {
        let (transport, _) = crate::control::transport(name)?;
        Ok(Self { node: RemoteNode::new(runtime, Arc::new(transport)), name: format!("node {name}") })
    }

    #[cfg(unix)]
    fn only() -> Result<String, Failed> {
        crate::control::only_node()
    }

    #[cfg(not(unix))]
    fn here(_: &isorun::Runtime, name: &str) -> Result<Self, Failed> {
        Err(Failed::usage(format!("`{name}`: nodes have no names here; name one by where it listens")))
    }

    #[cfg(not(unix))]
    fn only() -> Result<String, Failed> {
        Err(Failed::usage("name a node by where it listens, like tcp://HOST:PORT"))
    }
}
