//! Where built guests and the tools that build them are kept: the user's cache folder, in folders named after a hash
//! of all that makes a difference to what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::{Outcome, process};

/// Folders of one kind that are kept; the oldest go when another is made. One of Python guests has 73 MB.
const KEPT: usize = 4;

/// The folder of `kind` for that fingerprint: as it was left, else filled by `fill`.
///
/// It is filled under another name first, so that it is complete whenever it is there.
pub fn folder(kind: &str, fingerprint: &str, fill: impl FnOnce(&Path) -> Outcome) -> Outcome<PathBuf> {
    let guests = guests()?;
    let folder = guests.join(format!("{kind}-{fingerprint}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    let scratch = guests.join(format!("scratch-{kind}-{}", std::process::id()));
    let said = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(&scratch).map_err(said)?;
    let filled = fill(&scratch).and_then(|()| match fs::rename(&scratch, &folder) {
        // Somebody else was quicker, with the same sources.
        Err(_) if folder.is_dir() => Ok(()),
        outcome => outcome.map_err(said),
    });
    // Gone already where all went well, and harmless where it stays.
    let _ = fs::remove_dir_all(&scratch);
    filled?;
    forget_oldest(&guests, kind);
    Ok(folder)
}

/// One folder with what is in all of these.
pub fn gather(folders: &[PathBuf]) -> Outcome<PathBuf> {
    let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let words: Vec<_> = names.iter().map(String::as_str).collect();
    folder("all", &fingerprint(&words, &[])?, |all| {
        for (path, name) in folders.iter().flat_map(|folder| files(folder)) {
            let there = all.join(name);
            // Not every file system has links.
            let linked = fs::hard_link(&path, &there).or_else(|_| fs::copy(&path, &there).map(drop));
            linked.map_err(|e| format!("{}: {e}", there.display()))?;
        }
        Ok(())
    })
}

/// Where the compilers of the guests keep what they may use again.
pub fn guests() -> Outcome<PathBuf> {
    Ok(process::cache()?.join("guests"))
}

/// Names a state of these words, and of these files and folders of the workspace.
pub fn fingerprint(words: &[&str], paths: &[&str]) -> Outcome<String> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    words.iter().for_each(|word| add(word.as_bytes()));
    for (path, bytes) in sources(paths)? {
        add(path.as_bytes());
        add(&bytes);
    }
    Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Every file at and under these paths, by its path in the workspace; what tools leave among the sources is none.
fn sources(paths: &[&str]) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
    while let Some(inside) = paths.pop() {
        let path = process::root().join(&inside);
        if path.is_file() {
            found.insert(inside.display().to_string(), super::read(&path)?);
            continue;
        }
        for entry in fs::read_dir(&path).map_err(|e| format!("{}: {e}", path.display()))? {
            let entry = entry.map_err(|e| format!("{}: {e}", path.display()))?;
            if !NO_SOURCES.iter().any(|name| entry.file_name() == *name) {
                paths.push(inside.join(entry.file_name()));
            }
        }
    }
    Ok(found)
}

const NO_SOURCES: &[&str] = &["target", "node_modules", "__pycache__"];

/// The files of a folder, with their names.
fn files(folder: &Path) -> Vec<(PathBuf, std::ffi::OsString)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.path(), entry.file_name())).filter(|(path, _)| path.is_file()).collect()
}

/// Removes the oldest folders of that kind. What can't be removed stays.
fn forget_oldest(guests: &Path, kind: &str) {
    let prefix = format!("{kind}-");
    let entries = fs::read_dir(guests).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| {
            let made = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            (made, entry.path())
        })
        .collect();
    folders.sort();
    for (_, folder) in folders.iter().rev().skip(KEPT) {
        let _ = fs::remove_dir_all(folder);
    }
}
