//! An authentication service in the host, which guests import as
//! `example:auth/auth@0.1.0` (`wit/auth.wit`).
//!
//! A guest proves with a key for whom it acts. The keys are the host's: a guest
//! can try some, and a few only. What this example adds to the first one, the
//! counter, is an interface with types of its own ([`Refusal`]), state of the
//! service that all stores share beside state of one store (`Session`, who is
//! logged in there), and the care that secrets take:
//!
//! - what holds one has no derived `Debug`, and there is nothing that gives it back;
//! - only a hash is kept, and hashes are compared in constant time;
//! - an unknown user takes as long as a wrong key, and gets the same answer;
//! - attempts are bounded for each guest and for each user.
//!
//! `docs/host-components.md` goes through it step by step.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use isorun::wasmtime::component::{ComponentType, Lift, Linker, Lower};
use isorun::wasmtime::{self, StoreContextMut};
use isorun::{HostState, SystemComponent};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The interface, as the guest's WIT has it.
pub const INTERFACE: &str = "example:auth/auth@0.1.0";

/// Shortest key, in bytes.
///
/// A key of 16 random bytes can't be guessed, so that a plain hash is enough to
/// keep it by. Passwords that people choose need a slow one, argon2 say.
pub const KEY_BYTES_MIN: usize = 16;

/// Longest key and longest name that are looked at, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// Most users.
pub const USERS_MAX: usize = 10_000;

/// Failed attempts in one store, after which it is [`Refusal::LockedOut`].
pub const STORE_FAILURES_MAX: u32 = 5;

/// Failed attempts for one user from all guests, after which no key is right until [`Auth::unlock`].
///
/// A guest that serves each call in a store of its own would else try for ever.
pub const USER_FAILURES_MAX: u32 = 20;

/// Why a guest was not logged in: the WIT's `refusal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Refusal {
    /// The user or the key is wrong; which of them is not said.
    #[component(name = "bad-credentials")]
    BadCredentials,
    /// This guest has failed too often.
    #[component(name = "locked-out")]
    LockedOut,
}

/// Why there is no such user now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The key can be guessed, or is longer than what is looked at.
    #[error("a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, not {bytes}")]
    KeyLength {
        /// How many it has.
        bytes: usize,
    },
    /// The name is empty, or longer than what is looked at.
    #[error("a user's name has 1 to {KEY_BYTES_MAX} bytes, not {bytes}")]
    NameLength {
        /// How many it has.
        bytes: usize,
    },
    /// There are [`USERS_MAX`].
    #[error("there are {USERS_MAX} users, which is the limit")]
    Full,
}

/// Who may log in, and with which key. Cloning is cheap and gives the same service.
#[derive(Clone, Default)]
pub struct Auth {
    users: Arc<Mutex<HashMap<String, User>>>,
}

/// No `Debug`: it holds what a key is known by.
struct User {
    key: KeyHash,
    failures: u32,
}

#[derive(Clone, Copy)]
struct KeyHash([u8; 32]);

impl KeyHash {
    fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Takes as long for the first byte that differs as for the last.
    fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What one store knows: state that [`SystemComponent::configure`] puts there.
#[derive(Default)]
struct Session {
    user: Option<String>,
    failures: u32,
}

impl Auth {
    /// A service without users: nobody can log in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or gives one a new key.
    ///
    /// # Errors
    /// [`UserError`], for a key that is too short to be one, and where there are too many users.
    pub fn add_user(&self, name: &str, key: &str) -> Result<(), UserError> {
        if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(UserError::KeyLength { bytes: key.len() });
        }
        if !(1..=KEY_BYTES_MAX).contains(&name.len()) {
            return Err(UserError::NameLength { bytes: name.len() });
        }
        let mut users = self.users.lock();
        if users.len() >= USERS_MAX && !users.contains_key(name) {
            return Err(UserError::Full);
        }
        users.insert(name.to_owned(), User { key: KeyHash::of(key), failures: 0 });
        Ok(())
    }

    /// Lets a user in again after [`USER_FAILURES_MAX`] failures; whether there is one of that name.
    pub fn unlock(&self, name: &str) -> bool {
        self.users.lock().get_mut(name).map(|user| user.failures = 0).is_some()
    }

    /// Whether the key is the user's.
    fn verify(&self, name: &str, key: &str) -> bool {
        if key.len() > KEY_BYTES_MAX || name.len() > KEY_BYTES_MAX {
            return false;
        }
        // Hashed before it is known whether there is such a user, and outside the lock.
        let tried = KeyHash::of(key);
        let mut users = self.users.lock();
        let Some(user) = users.get_mut(name) else {
            // No key has this hash; comparing takes as long as with one that is.
            let _ = tried.is(&KeyHash([0; 32]));
            return false;
        };
        let verified = user.key.is(&tried) && user.failures < USER_FAILURES_MAX;
        user.failures = if verified { 0 } else { user.failures.saturating_add(1) };
        verified
    }

    fn login(&self, session: &mut Session, name: String, key: &str) -> Result<(), Refusal> {
        if session.failures >= STORE_FAILURES_MAX {
            return Err(Refusal::LockedOut);
        }
        // Whoever tries to become somebody else is nobody until that worked.
        session.user = None;
        if !self.verify(&name, key) {
            session.failures += 1;
            return Err(Refusal::BadCredentials);
        }
        *session = Session { user: Some(name), failures: 0 };
        Ok(())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("users", &self.users.lock().len()).finish_non_exhaustive()
    }
}

impl SystemComponent for Auth {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        type Cx<'a> = StoreContextMut<'a, HostState>;
        let mut instance = linker.instance(INTERFACE)?;
        let auth = self.clone();
        instance.func_wrap("login", move |mut cx: Cx<'_>, (user, key): (String, String)| {
            let session = cx.data_mut().extension_or_insert_with(Session::default);
            Ok((auth.login(session, user, &key),))
        })?;
        instance.func_wrap("whoami", |cx: Cx<'_>, (): ()| {
            Ok((cx.data().extension::<Session>().and_then(|session| session.user.clone()),))
        })
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state.insert_extension(Session::default());
        Ok(())
    }
}
