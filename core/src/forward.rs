//! Forwarding for connections that wrap another connection, in their field `stream`, and change one direction of it.
//!
//! If a wrapper leaves out a method, it gets the default of the trait, which is slower. Without `poll_write_vectored`,
//! for example, each part of an answer is written by a system call of its own. So only this file lists the methods.

/// Implements `AsyncRead` for a wrapper by its field `stream`.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_read {
    (impl[$($generics:tt)*] $wrapper:ty) => {
        impl<$($generics)*> tokio::io::AsyncRead for $wrapper {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.stream).poll_read(cx, buffer)
            }
        }
    };
}

/// Implements `AsyncWrite` for a wrapper by its field `stream`.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_write {
    (impl[$($generics:tt)*] $wrapper:ty) => {
        impl<$($generics)*> tokio::io::AsyncWrite for $wrapper {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                parts: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
            }

            $crate::forward::forward_write_rest!();
        }
    };
}

/// The methods of `AsyncWrite` beside `poll_write` and `poll_write_vectored`, for a wrapper with its own version of
/// these two.
#[doc(hidden)]
#[macro_export]
macro_rules! forward_write_rest {
    () => {
        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    };
}

pub use crate::{forward_read, forward_write, forward_write_rest};
