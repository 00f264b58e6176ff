//! Calls two dependencies whose `run-remote` is a plain `func`, one of them with many parameters.

use std::collections::BTreeMap;

use chainlet::OrFail;

#[derive(Default)]
struct Mixed;

#[chainlet::chainlet(path = "wit", derives = [PartialEq])]
impl Mixed {
    #[expect(clippy::too_many_arguments, reason = "this is what is tested")]
    async fn run_remote(
        &self,
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
        prices: BTreeMap<String, f64>,
    ) -> Outcome {
        let summary = wide::run_remote(
            u8_value,
            u16_value,
            u32_value,
            u64_value,
            s8_value,
            s16_value,
            s32_value,
            s64_value,
            f32_value,
            f64_value,
            &first,
            &second,
            yes,
            no,
            letter,
            maybe.as_deref(),
            &prices,
        )
        .or_fail()
        .await;
        let reply = sync::run_remote(&summary.text).or_fail().await;
        Outcome {
            total: summary.total,
            text: reply.text,
            flags: summary.flags,
            prices: summary.prices,
            lengths: summary.lengths,
            calls: reply.calls,
        }
    }
}
