//! `Pack`: the type's form, and the value as it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse_quote;

use crate::input::{Case, Field, Input, Kind, Payload, at};
use crate::tree;

pub(crate) fn expand(input: &Input) -> TokenStream {
    let Input { name, neopack, .. } = input;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#neopack::Pack));
    }
    let (form, value) = match &input.kind {
        Kind::Record(fields) => {
            let forms = fields.iter().map(|Field { member, .. }| form_of(neopack, &quote!(&self.#member)));
            (record_type(neopack, fields), record_value(neopack, forms))
        }
        Kind::Transparent(field) => {
            let member = &field.member;
            (type_of(neopack, field), form_of(neopack, &quote!(&self.#member)))
        }
        Kind::Enum(names) => {
            let count = names.len() as u32;
            let places = 0..count;
            (
                quote!(#neopack::form::Enum<#count>),
                quote!(#neopack::form::Enum(match self { #(Self::#names => #places,)* })),
            )
        }
        Kind::Variant(cases) => variant(neopack, cases),
    };
    let (impl_generics, type_generics, bounds) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #neopack::Pack for #name #type_generics #bounds {
            type Form<'neopack> = #form where Self: 'neopack;

            #[inline(always)]
            fn form(&self) -> Self::Form<'_> {
                #value
            }
        }
    }
}

/// The form of an enum whose cases carry something: one of so many.
fn variant(neopack: &TokenStream, cases: &[Case]) -> (TokenStream, TokenStream) {
    let types: Vec<_> = cases.iter().map(|case| case_type(neopack, case)).collect();
    let arms = cases.iter().enumerate().map(|(place, case)| {
        let (pattern, form) = case_value(neopack, case, place as u32);
        let chosen = tree::choose(neopack, place, cases.len(), form);
        quote!(#pattern => #chosen,)
    });
    (tree::either(neopack, &types), quote!(match self { #(#arms)* }))
}

fn case_type(neopack: &TokenStream, case: &Case) -> TokenStream {
    let payload = match &case.payload {
        Payload::Nothing => quote!(()),
        Payload::One(field) => type_of(neopack, field),
        Payload::Record(fields) => record_type(neopack, fields),
    };
    quote!(#neopack::form::Case<#payload>)
}

/// The pattern of a case, and its form.
fn case_value(neopack: &TokenStream, case: &Case, place: u32) -> (TokenStream, TokenStream) {
    let name = &case.name;
    let (pattern, payload) = match &case.payload {
        Payload::Nothing => (quote!(Self::#name), quote!(())),
        Payload::One(field) => {
            let member = &field.member;
            (quote!(Self::#name { #member: field }), form_of(neopack, &quote!(field)))
        }
        Payload::Record(fields) => {
            let members = fields.iter().map(|field| &field.member);
            let names: Vec<_> = (0..fields.len()).map(|place| format_ident!("field_{place}")).collect();
            let forms = names.iter().map(|name| form_of(neopack, &quote!(#name)));
            (quote!(Self::#name { #(#members: #names),* }), record_value(neopack, forms))
        }
    };
    (pattern, quote!(#neopack::form::Case(#place, #payload)))
}

fn record_type(neopack: &TokenStream, fields: &[Field]) -> TokenStream {
    let types: Vec<_> = fields.iter().map(|field| type_of(neopack, field)).collect();
    let fields = tree::types(neopack, &types);
    quote!(#neopack::form::Record<#fields>)
}

fn record_value(neopack: &TokenStream, forms: impl Iterator<Item = TokenStream>) -> TokenStream {
    let fields = tree::values(neopack, &forms.collect::<Vec<_>>());
    quote!(#neopack::form::Record(#fields))
}

fn type_of(neopack: &TokenStream, field: &Field) -> TokenStream {
    let ty = &field.ty;
    // A type that cannot be packed is told of at the field.
    quote_spanned!(at(ty)=> <#ty as #neopack::Pack>::Form<'neopack>)
}

fn form_of(neopack: &TokenStream, reference: &TokenStream) -> TokenStream {
    quote!(#neopack::Pack::form(#reference))
}
