use neopack::Pack;

#[derive(Pack)]
union Number {
    whole: u32,
    part: f32,
}

fn main() {}
