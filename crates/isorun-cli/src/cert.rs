//! `isorun cert`.

use std::path::Path;

use isorun::issue::{Authority, IssueError, NodeRequest};
use serde_json::json;

use crate::args::{CertArgs, CertCommand, CertNodeArgs};
use crate::exit::{self, FAILED, Failed};
use crate::terminal::Terminal;

/// Makes an authority, or the certificate of a node.
pub fn cert(args: CertArgs, terminal: &Terminal) -> Result<u8, Failed> {
    match args.command {
        CertCommand::Ca(args) => {
            let authority = Authority::new(&args.name, args.days).map_err(unmade)?;
            let (certificate, key) = authority.write(&args.out, args.force).map_err(unmade)?;
            tell(terminal, &[("certificate", &certificate), ("key", &key)])
        }
        CertCommand::Node(args) => {
            let authority = Authority::read(&args.ca).map_err(|error| of_authority(error, &args))?;
            let mut node = NodeRequest::new(args.name).days(args.days);
            node = args.dns.into_iter().fold(node, NodeRequest::dns);
            node = args.ip.into_iter().fold(node, NodeRequest::ip);
            let issued = authority.issue(&node).map_err(unmade)?;
            let files = issued.write(&args.out, args.force).map_err(|error| of_folder(error, &args.ca))?;
            tell(terminal, &[("certificate", &files.certificate), ("key", &files.key), ("ca", &files.ca)])
        }
    }
}

/// Says which file is what, as the options that take them are called in JSON.
fn tell(terminal: &Terminal, files: &[(&str, &Path)]) -> Result<u8, Failed> {
    let text = || {
        let line = |(what, file): &(&str, &Path)| format!("{what:<11}  {}", file.display());
        files.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let json = || files.iter().map(|(what, file)| ((*what).to_owned(), json!(file.display().to_string()))).collect();
    terminal.result(text, json)?;
    Ok(exit::OK)
}

fn of_authority(error: IssueError, args: &CertNodeArgs) -> Failed {
    match error {
        IssueError::Read(_) => {
            unmade(error).hint(format!("`isorun cert ca --out {}` makes an authority there", args.ca.display()))
        }
        error => unmade(error),
    }
}

/// A folder in which something else stands already.
fn of_folder(error: IssueError, authority: &Path) -> Failed {
    match error {
        IssueError::OtherAuthority { file } => Failed::usage(format!(
            "`{}` is there already, and is not the certificate of the authority in `{}`; it was left as it is",
            file.display(),
            authority.display()
        ))
        .hint("choose another folder with `--out`, or move that file away if no node beside it needs it; `--force` replaces a node's own files alone"),
        error => unmade(error),
    }
}

fn unmade(error: IssueError) -> Failed {
    match error {
        IssueError::AuthorityName { .. } => Failed::usage(error.to_string()).hint("choose another name"),
        IssueError::Exists { .. } => Failed::usage(error.to_string()).hint("`--force` replaces it"),
        IssueError::Dns { .. } | IssueError::TooManyNames | IssueError::Days { .. } | IssueError::CaName => {
            Failed::usage(error.to_string())
        }
        _ => Failed::new(FAILED, error.to_string()),
    }
}
