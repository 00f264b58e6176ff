//! Returns its argument.

wit_bindgen::generate!({ path: "../wit", world: "callee" });

struct Callee;

impl Guest for Callee {
    async fn run_remote(text: String) -> String {
        text
    }
}

export!(Callee);
