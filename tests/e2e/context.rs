//! The information and the files that a chainlet may use. It can use nothing else.

use crate::harness::{Chain, FAULTY, Process, Served};

/// A secret that only the chainlet may see.
const VALUE: &str = "swordfish-1f8b";

#[tokio::test]
async fn a_chainlet_knows_where_it_runs() {
    let served = Chain::new(FAULTY).serve();
    assert_eq!(served.ask("who").await, "test/faulty/0/development");
    let served = Chain::new(FAULTY).serve_with(&["--environment", "production"]);
    assert_eq!(served.ask("who").await, "test/faulty/0/production");
}

#[tokio::test]
async fn settings_of_every_type_reach_the_guest() {
    let chain = Chain::new(&format!(
        "{FAULTY}[chainlets.faulty.config]\nword = \"x\"\nlimit = 3\nshare = 0.5\non = true\ndeep = {{ list = [1, {{ a = \"b\" }}] }}\n"
    ));
    let served = chain.serve();
    assert_eq!(served.ask("settings").await, "word,limit,share,on,deep");
    for (name, json) in
        [("word", r#""x""#), ("limit", "3"), ("share", "0.5"), ("on", "true"), ("deep", r#"{"list":[1,{"a":"b"}]}"#)]
    {
        assert_eq!(served.ask(&format!("setting:{name}")).await, json);
    }
    let problem = served.public.tell("setting:no-such").await.problem(422, "chainlet-error");
    assert!(problem["error"].as_str().unwrap().contains("no-such"), "{problem}");
}

fn with_secret() -> Chain {
    Chain::new(&format!("{FAULTY}assets.secrets = [\"api_token\"]\n"))
}

#[tokio::test]
async fn a_chainlet_reads_the_secrets_that_it_declares_and_no_others() {
    let chain = with_secret();
    let mut command = chain.serve_command(&[]);
    command.env("API_TOKEN", VALUE).env("OTHER_TOKEN", "x");
    let served = Served::start(command);
    assert_eq!(served.ask("secrets").await, "api_token");
    assert_eq!(served.ask("secret:api_token").await, VALUE);
    let problem = served.public.tell("secret:other_token").await.problem(422, "chainlet-error");
    assert!(problem["error"].as_str().unwrap().contains("other_token"), "{problem}");
}

#[tokio::test]
async fn a_secret_that_no_variable_has_comes_from_a_file() {
    let chain = with_secret();
    chain.write("secrets.toml", format!("api_token = \"{VALUE}\"\nanother = \"x\"\n"));
    let served = chain.serve_with(&["--secrets", "secrets.toml"]);
    assert_eq!(served.ask("secret:api_token").await, VALUE);
}

#[tokio::test]
async fn the_value_of_a_secret_is_in_no_log_and_no_report() {
    let chain = with_secret();
    for arguments in [&["check", "chain.toml"][..], &["check", "chain.toml", "--json"]] {
        let mut command = chain.command(arguments);
        command.env("API_TOKEN", VALUE).env("CHAINHOST_LOG", "trace");
        let finished = Process::start(command).finish();
        assert!(finished.answer().contains("api_token"), "{}", finished.stdout);
        assert!(!finished.stdout.contains(VALUE) && !finished.stderr.contains(VALUE));
    }
    let mut command = chain.serve_command(&[]);
    command.env("API_TOKEN", VALUE).env("CHAINHOST_LOG", "trace");
    let served = Served::start(command);
    assert_eq!(served.ask("secret:api_token").await, VALUE);
    served.public.tell("trap").await.problem(500, "trap");
    served.until_log("replica died").await;
    for endpoint in [served.public, served.admin] {
        for path in ["/openapi.json", "/chain", "/metrics", "/readyz"] {
            assert!(!endpoint.get(path).await.text().contains(VALUE), "{path}");
        }
    }
    assert!(!served.log().contains(VALUE));
}

#[tokio::test]
async fn a_chainlet_sees_no_variable_and_no_file_that_it_was_not_given() {
    let chain = Chain::new(FAULTY);
    let mut command = chain.serve_command(&[]);
    command.env("LOOK_AT_ME", "x");
    let served = Served::start(command);
    assert_eq!(served.ask("env").await, "");
    for path in ["/etc/hostname", "chain.toml", "/", "../chain.toml"] {
        served.public.tell(&format!("read:{path}")).await.problem(422, "chainlet-error");
    }
    let problem = served.public.tell("write:/tmp/from-a-guest").await.problem(422, "chainlet-error");
    let error = problem["error"].as_str().unwrap();
    assert!(error.contains("No such file or directory"), "docs/guests.md quotes this error: {error}");
}

#[tokio::test]
async fn a_mounted_folder_is_read_only_unless_chain_toml_allows_writing() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("note"), "from the host").unwrap();
    std::fs::create_dir(data.path().join("out")).unwrap();
    let folder = data.path().display();
    let chain = Chain::new(&format!(
        "{FAULTY}assets.files = [\n  {{ source = '{folder}', path = \"/data\" }},\n  \
         {{ source = '{folder}/out', path = \"/out\", writable = true }},\n]\n"
    ));
    let served = chain.serve();
    assert_eq!(served.ask("read:/data/note").await, "from the host");
    served.public.tell("write:/data/note").await.problem(422, "chainlet-error");
    served
        .until_log("a change of `note` was refused, as its folder is read-only; to allow it, set writable = true")
        .await;
    for (change, path) in [("rename", "moved"), ("link", "linked"), ("symlink", "pointed")] {
        served.public.tell(&format!("{change}:/out/x:/data/{path}")).await.problem(422, "chainlet-error");
        served.until_log(&format!("a change of `{path}` was refused, as its folder is read-only")).await;
    }
    served.public.tell("read:/data/../../etc/hostname").await.problem(422, "chainlet-error");
    served.until_log("to allow another folder, add it to assets.files in chain.toml").await;
    served.ask("write:/out/answer").await;
    assert_eq!(std::fs::read_to_string(data.path().join("out/answer")).unwrap(), "written by faulty\n");
    assert_eq!(std::fs::read_to_string(data.path().join("note")).unwrap(), "from the host");
}

#[tokio::test]
async fn a_data_folder_is_created_writable_and_outlives_the_instance() {
    let chain = Chain::new(&format!("{FAULTY}assets.data = \"kept/here\"\n"));
    let finished = chain.run(&["check", "chain.toml"]);
    assert!(finished.answer().contains("kept/here"), "{}", finished.stdout);
    assert!(!chain.folder().join("kept").exists(), "a check creates no folder");
    let served = chain.serve();
    assert_eq!(served.ask("data").await, r#"Some("/data")"#);
    served.ask("write:/data/note").await;
    served.public.tell("trap").await.problem(500, "trap");
    assert_eq!(served.ask("read:/data/note").await, "written by faulty\n");
    assert!(chain.folder().join("kept/here/note").is_file());
    served.public.tell("write:/data/../note").await.problem(422, "chainlet-error");
    assert_eq!(Chain::new(FAULTY).serve().ask("data").await, "None");
}
