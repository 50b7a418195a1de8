//! Who this is to the NATS server, and which servers are believed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file of credentials that is read, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 64 << 10;

/// How to connect to a NATS server.
///
/// ```
/// use isorun_transport_nats::NatsOptions;
///
/// let options = NatsOptions::default().token("s3cret");
/// assert!(!format!("{options:?}").contains("s3cret"));
/// ```
#[derive(Clone, Default)]
pub struct NatsOptions {
    pub(crate) login: Option<Login>,
    pub(crate) authorities: Vec<PathBuf>,
}

#[derive(Clone)]
pub(crate) enum Login {
    User { name: String, password: String },
    Token(String),
    File(PathBuf),
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("cannot read {}: {cause}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// It is no file of credentials.
    #[error("{}: {problem}; it has the lines `user=NAME` and `password=SECRET`, or the line `token=SECRET`", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; no part of a secret.
        problem: String,
    },
}

impl NatsOptions {
    /// Says who this is by a name and a password.
    #[must_use]
    pub fn user_and_password(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some(Login::User { name: name.into(), password: password.into() });
        self
    }

    /// Says who this is by a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Some(Login::Token(token.into()));
        self
    }

    /// Says who this is by a file with the lines `user=NAME` and `password=SECRET`, or `token=SECRET`; `#` begins a comment.
    ///
    /// It is read each time that a connection is made, so that what is in it may change.
    #[must_use]
    pub fn credentials_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.login = Some(Login::File(file.into()));
        self
    }

    /// Believes a server over TLS whose certificate one in this PEM file has signed, instead of those that the system
    /// believes.
    #[must_use]
    pub fn authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities.push(file.into());
        self
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match &self.login {
            None => "nobody",
            Some(Login::User { name, .. }) => name,
            Some(Login::Token(_)) => "a token",
            Some(Login::File(_)) => "what a file says",
        };
        f.debug_struct("NatsOptions").field("login", &login).field("authorities", &self.authorities).finish()
    }
}

impl NatsOptions {
    /// Who this is, now.
    pub(crate) fn login(&self) -> Result<Option<Login>, CredentialsError> {
        match &self.login {
            Some(Login::File(file)) => read(file).map(Some),
            other => Ok(other.clone()),
        }
    }
}

fn read(file: &Path) -> Result<Login, CredentialsError> {
    let text = || -> io::Result<String> {
        if std::fs::metadata(file)?.len() > CREDENTIALS_BYTES_MAX {
            return Err(io::Error::other(format!("it has over {CREDENTIALS_BYTES_MAX} bytes")));
        }
        std::fs::read_to_string(file)
    };
    let text = text().map_err(|cause| CredentialsError::Read { file: file.to_owned(), cause })?;
    login(&text).map_err(|problem| CredentialsError::Form { file: file.to_owned(), problem })
}

fn login(text: &str) -> Result<Login, String> {
    let (mut name, mut password, mut token) = (None, None, None);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // A line of another form may be a secret: it is told by its number.
        let unknown = || format!("line {} is none of those", at + 1);
        let (key, value) = line.split_once('=').ok_or_else(unknown)?;
        let place = match key.trim() {
            "user" => &mut name,
            "password" => &mut password,
            "token" => &mut token,
            _ => return Err(unknown()),
        };
        if place.replace(value.trim().to_owned()).is_some() {
            return Err(format!("line {} says again what was said", at + 1));
        }
    }
    match (name, password, token) {
        (Some(name), Some(password), None) => Ok(Login::User { name, password }),
        (None, None, Some(token)) => Ok(Login::Token(token)),
        _ => Err("it has not all that is needed, or both kinds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = login(text).map(|login| match login {
            Login::User { name, password } => format!("{name}/{password}"),
            Login::Token(token) => token,
            Login::File(file) => file.display().to_string(),
        });
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_file_holds_a_user_and_a_password_or_a_token() {
        check("# mine\nuser = me\r\n\npassword=a=b #c\n", Ok("me/a=b #c"));
        check("token=t0ken", Ok("t0ken"));
        let incomplete = "it has not all that is needed, or both kinds";
        for text in ["", "user=me", "password=x", "token=t\nuser=me\npassword=x"] {
            check(text, Err(incomplete));
        }
        check("token=t\nhunter2", Err("line 2 is none of those"));
        check("token=t\npass=hunter2", Err("line 2 is none of those"));
        check("token=t\ntoken=t", Err("line 2 says again what was said"));
    }

    #[test]
    fn a_file_that_is_not_there_or_too_large_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("creds");
        let options = NatsOptions::default().credentials_file(&file);
        let refused = || options.login().err().expect("no credentials");
        assert!(refused().to_string().contains("creds"), "{}", refused());
        std::fs::write(&file, vec![b'\n'; CREDENTIALS_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(refused(), CredentialsError::Read { .. }));
        std::fs::write(&file, "token=s3cret\nhunter2").unwrap();
        let error = refused().to_string();
        assert!(!error.contains("s3cret") && !error.contains("hunter2"), "{error}");
        std::fs::write(&file, "user=me\npassword=s3cret").unwrap();
        assert!(matches!(options.login(), Ok(Some(Login::User { .. }))));
        assert!(!format!("{options:?}").contains("s3cret"), "{options:?}");
    }
}
