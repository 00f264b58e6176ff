//! Reads any text as JSON of any type. It is read or rejected. A value that was read is written as JSON that is read as
//! the same value.
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
            // The comparison is of text, because NaN is not equal to itself.
            assert_eq!(first, second, "{ty}");
        }
        Err(error) => {
            assert!(!error.message.is_empty(), "{ty}: a refusal without a reason");
            assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{ty}: {error}");
        }
    }
    let params = [Member { name: Name::new("input"), ty: Some(ty), docs: None }];
    // The same code decides whether it is read or rejected, so this only has to end without a panic.
    let _ = json::params_from_slice(&params, text);
});

#[expect(clippy::panic, reason = "that is how a fuzz target tells what it found")]
fn unreadable(ty: &Type, text: &[u8], error: &json::JsonError) -> ! {
    panic!("{ty}: {} was written, and is not read: {error}", String::from_utf8_lossy(text))
}
