//! Run-length encoding: pairs of a count and a byte.

wit_bindgen::generate!({ path: "../../wit/rle.wit", world: "rle" });

struct Rle;

impl Guest for Rle {
    fn process(input: Vec<u8>) -> Result<Vec<u8>, String> {
        if input.first() == Some(&0xff) {
            return Err("cannot encode 0xff".to_owned());
        }
        let mut out = Vec::new();
        let mut rest = input.as_slice();
        while let Some(&byte) = rest.first() {
            let count = rest.iter().take(255).take_while(|&&b| b == byte).count();
            out.extend([count as u8, byte]);
            rest = &rest[count..];
        }
        Ok(out)
    }
}

export!(Rle);
