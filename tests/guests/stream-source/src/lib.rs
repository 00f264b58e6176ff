//! Makes streams of tokens, sound and otherwise.

use std::cell::Cell;

use chainlet::StreamReader;

/// What is kept from one call to the next: how many streams have ended with their reader.
#[derive(Default)]
struct Source {
    left: Cell<u32>,
}

#[chainlet::chainlet]
impl Source {
    async fn run_remote(&'static self, plan: String, count: u32) -> StreamReader<String> {
        if plan == "left" {
            let left = self.left.get();
            return wit::stream(async move |mut tokens| {
                tokens.send(left.to_string()).await;
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
