//! Many things in a tree of pairs, which keeps the types' nesting to the logarithm of their number.

use proc_macro2::TokenStream;
use quote::quote;

/// `Both<Both<a, b>, c>` of the fields' types.
pub(crate) fn types(neopack: &TokenStream, items: &[TokenStream]) -> TokenStream {
    fold(neopack, items, &|first, second| quote!(#neopack::form::Both<#first, #second>))
}

/// `Both(Both(a, b), c)` of the fields' values, or of patterns.
pub(crate) fn values(neopack: &TokenStream, items: &[TokenStream]) -> TokenStream {
    fold(neopack, items, &|first, second| quote!(#neopack::form::Both(#first, #second)))
}

fn fold(
    neopack: &TokenStream,
    items: &[TokenStream],
    both: &dyn Fn(TokenStream, TokenStream) -> TokenStream,
) -> TokenStream {
    match items {
        [] => quote!(#neopack::form::End),
        [one] => one.clone(),
        several => {
            let (first, second) = several.split_at(several.len() / 2);
            both(fold(neopack, first, both), fold(neopack, second, both))
        }
    }
}

/// `Either<Either<a, b>, c>` of the cases' types.
pub(crate) fn either(neopack: &TokenStream, cases: &[TokenStream]) -> TokenStream {
    match cases {
        [] => TokenStream::new(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            let (left, right) = (either(neopack, left), either(neopack, right));
            quote!(#neopack::form::Either<#left, #right>)
        }
    }
}

/// The value of the case at `place` of `count`, in the tree that [`either`] makes of them.
pub(crate) fn choose(neopack: &TokenStream, place: usize, count: usize, value: TokenStream) -> TokenStream {
    if count <= 1 {
        return value;
    }
    let left = count / 2;
    if place < left {
        let inner = choose(neopack, place, left, value);
        quote!(#neopack::form::Either::Left(#inner))
    } else {
        let inner = choose(neopack, place - left, count - left, value);
        quote!(#neopack::form::Either::Right(#inner))
    }
}
