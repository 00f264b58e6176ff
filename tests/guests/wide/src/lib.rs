//! Takes more parameters than are passed as flat values, through a plain `func`, without the SDK.

use std::collections::BTreeMap;

use bindings::{Guest, Summary};

/// The output of wit-bindgen for the world.
#[allow(warnings, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ world: "wide" });
    export!(Wide with_types_in self);
    use crate::Wide;
    // wit-bindgen 0.61 does not import this for the maps of the world's own functions.
    use wit_bindgen::rt::WitMap;
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
        mut prices: BTreeMap<String, f64>,
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
            + f64_value
            + prices.values().sum::<f64>();
        let text = format!("{first}{second}{letter}{}", maybe.unwrap_or_default());
        let mut lengths: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for name in prices.keys() {
            lengths.entry(u32::try_from(name.len()).unwrap_or(u32::MAX)).or_default().push(name.clone());
        }
        prices.insert("total".to_owned(), total);
        Summary { total, text, flags: vec![yes, no], prices, lengths }
    }
}
