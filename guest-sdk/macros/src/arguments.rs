//! The arguments in the parentheses of `#[chainlet(…)]`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitStr, Path, Result, Token, bracketed};

/// The arguments of the attribute, all optional.
#[derive(Default)]
pub struct Arguments {
    /// The name of the world, if it differs from the name of the struct.
    pub world: Option<LitStr>,
    /// The source of the WIT.
    pub source: Source,
    /// Traits to derive on every generated type, besides `Clone` and `Debug`.
    pub derives: Vec<Path>,
}

/// The source of the world's WIT.
#[derive(Default)]
pub enum Source {
    /// The folder `wit` beside Cargo.toml, or else `../wit`.
    #[default]
    Default,
    /// A folder or file, relative to Cargo.toml.
    Path(LitStr),
    /// The text itself.
    Inline(LitStr),
}

impl Source {
    /// Returns the place to which errors about the WIT point.
    pub fn span(&self) -> Span {
        match self {
            Source::Default => Span::call_site(),
            Source::Path(text) | Source::Inline(text) => text.span(),
        }
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Arguments::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "world" => arguments.world = Some(input.parse()?),
                "path" | "inline" if !matches!(arguments.source, Source::Default) => {
                    return Err(Error::new(
                        key.span(),
                        "`path` and `inline` exclude each other: the WIT comes from one place",
                    ));
                }
                "path" => arguments.source = Source::Path(input.parse()?),
                "inline" => arguments.source = Source::Inline(input.parse()?),
                "derives" => {
                    let list;
                    bracketed!(list in input);
                    arguments.derives =
                        Punctuated::<Path, Token![,]>::parse_terminated_with(&list, Path::parse_mod_style)?
                            .into_iter()
                            .collect();
                }
                _ => {
                    return Err(Error::new(
                        key.span(),
                        format!("unknown argument `{key}`; expected `world`, `path`, `inline` or `derives`"),
                    ));
                }
            }
            seen.push(key);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}
