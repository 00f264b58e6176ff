//! The common part of everything made from one device.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wgpu::custom::BoxDeviceLostCallback;
use wgpu::{AdapterInfo, DeviceLostReason, Features, Limits};

use super::errors::{Errors, error_of};
use super::pending::Pending;
use crate::gpu::{Error, ErrorKind};
use crate::host::chainlet::host::gpu as host;

pub struct Shared {
    pub host: host::Device,
    pub info: AdapterInfo,
    pub features: Features,
    pub limits: Limits,
    pub errors: Errors,
    pub pending: Pending,
    loss: Mutex<Loss>,
}

/// The loss of a device, if it happened, and the callback to tell about it.
#[derive(Default)]
struct Loss {
    lost: Option<(DeviceLostReason, String)>,
    callback: Option<BoxDeviceLostCallback>,
}

impl Shared {
    pub fn new(host: host::Device, info: AdapterInfo, features: Features, limits: Limits) -> Arc<Self> {
        let (errors, pending, loss) = (Errors::default(), Pending::default(), Mutex::default());
        Arc::new(Shared { host, info, features, limits, errors, pending, loss })
    }

    /// Raises an error. The loss of the device goes to its own callback, once.
    /// After the loss, no more errors are raised.
    pub fn raise(&self, function: &'static str, label: &str, error: impl Into<Error>) {
        if self.is_lost() {
            return;
        }
        let error = error.into();
        let message = error.message().to_owned();
        match error_of(function, label, error) {
            Some(error) => self.errors.raise(error),
            None => self.lose(DeviceLostReason::Unknown, message),
        }
    }

    /// Returns the value of `made`. If it is an error, raises it and returns
    /// `None`.
    pub fn made<T, E: Into<Error>>(
        &self,
        function: &'static str,
        label: Option<&str>,
        made: Result<T, E>,
    ) -> Option<T> {
        made.map_err(|error| self.raise(function, label.unwrap_or_default(), error)).ok()
    }

    /// Raises the error that a chainlet's GPU does not have `what`.
    pub fn absent(&self, function: &'static str, label: Option<&str>, what: &str) {
        self.raise(function, label.unwrap_or_default(), absent(what));
    }

    pub fn is_lost(&self) -> bool {
        lock(&self.loss).lost.is_some()
    }

    /// Marks the device as lost. From now on, all new objects are invalid, and
    /// all waiting has failed.
    pub fn lose(&self, reason: DeviceLostReason, message: String) {
        let callback = {
            let mut loss = lock(&self.loss);
            if loss.lost.is_some() {
                return;
            }
            loss.lost = Some((reason, message.clone()));
            loss.callback.take()
        };
        self.pending.fail();
        if let Some(callback) = callback {
            callback(reason, message);
        }
    }

    /// Sets the callback for the loss of the device. Calls it at once if the
    /// device is lost already.
    pub fn when_lost(&self, callback: BoxDeviceLostCallback) {
        let lost = {
            let mut loss = lock(&self.loss);
            if loss.lost.is_none() {
                loss.callback = Some(callback);
                return;
            }
            loss.lost.clone()
        };
        if let Some((reason, message)) = lost {
            callback(reason, message);
        }
    }
}

impl Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:?})", self.info.name)
    }
}

/// Makes the error that a chainlet's GPU does not have `what`.
pub fn absent(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("a chainlet's GPU has no {what}: it is for compute with buffers alone"))
}

/// Locks `mutex` and ignores poisoning, because a panic ends the instance
/// anyway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
