//! Takes more parameters than are passed one by one, through a plain `func`, without the SDK.

use bindings::{Guest, Summary};

/// What wit-bindgen makes of the world.
#[allow(warnings, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ world: "wide" });
    export!(Wide with_types_in self);
    use crate::Wide;
}

struct Wide;

impl Guest for Wide {
    #[expect(clippy::cast_precision_loss, reason = "tests use small numbers")]
    fn run_remote(
        u8_value: u8,
        u16_value: u16,
        u32_value: u32,
        u64_value: u64,
        s8_value: i8,
        s16_value: i16,
        s32_value: i32,
        s64_value: i64,
        f32_value: f32,
        f64_value: f64,
        first: String,
        second: String,
        yes: bool,
        no: bool,
        letter: char,
        maybe: Option<String>,
    ) -> Summary {
        let total = f64::from(u8_value)
            + f64::from(u16_value)
            + f64::from(u32_value)
            + u64_value as f64
            + f64::from(s8_value)
            + f64::from(s16_value)
            + f64::from(s32_value)
            + s64_value as f64
            + f64::from(f32_value)
            + f64_value;
        let text = format!("{first}{second}{letter}{}", maybe.unwrap_or_default());
        Summary { total, text, flags: vec![yes, no] }
    }
}
