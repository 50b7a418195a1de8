use neopack::{Pack, Unpack};

#[derive(Pack)]
#[neopack(transparent)]
struct Two(u8, u8);

#[derive(Unpack)]
#[neopack(transparent)]
enum Choice {
    Case(u8),
}

fn main() {}
