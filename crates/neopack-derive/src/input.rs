//! What a type is to the derives: parsed once, so that the rest knows only types that can be packed.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Generics, Ident, Index, Member, Path, Result, Type, Variant};

/// A type to derive for.
pub(crate) struct Input {
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) kind: Kind,
    /// Where neopack is.
    pub(crate) neopack: TokenStream,
}

pub(crate) enum Kind {
    Record(Vec<Field>),
    Transparent(Box<Field>),
    /// Cases that carry nothing.
    Enum(Vec<Ident>),
    Variant(Vec<Case>),
}

pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) ty: Type,
}

pub(crate) struct Case {
    pub(crate) name: Ident,
    pub(crate) payload: Payload,
}

pub(crate) enum Payload {
    Nothing,
    One(Box<Field>),
    Record(Vec<Field>),
}

impl Input {
    pub(crate) fn parse(input: DeriveInput) -> Result<Self> {
        let options = Options::parse(&input.attrs)?;
        if let Some(at) = options.transparent
            && !matches!(input.data, Data::Struct(_))
        {
            return Err(Error::new(at, "only a struct of one field is transparent"));
        }
        let kind = match input.data {
            Data::Struct(data) => record(fields(data.fields)?, options.transparent)?,
            Data::Enum(data) if data.variants.is_empty() => {
                return Err(Error::new(input.ident.span(), "an enum without variants has no value to pack"));
            }
            Data::Enum(data) => variants(data.variants)?,
            Data::Union(data) => {
                return Err(Error::new(data.union_token.span, "a union does not say which of its fields to pack"));
            }
        };
        let neopack = options.neopack.map_or_else(|| quote!(::neopack), |path| quote!(#path));
        Ok(Self { name: input.ident, generics: input.generics, kind, neopack })
    }
}

fn record(mut fields: Vec<Field>, transparent: Option<Span>) -> Result<Kind> {
    let Some(at) = transparent else { return Ok(Kind::Record(fields)) };
    match (fields.pop(), fields.len()) {
        (Some(field), 0) => Ok(Kind::Transparent(field.into())),
        (None | Some(_), _) => Err(Error::new(at, "only a struct of one field is transparent")),
    }
}

fn variants(variants: impl IntoIterator<Item = Variant>) -> Result<Kind> {
    let cases = variants.into_iter().map(case).collect::<Result<Vec<_>>>()?;
    if cases.iter().all(|case| matches!(case.payload, Payload::Nothing)) {
        return Ok(Kind::Enum(cases.into_iter().map(|case| case.name).collect()));
    }
    Ok(Kind::Variant(cases))
}

fn case(variant: Variant) -> Result<Case> {
    no_options(&variant.attrs)?;
    let payload = match variant.fields {
        Fields::Unit => Payload::Nothing,
        Fields::Unnamed(unnamed) => {
            let mut fields = fields(Fields::Unnamed(unnamed))?;
            match (fields.pop(), fields.len()) {
                (Some(only), 0) => Payload::One(only.into()),
                (last, _) => {
                    fields.extend(last);
                    Payload::Record(fields)
                }
            }
        }
        Fields::Named(named) => Payload::Record(fields(Fields::Named(named))?),
    };
    Ok(Case { name: variant.ident, payload })
}

fn fields(fields: Fields) -> Result<Vec<Field>> {
    let field = |(place, field): (usize, syn::Field)| {
        no_options(&field.attrs)?;
        let member = field.ident.map_or_else(|| Member::Unnamed(Index::from(place)), Member::Named);
        Ok(Field { member, ty: field.ty })
    };
    fields.into_iter().enumerate().map(field).collect()
}

#[derive(Default)]
struct Options {
    transparent: Option<Span>,
    neopack: Option<Path>,
}

impl Options {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("neopack")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("transparent") {
                    options.transparent = Some(meta.path.span());
                    return Ok(());
                }
                if meta.path.is_ident("crate") {
                    options.neopack = Some(meta.value()?.call(Path::parse_mod_style)?);
                    return Ok(());
                }
                Err(meta.error("expected `transparent` or `crate = path`"))
            })?;
        }
        Ok(options)
    }
}

fn no_options(attributes: &[Attribute]) -> Result<()> {
    match attributes.iter().find(|attribute| attribute.path().is_ident("neopack")) {
        None => Ok(()),
        Some(attribute) => {
            Err(Error::new(attribute.span(), "no attribute is known here: fields and variants go by their place"))
        }
    }
}

/// Where a message about a type points, with the names of the derive: a type may come out of another macro.
pub(crate) fn at(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}
