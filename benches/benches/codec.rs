//! What does packing a call's values cost, and how much of that is the way through `Val`?
//!
//! Unit: bytes of packed values a second, and time for one call's worth of them. Anchor of the same run: `raw`, the
//! same bytes written and read with neopack alone from native values. Both start from an empty buffer; reading raw
//! borrows, where reading into `Val` must own. The payloads are the arguments of four of the functions, and the result of `get`.

use std::hint::black_box;
use std::time::Duration;

use benches::{Error, Function, STRING, Signature, VALUE, guest, points};
use criterion::{Criterion, Throughput};
use isorun::{Runtime, Val};
use isorun_runtime::codec::CodecError;
use neopack::{DecodeError, Decoder, EncodeError, Encoder};

fn main() -> Result<(), Error> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots()
        .configure_from_args();
    let component = Runtime::new()?.load(guest("bench-callee")?)?;
    for function in Function::ALL {
        let signature = Signature::of(function, component.ledger())?;
        match function {
            Function::Get => {
                let vals = Vals { pack: Signature::pack_results, unpack: Signature::unpack_results };
                bench(&mut criterion, function, &signature, &vals, &function.results())?;
            }
            Function::Add | Function::EchoString | Function::EchoBytes | Function::Sum => {
                let vals = Vals { pack: Signature::pack_args, unpack: Signature::unpack_args };
                bench(&mut criterion, function, &signature, &vals, &function.args())?;
            }
        }
    }
    criterion.final_summary();
    Ok(())
}

/// The way through `Val`, for arguments or for results.
struct Vals {
    pack: fn(&Signature, &[Val]) -> Result<Vec<u8>, CodecError>,
    unpack: fn(&Signature, &[u8]) -> Result<Vec<Val>, CodecError>,
}

fn bench(
    criterion: &mut Criterion,
    function: Function,
    signature: &Signature,
    way: &Vals,
    vals: &[Val],
) -> Result<(), Error> {
    let raw = Raw::of(function);
    let packed = (way.pack)(signature, vals)?;
    assert_eq!(raw.encode()?, packed, "the two ways write different bytes");
    assert_eq!((way.unpack)(signature, &packed)?, vals);
    raw.decode(&packed)?;

    let mut group = criterion.benchmark_group(format!("codec/{}", function.name()));
    group.throughput(Throughput::Bytes(packed.len() as u64));
    group.bench_function("encode-val", |b| b.iter(|| (way.pack)(signature, black_box(vals))));
    group.bench_function("encode-raw", |b| b.iter(|| black_box(&raw).encode()));
    group.bench_function("decode-val", |b| b.iter(|| (way.unpack)(signature, black_box(&packed))));
    group.bench_function("decode-raw", |b| b.iter(|| raw.decode(black_box(&packed))));
    group.finish();
    Ok(())
}

/// A function's payload as native values, which neopack writes and reads without knowing their type.
enum Raw {
    Pair(u32, u32),
    Text(&'static str),
    Bytes(Vec<u8>),
    Points(Vec<benches::Point>),
    Found(&'static str),
}

impl Raw {
    fn of(function: Function) -> Self {
        match function {
            Function::Add => Self::Pair(7, 70_000),
            Function::EchoString => Self::Text(STRING),
            Function::EchoBytes => Self::Bytes(vec![90; 64 << 10]),
            Function::Sum => Self::Points(points()),
            Function::Get => Self::Found(VALUE),
        }
    }

    fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut enc = Encoder::new();
        enc.struct_begin()?;
        match self {
            Self::Pair(a, b) => {
                enc.u32(*a)?;
                enc.u32(*b)?;
            }
            Self::Text(text) => enc.str(text)?,
            Self::Bytes(bytes) => enc.bytes(bytes)?,
            Self::Points(points) => {
                enc.list_begin(points.len() as u32)?;
                for point in points {
                    enc.struct_begin()?;
                    enc.f64(point.x)?;
                    enc.f64(point.y)?;
                    enc.u32(point.id)?;
                    enc.str(&point.name)?;
                    enc.struct_end()?;
                }
                enc.list_end()?;
            }
            Self::Found(text) => {
                enc.result_ok()?;
                enc.some()?;
                enc.str(text)?;
            }
        }
        enc.struct_end()?;
        enc.finish()
    }

    fn decode(&self, packed: &[u8]) -> Result<(), DecodeError> {
        let mut dec = Decoder::new(packed);
        dec.struct_begin()?;
        match self {
            Self::Pair(..) => drop(black_box((dec.u32()?, dec.u32()?))),
            Self::Text(_) => drop(black_box(dec.str()?)),
            Self::Bytes(_) => drop(black_box(dec.bytes()?)),
            Self::Points(_) => {
                for _ in 0..dec.list_begin()? {
                    dec.struct_begin()?;
                    black_box((dec.f64()?, dec.f64()?, dec.u32()?, dec.str()?));
                    dec.struct_end()?;
                }
                dec.list_end()?;
            }
            Self::Found(_) => drop(black_box((dec.result()?, dec.option()?, dec.str()?))),
        }
        dec.struct_end()?;
        dec.finish()
    }
}
