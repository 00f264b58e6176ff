//! Greets one person, in the words of its settings.

struct SayHello {
    greeting: String,
}

#[chainlet::chainlet]
impl SayHello {
    async fn init() -> chainlet::Result<Self> {
        Ok(SayHello {
            greeting: chainlet::context::setting("greeting")?,
        })
    }

    async fn run_remote(&self, name: String) -> chainlet::Result<String> {
        if name.trim().is_empty() {
            return Err("there is no one to greet: the name is empty".into());
        }
        Ok(format!("{}, {name}!", self.greeting))
    }
}
