//! What fuzzing kept, once more: every input does what the fuzz target asks of it, and so does each cut or damaged one.

#[path = "support/fuzzed.rs"]
mod fuzzed;

use std::collections::BTreeMap;
use std::path::Path;

use fuzzed::{All, Borrowed, Figure, Kind, Sample, Tree, typed};
use neopack::{Pack, pack};

/// Most bytes of the corpus: it is there to be replayed at every run of the tests.
const CORPUS_BYTES_MAX: usize = 60 << 10;

/// An input as it is, cut anywhere, and with each of its bytes changed.
fn replay(input: &[u8]) {
    let mut damaged = input.to_vec();
    typed(input);
    for at in 0..input.len() {
        typed(&input[..at]);
        for flip in [1, 0x10, 0x80, 0xff] {
            damaged[at] ^= flip;
            typed(&damaged);
            damaged[at] ^= flip;
        }
    }
}

#[test]
fn every_input_kept_by_fuzzing_is_refused_or_a_value_in_its_one_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/neopack_typed");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{} inputs in {}", files.len(), folder.display());
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    inputs.iter().for_each(|input| replay(input));
    let size: usize = inputs.iter().map(Vec::len).sum();
    assert!(size <= CORPUS_BYTES_MAX, "{size} bytes in {}", folder.display());
}

/// A value of the type that `which` stands for, as an input.
fn input(which: u8, value: &impl Pack) -> Vec<u8> {
    [vec![which], pack(value).unwrap()].concat()
}

#[test]
fn values_of_each_type_do_what_the_fuzz_target_asks() {
    let sample = |id| Sample { id, sound: id % 2 == 0, kind: Kind::Large, grade: 'é', pair: (f32::NAN, -1) };
    let figures = || {
        let path = Figure::Path { name: "name".to_owned(), points: vec![(0.5, 7), (-0.0, 8)] };
        vec![Figure::Dot(sample(1)), path, Figure::Nothing]
    };
    let all = All {
        samples: vec![sample(1), sample(2)],
        figures: figures(),
        maybe: Some(None),
        done: Err(Kind::Small),
        bytes: Vec::new(),
        fixed: [1, 2, 3],
        pairs: vec![("a".to_owned(), 1), ("b".to_owned(), 2)],
    };
    let mut tree = Tree { leaves: vec![1], branches: Vec::new() };
    for _ in 0..20 {
        tree = Tree { leaves: vec![2, 3], branches: vec![tree] };
    }
    let mut inputs = vec![input(0, &all), input(2, &vec![sample(3)]), input(4, &tree)];
    inputs.extend(figures().iter().map(|figure| input(1, figure)));
    inputs.push(input(3, &Borrowed { text: "aé", bytes: &[0, 255] }));
    inputs.push(input(5, &BTreeMap::from([("k".to_owned(), vec![1_u64, u64::MAX])])));
    inputs.push(input(6, &Ok::<_, (char, bool)>(Some(vec![Kind::Small, Kind::Large]))));
    inputs.push(input(6, &Err::<Option<Vec<Kind>>, _>(('a', true))));
    inputs.push(input(7, &(vec![7_u8], [sample(1), sample(2)], f64::INFINITY)));
    inputs.push(input(7, &(Vec::<u8>::new(), [sample(0), sample(9)], -0.0_f64)));
    inputs.push(input(5, &BTreeMap::<String, Vec<u64>>::new()));
    inputs.iter().for_each(|input| replay(input));
    if std::env::var_os("WRITE_CORPUS").is_some() {
        for (at, input) in inputs.iter().enumerate() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/neopack_typed");
            std::fs::write(folder.join(format!("value-{at:02}")), input).unwrap();
            let mut damaged = input.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x10;
            std::fs::write(folder.join(format!("damaged-{at:02}")), damaged).unwrap();
        }
    }
}
