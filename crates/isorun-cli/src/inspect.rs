//! `isorun inspect`.

use std::sync::Arc;

use isorun::Ledger;

use crate::args::{InspectArgs, Target};
use crate::call::{Time, describe};
use crate::exit::{self, Failed};
use crate::terminal::Terminal;
use crate::{json, load};

/// Shows the types of a file's or an instance's functions.
pub async fn inspect(args: InspectArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let ledger: Arc<Ledger> = match &args.target {
        Target::File(file) => load::component(&runtime, file)?.ledger().clone(),
        Target::Peer(place) => {
            let instance = runtime.remote_instance(place.transport(), &place.instance);
            describe(&instance, place, &Time::new(args.timeout)).await?
        }
    };
    terminal.result(|| ledger.to_string().trim_end().to_owned(), || json::ledger(&ledger))?;
    Ok(exit::OK)
}
