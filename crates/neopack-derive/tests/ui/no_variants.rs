use neopack::Unpack;

#[derive(Unpack)]
enum Never {}

fn main() {}
