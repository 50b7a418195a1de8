use neopack::{Pack, Unpack};

#[derive(Pack)]
#[neopack(rename = "other")]
struct Renamed {
    field: u8,
}

#[derive(Unpack)]
struct Skipping {
    #[neopack(skip)]
    field: u8,
}

#[derive(Pack)]
enum Indexed {
    #[neopack(index = 3)]
    Case,
}

fn main() {}
