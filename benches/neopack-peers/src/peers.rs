//! Every payload through every codec.

use std::fmt::Debug;
use std::hint::black_box;

use neopack::{Decoder, Encoder, Pack, Unpack};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::by_hand::{Read, Write};
use crate::measure::{Case, Way};
use crate::payloads::{self as p, BlobRef, FoundRef, PointsRef, StringsRef, TextRef};

/// What an owned payload must be.
trait Owned:
    Debug
    + Clone
    + PartialEq
    + Serialize
    + DeserializeOwned
    + minicbor::Encode<()>
    + for<'b> minicbor::Decode<'b, ()>
    + Pack
    + for<'a> Unpack<'a>
    + Write
    + for<'a> Read<'a>
    + 'static
{
}

impl<T> Owned for T where
    T: Debug
        + Clone
        + PartialEq
        + Serialize
        + DeserializeOwned
        + minicbor::Encode<()>
        + for<'b> minicbor::Decode<'b, ()>
        + Pack
        + for<'a> Unpack<'a>
        + Write
        + for<'a> Read<'a>
        + 'static
{
}

/// The cases of the payloads that are wanted.
pub fn cases(wanted: &dyn Fn(&str) -> bool) -> Vec<Case> {
    let mut cases = Cases { all: Vec::new() };
    let mut payload = |name: &'static str, add: &dyn Fn(&mut Cases, &'static str)| {
        if wanted(name) {
            add(&mut cases, name);
        }
    };
    payload("add", &|cases, name| {
        cases.owned(name, p::add());
    });
    payload("echo-string", &|cases, name| {
        let encoded = cases.owned(name, p::text());
        cases.borrowed::<TextRef<'static>>(name, encoded);
    });
    payload("echo-bytes", &|cases, name| {
        let encoded = cases.owned(name, p::blob());
        cases.borrowed::<BlobRef<'static>>(name, encoded);
    });
    payload("sum", &|cases, name| {
        let encoded = cases.owned(name, p::points());
        cases.borrowed::<PointsRef<'static>>(name, encoded);
    });
    payload("rows", &|cases, name| {
        cases.owned(name, p::samples());
    });
    payload("get", &|cases, name| {
        let encoded = cases.owned(name, p::found());
        cases.borrowed::<FoundRef<'static>>(name, encoded);
    });
    payload("nested", &|cases, name| {
        cases.owned(name, p::nested());
    });
    payload("strings", &|cases, name| {
        let encoded = cases.owned(name, p::strings());
        cases.borrowed::<StringsRef<'static>>(name, encoded);
    });
    cases.all
}

/// One value in the encodings that can be read by borrowing; they live as long as the program.
#[derive(Clone, Copy)]
struct Encoded {
    neopack: &'static [u8],
    rmp: &'static [u8],
    minicbor: &'static [u8],
    postcard: &'static [u8],
}

struct Cases {
    all: Vec<Case>,
}

impl Cases {
    fn owned<T: Owned>(&mut self, payload: &'static str, value: T) -> Encoded {
        let neopack = self.both(
            payload,
            "neopack",
            &value,
            |value, out| neopack::pack_into(value, out).unwrap(),
            |bytes| neopack::unpack(bytes).unwrap(),
        );
        let by_hand = self.both(
            payload,
            "neopack by hand",
            &value,
            |value, out| {
                let mut enc = Encoder::from_vec(std::mem::take(out));
                value.write(&mut enc).unwrap();
                *out = enc.finish().unwrap();
            },
            |bytes| {
                let mut dec = Decoder::new(bytes);
                let value = T::read(&mut dec).unwrap();
                dec.finish().unwrap();
                value
            },
        );
        assert_eq!(by_hand, neopack, "{payload}");
        let rmp = self.both(
            payload,
            "rmp-serde",
            &value,
            |value, out| rmp_serde::encode::write(out, value).unwrap(),
            |bytes| rmp_serde::from_slice(bytes).unwrap(),
        );
        self.both(
            payload,
            "ciborium",
            &value,
            |value, out| ciborium::into_writer(value, out).unwrap(),
            |bytes| ciborium::from_reader(bytes).unwrap(),
        );
        let minicbor = self.both(
            payload,
            "minicbor",
            &value,
            |value, out| minicbor::encode(value, out).unwrap(),
            |bytes| minicbor::decode(bytes).unwrap(),
        );
        let postcard = self.both(
            payload,
            "postcard",
            &value,
            |value, out| *out = postcard::to_extend(value, std::mem::take(out)).unwrap(),
            |bytes| postcard::from_bytes(bytes).unwrap(),
        );
        let slice_value = value.clone();
        let mut buffer = vec![0; postcard.len()];
        self.all.push(Case::new(payload, "postcard slice", Way::Encode, postcard.len(), move || {
            black_box(postcard::to_slice(black_box(&slice_value), &mut buffer).unwrap());
        }));
        Encoded { neopack, rmp, minicbor, postcard }
    }

    /// A codec's two directions; the encoded value.
    fn both<T: Owned>(
        &mut self,
        payload: &'static str,
        codec: &'static str,
        value: &T,
        encode: impl Fn(&T, &mut Vec<u8>) + 'static,
        decode: impl Fn(&'static [u8]) -> T + 'static,
    ) -> &'static [u8] {
        let mut out = Vec::new();
        encode(value, &mut out);
        let encoded: &'static [u8] = out.clone().leak();
        assert_eq!(decode(encoded), *value, "{payload} through {codec}");
        let value = value.clone();
        self.all.push(Case::new(payload, codec, Way::Encode, encoded.len(), move || {
            out.clear();
            encode(black_box(&value), &mut out);
            black_box(&out);
        }));
        self.all.push(Case::new(payload, codec, Way::Decode, encoded.len(), move || {
            black_box(decode(black_box(encoded)));
        }));
        encoded
    }

    fn borrowed<T>(&mut self, payload: &'static str, encoded: Encoded)
    where
        T: Read<'static> + Unpack<'static> + serde::Deserialize<'static> + minicbor::Decode<'static, ()> + 'static,
    {
        self.borrow::<T>(payload, "neopack", encoded.neopack, |bytes| neopack::unpack(bytes).unwrap());
        self.borrow::<T>(payload, "neopack by hand", encoded.neopack, |bytes| {
            let mut dec = Decoder::new(bytes);
            let value = T::read(&mut dec).unwrap();
            dec.finish().unwrap();
            value
        });
        self.borrow::<T>(payload, "rmp-serde", encoded.rmp, |bytes| rmp_serde::from_slice(bytes).unwrap());
        self.borrow::<T>(payload, "minicbor", encoded.minicbor, |bytes| minicbor::decode(bytes).unwrap());
        self.borrow::<T>(payload, "postcard", encoded.postcard, |bytes| postcard::from_bytes(bytes).unwrap());
    }

    fn borrow<T: 'static>(
        &mut self,
        payload: &'static str,
        codec: &'static str,
        encoded: &'static [u8],
        decode: impl Fn(&'static [u8]) -> T + 'static,
    ) {
        self.all.push(Case::new(payload, codec, Way::Borrow, encoded.len(), move || {
            black_box(decode(black_box(encoded)));
        }));
    }
}
