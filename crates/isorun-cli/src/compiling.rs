//! Where compiled code is kept, and `isorun compile`, which puts it there.

use std::env::var_os;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use isorun::{Budget, CompiledCache, EngineOptions, POOLED_MEMORY_BYTES_MAX, Runtime, Serving};
use serde_json::json;

use crate::args::{CompileArgs, GlobalArgs};
use crate::exit::{self, FAILED, Failed};
use crate::load;
use crate::terminal::{Terminal, while_slow};

/// How the components of a command line are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiling {
    /// Where compiled code is kept, if it is.
    folder: Option<PathBuf>,
    /// What says so on a command line.
    args: Vec<OsString>,
}

impl Compiling {
    pub fn of(global: &GlobalArgs) -> Self {
        match &global.cache_dir {
            _ if global.no_cache => Self { folder: None, args: vec!["--no-cache".into()] },
            Some(folder) => Self { folder: Some(folder.clone()), args: vec!["--cache-dir".into(), folder.into()] },
            None => Self { folder: usual(var_os("XDG_CACHE_HOME"), var_os("HOME")), args: Vec::new() },
        }
    }

    /// What has another isorun do the same.
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    pub fn runtime(&self) -> Result<Runtime, Failed> {
        self.runtime_with(EngineOptions::default())
    }

    /// A runtime for an instance that serves so, within that budget.
    pub fn runtime_for(&self, serving: Serving, budget: &Budget) -> Result<Runtime, Failed> {
        let options = EngineOptions::default();
        let fits = budget.max_memory_bytes <= POOLED_MEMORY_BYTES_MAX as u64;
        match serving {
            // A start for each call: room for all that may run at once, and as much for the components linked to.
            Serving::PerCall { at_once_max } if fits => {
                let stores = u32::try_from(at_once_max.saturating_mul(2)).unwrap_or(u32::MAX);
                self.runtime_with(options.clone().pooled_stores(stores)).or_else(|error| {
                    tracing::warn!(?error, "no room for stores in advance: each call makes its own");
                    self.runtime_with(options)
                })
            }
            _ => self.runtime_with(options),
        }
    }

    fn runtime_with(&self, options: EngineOptions) -> Result<Runtime, Failed> {
        let options = match &self.folder {
            Some(folder) => options.cache(folder),
            None => options,
        };
        Runtime::with_options(options).map_err(|error| Failed::new(FAILED, error.to_string()))
    }
}

/// The user's folder for what can be made again. Paths that depend on where a command is started are no such folder.
fn usual(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute(xdg).or_else(|| absolute(home).map(|home| home.join(".cache")))?;
    Some(cache.join("isorun/compiled"))
}

/// What became of one component.
struct Row<'a> {
    file: &'a Path,
    digest: String,
    was_there: bool,
}

/// Compiles components and keeps their code.
pub async fn compile(args: CompileArgs, terminal: &Terminal, compiling: &Compiling) -> Result<u8, Failed> {
    let Some(folder) = &compiling.folder else {
        return Err(Failed::usage("there is no folder to keep compiled code in").hint("`--cache-dir DIR` names one"));
    };
    let cache = CompiledCache::open(folder).map_err(|error| Failed::new(FAILED, error.to_string()).hint(OTHER_DIR))?;
    let runtime = compiling.runtime()?;
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (at, file) in args.components.iter().enumerate() {
        let what = format!("compiling {} ({} of {})", file.display(), at + 1, args.components.len());
        match while_slow(&what, one(&runtime, file)).await {
            Ok(row) => rows.push(row),
            Err(failed) => problems.push(failed),
        }
    }
    if let Some(failed) = Failed::all("components are not compiled", problems) {
        return Err(failed);
    }
    let text = || {
        let width = rows.iter().map(|row| row.file.display().to_string().len()).max().unwrap_or(0);
        let state = |row: &Row<'_>| if row.was_there { "was compiled already" } else { "compiled" };
        let line = |row: &Row<'_>| format!("{:width$}  {}\n", row.file.display().to_string(), state(row));
        format!("{}kept in {}", rows.iter().map(line).collect::<String>(), cache.folder().display())
    };
    let json = || {
        let row = |row: &Row<'_>| json!({ "file": row.file.display().to_string(), "sha256": row.digest, "compiled": !row.was_there });
        json!({ "folder": cache.folder().display().to_string(), "components": rows.iter().map(row).collect::<Vec<_>>() })
    };
    terminal.result(text, json)?;
    Ok(exit::OK)
}

async fn one<'a>(runtime: &Runtime, file: &'a Path) -> Result<Row<'a>, Failed> {
    let component = load::component(runtime, file)?;
    let before = runtime.compile_counts();
    component.compiled().await.map_err(|error| Failed::load(file, &error))?;
    let after = runtime.compile_counts();
    let was_there = after.loaded > before.loaded;
    if !was_there && after.kept == before.kept {
        let text = format!("`{}` is compiled, but its code could not be kept", file.display());
        return Err(Failed::new(FAILED, text).hint(OTHER_DIR));
    }
    let digest = component.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Row { file, digest, was_there })
}

const OTHER_DIR: &str = "`--cache-dir DIR` names another folder for compiled code";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_code_goes_to_the_users_cache() {
        let of = |xdg: Option<&str>, home: Option<&str>| usual(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(of(Some("/x"), Some("/home/a")), Some("/x/isorun/compiled".into()));
        assert_eq!(of(None, Some("/home/a")), Some("/home/a/.cache/isorun/compiled".into()));
        assert_eq!(of(Some("here"), Some("/home/a")), Some("/home/a/.cache/isorun/compiled".into()));
        assert_eq!(of(Some(""), Some("")), None);
        assert_eq!(of(None, None), None);
    }
}
