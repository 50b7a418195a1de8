//! Manifests: what a node runs, as a file says it.

mod check;
mod problem;
mod raw;

use std::path::{Path, PathBuf};

use isorun::actors::{LogLimits, Restart, SupervisorOptions};
use isorun::{Audience, ComponentId, ComponentPattern, StorageQuota};

use crate::address::Address;
use crate::args::{BudgetArgs, GrantArgs, Links};
use crate::exit::Failed;
use crate::nats::NatsPlace;
use crate::node::NodePlace;
pub use problem::Problems;

/// What a file says that a node runs. All of it can be, as far as the file alone tells.
#[derive(Debug)]
pub struct Manifest {
    pub node: Node,
    pub supervisors: Vec<Supervisor>,
    pub components: Vec<Component>,
    pub routes: Vec<Route>,
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
    if !std::fs::metadata(file)?.is_file() {
        return Err(Error::other("it is no regular file"));
    }
    let mut text = String::new();
    // It may grow meanwhile.
    std::fs::File::open(file)?.take(MANIFEST_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(Error::other(format!("it has more than {MANIFEST_BYTES_MAX} bytes, the most that a manifest has")));
    }
    Ok(text)
}

impl Manifest {
    /// Reads the manifest in `file`; paths in it are as from its folder.
    pub fn open(file: &Path) -> Result<Self, Failed> {
        let unread = |error: String| Failed::unread(format!("cannot read `{}`: {error}", file.display()));
        let text = read_bounded(file).map_err(|error| unread(error.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::read(&text, folder).map_err(|problems| problems.of_file(file))
    }

    /// Reads a manifest; all that is wrong with it otherwise.
    pub fn read(text: &str, folder: &Path) -> Result<Self, Problems> {
        let raw: raw::Manifest = toml::from_str(text).map_err(|error| Problems::syntax(text, &error))?;
        check::checked(text, raw, folder)
    }

    /// A supervisor's name; the node's own has none.
    pub fn supervisor_name(&self, at: Option<usize>) -> Option<&str> {
        self.supervisors.get(at?).map(|supervisor| supervisor.name.as_str())
    }
}
