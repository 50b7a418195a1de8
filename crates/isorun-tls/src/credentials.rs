//! Credentials that follow their files.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun_core::PeerIdentity;
use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig};

use crate::files::Stamp;
use crate::loaded::Loaded;
use crate::{CredentialFiles, CredentialsError, NodeName};

/// How long after one look at the files the next one comes at the earliest, in milliseconds.
pub const LOOK_MS_MIN: u64 = 1_000;

/// A node's certificate and key, and the authority it knows its peers by; clones are the same ones.
///
/// Whoever is about to shake hands asks for a configuration, and that is when the
/// files are looked at again, once in [`LOOK_MS_MIN`]: what changed is read, and
/// counts from that handshake on. Connections that are open go on as they were
/// authenticated. New files that are no credentials are warned about once, and
/// the old ones stay in use. No thread waits for any of it, and a look costs three
/// calls of the system.
///
/// Sessions are not resumed and nothing is sent early: every connection is
/// authenticated by what the files say now.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    files: CredentialFiles,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    generation: u64,
    looked: Instant,
    /// Of the files as they were last read, whatever came of it.
    stamps: [Stamp; 3],
    failed: Option<Arc<CredentialsError>>,
}

impl Credentials {
    /// Reads credentials, and checks them as peers will.
    ///
    /// # Errors
    /// [`CredentialsError`], which names the file and what is wrong with it.
    pub fn open(files: CredentialFiles) -> Result<Self, CredentialsError> {
        let (looked, stamps) = (Instant::now(), files.stamps());
        let loaded = Arc::new(Loaded::read(&files)?);
        let state = Mutex::new(State { loaded, generation: 1, looked, stamps, failed: None });
        Ok(Self { shared: Arc::new(Shared { files, state }) })
    }

    /// Where they are read from.
    #[must_use]
    pub fn files(&self) -> &CredentialFiles {
        &self.shared.files
    }

    /// The name that these credentials prove to others.
    #[must_use]
    pub fn name(&self) -> NodeName {
        self.current(Instant::now()).0.name.clone()
    }

    /// What others see this node as.
    #[must_use]
    pub fn identity(&self) -> PeerIdentity {
        PeerIdentity::Authenticated { name: self.name().to_string() }
    }

    /// How the end that connects shakes hands now, for one protocol (ALPN).
    ///
    /// The server must be signed by the authority, be for the name that is asked
    /// for (see [`server_name`](crate::server_name)), and have a node's name: one
    /// that [`identity_of`](crate::identity_of) reads. If the name asked for is
    /// that node's name, this is enough.
    #[must_use]
    pub fn client_config(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        let mut config = self.current(Instant::now()).0.client.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }

    /// How the end that accepts shakes hands now, for one protocol (ALPN).
    ///
    /// The client must show a certificate that the authority has signed and that has a node's name.
    #[must_use]
    pub fn server_config(&self, alpn: &[u8]) -> Arc<ServerConfig> {
        let mut config = self.current(Instant::now()).0.server.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }

    /// Counts up whenever other credentials come into use, so that whoever keeps what is made of them knows when to make it anew.
    ///
    /// Looks at the files as [`client_config`](Self::client_config) does.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.current(Instant::now()).1
    }

    /// Looks at the files now, whenever the last look was.
    ///
    /// # Errors
    /// Why those that are there are no credentials; the old ones stay in use.
    pub fn reload(&self) -> Result<(), Arc<CredentialsError>> {
        let mut state = self.shared.state.lock();
        self.shared.look(&mut state, Instant::now());
        state.failed.clone().map_or(Ok(()), Err)
    }

    /// Why the newest files are not the ones in use, if they are not.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<CredentialsError>> {
        self.shared.state.lock().failed.clone()
    }

    fn current(&self, now: Instant) -> (Arc<Loaded>, u64) {
        let mut state = self.shared.state.lock();
        if now.saturating_duration_since(state.looked) >= Duration::from_millis(LOOK_MS_MIN) {
            self.shared.look(&mut state, now);
        }
        (state.loaded.clone(), state.generation)
    }
}

impl Shared {
    fn look(&self, state: &mut State, now: Instant) {
        state.looked = now;
        // Before they are read: what changes while they are is seen by the next look.
        let stamps = self.files.stamps();
        if stamps == state.stamps {
            return;
        }
        state.stamps = stamps;
        match Loaded::read(&self.files) {
            Ok(loaded) => {
                tracing::info!(name = %loaded.name, file = %self.files.certificate.display(), "credentials were read again");
                state.loaded = Arc::new(loaded);
                state.generation += 1;
                state.failed = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the credentials that changed can't be used; those from before stay in use");
                state.failed = Some(Arc::new(error));
            }
        }
    }
}

/// Names and paths alone.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Credentials")
            .field("name", &state.loaded.name.as_str())
            .field("files", &self.shared.files)
            .field("generation", &state.generation)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "issue"))]
mod tests {
    use super::*;
    use crate::issue::{Authority, NodeRequest};

    #[test]
    fn files_are_looked_at_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("test", 30).unwrap();
        let node = NodeRequest::new("a".parse().unwrap());
        let credentials = Credentials::open(authority.issue(&node).unwrap().write(folder.path(), false).unwrap());
        let credentials = credentials.unwrap();
        let looked = credentials.shared.state.lock().looked;
        authority.issue(&node).unwrap().write(folder.path(), true).unwrap();
        let wait = Duration::from_millis(LOOK_MS_MIN);
        assert_eq!(credentials.current(looked + wait - Duration::from_millis(1)).1, 1);
        assert_eq!(credentials.current(looked + wait).1, 2);
        assert_eq!(credentials.current(looked + 2 * wait).1, 2, "nothing changed since");
    }
}
