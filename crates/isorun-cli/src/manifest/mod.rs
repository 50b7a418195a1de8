//! Manifests: what a node runs, as a file says it.

mod check;
mod problem;
mod raw;
mod shape;
mod warn;

use std::path::{Path, PathBuf};

use isorun::actors::{LogLimits, Restart, SupervisorOptions};
use isorun::{Audience, ComponentId, ComponentPattern, StorageQuota};

use crate::address::Address;
use crate::args::{BudgetArgs, GrantArgs, Links};
use crate::exit::Failed;
use crate::nats::NatsPlace;
use crate::node::NodePlace;
pub use problem::Problems;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

/// What a file says that a node runs. All of it can be, as far as the file alone tells.
#[derive(Debug)]
pub struct Manifest {
    pub node: Node,
    pub supervisors: Vec<Supervisor>,
    pub components: Vec<Component>,
    pub routes: Vec<Route>,
    /// What can be, and is hardly meant: each with its place, in a line.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub listen: Vec<Address>,
    pub storage: Storage,
    /// Who may send messages to which components.
    pub accept: Vec<(Audience, ComponentPattern)>,
    pub stop_ms: u64,
    pub log: LogLimits,
}

/// Where components keep what outlives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    File(PathBuf),
    Memory,
    /// A server, and a bucket there.
    Nats(NatsPlace, String),
}

#[derive(Debug)]
pub struct Supervisor {
    pub name: String,
    /// The place of its own supervisor among the manifest's; `None`: the node.
    pub parent: Option<usize>,
    pub restart: Restart,
    pub options: SupervisorOptions,
}

#[derive(Debug)]
pub struct Component {
    pub id: ComponentId,
    pub file: PathBuf,
    /// Where `file` stands in the manifest: `FILE:LINE:COLUMN`.
    pub place: String,
    /// The place of its supervisor among the manifest's; `None`: the node.
    pub supervisor: Option<usize>,
    pub restart: Restart,
    pub settings: Vec<(String, String)>,
    /// To whom; to nobody, unless the manifest says so.
    pub may_send: Vec<ComponentPattern>,
    /// How much it may keep; `None`: it has no storage.
    pub storage: Option<StorageQuota>,
    pub mailbox_messages: Option<u64>,
    pub mailbox_bytes: Option<u64>,
    pub budget: BudgetArgs,
    pub links: Links,
    pub grants: GrantArgs,
}

#[derive(Debug)]
pub struct Route {
    pub to: ComponentPattern,
    pub at: Vec<NodePlace>,
}

/// Largest manifest that is read, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// How long a component may take to stop, in milliseconds, unless the manifest says otherwise.
pub const STOP_MS: u64 = 5_000;

/// Reads a regular file: a pipe or a device may have no end.
fn read_bounded(file: &Path) -> std::io::Result<String> {
    use std::io::{Error, Read};
    let found = std::fs::metadata(file)?;
    if found.is_dir() {
        return Err(Error::other("it is a folder: name a manifest in it, `FILE.toml`"));
    }
    if !found.is_file() {
        return Err(Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    std::fs::File::open(file)?.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(Error::other(format!("it has more than {MANIFEST_BYTES_MAX} bytes, the most that a manifest has")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::other(format!("it is no text in UTF-8, as a manifest is: line {line} has other bytes"))
    })
}

impl Manifest {
    /// Reads the manifest in `file`; paths in it are as from its folder.
    pub fn open(file: &Path) -> Result<Self, Failed> {
        let unread = |error: String| Failed::unread(format!("cannot read `{}`: {error}", file.display()));
        let text = read_bounded(file).map_err(|error| unread(error.to_string()))?;
        Self::read(&text, file).map_err(|problems| problems.of_file(file))
    }

    /// Reads a manifest; all that is wrong with it otherwise.
    fn read(text: &str, file: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let (mut table, errors): (Spanned<DeTable<'_>>, _) = DeTable::parse_recoverable(text);
        for error in &errors {
            problems.syntax(text, error);
        }
        // What is no TOML says nothing of what was meant.
        if !problems.0.is_empty() {
            return Err(problems);
        }
        shape::shaped(text, &mut table, &mut problems);
        match serde::Deserialize::deserialize(Deserializer::from(table)) {
            Ok(raw) => check::checked(text, &raw, file, problems),
            Err(error) => {
                problems.syntax(text, &error);
                Err(problems)
            }
        }
    }

    /// A supervisor's name; the node's own has none.
    pub fn supervisor_name(&self, at: Option<usize>) -> Option<&str> {
        self.supervisors.get(at?).map(|supervisor| supervisor.name.as_str())
    }
}
