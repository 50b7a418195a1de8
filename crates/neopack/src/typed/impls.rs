//! The types of the language and of `alloc`.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::typed::form::{Both, End, List, Map, Nested, NoRow, Record};
use crate::typed::item::Item;
use crate::typed::{Pack, Unpack};

macro_rules! scalars {
    ($($type:ident as $read:ident)+) => {
        $(
            impl Pack for $type {
                type Form<'s> = Self;

                #[inline(always)]
                fn form(&self) -> Self {
                    *self
                }
            }

            impl Unpack<'_> for $type {
                type Row = Self;

                #[inline(always)]
                fn unpack(item: Item<'_, '_>) -> Result<Self, DecodeError> {
                    item.$read()
                }

                #[inline(always)]
                fn from_row(row: Self) -> Option<Self> {
                    Some(row)
                }
            }
        )+
    };
}

scalars!(bool as bool u16 as u16 u32 as u32 u64 as u64 i8 as s8 i16 as s16 i32 as s32 i64 as s64);
scalars!(f32 as f32 f64 as f64 char as char);

impl Pack for u8 {
    type Form<'s> = Self;

    #[inline(always)]
    fn form(&self) -> Self {
        *self
    }

    #[inline(always)]
    fn as_bytes(items: &[Self]) -> Option<&[u8]> {
        Some(items)
    }
}

impl Unpack<'_> for u8 {
    type Row = Self;

    #[inline(always)]
    fn unpack(item: Item<'_, '_>) -> Result<Self, DecodeError> {
        item.u8()
    }

    #[inline(always)]
    fn from_row(row: Self) -> Option<Self> {
        Some(row)
    }

    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Option<Vec<Self>> {
        Some(bytes.to_vec())
    }
}

impl Pack for () {
    type Form<'s> = ();

    #[inline(always)]
    fn form(&self) {}
}

/// What is not of a fixed width has one way to be read.
macro_rules! no_row {
    () => {
        type Row = NoRow;

        #[inline(always)]
        fn from_row(_: NoRow) -> Option<Self> {
            None
        }
    };
}

impl Unpack<'_> for () {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, '_>) -> Result<Self, DecodeError> {
        item.unit()
    }
}

impl Pack for str {
    type Form<'s> = &'s str;

    #[inline(always)]
    fn form(&self) -> &str {
        self
    }
}

impl Pack for String {
    type Form<'s> = &'s str;

    #[inline(always)]
    fn form(&self) -> &str {
        self
    }
}

impl<'a: 's, 's> Unpack<'a> for &'s str {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.str()
    }
}

impl Unpack<'_> for String {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, '_>) -> Result<Self, DecodeError> {
        item.str().map(ToOwned::to_owned)
    }
}

impl<'a: 's, 's> Unpack<'a> for &'s [u8] {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.bytes()
    }
}

impl<'a: 's, 's> Unpack<'a> for Cow<'s, str> {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.str().map(Cow::Borrowed)
    }
}

impl<'a: 's, 's> Unpack<'a> for Cow<'s, [u8]> {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.bytes().map(Cow::Borrowed)
    }
}

impl<T: Pack + ?Sized> Pack for &T {
    type Form<'s>
        = T::Form<'s>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        (**self).form()
    }
}

impl<T: Pack + ToOwned + ?Sized> Pack for Cow<'_, T> {
    type Form<'s>
        = T::Form<'s>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        (**self).form()
    }
}

impl<T: Pack + ?Sized> Pack for Box<T> {
    type Form<'s>
        = Nested<'s, T>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        Nested(self)
    }
}

impl<'a, T: Unpack<'a>> Unpack<'a> for Box<T> {
    type Row = T::Row;

    #[inline]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        T::unpack(item).map(Self::new)
    }

    #[inline(always)]
    fn from_row(row: Self::Row) -> Option<Self> {
        T::from_row(row).map(Self::new)
    }
}

impl<T: Pack> Pack for Option<T> {
    type Form<'s>
        = Option<T::Form<'s>>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        self.as_ref().map(T::form)
    }
}

impl<'a, T: Unpack<'a>> Unpack<'a> for Option<T> {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.option()
    }
}

impl<T: Pack, E: Pack> Pack for Result<T, E> {
    type Form<'s>
        = Result<T::Form<'s>, E::Form<'s>>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        self.as_ref().map(T::form).map_err(E::form)
    }
}

impl<'a, T: Unpack<'a>, E: Unpack<'a>> Unpack<'a> for Result<T, E> {
    no_row!();

    #[inline(always)]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.result()
    }
}

impl<T: Pack> Pack for [T] {
    type Form<'s>
        = List<'s, T>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        List(self)
    }
}

impl<T: Pack> Pack for Vec<T> {
    type Form<'s>
        = List<'s, T>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        List(self)
    }
}

impl<'a, T: Unpack<'a>> Unpack<'a> for Vec<T> {
    no_row!();

    #[inline]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        item.list()
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    type Form<'s>
        = List<'s, T>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        List(self)
    }
}

impl<'a, T: Unpack<'a>, const N: usize> Unpack<'a> for [T; N] {
    no_row!();

    #[inline]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        const { assert!(N <= u32::MAX as usize, "no list is that long") }
        let offset = item.offset();
        let items = item.list_exactly(N as u32)?;
        // `list_exactly` returns that many.
        Self::try_from(items).map_err(|items: Vec<T>| DecodeError::WrongItems {
            offset,
            expected: N as u32,
            found: items.len(),
        })
    }
}

impl<K: Pack, V: Pack> Pack for BTreeMap<K, V> {
    type Form<'s>
        = Map<'s, K, V>
    where
        Self: 's;

    #[inline(always)]
    fn form(&self) -> Self::Form<'_> {
        Map(self)
    }
}

impl<'a, K: Unpack<'a> + Ord, V: Unpack<'a>> Unpack<'a> for BTreeMap<K, V> {
    no_row!();

    #[inline]
    fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
        let mut map = Self::new();
        item.map(|key, value| map.insert(key, value).is_none())?;
        Ok(map)
    }
}

/// `Both<A, Both<B, End>>` and the like: a struct of as many fields.
macro_rules! tuples {
    ($(($($name:ident $place:tt)+))+) => {
        $(
            impl<$($name: Pack),+> Pack for ($($name,)+) {
                type Form<'s> = Record<tuples!(@type $('s $name)+)> where Self: 's;

                #[inline(always)]
                fn form(&self) -> Self::Form<'_> {
                    Record(tuples!(@value self $($place)+))
                }
            }

            impl<'a, $($name: Unpack<'a>),+> Unpack<'a> for ($($name,)+) {
                type Row = Record<tuples!(@row 'a $($name)+)>;

                #[inline(always)]
                fn unpack(item: Item<'_, 'a>) -> Result<Self, DecodeError> {
                    item.record(|fields| Ok(($(fields.field::<$name>()?,)+)))
                }

                #[inline(always)]
                #[allow(non_snake_case, reason = "each variable is named as its type")]
                fn from_row(row: Self::Row) -> Option<Self> {
                    let Record(tuples!(@pattern $($name)+)) = row;
                    Some(($($name::from_row($name)?,)+))
                }
            }
        )+
    };
    (@type) => { End };
    (@type $s:lifetime $first:ident $($rest:tt)*) => { Both<$first::Form<$s>, tuples!(@type $($rest)*)> };
    (@value $self:ident) => { End };
    (@value $self:ident $first:tt $($rest:tt)*) => { Both($self.$first.form(), tuples!(@value $self $($rest)*)) };
    (@row $a:lifetime) => { End };
    (@row $a:lifetime $first:ident $($rest:ident)*) => {
        Both<<$first as Unpack<$a>>::Row, tuples!(@row $a $($rest)*)>
    };
    (@pattern) => { End };
    (@pattern $first:ident $($rest:ident)*) => { Both($first, tuples!(@pattern $($rest)*)) };
}

tuples! {
    (A 0)
    (A 0 B 1)
    (A 0 B 1 C 2)
    (A 0 B 1 C 2 D 3)
    (A 0 B 1 C 2 D 3 E 4)
    (A 0 B 1 C 2 D 3 E 4 F 5)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11)
}
