//! Each mistake in chain.toml gets one clear message, with its file, line and key.

use std::net::TcpListener;

use crate::harness::{Chain, FAULTY, Process, chainhost, repository};

#[test]
fn each_bad_file_gives_the_message_beside_it() {
    let folder = repository().join("tests/config/bad");
    let mut differences = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        count += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut command = chainhost();
        command.args(["check", name]).current_dir(&folder);
        let finished = Process::start(command).finish();
        finished.refused(3, &[name]);
        // The golden file has the messages. The program puts `error: ` before each.
        let messages = std::fs::read_to_string(path.with_extension("err")).unwrap();
        let expected = format!("error: {}", messages.replace("\n\n", "\n\nerror: "));
        if finished.stderr != expected {
            differences.push(format!("{name}: expected\n{expected}\nfound\n{}", finished.stderr));
        }
    }
    assert!(count >= 25, "only {count} files were found");
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn settings_of_a_capability_that_this_program_lacks_are_refused() {
    for name in ["prices", "gpu"] {
        let chain = Chain::new(&format!("{FAULTY}capabilities.{name} = {{ a = 1 }}\n"));
        let words = [format!("chainlets.faulty.capabilities.{name}:"), format!("no capability named {name}")];
        chain.run(&["check", "chain.toml"]).refused(3, &words.each_ref().map(String::as_str));
    }
}

#[test]
fn a_component_that_imports_an_interface_of_another_host_is_refused() {
    let folder = repository().join("examples/embed");
    let mut command = chainhost();
    command.args(["check", "chain.toml"]).current_dir(folder);
    Process::start(command)
        .finish()
        .refused(3, &["imports `shop:catalogue/prices@1.0.0`", "nor a capability of the host"]);
}

#[test]
fn a_missing_chain_file_is_named() {
    let chain = Chain::new(FAULTY);
    for command in ["check", "serve", "call", "build"] {
        chain.run(&[command, "nowhere.toml"]).refused(3, &["nowhere.toml"]);
    }
    std::fs::create_dir(chain.folder().join("empty")).unwrap();
    chain.run(&["check", "empty"]).refused(3, &["empty/chain.toml"]);
}

#[test]
fn a_folder_stands_for_the_chain_toml_in_it() {
    let chain = Chain::new(FAULTY);
    assert!(chain.run(&["check", "."]).answer().starts_with("chain test: 1 chainlet"));
}

#[test]
fn a_missing_component_file_is_named_with_line_and_key() {
    let chain = Chain::new("[chain]\nname = \"c\"\n\n[chainlets.a]\ncomponent = \"gone.wasm\"\n");
    for command in ["check", "serve", "call"] {
        chain.run(&[command, "chain.toml"]).refused(
            3,
            &[
                "error: chain.toml:5:13: chainlets.a.component: cannot find the component file ",
                "gone.wasm",
                "\nhelp: ",
            ],
        );
    }
}

#[test]
fn an_unknown_key_is_refused_with_a_similar_known_key() {
    let chain = Chain::new(&format!("{FAULTY}conncurrency = 4\n"));
    chain.run(&["serve", "chain.toml"]).refused(
        3,
        &[
            "error: chain.toml:7:1: chainlets.faulty.conncurrency: unknown key conncurrency; expected one of: ",
            "help: did you mean concurrency?",
        ],
    );
}

#[test]
fn a_missing_secret_is_refused_by_every_command_that_needs_it() {
    let chain = Chain::new(&format!("{FAULTY}assets.secrets = [\"hf_token\"]\n"));
    for command in ["check", "serve", "call"] {
        chain.run(&[command, "chain.toml"]).refused(
            3,
            &["error: chain.toml:7:", "chainlets.faulty.assets.secrets[0]: the secret hf_token is not set", "HF_TOKEN"],
        );
    }
    assert!(chain.run(&["check", "chain.toml", "--without-secrets"]).answer().contains("hf_token"));
}

#[test]
fn a_missing_or_broken_secrets_file_is_refused_without_showing_it() {
    let chain = Chain::new(&format!("{FAULTY}assets.secrets = [\"hf_token\"]\n"));
    chain.run(&["check", "chain.toml", "--secrets", "gone.toml"]).refused(3, &["gone.toml: cannot read"]);
    chain.write("secrets.toml", "hf_token = hunter2\n");
    let finished = chain.run(&["check", "chain.toml", "--secrets", "secrets.toml"]);
    finished.refused(3, &["secrets.toml:1:12: "]);
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn a_mount_with_a_missing_source_is_refused() {
    let chain = Chain::new(&format!("{FAULTY}assets.files = [{{ source = \"models\", path = \"/models\" }}]\n"));
    chain
        .run(&["check", "chain.toml"])
        .refused(3, &["chain.toml:7:", "chainlets.faulty.assets.files[0].source: cannot find", "models"]);
}

#[test]
fn a_dependency_that_the_component_does_not_import_is_refused() {
    let chain = Chain::new(
        "[chain]\nname = \"c\"\nentrypoint = \"a\"\n[chainlets.a]\ncomponent = \"<guest_faulty>\"\n\
         [chainlets.a.depends]\nb = \"b\"\n[chainlets.b]\ncomponent = \"<guest_faulty>\"\n",
    );
    chain.run(&["check", "chain.toml"]).refused(3, &["chain.toml:7:", "imports no dependency `b`"]);
}

#[test]
fn a_dependency_that_no_chainlet_serves_is_refused() {
    let chain = Chain::new(
        "[chain]\nname = \"c\"\n[chainlets.relay]\ncomponent = \"<guest_relay>\"\n\
         [chainlets.next]\ncomponent = \"<guest_faulty>\"\n",
    );
    chain.run(&["check", "chain.toml"]).refused(
        3,
        &[
            "error: chain.toml:",
            "chainlets.relay",
            "imports `other`, and no chainlet is called `other`",
            "depends.other = ",
        ],
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let chain = Chain::new(
        "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"gone.wasm\"\n[chainlets.b]\ncomponent = \"lost.wasm\"\n",
    );
    let finished = chain.run(&["check", "chain.toml"]);
    finished.refused(3, &["gone.wasm", "lost.wasm"]);
    assert_eq!(finished.stderr.matches("error: ").count(), 2, "{}", finished.stderr);
}

#[test]
fn a_port_that_is_in_use_is_refused_with_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let chain = Chain::new(FAULTY);
    let port = format!("port {}", taken.local_addr().unwrap().port());
    for arguments in [
        &["serve", "chain.toml", "--listen", &address][..],
        &["serve", "chain.toml", "--listen", "127.0.0.1:0", "--admin", &address],
    ] {
        chain.run(arguments).refused(5, &["cannot listen on ", &address, &port]);
    }
}

#[test]
fn a_malformed_address_is_a_wrong_command_line() {
    let chain = Chain::new(FAULTY);
    for address in ["nowhere", "127.0.0.1:99999", ":8080"] {
        let finished = chain.run(&["serve", "chain.toml", "--listen", address]);
        finished.refused(2, &["--listen"]);
    }
}
