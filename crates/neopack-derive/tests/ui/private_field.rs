use neopack::Pack;

#[derive(Pack)]
struct Private(u8);

#[derive(Pack)]
pub struct Public {
    private: Private,
}

fn main() {}
