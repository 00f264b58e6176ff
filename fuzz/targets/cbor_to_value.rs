//! Reads any bytes as CBOR of any type. They are read or rejected within a limit. A value that was read is written as
//! CBOR and as JSON, and both are read as the same value.
#![no_main]

mod types;

use chainhost::value::ty::{Member, Name, Type};
use chainhost::value::{cbor, json};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

use types::{DEPTH, any_type};

/// The most bytes that values may take: far more than any input needs that is not made to take many.
const LIMIT: usize = 16 << 20;

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok(ty) = any_type(&mut data, DEPTH) else { return };
    let bytes = data.take_rest().to_vec().into();
    match cbor::value_within(&ty, &bytes, LIMIT) {
        Ok(value) => {
            let (mut first, mut second, mut text) = (Vec::new(), Vec::new(), Vec::new());
            assert!(cbor::write(&ty, &value, &mut first).is_ok(), "{ty}: {value:?} cannot be written");
            let again = cbor::value_within(&ty, &first.clone().into(), usize::MAX);
            let again = again.unwrap_or_else(|error| unreadable(&ty, &first, &error));
            assert!(cbor::write(&ty, &again, &mut second).is_ok(), "{ty}: {again:?} cannot be written");
            // The comparison is of bytes, because NaN is not equal to itself.
            assert_eq!(first, second, "{ty}");
            assert!(json::write(&ty, &value, &mut text).is_ok(), "{ty}: {value:?} cannot be written as JSON");
            assert!(json::value_from_slice(&ty, &text).is_ok(), "{ty}: {value:?} is written as JSON that is not read");
        }
        Err(error) => {
            assert!(!error.message.is_empty(), "{ty}: a refusal without a reason");
            assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{ty}: {error}");
        }
    }
    let params = [Member { name: Name::new("input"), ty: Some(ty), docs: None }];
    // The same code decides whether it is read or rejected, so this only has to end without a panic.
    let _ = cbor::params_within(&params, &bytes, LIMIT);
});

#[expect(clippy::panic, reason = "that is how a fuzz target tells what it found")]
fn unreadable(ty: &Type, bytes: &[u8], error: &cbor::CborError) -> ! {
    panic!("{ty}: {bytes:x?} was written, and is not read: {error}")
}
