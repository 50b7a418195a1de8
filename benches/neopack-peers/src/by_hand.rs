//! neopack without derived code: every payload as calls of [`Encoder`] and [`Decoder`].

use neopack::{DecodeError, Decoder, EncodeError, Encoder, Leaf, ShapeBuf};

use crate::payloads::{
    Add, Blob, BlobRef, Found, FoundRef, Level, Point, PointRef, Points, PointsRef, Sample, Samples, Strings,
    StringsRef, Text, TextRef,
};

/// A type with an encoder written by hand.
pub trait Write {
    /// Writes the value as one item.
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError>;
}

/// A type with a decoder written by hand.
pub trait Read<'a>: Sized {
    /// Reads the value.
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError>;
}

impl Write for Add {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.u32(self.0)?;
        enc.u32(self.1)?;
        enc.struct_end()
    }
}

impl Read<'_> for Add {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let add = Self(dec.u32()?, dec.u32()?);
        dec.struct_end()?;
        Ok(add)
    }
}

impl Write for Text {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.str(&self.0)?;
        enc.struct_end()
    }
}

impl<'a> Read<'a> for TextRef<'a> {
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let text = Self(dec.str()?);
        dec.struct_end()?;
        Ok(text)
    }
}

impl Read<'_> for Text {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        TextRef::read(dec).map(|text| Self(text.0.to_owned()))
    }
}

impl Write for Blob {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.bytes(&self.0)?;
        enc.struct_end()
    }
}

impl<'a> Read<'a> for BlobRef<'a> {
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let blob = Self(dec.bytes()?);
        dec.struct_end()?;
        Ok(blob)
    }
}

impl Read<'_> for Blob {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        BlobRef::read(dec).map(|blob| Self(blob.0.to_owned()))
    }
}

impl Write for Points {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.list_begin(self.0.len() as u32)?;
        for Point(x, y, id, name) in &self.0 {
            enc.struct_begin()?;
            enc.f64(*x)?;
            enc.f64(*y)?;
            enc.u32(*id)?;
            enc.str(name)?;
            enc.struct_end()?;
        }
        enc.list_end()?;
        enc.struct_end()
    }
}

impl<'a> Read<'a> for PointsRef<'a> {
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let points = list(dec, |dec| {
            dec.struct_begin()?;
            let point = PointRef(dec.f64()?, dec.f64()?, dec.u32()?, dec.str()?);
            dec.struct_end()?;
            Ok(point)
        })?;
        dec.struct_end()?;
        Ok(Self(points))
    }
}

impl Read<'_> for Points {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let points = list(dec, |dec| {
            dec.struct_begin()?;
            let point = Point(dec.f64()?, dec.f64()?, dec.u32()?, dec.str()?.to_owned());
            dec.struct_end()?;
            Ok(point)
        })?;
        dec.struct_end()?;
        Ok(Self(points))
    }
}

impl Write for Samples {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        let mut rows = Vec::with_capacity(self.0.len() * 20);
        for Sample(id, at, value) in &self.0 {
            rows.extend(id.to_le_bytes());
            rows.extend(at.to_le_bytes());
            rows.extend(value.to_le_bytes());
        }
        enc.struct_begin()?;
        enc.rows(&sample_shape().as_shape(), self.0.len() as u32, &rows)?;
        enc.struct_end()
    }
}

impl Read<'_> for Samples {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let rows = dec.rows()?;
        assert_eq!(rows.shape(), sample_shape().as_shape());
        let (rows, _) = rows.bytes().as_chunks::<20>();
        let sample = |row: &[u8; 20]| {
            let [a, b, c, d, rest @ ..] = *row;
            let [at @ .., _, _, _, _, _, _, _, _] = rest;
            let [_, _, _, _, _, _, _, _, value @ ..] = rest;
            Sample(u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(at), f64::from_le_bytes(value))
        };
        let samples = rows.iter().map(sample).collect();
        dec.struct_end()?;
        Ok(Self(samples))
    }
}

fn sample_shape() -> &'static ShapeBuf {
    static SHAPE: std::sync::OnceLock<ShapeBuf> = std::sync::OnceLock::new();
    SHAPE.get_or_init(|| {
        let shape = ShapeBuf::builder().group(3).leaf(Leaf::U32).leaf(Leaf::U64).leaf(Leaf::F64);
        shape.finish().expect("three leaves in a group are a shape")
    })
}

impl Write for Found {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        match &self.0 {
            Ok(found) => {
                enc.result_ok()?;
                match found {
                    Some(text) => {
                        enc.some()?;
                        enc.str(text)?;
                    }
                    None => enc.none()?,
                }
            }
            Err(text) => {
                enc.result_err()?;
                enc.str(text)?;
            }
        }
        enc.struct_end()
    }
}

impl<'a> Read<'a> for FoundRef<'a> {
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let found =
            if dec.result()? { Ok(if dec.option()? { Some(dec.str()?) } else { None }) } else { Err(dec.str()?) };
        dec.struct_end()?;
        Ok(Self(found))
    }
}

impl Read<'_> for Found {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let found = FoundRef::read(dec)?.0;
        Ok(Self(found.map(|text| text.map(str::to_owned)).map_err(str::to_owned)))
    }
}

impl Write for Level {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.u32(self.0)?;
        match &self.1 {
            Some(next) => {
                enc.some()?;
                next.write(enc)?;
            }
            None => enc.none()?,
        }
        enc.list_begin(self.2.len() as u32)?;
        for next in &self.2 {
            next.write(enc)?;
        }
        enc.list_end()?;
        enc.struct_end()
    }
}

impl Read<'_> for Level {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let number = dec.u32()?;
        let one = if dec.option()? { Some(Box::new(Self::read(dec)?)) } else { None };
        let many = list(dec, Self::read)?;
        dec.struct_end()?;
        Ok(Self(number, one, many))
    }
}

impl Write for Strings {
    fn write(&self, enc: &mut Encoder) -> Result<(), EncodeError> {
        enc.struct_begin()?;
        enc.list_begin(self.0.len() as u32)?;
        for text in &self.0 {
            enc.str(text)?;
        }
        enc.list_end()?;
        enc.struct_end()
    }
}

impl<'a> Read<'a> for StringsRef<'a> {
    fn read(dec: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let strings = list(dec, Decoder::str)?;
        dec.struct_end()?;
        Ok(Self(strings))
    }
}

impl Read<'_> for Strings {
    fn read(dec: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        dec.struct_begin()?;
        let strings = list(dec, |dec| dec.str().map(str::to_owned))?;
        dec.struct_end()?;
        Ok(Self(strings))
    }
}

/// A list; the room that is made at once is bounded, as the peers' is.
fn list<'a, T>(
    dec: &mut Decoder<'a>,
    mut item: impl FnMut(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = dec.list_begin()?;
    let mut items = Vec::with_capacity(count.min(ROOM_ITEMS_MAX) as usize);
    for _ in 0..count {
        items.push(item(dec)?);
    }
    dec.list_end()?;
    Ok(items)
}

const ROOM_ITEMS_MAX: u32 = 1 << 12;
