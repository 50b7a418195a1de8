//! The command line.

use std::path::PathBuf;

use benches::Function;
use clap::{Parser, Subcommand};

use crate::system::{System, Systems};

/// Measures calls between two processes: isorun, its floor and its peers in turn, in one run.
///
/// Systems: floor-tcp, isorun-tcp, isorun-unix, isorun-local, isorun-fused, wrpc-tcp, wrpc-quic, tonic, tarpc, host-func.
/// Cases: add, echo-string, echo-bytes, sum, get. What is compared with what stands in benches/README.md.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", max_term_width = 110, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    pub args: Args,
    #[command(subcommand)]
    pub role: Option<Role>,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measures these systems alone; `wrpc` and `isorun` stand for all of theirs
    #[arg(long, value_name = "SYSTEM,..", value_delimiter = ',')]
    pub only: Vec<Systems>,

    /// Leaves these systems out; `--without wrpc` also spares the build of another engine
    #[arg(long, value_name = "SYSTEM,..", value_delimiter = ',')]
    pub without: Vec<Systems>,

    /// Measures these cases alone
    #[arg(long, value_name = "CASE,..", value_delimiter = ',', value_parser = case)]
    pub cases: Vec<Function>,

    /// Rounds; in each, every system is measured once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,

    /// How long a measurement takes, about: two for each system, case and round
    #[arg(long, value_name = "S", default_value_t = 0.3, value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: f64,

    /// Writes what was measured to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Args {
    /// The systems to measure, in the order of the table.
    pub fn systems(&self) -> Result<Vec<System>, String> {
        let named = |lists: &[Systems], system| lists.iter().any(|list| list.0.contains(&system));
        let wanted =
            |system: &System| (self.only.is_empty() || named(&self.only, *system)) && !named(&self.without, *system);
        let systems: Vec<_> = System::ALL.into_iter().filter(wanted).collect();
        if systems.is_empty() { Err("`--only` and `--without` leave no system to measure".into()) } else { Ok(systems) }
    }

    /// The cases to measure, in the order of the table.
    pub fn cases(&self) -> Vec<Function> {
        let wanted = |case: &Function| self.cases.is_empty() || self.cases.contains(case);
        Function::ALL.into_iter().filter(wanted).collect()
    }
}

/// What a process does that the command itself starts.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Serves one system
    #[command(hide = true)]
    Callee {
        #[arg(value_parser = system)]
        system: System,
        /// Where the guests are and their compiled code; without it, they are compiled
        #[arg(long)]
        prepared: Option<PathBuf>,
    },
    /// Calls one system
    #[command(hide = true)]
    Caller {
        #[arg(value_parser = system)]
        system: System,
        #[arg(value_parser = case)]
        case: Function,
        /// Where it is served; nowhere if within this process
        #[arg(default_value = "")]
        address: String,
        /// Where the guests are and their compiled code; without it, they are compiled
        #[arg(long)]
        prepared: Option<PathBuf>,
    },
}

fn case(word: &str) -> Result<Function, String> {
    let names = || Function::ALL.map(Function::name).join(", ");
    Function::named(word).ok_or_else(|| format!("there is {}", names()))
}

fn system(word: &str) -> Result<System, String> {
    match word.parse::<Systems>()?.0[..] {
        [system] => Ok(system),
        _ => Err(format!("`{word}` is more than one system")),
    }
}

fn seconds(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= SECONDS_MAX => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("a number of seconds above 0 and up to {SECONDS_MAX} is needed")),
    }
}

/// Longest single measurement, in seconds: well within what the guests' budget for a batch allows.
pub const SECONDS_MAX: f64 = 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Args, String> {
        let words = ["side-by-side"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    #[test]
    fn systems_are_chosen_by_name_and_by_family() {
        let systems = |words: &[&str]| parsed(words).unwrap().systems();
        assert_eq!(systems(&[]), Ok(System::ALL.into()));
        assert_eq!(systems(&["--only", "tarpc,isorun-tcp"]), Ok(vec![System::IsorunTcp, System::Tarpc]));
        assert_eq!(systems(&["--without", "wrpc"]).unwrap().len(), System::ALL.len() - 2);
        assert!(systems(&["--only", "wrpc", "--without", "wrpc"]).unwrap_err().contains("leave no system"));
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_said() {
        for (words, said) in [
            (["--only", "grpc"], "there is floor-tcp"),
            (["--cases", "sub"], "there is add, echo-string"),
            (["--rounds", "0"], "1..=1000"),
            (["--rounds", "1001"], "1..=1000"),
            (["--seconds", "0"], "above 0 and up to 60"),
            (["--seconds", "60.1"], "above 0 and up to 60"),
            (["--seconds", "NaN"], "above 0 and up to 60"),
            (["--seconds", "soon"], "above 0 and up to 60"),
        ] {
            let error = parsed(&words).unwrap_err();
            assert!(error.contains(said), "{words:?}: {error}");
        }
        assert!(parsed(&["--rounds", "1000", "--seconds", "60"]).is_ok());
    }

    #[test]
    fn cases_keep_the_order_of_the_table() {
        let cases = parsed(&["--cases", "get,add"]).unwrap().cases();
        assert_eq!(cases, [Function::Add, Function::Get]);
    }
}
