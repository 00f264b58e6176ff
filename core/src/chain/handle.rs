//! Calls of one chainlet from Rust.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CallOptions, Formats, Streaming, answer};
use crate::chainlet::callee::Callee;
use crate::chainlet::params::{Params, invalid};
use crate::chainlet::{Chainlet, Status};
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::value::rust::{self, RustError};
use crate::value::{Signature, Value};

/// A chainlet of a running chain, to call it from Rust: see [`Chain::chainlet`](super::Chain::chainlet). Clones are
/// handles of the same chainlet.
#[derive(Clone)]
pub struct ChainletHandle(pub(super) Arc<Chainlet>);

impl ChainletHandle {
    /// Returns the name of the chainlet.
    #[must_use]
    pub fn name(&self) -> &ChainletName {
        self.0.name()
    }

    /// Returns the type of its `run-remote`.
    #[must_use]
    pub fn signature(&self) -> &Arc<Signature> {
        self.0.signature()
    }

    /// Returns its current state.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Calls the chainlet with Rust values.
    ///
    /// `args` is a struct or a map with a field for each parameter, and the answer is read as an `R`. Both follow the
    /// rules of the JSON mapping: a WIT `list<u8>` is a base64 string, and any other list is a sequence.
    ///
    /// # Errors
    ///
    /// Fails if `args` do not fit the parameters, if the call fails, or if the answer is not an `R`. The chainlet's own
    /// typed error is an error, too: see [`CallError::guest_error`].
    pub async fn call<R: DeserializeOwned>(&self, args: &impl Serialize, options: CallOptions) -> Result<R, CallError> {
        let params = arguments(&self.0, args)?;
        let answer = match answer(&self.0, params, options).await?.whole().await?.0 {
            Some((ty, value)) => rust::from_value(&ty, &value).map_err(|error| error.to_string()),
            None => serde_json::from_str("null").map_err(|_| "the chainlet returns nothing".to_string()),
        };
        answer.map_err(|error| unreadable::<R>(self.name(), "the answer", error))
    }

    /// Calls the chainlet with Rust values, and returns the items of its answer as they are made. The answer must be a
    /// stream, or have one beside other members. Each item is read as an `R`. The timeout in `options` covers the whole
    /// stream.
    ///
    /// # Errors
    ///
    /// The same as for [`ChainletHandle::call`], and if the answer is not a stream.
    pub async fn stream<R: DeserializeOwned + Unpin>(
        &self,
        args: &impl Serialize,
        options: CallOptions,
    ) -> Result<Streaming<R>, CallError> {
        let params = arguments(&self.0, args)?;
        let answer = answer(&self.0, params, options).await?;
        answer
            .streamed()
            .map(Streaming::new)
            .map_err(|_| CallError::new(ErrorKind::InvalidInput, self.name(), "its answer is no stream: use `call`"))
    }

    /// Calls the chainlet with a JSON object keyed by parameter name. The answer is bare JSON.
    ///
    /// # Errors
    ///
    /// Fails if `body` does not fit the parameters, or if the call fails. The chainlet's own typed error is an error, too:
    /// see [`CallError::guest_error`].
    pub async fn call_json(&self, body: &[u8], options: CallOptions) -> Result<Vec<u8>, CallError> {
        let text = self.call_bytes(&Bytes::copy_from_slice(body), Formats::default(), options).await?;
        Ok(text.into())
    }

    /// Calls the chainlet with parameters in one format, and returns its answer in the same or another one.
    ///
    /// # Errors
    ///
    /// The same as for [`ChainletHandle::call_json`], and if the parameters or the answer cannot be written in that format.
    pub async fn call_bytes(&self, input: &Bytes, formats: Formats, options: CallOptions) -> Result<Bytes, CallError> {
        if !formats.answer.fits_answer(self.signature().result.as_ref()) {
            let message = format_args!("its answer cannot be {}", formats.answer.media_type());
            return Err(CallError::new(ErrorKind::InvalidInput, self.name(), message));
        }
        let params = Params::Encoded { format: formats.input, bytes: input.clone() };
        let (written, _) = answer(&self.0, params, options).await?.written(formats.answer).await?;
        Ok(written)
    }
}

/// Returns the error of a caller that reads something of `chainlet` as a Rust type that it does not fit.
pub(super) fn unreadable<R>(chainlet: &ChainletName, what: &str, error: impl std::fmt::Display) -> CallError {
    let ty = std::any::type_name::<R>();
    CallError::new(ErrorKind::InvalidInput, chainlet, format_args!("{what} cannot be read as {ty}: {error}"))
}

fn arguments(chainlet: &Chainlet, args: &impl Serialize) -> Result<Vec<Value>, CallError> {
    rust::to_values(&chainlet.signature().params, args).map_err(|error| match error {
        RustError::Arguments(error) => invalid(chainlet, error),
        error => CallError::new(ErrorKind::InvalidInput, chainlet.name(), error),
    })
}
