//! The author's code: the `impl` block, checked for the functions that make a
//! chainlet.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, Ident, ImplItem, ImplItemFn, ItemImpl, Result, ReturnType, Type};

/// The author's `impl` block, with its special functions found and checked.
pub struct Author {
    /// The unchanged block.
    pub block: ItemImpl,
    /// The name of the struct.
    pub name: Ident,
    /// `run_remote`.
    pub run_remote: RunRemote,
    /// `init`, if the chainlet has one.
    pub init: Option<Init>,
    /// `is_healthy`, if the chainlet has one.
    pub is_healthy: Option<IsHealthy>,
}

/// The author's `run_remote`.
pub struct RunRemote {
    /// The place of its name.
    pub name: Span,
    /// The `async` keyword, if it is an async function.
    pub asyncness: Option<Span>,
    /// The types of its parameters, without `&self`.
    pub parameters: Vec<Type>,
    /// The place of its parameters.
    pub inputs: Span,
    /// Its return type, if it has one.
    pub returned: Option<Type>,
    /// The place of its return type, or of its name if it has none.
    pub output: Span,
}

/// The author's `init`.
pub struct Init {
    /// True if it is an async function.
    pub is_async: bool,
    /// True if it returns a `Result` and not the struct itself.
    pub fallible: bool,
    /// The place of its return type.
    pub output: Span,
}

/// The author's `is_healthy`.
pub struct IsHealthy {
    /// True if it is an async function.
    pub is_async: bool,
    /// The place of its return type.
    pub output: Span,
}

impl Author {
    /// Checks the block and finds the functions in it.
    pub fn new(block: ItemImpl) -> Result<Self> {
        if let Some((_, path, _)) = &block.trait_ {
            return Err(Error::new(
                path.span(),
                "`#[chainlet]` goes on an `impl` block of the struct itself, not of a trait",
            ));
        }
        if let Some(parameter) = block.generics.params.first() {
            return Err(Error::new(
                parameter.span(),
                "a chainlet cannot be generic: the host makes one instance of one type",
            ));
        }
        let name = struct_name(&block.self_ty)?;
        let run_remote = function(&block, "run_remote").ok_or_else(|| {
            Error::new(
                block.self_ty.span(),
                format!(
                    "`{name}` has no `run_remote` in this block; write \
                     `async fn run_remote(&self, …)` with the parameters of `run-remote` in the world"
                ),
            )
        })?;
        let run_remote = RunRemote::new(run_remote)?;
        let init = function(&block, "init").map(|function| Init::new(function, &name)).transpose()?;
        let is_healthy = function(&block, "is_healthy").map(IsHealthy::new).transpose()?;
        Ok(Author { name, run_remote, init, is_healthy, block })
    }
}

impl RunRemote {
    fn new(function: &ImplItemFn) -> Result<Self> {
        let signature = &function.sig;
        refuse_generics(function)?;
        expect_shared_self(function)?;
        let parameters = signature
            .inputs
            .iter()
            .filter_map(|input| match input {
                FnArg::Receiver(_) => None,
                FnArg::Typed(parameter) => Some((*parameter.ty).clone()),
            })
            .collect();
        Ok(RunRemote {
            name: signature.ident.span(),
            asyncness: signature.asyncness.map(|keyword| keyword.span()),
            parameters,
            inputs: signature.paren_token.span.join(),
            returned: match &signature.output {
                ReturnType::Default => None,
                ReturnType::Type(_, output) => Some((**output).clone()),
            },
            output: output_span(function),
        })
    }
}

impl Init {
    fn new(function: &ImplItemFn, name: &Ident) -> Result<Self> {
        let signature = &function.sig;
        refuse_generics(function)?;
        if let Some(input) = signature.inputs.first() {
            return Err(Error::new(
                input.span(),
                "`init` takes no parameters: it makes the struct; settings and secrets come from \
                 `chainlet::context`",
            ));
        }
        let ReturnType::Type(_, output) = &signature.output else {
            return Err(Error::new(
                signature.ident.span(),
                format!("`init` must return `Self` or `Result<Self, …>`: it makes the `{name}`"),
            ));
        };
        Ok(Init { is_async: signature.asyncness.is_some(), fallible: !is_struct(output, name), output: output.span() })
    }
}

impl IsHealthy {
    fn new(function: &ImplItemFn) -> Result<Self> {
        let signature = &function.sig;
        refuse_generics(function)?;
        expect_shared_self(function)?;
        if let Some(input) = signature.inputs.iter().nth(1) {
            return Err(Error::new(input.span(), "`is_healthy` takes `&self` and nothing else"));
        }
        if matches!(signature.output, ReturnType::Default) {
            return Err(Error::new(
                signature.ident.span(),
                "`is_healthy` must return `Result<(), …>`: the error says what is wrong",
            ));
        }
        Ok(IsHealthy { is_async: signature.asyncness.is_some(), output: output_span(function) })
    }
}

/// Returns the name of the struct in the block's type.
fn struct_name(self_ty: &Type) -> Result<Ident> {
    if let Type::Path(path) = self_ty
        && path.qself.is_none()
        && let Some(segment) = path.path.segments.last()
        && segment.arguments.is_empty()
    {
        return Ok(segment.ident.clone());
    }
    Err(Error::new(self_ty.span(), "`#[chainlet]` goes on an `impl` block of a plain struct"))
}

fn function<'a>(block: &'a ItemImpl, name: &str) -> Option<&'a ImplItemFn> {
    block.items.iter().find_map(|item| match item {
        ImplItem::Fn(function) if function.sig.ident == name => Some(function),
        _ => None,
    })
}

/// Returns true if a return type is the struct, as `Self` or by name.
fn is_struct(output: &Type, name: &Ident) -> bool {
    matches!(output, Type::Path(path) if path.path.is_ident("Self") || path.path.is_ident(name))
}

fn refuse_generics(function: &ImplItemFn) -> Result<()> {
    match function.sig.generics.params.first() {
        Some(parameter @ (GenericParam::Type(_) | GenericParam::Const(_))) => Err(Error::new(
            parameter.span(),
            format!("`{}` cannot be generic: its types are those of the world", function.sig.ident),
        )),
        _ => Ok(()),
    }
}

fn expect_shared_self(function: &ImplItemFn) -> Result<()> {
    let name = &function.sig.ident;
    match function.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            let shared = receiver.reference.is_some() && receiver.mutability.is_none();
            if shared {
                return Ok(());
            }
            Err(Error::new(
                receiver.span(),
                format!(
                    "`{name}` takes `&self`: many calls run at once on one value; \
                     for state that changes use a `Cell` or `RefCell` field"
                ),
            ))
        }
        Some(FnArg::Typed(parameter)) => Err(Error::new(
            parameter.span(),
            format!("`{name}` takes `&self` first: what `init` made is reached through it"),
        )),
        None => Err(Error::new(
            name.span(),
            format!("`{name}` takes `&self` first: what `init` made is reached through it"),
        )),
    }
}

fn output_span(function: &ImplItemFn) -> Span {
    match &function.sig.output {
        ReturnType::Default => function.sig.ident.span(),
        ReturnType::Type(_, output) => output.span(),
    }
}
