//! What native callers send, and how they look at what comes back: as the calling guest does.

use benches::{BYTES, Point, STRING, points};

use crate::child::Error;

/// The arguments, made once; a call clones what it sends.
#[derive(Clone)]
pub struct Payload {
    pub text: &'static str,
    pub bytes: Vec<u8>,
    pub points: Vec<Point>,
    sum: f64,
}

impl Payload {
    pub fn new() -> Self {
        let points = points();
        let sum = points.iter().map(Point::weight).sum();
        Self { text: STRING, bytes: vec![90; BYTES], points, sum }
    }

    pub fn expect_added(&self, left: u32, answer: u32) -> Result<(), Error> {
        right(answer == left.wrapping_add(ADDEND))
    }

    pub fn expect_text(&self, answer: &str) -> Result<(), Error> {
        right(answer.len() == self.text.len() && answer.as_bytes()[..8] == self.text.as_bytes()[..8])
    }

    pub fn expect_bytes(&self, answer: &[u8]) -> Result<(), Error> {
        right(answer.len() == self.bytes.len() && answer[0] == self.bytes[0])
    }

    pub fn expect_sum(&self, answer: f64) -> Result<(), Error> {
        right(answer.to_bits() == self.sum.to_bits())
    }

    pub fn expect_value(&self, answer: Option<&str>) -> Result<(), Error> {
        right(answer.is_some_and(|text| text.len() == benches::VALUE.len()))
    }
}

/// What `add` adds to a number.
pub const ADDEND: u32 = 70_000;

fn right(answer: bool) -> Result<(), Error> {
    if answer { Ok(()) } else { Err("an answer is wrong".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_answers_pass_and_wrong_ones_do_not() {
        let payload = Payload::new();
        let value = benches::VALUE;
        for (right, wrong) in [
            (payload.expect_added(7, 70_007), payload.expect_added(7, 70_008)),
            (payload.expect_text(STRING), payload.expect_text(&STRING.replace("the q", "the k"))),
            (payload.expect_bytes(&[90; BYTES]), payload.expect_bytes(&[90; BYTES - 1])),
            (payload.expect_sum(519_500.0), payload.expect_sum(519_500.5)),
            (payload.expect_value(Some(value)), payload.expect_value(None)),
        ] {
            assert!(right.is_ok());
            assert_eq!(wrong.unwrap_err().to_string(), "an answer is wrong");
        }
    }
}
