//! Passes its argument on to its dependency, and returns the answer.

wit_bindgen::generate!({ path: "../wit", world: "caller" });

struct Caller;

impl Guest for Caller {
    async fn run_remote(text: String) -> String {
        callee::run_remote(text).await
    }
}

export!(Caller);
