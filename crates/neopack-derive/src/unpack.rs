//! `Unpack`: the value from an item, and from a row.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, LifetimeParam, parse_quote};

use crate::input::{Case, Field, Input, Kind, Payload, at};
use crate::tree;

pub(crate) fn expand(input: &Input) -> TokenStream {
    let Input { name, neopack, generics, .. } = input;
    // What is borrowed from the input must live as long as any of the type's own lifetimes.
    let mut lifetime: LifetimeParam = parse_quote!('neopack);
    lifetime.bounds.extend(generics.lifetimes().map(|parameter| parameter.lifetime.clone()));
    let mut bounded = generics.clone();
    for parameter in bounded.type_params_mut() {
        parameter.bounds.push(parse_quote!(#neopack::Unpack<'neopack>));
    }
    bounded.params.insert(0, lifetime.into());
    let (_, type_generics, _) = generics.split_for_impl();
    let (impl_generics, _, bounds) = bounded.split_for_impl();
    let Body { row, unpack, from_row } = match &input.kind {
        Kind::Record(fields) => record(neopack, fields),
        Kind::Transparent(field) => transparent(neopack, field),
        Kind::Enum(names) => enumeration(neopack, names),
        Kind::Variant(cases) => variant(neopack, cases),
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics #neopack::Unpack<'neopack> for #name #type_generics #bounds {
            type Row = #row;

            #[inline]
            fn unpack(
                item: #neopack::Item<'_, 'neopack>,
            ) -> ::core::result::Result<Self, #neopack::DecodeError> {
                #unpack
            }

            #[inline(always)]
            fn from_row(row: Self::Row) -> ::core::option::Option<Self> {
                #from_row
            }
        }
    }
}

/// What differs between kinds of types.
struct Body {
    row: TokenStream,
    unpack: TokenStream,
    from_row: TokenStream,
}

fn record(neopack: &TokenStream, fields: &[Field]) -> Body {
    let rows: Vec<_> = fields.iter().map(|field| row_of(neopack, field)).collect();
    let row = tree::types(neopack, &rows);
    let names: Vec<_> = (0..fields.len()).map(|place| format_ident!("field_{place}")).collect();
    let pattern = tree::values(neopack, &names.iter().map(|name| quote!(#name)).collect::<Vec<_>>());
    let made = fields.iter().zip(&names).map(|(Field { member, ty }, name)| {
        quote_spanned!(at(ty)=> #member: <#ty as #neopack::Unpack<'neopack>>::from_row(#name)?)
    });
    Body {
        row: quote!(#neopack::form::Record<#row>),
        unpack: read_record(neopack, &quote!(Self), fields),
        from_row: quote! {
            let #neopack::form::Record(#pattern) = row;
            ::core::option::Option::Some(Self {
                #(#made,)*
            })
        },
    }
}

fn transparent(neopack: &TokenStream, field: &Field) -> Body {
    let Field { member, ty } = field;
    let make = quote!(|field| Self { #member: field });
    Body {
        row: row_of(neopack, field),
        unpack: quote!(<#ty as #neopack::Unpack<'neopack>>::unpack(item).map(#make)),
        from_row: quote!(<#ty as #neopack::Unpack<'neopack>>::from_row(row).map(#make)),
    }
}

fn enumeration(neopack: &TokenStream, names: &[Ident]) -> Body {
    let count = names.len() as u32;
    let places: Vec<_> = (0..count).collect();
    // `enum_` returns no index past the last.
    let arms = with_last_for_all(names.iter().map(|name| quote!(::core::result::Result::Ok(Self::#name))).collect());
    Body {
        row: quote!(#neopack::form::Enum<#count>),
        unpack: quote!(match #neopack::Item::enum_(item, #count)? { #arms }),
        from_row: quote! {
            match row.0 {
                #(#places => ::core::option::Option::Some(Self::#names),)*
                _ => ::core::option::Option::None,
            }
        },
    }
}

fn variant(neopack: &TokenStream, cases: &[Case]) -> Body {
    let count = cases.len() as u32;
    // `variant` passes no index past the last.
    let arms = with_last_for_all(cases.iter().map(|case| read_case(neopack, case)).collect());
    Body {
        row: quote!(#neopack::form::NoRow),
        unpack: quote!(#neopack::Item::variant(item, #count, |index, item| match index { #arms })),
        from_row: quote! {
            let _ = row;
            ::core::option::Option::None
        },
    }
}

fn read_case(neopack: &TokenStream, case: &Case) -> TokenStream {
    let name = &case.name;
    match &case.payload {
        Payload::Nothing => quote!(#neopack::Item::unit(item).map(|()| Self::#name)),
        Payload::One(field) => {
            let member = &field.member;
            quote!(#neopack::Item::value(item).map(|field| Self::#name { #member: field }))
        }
        Payload::Record(fields) => read_record(neopack, &quote!(Self::#name), fields),
    }
}

fn read_record(neopack: &TokenStream, constructor: &TokenStream, fields: &[Field]) -> TokenStream {
    let values = fields
        .iter()
        .map(|Field { member, ty }| quote_spanned!(at(ty)=> #member: #neopack::Fields::field::<#ty>(fields)?));
    // A record of no fields reads none.
    let reader = if fields.is_empty() { quote!(_) } else { quote!(fields) };
    quote! {
        #neopack::Item::record(item, |#reader| ::core::result::Result::Ok(#constructor {
            #(#values,)*
        }))
    }
}

fn row_of(neopack: &TokenStream, field: &Field) -> TokenStream {
    let ty = &field.ty;
    // A type that cannot be unpacked is told of at the field.
    quote_spanned!(at(ty)=> <#ty as #neopack::Unpack<'neopack>>::Row)
}

/// Match arms by place, the last of which takes what is left.
fn with_last_for_all(mut values: Vec<TokenStream>) -> TokenStream {
    let last = values.pop();
    let places = 0..values.len() as u32;
    quote!(#(#places => #values,)* _ => #last)
}
