use neopack::Pack;

#[derive(Pack)]
struct Sized {
    bytes: usize,
}

fn main() {}
