use neopack::{Pack, Unpack};

#[derive(Pack, Unpack)]
struct Holder<T> {
    held: T,
}

struct Plain;

fn main() {
    let _ = neopack::pack(&Holder { held: Plain });
    let _ = neopack::unpack::<Holder<Plain>>(&[]);
}
