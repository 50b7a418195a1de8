//! `floor-tcp`: the packed bytes of each call over bare connections, one for each caller.

use benches::{Floor, Function, Signature, guest};
use isorun::Runtime;
use tokio::net::TcpListener;

use crate::child::{CALLERS, Caller, Callers, Error};

pub async fn serve() -> Result<(String, ()), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Floor::serve(listener));
    Ok((address, ()))
}

/// `address` is that of [`serve`], after it the sizes of [`with_sizes`].
pub async fn connect(address: &str) -> Result<Callers<Floor>, Error> {
    let mut fields = address.split(' ');
    let mut field = || fields.next().ok_or("an address of the floor is HOST:PORT REQUEST REPLY");
    let (at, request, reply) = (field()?.parse()?, field()?.parse()?, field()?.parse()?);
    let one = Floor::connect_to(at, request, reply).await?;
    let mut all = Vec::with_capacity(CALLERS);
    for _ in 0..CALLERS {
        all.push(Floor::connect_to(at, request, reply).await?);
    }
    Ok(Callers { one, all })
}

/// The address with as many bytes as isorun packs the arguments and results into: the conductor counts them, so that
/// no engine adds to the floor's memory.
pub fn with_sizes(address: &str, case: Function) -> Result<String, Error> {
    let callee = Runtime::new()?.load(guest(benches::CALLEE)?)?;
    let signature = Signature::of(case, callee.ledger())?;
    let request = signature.pack_args(&case.args())?.len();
    let reply = signature.pack_results(&case.results())?.len();
    Ok(format!("{address} {request} {reply}"))
}

impl Caller for Floor {
    async fn run(&mut self, calls: u32) -> Result<(), Error> {
        for _ in 0..calls {
            self.ask().await?;
        }
        Ok(())
    }
}
