//! Passes what it gets on to its dependency, and the answer back.

wit_bindgen::generate!({ path: "../wit", world: "caller" });

struct Caller;

impl Guest for Caller {
    async fn run_remote(text: String) -> String {
        callee::run_remote(text).await
    }
}

export!(Caller);
