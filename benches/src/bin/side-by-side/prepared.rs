//! Guests as `isorun compile` leaves them: the conductor compiles them once, and a measured process loads the code.

use std::fs;
use std::path::{Path, PathBuf};

use benches::{CALLEE, CALLER};
use isorun::{EngineOptions, LoadedComponent, Runtime};

use crate::child::Error;

/// Where the guests are, and their compiled code; without a folder they are read as text, and compiled by each process.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    folder: Option<PathBuf>,
}

impl Prepared {
    /// What is in that folder.
    pub fn at(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Puts both guests there, and the code of each and of both fused.
    pub fn make(folder: &Path) -> Result<Self, Error> {
        for name in [CALLEE, CALLER] {
            fs::write(file(folder, name), benches::guest(name)?)?;
        }
        let prepared = Self::at(Some(folder.to_owned()));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio.block_on(async {
            let runtime = prepared.runtime()?;
            let callee = prepared.load(&runtime, CALLEE)?;
            let caller = prepared.load(&runtime, CALLER)?;
            let started = runtime.builder(&callee).instantiate().await?;
            runtime.builder(&caller).link_local("*", &started).instantiate().await?;
            runtime.builder(&caller).link_fused("*", &callee).instantiate().await?;
            if runtime.compile_counts().kept == CODES {
                Ok(prepared)
            } else {
                Err(format!("compiled code can't be kept in `{}`", folder.display()).into())
            }
        })
    }

    /// A runtime with a process's ordinary settings and the compiled code.
    pub fn runtime(&self) -> Result<Runtime, Error> {
        let options = EngineOptions::default();
        let options = match &self.folder {
            Some(folder) => options.cache(folder.join("compiled")),
            None => options,
        };
        Ok(Runtime::with_options(options)?)
    }

    pub fn load(&self, runtime: &Runtime, name: &str) -> Result<LoadedComponent, Error> {
        let bytes = match &self.folder {
            Some(folder) => fs::read(file(folder, name))?,
            None => benches::guest(name)?,
        };
        Ok(runtime.load(bytes)?)
    }
}

/// The caller's, the callee's, and that of both fused.
const CODES: u64 = 3;

fn file(folder: &Path, guest: &str) -> PathBuf {
    folder.join(guest).with_extension("wasm")
}
