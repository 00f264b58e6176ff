//! Makes streams of tokens, good and bad.

use std::cell::Cell;

use chainlet::StreamReader;

/// The state that is kept from one call to the next.
#[derive(Default)]
struct Source {
    /// The number of streams that ended because their reader left.
    left: Cell<u32>,
    /// The number of tokens that were taken one by one.
    sent: Cell<u32>,
}

#[chainlet::chainlet]
impl Source {
    async fn run_remote(&'static self, plan: String, count: u32) -> StreamReader<String> {
        let told = match plan.as_str() {
            "left" => Some(self.left.get()),
            "sent" => Some(self.sent.get()),
            _ => None,
        };
        if let Some(told) = told {
            return wit::stream(async move |mut tokens| {
                tokens.send_all(vec![told.to_string()]).await;
            });
        }
        wit::stream(async move |mut tokens| match plan.as_str() {
            "at-once" => {
                tokens.send_all((0..count).map(token).collect()).await;
            }
            _ => {
                let mut number = 0;
                while plan == "endless" || number < count {
                    if !tokens.send(token(number)).await {
                        left(self);
                        return;
                    }
                    number += 1;
                    self.sent.set(self.sent.get() + 1);
                }
                match plan.as_str() {
                    #[expect(clippy::panic, reason = "this is what is tested")]
                    "trap" => panic!("the source ran dry"),
                    "silent" => std::future::pending().await,
                    "spin" => loop {
                        std::hint::black_box(number);
                    },
                    _ => {}
                }
            }
        })
    }
}

fn left(source: &Source) {
    source.left.set(source.left.get() + 1);
}

fn token(number: u32) -> String {
    format!("token {number}")
}
