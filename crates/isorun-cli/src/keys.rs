//! The certificate that this command shows to peers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use isorun::{CredentialFiles, Credentials};

use crate::exit::Failed;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Certificates, for tls:// and quic:// places")]
pub struct KeyArgs {
    /// The certificate that peers are shown, and those between it and the authority's; PEM
    #[arg(long, value_name = "FILE", env = "ISORUN_CERT", hide_env_values = true)]
    pub cert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", env = "ISORUN_KEY", hide_env_values = true)]
    pub key: Option<PathBuf>,

    /// The certificates of the authority that peers must be known by
    #[arg(long, value_name = "FILE", env = "ISORUN_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
}

impl KeyArgs {
    /// Names the file with the authority, where two ends have not the same one; peers' words can't.
    pub fn explain(&self, failed: Failed) -> Failed {
        let said = ["its certificate was not issued by the authority", "another authority issued it"];
        match &self.ca {
            Some(ca) if said.iter().any(|words| failed.text.contains(words)) => failed.hint(format!(
                "the authority here is that of --ca `{}`: both ends need certificates of the same one",
                ca.display()
            )),
            _ => failed,
        }
    }
}

/// The credentials of one command, read once something needs them; clones are the same.
#[derive(Clone, Default)]
pub struct Keys {
    args: KeyArgs,
    opened: Arc<OnceLock<Credentials>>,
}

impl Keys {
    pub fn new(args: KeyArgs) -> Self {
        Self { args, opened: Arc::default() }
    }

    /// The credentials for a place where both ends authenticate each other.
    pub fn credentials(&self, place: &impl fmt::Display) -> Result<Credentials, Failed> {
        if let Some(credentials) = self.opened.get() {
            return Ok(credentials.clone());
        }
        let files = self.files(place)?;
        let credentials = Credentials::open(files).map_err(|error| Failed::usage(error.to_string()))?;
        Ok(self.opened.get_or_init(|| credentials).clone())
    }

    fn files(&self, place: &impl fmt::Display) -> Result<CredentialFiles, Failed> {
        let mut missing = Vec::new();
        let mut given = |file: &Option<PathBuf>, option: &'static str| {
            // A variable that is set to nothing is one that is not set.
            let file = file.as_deref().filter(|file| *file != Path::new(""));
            if file.is_none() {
                missing.push(option);
            }
            file.map(Path::to_owned).unwrap_or_default()
        };
        let KeyArgs { cert, key, ca } = &self.args;
        let files = CredentialFiles { certificate: given(cert, CERT), key: given(key, KEY), ca: given(ca, CA) };
        if missing.is_empty() {
            return Ok(files);
        }
        let missing = missing.join(", ");
        Err(Failed::usage(format!("{place}: both ends show a certificate there, and there is no {missing}")).hint(MAKE))
    }
}

const CERT: &str = "--cert FILE (ISORUN_CERT)";
const KEY: &str = "--key FILE (ISORUN_KEY)";
const CA: &str = "--ca FILE (ISORUN_CA)";

const MAKE: &str = "for a network of your own `isorun cert ca --out certs` makes an authority, and `isorun cert node NAME --ca certs \
                    --out certs` the three files of a node";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_how_to_make_it() {
        let args = KeyArgs { cert: Some("a.pem".into()), key: Some("".into()), ca: None };
        let Err(failed) = Keys::new(args).credentials(&"tls://a:1") else { panic!("there is no key") };
        for words in ["tls://a:1", "--key FILE (ISORUN_KEY), --ca FILE", "isorun cert node"] {
            assert!(failed.text.contains(words), "{}", failed.text);
        }
        assert!(!failed.text.contains("--cert FILE"), "{}", failed.text);
    }
}
