use proc_macro2::TokenStream;

use super::{expand, try_expand};

const WIT: &str = r#"
    package test:worlds;

    interface types {
        /// A person.
        record person {
            /// As in the passport.
            full-name: string,
            age: u8,
        }
        /// Unused, so part of no contract.
        record stranger { x: u8 }
    }
    interface greet {
        use types.{person as guest};
        enum tone { warm, cool }
        /// Greets.
        run-remote: async func(who: guest, tone: tone) -> string;
    }
    interface other { run-remote: func(); }

    world greeter {
        import say-hello: interface { run-remote: async func(name: string) -> string; }
        import other;
        /// Greets by name.
        export run-remote: async func(name: string) -> result<string, string>;
    }
    world unit { export run-remote: func(); }
    world hall { export greet; }
    world empty {}
    world two { export greet; export other; }
    world more { export run-remote: func(); export more: func(); }
    world alike { import other; import test:alike/other; export run-remote: func(); }
    world prepared { export run-remote: func(); export chainlet:host/init@0.1.0; }
    world informed { import chainlet:host/context@0.1.0; export run-remote: func(); }
    world bound {
        import bindings: interface { run-remote: func(); }
        export run-remote: func();
    }

    package test:alike { interface other { run-remote: func(); } }
"#;

const GREETER: &str =
    "impl Greeter { async fn run_remote(&self, name: String) -> Result<String, String> { Ok(name) } }";
const UNIT: &str = "impl Unit { fn run_remote(&self) {} }";

/// Returns the attribute's arguments for a world of `WIT`.
fn world(name: &str) -> String {
    format!("world = {name:?}, inline = {WIT:?}")
}

fn inline() -> String {
    format!("inline = {WIT:?}")
}

/// Returns the message about a mistake, and the source at which it points.
fn mistake(arguments: &str, item: &str) -> (String, String) {
    let arguments: TokenStream = arguments.parse().unwrap();
    let error = try_expand(arguments, item.parse().unwrap()).unwrap_err();
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

/// Returns the expanded code with single spaces.
fn expanded(arguments: &str, item: &str) -> String {
    let arguments: TokenStream = arguments.parse().unwrap();
    let code = try_expand(arguments, item.parse().unwrap()).unwrap();
    syn::parse2::<syn::File>(code.clone()).unwrap();
    code.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_world_is_named_after_the_struct_unless_it_is_named() {
    expanded(&inline(), GREETER);
    expanded(&world("greeter"), &GREETER.replace("Greeter", "Anything"));
    let (message, at) = mistake(&inline(), &GREETER.replace("Greeter", "BigGreeter"));
    assert!(message.starts_with("no world `big-greeter` in package `test:worlds`, which has `greeter`"), "{message}");
    assert_eq!(at, "BigGreeter");
    let (_, at) = mistake(&world("none"), GREETER);
    assert_eq!(at, r#""none""#);
}

#[test]
fn a_block_without_run_remote_is_refused() {
    let (message, at) = mistake(&inline(), "impl Greeter { fn walk(&self) {} }");
    assert!(message.contains("`Greeter` has no `run_remote`"), "{message}");
    assert_eq!(at, "Greeter");
}

#[test]
fn a_wrong_number_of_parameters_is_refused() {
    let (message, at) = mistake(&inline(), "impl Greeter { async fn run_remote(&self, a: u8, b: u8) {} }");
    assert_eq!(message, "`run-remote` of world `greeter` takes 1 parameter after `&self` (name), but this takes 2");
    assert_eq!(at, "(&self, a: u8, b: u8)");
}

#[test]
fn an_async_function_for_a_plain_func_is_refused_and_the_reverse_is_not() {
    let (message, at) = mistake(&inline(), "impl Unit { async fn run_remote(&self) {} }");
    assert!(message.contains("is a plain `func`"), "{message}");
    assert_eq!(at, "async");
    expanded(&inline(), &GREETER.replace("async ", ""));
}

#[test]
fn a_receiver_other_than_shared_self_is_refused() {
    for (receiver, at) in [("&mut self", "&mut self"), ("self", "self"), ("x: u8", "x: u8")] {
        let (message, found) = mistake(&inline(), &UNIT.replace("&self", receiver));
        assert!(message.contains("takes `&self`"), "{message}");
        assert_eq!(found, at);
    }
    let (_, at) = mistake(&inline(), &UNIT.replace("&self", ""));
    assert_eq!(at, "run_remote");
}

#[test]
fn a_block_that_is_not_of_a_plain_struct_is_refused() {
    for (item, complaint) in [
        ("struct Unit;", "goes on an `impl` block"),
        ("impl Drop for Unit { fn drop(&mut self) {} }", "not of a trait"),
        ("impl<T> Unit<T> { fn run_remote(&self) {} }", "cannot be generic"),
        ("impl Unit { fn run_remote<T>(&self) {} }", "cannot be generic"),
        ("impl Unit<u8> { fn run_remote(&self) {} }", "a plain struct"),
    ] {
        let (message, _) = mistake(&inline(), item);
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn an_init_that_cannot_make_the_struct_is_refused() {
    for (init, complaint, at) in [
        ("fn init() {}", "must return `Self` or `Result<Self, …>`", "init"),
        ("fn init(path: String) -> Self { Unit }", "takes no parameters", "path: String"),
    ] {
        let (message, found) = mistake(&inline(), &format!("impl Unit {{ {init} fn run_remote(&self) {{}} }}"));
        assert!(message.contains(complaint), "{message}");
        assert_eq!(found, at);
    }
}

#[test]
fn a_wrong_is_healthy_is_refused() {
    for (function, complaint) in [
        ("fn is_healthy(&self) {}", "must return `Result<(), …>`"),
        ("fn is_healthy(&self, deep: bool) -> Result<(), String> { Ok(()) }", "`&self` and nothing else"),
    ] {
        let (message, _) = mistake(&inline(), &format!("impl Unit {{ {function} fn run_remote(&self) {{}} }}"));
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn a_world_without_exactly_one_run_remote_is_refused() {
    for (name, complaint) in [
        ("empty", "exports no `run-remote`"),
        ("two", "exports `run-remote` more than once"),
        ("more", "exports `more`, which nobody would call"),
        ("prepared", "exports `chainlet:host/init@0.1.0`, but the block has no `init`"),
        ("alike", "two dependencies are called `other`"),
        ("bound", "a dependency cannot be called `bindings`"),
    ] {
        let (message, at) = mistake(&world(name), UNIT);
        assert!(message.contains(complaint), "{message}");
        assert_eq!(at, format!("{name:?}"));
    }
}

#[test]
fn a_wrong_argument_is_refused() {
    for (arguments, complaint) in [
        ("wrld = \"x\"", "unknown argument `wrld`"),
        ("world = \"x\", world = \"y\"", "`world` is given twice"),
        ("path = \"x\", inline = \"y\"", "exclude each other"),
        ("world = x", "expected string literal"),
        ("path = \"no/such/place\"", "there is no WIT at"),
        ("inline = \"package a:b;\nworld unit { export run-remote: fun(); }\"", "inline.wit:2:"),
    ] {
        let (message, _) = mistake(arguments, UNIT);
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn a_mistake_leaves_the_authors_code_in_place() {
    let code = expand(world("none").parse().unwrap(), UNIT.parse().unwrap()).to_string();
    assert!(code.starts_with("impl Unit"), "{code}");
    assert!(code.contains("compile_error"), "{code}");
}

#[test]
fn dependencies_and_the_types_of_the_contract_are_in_scope() {
    let code = expanded(&inline(), GREETER);
    assert!(code.contains("pub use self :: bindings :: say_hello ;"));
    assert!(code.contains("pub use self :: bindings :: test :: worlds :: other ;"));

    let hall = "impl Hall { async fn run_remote(&self, who: Guest, tone: Tone) -> String { who.full_name } }";
    let code = expanded(&inline(), hall);
    for name in [
        "exports :: test :: worlds :: greet :: Guest",
        "exports :: test :: worlds :: greet :: Tone",
        "test :: worlds :: types :: Person",
    ] {
        assert!(code.contains(&format!("pub use self :: bindings :: {name} ;")), "{name}");
    }
    assert!(!code.contains("Stranger ;"));
}

#[test]
fn the_hosts_functions_are_exported_where_the_author_wrote_them() {
    let code = expanded(&inline(), UNIT);
    assert!(!code.contains("chainlet:host/init"));
    let init = "impl Unit { async fn init() -> Result<Self, String> { Ok(Unit) } fn run_remote(&self) {} }";
    for arguments in [inline(), world("prepared")] {
        let code = expanded(&arguments, init);
        assert!(code.contains("[async-lift]chainlet:host/init@0.1.0#init"), "{arguments}");
        assert!(!code.contains("chainlet:host/health"));
    }
    let health = "impl Unit { fn is_healthy(&self) -> Result<(), String> { Ok(()) } fn run_remote(&self) {} }";
    assert!(expanded(&inline(), health).contains("chainlet:host/health@0.1.0#is-healthy"));
}

#[test]
fn the_hosts_wit_may_be_copied_or_left_out() {
    expanded(&world("informed"), UNIT);
    let missing = WIT.replace("chainlet:host/context", "nobody:none/context");
    let (message, _) = mistake(&format!("inline = {missing:?}"), UNIT);
    assert!(message.contains("nobody:none"), "{message}");
    let copy = |interfaces: &str| {
        let init = "interface init { init: async func() -> result<_, string>; }";
        let context = "interface context { settings: func() -> string; }";
        let copy = format!("package chainlet:host@0.1.0 {{ {init} {context} {interfaces} }}");
        format!("world = \"informed\", inline = {:?}", format!("{WIT}{copy}"))
    };
    let informed = UNIT.replace("Unit", "Informed");
    expanded(&copy(include_str!("../../wit/call.wit")), &informed);
    let (message, _) = mistake(&copy(""), &informed);
    assert!(message.contains("has no `chainlet:host/call@0.1.0`; update it, or delete it"), "{message}");
}

/// Returns the signatures of a function in the code that wit-bindgen generated
/// of a world.
fn signatures(code: &str, name: &str) -> Vec<String> {
    let start = format!("fn {name} (");
    let rests = code.match_indices(&start).map(|(at, _)| &code[at..]);
    rests.map(|rest| rest[..rest.find(['{', ';']).unwrap()].trim().to_owned()).collect()
}

#[test]
fn a_dependency_has_failures_beside_its_declared_error() {
    let wit = r#"
        package test:calls;
        world unit {
            import plain: interface { run-remote: async func(text: string) -> string; }
            import silent: interface { run-remote: func(); }
            import declared: interface { run-remote: async func(text: string) -> result<u32, string>; }
            export run-remote: func();
        }
    "#;
    let code = expanded(&format!("inline = {wit:?}"), UNIT);
    let wrapped = signatures(&code, "run_remote").join("\n");
    assert!(wrapped.contains("Result < _rt :: String , Failure >"), "{wrapped}");
    assert!(wrapped.contains("Result < () , Failure >"), "{wrapped}");
    assert!(wrapped.contains(":: chainlet :: CallError <"), "{wrapped}");
    assert_eq!(signatures(&code, "__run_remote").len(), 1, "only an error of its own needs a wrapper");
}

#[test]
fn an_imported_and_exported_interface_is_a_dependency() {
    let wit = r#"
        package test:middle;
        interface greet { record who { name: string } run-remote: async func(who: who) -> result<string, string>; }
        world unit { import greet; export greet; }
    "#;
    let unit = UNIT.replace("fn run_remote(&self)", "async fn run_remote(&self, who: Who) -> Result<String, String>");
    let code = expanded(&format!("inline = {wit:?}"), &unit);
    assert!(code.contains("pub use self :: bindings :: greet ;"));
    let guest = signatures(&code, "run_remote").into_iter().find(|signature| signature.contains("who : Who ,"));
    assert!(guest.is_none_or(|signature| !signature.contains("CallError")), "the export keeps its type");
}

#[test]
fn a_type_of_the_world_may_have_any_name_that_the_macro_uses_itself() {
    let wit =
        "package test:names; world unit { record blank { text: string } export run-remote: async func() -> blank; }";
    let code = expanded(
        &format!("inline = {wit:?}"),
        "impl Unit { async fn run_remote(&self) -> Blank { Blank { text: String::new() } } }",
    );
    assert!(code.contains("impl __Blank for self :: bindings :: Blank"), "{code}");
}

#[test]
fn one_interface_may_be_two_dependencies() {
    let model =
        "interface model { record question { text: string } run-remote: async func(question: question) -> string; }";
    let include = "world asks { import model: interface { run-remote: async func() -> string; } }";
    for world in [
        "world unit { import primary: model; import fallback: model; export run-remote: func(); }",
        "world unit { include asks with { model as primary } include asks with { model as fallback } export run-remote: func(); }",
    ] {
        let wit = format!("package test:models; {model} {include} {world}");
        let code = expanded(&format!("inline = {wit:?}"), UNIT);
        for name in ["primary", "fallback"] {
            assert!(code.contains(&format!("pub use self :: bindings :: {name} ;")), "{world}");
        }
    }
}

#[test]
fn derives_are_on_every_type() {
    let hall = "impl Hall { async fn run_remote(&self, who: Guest, tone: Tone) -> String { who.full_name } }";
    let code = expanded(&format!("{}, derives = [PartialEq, ::serde::Serialize]", inline()), hall);
    assert!(code.contains(":: serde :: Serialize"));
}

#[test]
fn the_docs_of_the_contract_are_embedded_and_no_others() {
    let hall = "impl Hall { async fn run_remote(&self, who: Guest, tone: Tone) -> String { who.full_name } }";
    let code = expanded(&inline(), hall);
    let docs = concat!(
        r#"{"run-remote":{"docs":"Greets."},"types":{"#,
        r#""guest":{"docs":"A person.","members":{"full-name":"As in the passport."}},"#,
        r#""person":{"docs":"A person.","members":{"full-name":"As in the passport."}}}}"#,
    );
    let literal = proc_macro2::Literal::byte_string(docs.as_bytes()).to_string();
    assert!(code.contains(&literal), "{docs}");
    assert!(!expanded(&inline(), UNIT).contains("chainlet:docs"));
}

#[test]
fn a_world_with_a_map_at_its_root_can_count_the_maps_entries() {
    let wit = "package test:maps; world unit { export run-remote: func(data: map<u8, string>) -> map<string, u8>; }";
    let unit = "impl Unit { fn run_remote(&self, data: Map) -> Map { data } }";
    assert!(expanded(&format!("inline = {wit:?}"), unit).contains("WitMap as _"));
    assert!(!expanded(&inline(), UNIT).contains("WitMap"));
}

/// Returns the functions that make streams and futures, for a world whose
/// `run-remote` is `signature`.
fn makers(signature: &str) -> Vec<&'static str> {
    let wit = format!("package test:streams; world unit {{ {signature} }}");
    let parameters = if signature.contains("data:") { "&self, data: Data" } else { "&self" };
    let unit = UNIT.replace("&self", parameters);
    let code = expanded(&format!("inline = {wit:?}"), &unit);
    ["stream", "future", "try_stream"].into_iter().filter(|name| code.contains(&format!("pub fn {name} <"))).collect()
}

#[test]
fn makers_exist_for_the_worlds_streams_and_futures() {
    for (signature, expected) in [
        ("export run-remote: func() -> list<string>;", &[][..]),
        ("export run-remote: async func() -> stream<string>;", &["stream"]),
        ("export run-remote: async func() -> result<stream<u8>, string>;", &["stream"]),
        ("export run-remote: async func() -> future<u32>;", &["future"]),
        ("export run-remote: async func(data: stream<u8>);", &["stream"]),
        ("record report { rows: stream<f64> } export run-remote: async func() -> report;", &["stream"]),
        (
            "export run-remote: async func() -> tuple<stream<string>, future<result<u32, string>>>;",
            &["stream", "future", "try_stream"],
        ),
        // The caller must also make the streams that a dependency takes.
        (
            "import sum: interface { run-remote: async func(points: stream<f64>) -> f64; } export run-remote: func();",
            &["stream"],
        ),
    ] {
        assert_eq!(makers(signature), expected, "{signature}");
    }
}

#[test]
fn a_plain_func_that_returns_a_stream_is_refused() {
    for (signature, unit) in [
        ("func() -> result<stream<u8>, string>", UNIT.replace("&self)", "&self) -> Result<StreamReader<u8>, String>")),
        ("func() -> tuple<u8, future<u8>>", UNIT.replace("&self)", "&self) -> (u8, FutureReader<u8>)")),
    ] {
        let wit = format!("package test:streams; world unit {{ export run-remote: {signature}; }}");
        let (message, at) = mistake(&format!("inline = {wit:?}"), &unit);
        assert!(message.contains("declare it `async func`"), "{message}");
        assert!(at.starts_with("Result") || at.starts_with('('), "{at}");
    }
    let wit = "package test:streams; world unit { export run-remote: func(data: stream<u8>); }";
    expanded(&format!("inline = {wit:?}"), &UNIT.replace("&self", "&self, data: StreamReader<u8>"));
}

#[test]
fn the_state_may_be_borrowed_for_as_long_as_the_instance_lives() {
    let wit = "package test:streams; world unit { export run-remote: async func() -> stream<u8>; }";
    let unit = "impl Unit { async fn run_remote(&'static self) -> StreamReader<u8> { wit::stream(async |_| {}) } }";
    expanded(&format!("inline = {wit:?}"), unit);
}

#[test]
fn types_only_in_streams_are_in_scope_and_documented() {
    let wit = r#"
        package test:streams;
        world unit {
            /// A row.
            record row { number: u32 }
            /// How it ended.
            enum end { well, badly }
            export run-remote: async func() -> tuple<stream<row>, future<end>>;
        }
    "#;
    let unit = "impl Unit { async fn run_remote(&self) -> (StreamReader<Row>, FutureReader<End>) { todo!() } }";
    let code = expanded(&format!("inline = {wit:?}"), unit);
    for name in ["Row", "End"] {
        assert!(code.contains(&format!("pub use self :: bindings :: {name} ;")), "{name}");
    }
    let docs = br#"{"types":{"row":{"docs":"A row."},"end":{"docs":"How it ended."}}}"#;
    assert!(code.contains(&proc_macro2::Literal::byte_string(docs).to_string()));
}
