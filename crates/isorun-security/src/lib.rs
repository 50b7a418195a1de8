//! Grants and decisions with reasons: who may link, mount, call and send what.
//!
//! A [`Capability`] is the right to call functions, which can be narrowed and
//! handed on. An operator names what is granted, in [`Grants`]; whoever is about to act
//! asks first, with a [`Request`]. The answer is a [`Decision`] that says which
//! grant allows it, or why nothing does and what would. What nobody named is
//! denied. There is no I/O here and no clock: data in, a decision out.
//!
//! ```
//! use isorun_security::{Access, Grants, Mount};
//!
//! let grants = Grants::new().mount(Mount::new("/srv/photos", "/photos", Access::ReadOnly));
//! assert!(grants.may_mount(&Mount::new("/srv/photos", "/photos", Access::ReadOnly)).is_allowed());
//!
//! let denied = grants.may_mount(&Mount::new("/srv/photos", "/photos", Access::ReadWrite));
//! assert_eq!(
//!     denied.to_string(),
//!     "denied: `/srv/photos` is not granted to the guest as `/photos`, read-write; \
//!      `--dir /srv/photos::/photos` grants it"
//! );
//! ```
#![forbid(unsafe_code)]

mod by_pattern;
mod capability;
mod decision;
mod grants;
mod request;
mod scope;
mod text;

pub use capability::Capability;
pub use decision::Decision;
pub use grants::Grants;
pub use request::{Access, Audience, Mount, Request, UnknownFeature, WasiFeature};
