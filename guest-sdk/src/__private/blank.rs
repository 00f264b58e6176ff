//! Blank values, which a call returns when nobody wants its answer.

/// Declares the trait `Blank` in the author's crate, where the author's types implement it beside those of the standard
/// library. It cannot be a trait of this crate, because the author's crate could then not implement it for the streams
/// of a third crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __blank {
    () => {
        /// A type with a blank value, which a call returns when nobody wants its answer.
        #[doc(hidden)]
        pub trait __Blank: Sized {
            /// True if the value has streams.
            const STREAMS: bool = false;
            /// Returns the blank value.
            fn blank() -> Self;
            /// Returns the value of a future that is dropped before it has one. For a result this is an error, so that
            /// no reader takes an incomplete stream beside it for complete.
            fn cut_off() -> Self {
                Self::blank()
            }
        }

        $crate::__blank!(default: (), bool, char, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, ::std::string::String);
        $crate::__blank!(tuple: A);
        $crate::__blank!(tuple: A, B);
        $crate::__blank!(tuple: A, B, C);
        $crate::__blank!(tuple: A, B, C, D);
        $crate::__blank!(tuple: A, B, C, D, E);
        $crate::__blank!(tuple: A, B, C, D, E, F);
        $crate::__blank!(tuple: A, B, C, D, E, F, G);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K, L);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K, L, M);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K, L, M, N);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K, L, M, N, O);
        $crate::__blank!(tuple: A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P);

        impl<T> __Blank for ::std::vec::Vec<T> {
            fn blank() -> Self {
                ::std::vec::Vec::new()
            }
        }

        impl<T> __Blank for ::core::option::Option<T> {
            fn blank() -> Self {
                ::core::option::Option::None
            }
        }

        impl<K: ::core::cmp::Ord, V> __Blank for ::std::collections::BTreeMap<K, V> {
            fn blank() -> Self {
                ::std::collections::BTreeMap::new()
            }
        }

        impl<T: __Blank, const N: usize> __Blank for [T; N] {
            fn blank() -> Self {
                ::core::array::from_fn(|_| T::blank())
            }
        }

        impl<T: __Blank, E: __Blank> __Blank for ::core::result::Result<T, E> {
            const STREAMS: bool = T::STREAMS && E::STREAMS;
            fn blank() -> Self {
                if T::STREAMS && !E::STREAMS {
                    ::core::result::Result::Err(E::blank())
                } else {
                    ::core::result::Result::Ok(T::blank())
                }
            }
            fn cut_off() -> Self {
                ::core::result::Result::Err(E::blank())
            }
        }
    };
    (default: $($ty:ty),*) => {
        $(
            impl __Blank for $ty {
                fn blank() -> Self {
                    ::core::default::Default::default()
                }
            }
        )*
    };
    (tuple: $($name:ident),*) => {
        impl<$($name: __Blank),*> __Blank for ($($name,)*) {
            const STREAMS: bool = false $(|| $name::STREAMS)*;
            fn blank() -> Self {
                ($($name::blank(),)*)
            }
        }
    };
}
