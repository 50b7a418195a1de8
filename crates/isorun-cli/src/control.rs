//! The sockets of the nodes that run on this machine, by which their operator looks at them without naming a place.

use std::path::{Path, PathBuf};

use isorun::{UnixAddress, UnixTransport, UnixTransportListener};

use crate::exit::{FAILED, Failed};

/// What a control socket's file is called after the node's name.
const SUFFIX: &str = ".sock";

/// Most control sockets that are looked at.
const NODES_MAX: usize = 1_000;

/// Where the sockets are: a folder that nobody but the user reads. `None` where the user has none.
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let run = absolute("XDG_RUNTIME_DIR").or_else(|| absolute("XDG_STATE_HOME"));
    Some(run.or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?.join("isorun"))
}

/// Listens for whoever operates the node of that name.
pub async fn listen(name: &str) -> Result<UnixTransportListener, Failed> {
    let failed = |what: String| {
        Failed::new(FAILED, format!("no control socket: {what}"))
            .hint("`--no-control` does without; then `isorun ps` needs a place where the node listens")
    };
    let folder = folder().ok_or_else(|| failed("neither XDG_RUNTIME_DIR nor HOME is set".into()))?;
    make_private(&folder).map_err(|error| failed(format!("`{}`: {error}", folder.display())))?;
    let path = path_in(&folder, name);
    let address = UnixAddress::new(&path).map_err(|error| failed(error.to_string()))?;
    UnixTransportListener::bind_address(&address).await.map_err(|error| match error {
        isorun::UnixListenError::Taken { .. } => runs_already(name),
        error => failed(error.to_string()),
    })
}

/// Whether no node of that name runs; a node that starts at the same moment is found when both listen.
pub fn free(name: &str) -> Result<(), Failed> {
    let taken = folder().is_some_and(|folder| std::os::unix::net::UnixStream::connect(path_in(&folder, name)).is_ok());
    if taken { Err(runs_already(name)) } else { Ok(()) }
}

fn runs_already(name: &str) -> Failed {
    Failed::new(FAILED, format!("a node called `{name}` runs already")).hint("give this one another name")
}

/// Makes a folder that nobody but its user may enter.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    check_private(folder)
}

/// That nobody but this user may enter the folder: whoever can may take the place of a node, or operate one.
fn check_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(folder)?;
    // A socket's other end, here this process itself, is told who made it.
    let user = tokio::net::UnixStream::pair()?.0.peer_cred()?.uid();
    let at = folder.display();
    let problem = if !found.is_dir() {
        format!("it is no folder: remove it, or set XDG_RUNTIME_DIR to another place than that of `{at}`")
    } else if found.uid() != user {
        format!(
            "it belongs to user {}, and this is user {user}: set XDG_RUNTIME_DIR to a folder of your own",
            found.uid()
        )
    } else if found.mode() & 0o077 != 0 {
        format!("others may enter it (mode {:03o}): `chmod 700 {at}` keeps them out", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(std::io::Error::other(problem))
}

/// The folder, if there is one and it can be trusted.
fn trusted(folder: &Path) -> Result<(), Failed> {
    match check_private(folder) {
        // Then no node has run here.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        checked => checked.map_err(|error| {
            Failed::new(FAILED, format!("the control sockets in `{}` are not trusted: {error}", folder.display()))
        }),
    }
}

/// The way to the node of that name.
pub fn transport(name: &str) -> Result<(UnixTransport, UnixAddress), Failed> {
    let none = || Failed::usage(format!("no node called `{name}` can be looked for: HOME is not set"));
    let folder = folder().ok_or_else(none)?;
    trusted(&folder)?;
    let path = path_in(&folder, name);
    let address = UnixAddress::new(&path).map_err(|error| Failed::usage(error.to_string()))?;
    if !path.exists() {
        let names = nodes();
        let known =
            if names.is_empty() { "no node runs".to_owned() } else { format!("there are: {}", names.join(", ")) };
        return Err(Failed::usage(format!("no node called `{name}` runs on this machine; {known}")).hint(ELSEWHERE));
    }
    Ok((UnixTransport::from(address.clone()), address))
}

/// The one node that runs here.
pub fn only_node() -> Result<String, Failed> {
    if let Some(folder) = folder() {
        trusted(&folder)?;
    }
    let mut names = nodes();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => Err(Failed::usage("no node runs on this machine: `isorun up FILE` starts one").hint(ELSEWHERE)),
        (Some(last), false) => {
            names.push(last);
            Err(Failed::usage(format!("several nodes run on this machine: name one of {}", names.join(", "))))
        }
    }
}

const ELSEWHERE: &str = "a node elsewhere is named by where it listens, like tcp://HOST:PORT";

/// The names of the nodes that run here, in their order.
fn nodes() -> Vec<String> {
    let Some(entries) = folder().and_then(|folder| std::fs::read_dir(folder).ok()) else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?.strip_suffix(SUFFIX)?.to_owned();
        // A socket that a killed node left behind takes nobody.
        std::os::unix::net::UnixStream::connect(entry.path()).is_ok().then_some(name)
    };
    let mut names: Vec<String> = entries.take(NODES_MAX).filter_map(|entry| name(entry.ok()?)).collect();
    names.sort_unstable();
    names
}

fn path_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}
