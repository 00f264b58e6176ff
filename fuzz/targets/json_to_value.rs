//! Any text as JSON for any type: it is read or refused, and what is read is written as JSON that is read as the same.
#![no_main]

mod types;

use chainhost::value::json;
use chainhost::value::ty::{Member, Name, Type};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

use types::{DEPTH, any_type};

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok(ty) = any_type(&mut data, DEPTH) else { return };
    let text = data.take_rest();
    match json::value_from_slice(&ty, text) {
        Ok(value) => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            assert!(json::write(&ty, &value, &mut first).is_ok(), "{ty}: {value:?} cannot be written");
            match json::value_from_slice(&ty, &first) {
                Ok(again) => {
                    assert!(json::write(&ty, &again, &mut second).is_ok(), "{ty}: {again:?} cannot be written")
                }
                Err(error) => unreadable(&ty, &first, &error),
            }
            // As text, for NaN is not equal to itself.
            assert_eq!(first, second, "{ty}");
        }
        Err(error) => {
            assert!(!error.message.is_empty(), "{ty}: a refusal without a reason");
            assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{ty}: {error}");
        }
    }
    let params = [Member { name: Name::new("input"), ty: Some(ty), docs: None }];
    // Whether it is read or refused is decided by the same code; it must only come to an end.
    let _ = json::params_from_slice(&params, text);
});

#[expect(clippy::panic, reason = "that is how a fuzz target tells what it found")]
fn unreadable(ty: &Type, text: &[u8], error: &json::JsonError) -> ! {
    panic!("{ty}: {} was written, and is not read: {error}", String::from_utf8_lossy(text))
}
