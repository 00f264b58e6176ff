//! The attribute macro of the crate `chainlet`, which exports and documents it.
//! Depend on `chainlet`, not on this crate.

use proc_macro::TokenStream;

mod arguments;
mod author;
mod bindings;
mod blank;
mod docs;
mod expand;
mod fallible;
mod signature;
mod world;

/// Turns an `impl` block into a chainlet. The crate `chainlet` documents its
/// use.
#[proc_macro_attribute]
pub fn chainlet(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
