//! Decoding allocates nothing, whatever it reads.

#[path = "support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use neopack::{Decoder, Encoder, Leaf, ShapeBuf, validate};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    run();
    COUNT.with(Cell::get) - before
}

#[test]
fn validating_any_vector_allocates_nothing() {
    let vectors = support::vectors();
    let found = allocations(|| {
        for vector in &vectors {
            let _ = validate(&vector.bytes);
            for len in 0..vector.bytes.len() {
                let _ = validate(&vector.bytes[..len]);
            }
        }
    });
    assert_eq!(found, 0);
}

#[test]
fn reading_by_every_kind_of_method_allocates_nothing() {
    let shape = ShapeBuf::builder().group(2).leaf(Leaf::F64).leaf(Leaf::Bool).finish().unwrap();
    let mut enc = Encoder::new();
    enc.struct_begin().unwrap();
    enc.str("a string").unwrap();
    enc.bytes(&[7; 1_000]).unwrap();
    enc.rows_begin(&shape.as_shape(), 100).unwrap();
    for number in 0..100 {
        enc.f64(f64::from(number)).unwrap();
        enc.bool(number % 2 == 0).unwrap();
    }
    enc.rows_end().unwrap();
    enc.list_begin(2).unwrap();
    enc.some().unwrap();
    enc.u64(1).unwrap();
    enc.none().unwrap();
    enc.list_end().unwrap();
    enc.struct_end().unwrap();
    let bytes = enc.finish().unwrap();

    let found = allocations(|| {
        let mut dec = Decoder::new(&bytes);
        dec.struct_begin().unwrap();
        assert_eq!(dec.str(), Ok("a string"));
        assert!(dec.u8().is_err());
        assert_eq!(dec.bytes().unwrap().len(), 1_000);
        assert_eq!(dec.rows().unwrap().iter().count(), 100);
        assert_eq!(dec.list_begin(), Ok(2));
        assert_eq!(dec.option(), Ok(true));
        dec.skip().unwrap();
        assert_eq!(dec.option(), Ok(false));
        dec.list_end().unwrap();
        dec.struct_end().unwrap();
        dec.finish().unwrap();
    });
    assert_eq!(found, 0);
}

#[test]
fn encoding_into_a_buffer_that_is_large_enough_allocates_nothing() {
    let shape = ShapeBuf::builder().leaf(Leaf::F32).finish().unwrap();
    let mut buffer = Vec::with_capacity(4_096);
    let found = allocations(|| {
        for _ in 0..3 {
            let mut enc = Encoder::from_vec(std::mem::take(&mut buffer));
            enc.struct_begin().unwrap();
            enc.u32(1).unwrap();
            enc.str("text").unwrap();
            enc.rows(&shape.as_shape(), 2, &[0xff; 8]).unwrap();
            enc.rows_begin(&shape.as_shape(), 2).unwrap();
            enc.row_bytes(&[0xff; 4]).unwrap();
            enc.f32(1.0).unwrap();
            enc.rows_end().unwrap();
            enc.struct_end().unwrap();
            buffer = enc.finish().unwrap();
            buffer.clear();
        }
    });
    assert_eq!(found, 0);
}

#[test]
fn values_by_type_allocate_what_they_own_and_nothing_else() {
    let value = (1_u32, "text", Some(&[7_u8; 100][..]), [(1_u16, 2.0_f64)].as_slice(), (true, 'c'));
    let mut buffer = Vec::with_capacity(4_096);
    let found = allocations(|| {
        for _ in 0..3 {
            buffer.clear();
            neopack::pack_into(&value, &mut buffer).unwrap();
        }
    });
    assert_eq!(found, 0);

    type Borrowed<'a> = (u32, &'a str, Option<&'a [u8]>, Vec<(u16, f64)>, (bool, char));
    // The list alone is owned.
    assert_eq!(allocations(|| drop(neopack::unpack::<Borrowed<'_>>(&buffer).unwrap())), 1);
    assert_eq!(allocations(|| assert!(neopack::unpack::<Borrowed<'_>>(&buffer[1..]).is_err())), 0);
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0_u8; 10]))), 1);
}
