//! Makes certificate authorities and the certificates of nodes, for development and tests.
//!
//! An authority here is a key in a file: whoever can read it can be anybody on
//! the network. Where that matters, have certificates from what the organisation
//! already has; the rules for them are those of [`identity_of`](crate::identity_of).

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::identity::URI_SCHEME;
use crate::{CredentialFiles, CredentialsError, NodeName, files};

/// The file with an authority's certificate, in the folder it is written to.
pub const CA_CERTIFICATE: &str = "ca.pem";
/// The file with an authority's key.
pub const CA_KEY: &str = "ca.key";
/// How long the certificate of an authority holds unless said otherwise, in days.
pub const CA_DAYS_DEFAULT: u32 = 365;
/// How long the certificate of a node holds unless said otherwise, in days.
pub const NODE_DAYS_DEFAULT: u32 = 90;
/// Longest that a certificate may hold, in days: ten years.
pub const DAYS_MAX: u32 = 3_650;
/// Most DNS names and addresses in one certificate.
pub const NAMES_MAX: usize = 100;

/// How long before it was made a certificate holds already, since clocks differ.
const BACKDATED: Duration = Duration::from_secs(3_600);

/// Longest name of an authority, in bytes: what X.509 allows for a common name.
const CA_NAME_BYTES_MAX: usize = 64;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A file is there already, and was left alone.
    #[error("`{}` is there already, and was left as it is", .file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// What is there as the authority's certificate is not that of the one that issues.
    #[error("`{}` is not the certificate of the authority that issues this one, and was left as it is", .file.display())]
    OtherAuthority {
        /// The file.
        file: PathBuf,
    },
    /// A name whose files would be those of the authority.
    #[error("no node can be named `{name}`: its files would be those of the authority")]
    AuthorityName {
        /// The name.
        name: NodeName,
    },
    /// A file or folder can't be written.
    #[error("cannot write `{}`: {cause}", .file.display())]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The authority's files can't be read.
    #[error(transparent)]
    Read(#[from] CredentialsError),
    /// The authority's files are none.
    #[error("`{}` is not an authority's: {cause}", .file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; never a part of a key.
        cause: String,
    },
    /// No certificate can be for that name.
    #[error("`{name}` is no DNS name")]
    Dns {
        /// The text.
        name: String,
    },
    /// More names than one certificate should have.
    #[error("more than {NAMES_MAX} DNS names and addresses")]
    TooManyNames,
    /// A time of no days, or of too many.
    #[error("a certificate holds for 1 to {DAYS_MAX} days, not {days}")]
    Days {
        /// The days.
        days: u32,
    },
    /// No name for an authority.
    #[error("the name of an authority has 1 to {CA_NAME_BYTES_MAX} bytes")]
    CaName,
    /// The certificate could not be made.
    #[error("no certificate could be made: {cause}")]
    Make {
        /// What went wrong.
        cause: String,
    },
}

/// Who is asking for a certificate, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRequest {
    name: NodeName,
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    validity: Validity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Validity {
    Days(u32),
    Between(SystemTime, SystemTime),
}

impl NodeRequest {
    /// A certificate for the node of that name, for [`NODE_DAYS_DEFAULT`] days.
    #[must_use]
    pub fn new(name: NodeName) -> Self {
        Self { name, dns: Vec::new(), ips: Vec::new(), validity: Validity::Days(NODE_DAYS_DEFAULT) }
    }

    /// Adds a DNS name that it is reached by.
    #[must_use]
    pub fn dns(mut self, name: impl Into<String>) -> Self {
        self.dns.push(name.into());
        self
    }

    /// Adds an address that it is reached by.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.ips.push(ip);
        self
    }

    /// How long it holds, from an hour ago, in days; 1 to [`DAYS_MAX`].
    #[must_use]
    pub fn days(mut self, days: u32) -> Self {
        self.validity = Validity::Days(days);
        self
    }

    /// From when until when it holds, to the second; after 1970.
    #[must_use]
    pub fn between(mut self, from: SystemTime, until: SystemTime) -> Self {
        self.validity = Validity::Between(from, until);
        self
    }
}

/// A certificate authority, with its key.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, whose certificate signs nodes and no further authorities.
    ///
    /// # Errors
    /// [`IssueError::Days`] and [`IssueError::CaName`] for what can't be.
    pub fn new(name: &str, days: u32) -> Result<Self, IssueError> {
        if !(1..=CA_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(IssueError::CaName);
        }
        let mut params = params(name, &Validity::Days(days))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(unmade)?;
        // Two authorities of one name would be taken for each other until their signatures are looked at.
        let of_key: String = params.key_identifier(&key).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::OrganizationalUnitName, of_key);
        let pem = params.self_signed(&key).map_err(unmade)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// The one that was [written](Self::write) to a folder.
    ///
    /// # Errors
    /// [`IssueError`] where its files can't be read or are none.
    pub fn read(folder: &Path) -> Result<Self, IssueError> {
        let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        let wrong = |file: &Path, cause: String| IssueError::Authority { file: file.into(), cause };
        let text =
            |file: &Path| String::from_utf8(files::read(file)?).map_err(|_| wrong(file, "it is not text".into()));
        files::certificates(&certificate)?;
        let (pem, key_pem) = (text(&certificate)?, text(&key)?);
        let of_key =
            KeyPair::from_pem(&key_pem).map_err(|_| wrong(&key, "there is no key in it that can sign".into()))?;
        let public = of_key.public_key_raw().to_vec();
        let issuer = Issuer::from_ca_cert_pem(&pem, of_key).map_err(|error| wrong(&certificate, error.to_string()))?;
        // Signed by another key, no certificate would hold, and nobody would know before it is used.
        let der = files::certificates(&certificate)?;
        let holds = der.first().is_some_and(|der| der.windows(public.len()).any(|window| window == public));
        if !holds {
            return Err(wrong(&key, format!("its key does not match `{}`", certificate.display())));
        }
        Ok(Self { pem, issuer })
    }

    /// Its certificate, which peers know nodes by, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Writes [`CA_CERTIFICATE`] and [`CA_KEY`] to a folder, which is made if it is not there; the paths of both.
    ///
    /// The key is its owner's alone from the moment it exists. Files appear whole or not at all.
    ///
    /// # Errors
    /// [`IssueError::Exists`] where one is there and `overwrite` does not say that it may go.
    pub fn write(&self, folder: &Path, overwrite: bool) -> Result<(PathBuf, PathBuf), IssueError> {
        let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        make_folder(folder)?;
        absent([&certificate, &key], overwrite)?;
        write(&key, &self.issuer.key().serialize_pem(), KEY_MODE, overwrite)?;
        write(&certificate, &self.pem, CERTIFICATE_MODE, overwrite)?;
        Ok((certificate, key))
    }

    /// Makes a key, and signs a certificate for it.
    ///
    /// It serves both ends of a connection, and proves the node's name by the URI name `isorun://NAME`.
    ///
    /// # Errors
    /// [`IssueError`] where something that was asked for can't be; [`IssueError::AuthorityName`] for `ca`, whose files
    /// would be [`CA_CERTIFICATE`] and [`CA_KEY`].
    pub fn issue(&self, node: &NodeRequest) -> Result<Issued, IssueError> {
        if format!("{}.pem", node.name) == CA_CERTIFICATE || format!("{}.key", node.name) == CA_KEY {
            return Err(IssueError::AuthorityName { name: node.name.clone() });
        }
        if node.dns.len() + node.ips.len() > NAMES_MAX {
            return Err(IssueError::TooManyNames);
        }
        let mut params = params(node.name.as_str(), &node.validity)?;
        params.subject_alt_names.push(SanType::URI(ia5(&format!("{URI_SCHEME}{}", node.name))?));
        for name in &node.dns {
            if !matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_))) {
                return Err(IssueError::Dns { name: name.clone() });
            }
            params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
        }
        params.subject_alt_names.extend(node.ips.iter().copied().map(SanType::IpAddress));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(unmade)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(unmade)?;
        Ok(Issued {
            name: node.name.clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            ca: self.pem.clone(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A node's new certificate and key.
pub struct Issued {
    name: NodeName,
    certificate: String,
    key: String,
    ca: String,
}

impl Issued {
    /// The certificate, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Writes `NAME.pem`, `NAME.key` and [`CA_CERTIFICATE`] to a folder, which is made if it is not there.
    ///
    /// The key is its owner's alone from the moment it exists. Files appear whole
    /// or not at all. `overwrite` is for the node's own two files; the authority's
    /// certificate is never replaced, and may be there already, alone or among others.
    ///
    /// # Errors
    /// [`IssueError::Exists`] where one of the node's files is there and `overwrite` does not say that it may go;
    /// [`IssueError::OtherAuthority`] where [`CA_CERTIFICATE`] is there without this authority's certificate.
    pub fn write(&self, folder: &Path, overwrite: bool) -> Result<CredentialFiles, IssueError> {
        make_folder(folder)?;
        let certificate = folder.join(format!("{}.pem", self.name));
        let key = folder.join(format!("{}.key", self.name));
        let ca = folder.join(CA_CERTIFICATE);
        absent([&certificate, &key], overwrite)?;
        if ca.symlink_metadata().is_ok() {
            self.check_authority(&ca)?;
        } else {
            write(&ca, &self.ca, CERTIFICATE_MODE, false)?;
        }
        write(&key, &self.key, KEY_MODE, overwrite)?;
        write(&certificate, &self.certificate, CERTIFICATE_MODE, overwrite)?;
        Ok(CredentialFiles { certificate, key, ca })
    }

    /// Whether the authority is among those of a file, which may hold several while one takes over from another.
    fn check_authority(&self, file: &Path) -> Result<(), IssueError> {
        let own = CertificateDer::from_pem_slice(self.ca.as_bytes()).map_err(unmade)?;
        match files::certificates(file) {
            Ok(there) if there.contains(&own) => Ok(()),
            Ok(_) | Err(_) => Err(IssueError::OtherAuthority { file: file.into() }),
        }
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("name", &self.name).finish_non_exhaustive()
    }
}

fn params(name: &str, validity: &Validity) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, until) = match *validity {
        Validity::Days(days) if (1..=DAYS_MAX).contains(&days) => {
            let now = SystemTime::now();
            (now - BACKDATED, now + Duration::from_secs(u64::from(days) * 24 * 3_600))
        }
        Validity::Days(days) => return Err(IssueError::Days { days }),
        Validity::Between(from, until) => (from, until),
    };
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + since_epoch(from);
    params.not_after = epoch + since_epoch(until);
    Ok(params)
}

fn ia5(text: &str) -> Result<Ia5String, IssueError> {
    Ia5String::try_from(text).map_err(unmade)
}

fn unmade(error: impl fmt::Display) -> IssueError {
    IssueError::Make { cause: error.to_string() }
}

fn make_folder(folder: &Path) -> Result<(), IssueError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|cause| IssueError::Write { file: folder.into(), cause })
}

/// Before anything is written, so that nothing is where something has to stay.
fn absent(files: [&Path; 2], overwrite: bool) -> Result<(), IssueError> {
    match files.into_iter().find(|file| !overwrite && file.symlink_metadata().is_ok()) {
        Some(file) => Err(IssueError::Exists { file: file.into() }),
        None => Ok(()),
    }
}

/// Writes beside the file, and then gives what was written its name.
fn write(file: &Path, text: &str, mode: u32, overwrite: bool) -> Result<(), IssueError> {
    let beside = beside(file);
    let outcome = write_new(&beside, text, mode).and_then(|()| {
        if overwrite {
            return fs::rename(&beside, file);
        }
        // Unlike a rename this takes nobody's place.
        fs::hard_link(&beside, file)
    });
    // It is gone where it was renamed, and otherwise has another name, or is of no use.
    let _ = fs::remove_file(&beside);
    outcome.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => IssueError::Exists { file: file.into() },
        _ => IssueError::Write { file: file.into(), cause },
    })
}

fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    file.with_file_name(format!(".{name}.{}.{now}", std::process::id()))
}

/// Keys are their owner's alone.
const KEY_MODE: u32 = 0o600;
/// Certificates are shown to everybody; the umask may take from this.
const CERTIFICATE_MODE: u32 = 0o644;

#[cfg_attr(not(unix), expect(unused_variables, reason = "files have no such mode elsewhere"))]
fn write_new(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
