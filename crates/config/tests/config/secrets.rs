//! References to secrets, and the outputs that must not show any.

use std::path::Path;

use proptest::prelude::*;
use syncline_config::{Redacted, Workspace, load as load_file, parse};

use crate::support::{kinds, load, load_in, refusal, target, variables};

const SECRET: &str = "hunter2-correct-horse";

fn with_remote(remote: &str) -> String {
    target(&format!("remote: {remote}"))
}

fn resolved(workspace: &Workspace) -> serde_json::Value {
    workspace.targets[0].remote.resolved_settings().unwrap().into_exposed()
}

#[test]
fn references_are_resolved_when_asked_for() {
    let text = with_remote(
        r#"{ kind: s3, bucket: "b-${env:STAGE}-${env:STAGE}", token: "${env:TOKEN}", prefixes: ["$${x}", "${env:STAGE}"] }"#,
    );
    let workspace = load_in(&text, &[("TOKEN", SECRET), ("STAGE", "live")]).unwrap();
    let remote = &workspace.targets[0].remote;
    assert_eq!(remote.settings["token"], "${env:TOKEN}", "nothing is resolved before it is needed");
    let settings = resolved(&workspace);
    assert_eq!(settings["token"], SECRET);
    assert_eq!(settings["bucket"], "b-live-live");
    assert_eq!(settings["prefixes"], serde_json::json!(["${x}", "live"]));
}

#[test]
fn what_a_target_refers_to_is_known_without_any_of_it() {
    let text = with_remote(
        r#"{ kind: s3, bucket: "b-${env:STAGE}", token: "${file:secrets/token}", prefixes: ["$${env:NOT}", "${env:B}${env:A}"] }"#,
    );
    let workspace = load(&text).unwrap();
    let remote = &workspace.targets[0].remote;
    assert_eq!(Vec::from_iter(remote.variables()), ["A", "B", "STAGE"]);
    assert_eq!(Vec::from_iter(remote.secret_files()), ["secrets/token"]);
    let script = "version: \"1.0\"\ntargets:\n  main:\n    direction: pull\n    entrypoint: a.sh\n    outputs: [\"a/**\"]\n    \
                  env: { KEY: \"${env:TOKEN}\" }\n    config: { home: \"${HOME}\" }\n";
    let workspace = load(script).unwrap();
    assert_eq!(Vec::from_iter(workspace.targets[0].remote.variables()), ["TOKEN"]);
}

#[test]
fn a_file_gives_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/token"), format!("  {SECRET} \nsecond line\n")).unwrap();
    let file = folder.path().join("syncline.yaml");
    let text = with_remote(r#"{ kind: s3, bucket: b, token: "${file:secrets/token}" }"#);
    std::fs::write(&file, text).unwrap();
    let workspace = load_file(&file, &variables(&[]), &kinds()).unwrap();
    assert_eq!(resolved(&workspace)["token"], SECRET);
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_may_read_is_pointed_out() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, SECRET).unwrap();
    let text = with_remote(r#"{ kind: s3, bucket: b, token: "${file:token}" }"#);
    let workspace = parse(&text, &folder.path().join("syncline.yaml"), &variables(&[]), &kinds()).unwrap();
    let warnings = |mode| {
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(mode)).unwrap();
        workspace.targets[0].remote.secret_warnings().len()
    };
    assert_eq!(warnings(0o600), 0);
    assert_eq!(warnings(0o644), 1);
}

#[test]
fn missing_secrets_are_named_all_at_once() {
    let text = with_remote(
        r#"{ kind: s3, bucket: "${env:EMPTY}", token: "${env:R2_TOKEN}", endpoint: "${file:/nonexistent/x}" }"#,
    );
    let workspace = load_in(&text, &[("EMPTY", "")]).unwrap();
    let errors = workspace.targets[0].remote.resolved_settings().unwrap_err();
    insta::assert_snapshot!(errors, @"
    error: the environment variable EMPTY of `${env:EMPTY}` is empty
      --> syncline.yaml:6:33
      = help: set EMPTY in the environment of this process

    error: the file of `${file:/nonexistent/x}` does not exist
      --> syncline.yaml:6:85
      = help: put the secret on the first line of /nonexistent/x

    error: the environment variable R2_TOKEN of `${env:R2_TOKEN}` is not set
      --> syncline.yaml:6:56
      = help: set R2_TOKEN in the environment of this process
    ");
}

#[test]
fn files_that_hold_no_secret_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    std::fs::write(folder.path().join("blank"), "\nsecond").unwrap();
    std::fs::write(folder.path().join("huge"), "x".repeat(70_000)).unwrap();
    let refuse = |name: &str| {
        let text = with_remote(&format!(r#"{{ kind: s3, bucket: "${{file:{name}}}" }}"#));
        let workspace =
            parse(&text, &folder.path().join("syncline.yaml"), &variables(&[]), &kinds()).unwrap();
        let errors = workspace.targets[0].remote.resolved_settings().unwrap_err();
        errors.iter().map(|error| error.message.clone()).collect::<String>()
    };
    insta::assert_snapshot!(refuse("folder"), @"the file of `${file:folder}` is not a regular file");
    insta::assert_snapshot!(refuse("blank"), @"the file of `${file:blank}` has an empty first line");
    insta::assert_snapshot!(refuse("huge"), @"the file of `${file:huge}` is too large (at most 65536 bytes)");
}

#[test]
fn bad_references_are_refused_at_once() {
    insta::assert_snapshot!(refusal(&with_remote(r#"{ kind: s3, bucket: "${R2_BUCKET}" }"#)), @r#"
    error: a reference does not say what it refers to; write `${env:NAME}` or `${file:PATH}` (targets.notes.remote.bucket)
      --> syncline.yaml:6:33
       |
     6 |     remote: { kind: s3, bucket: "${R2_BUCKET}" }
       |                                 ^^^^^^^^^^^^^^
      = help: write `$${` for a literal `${`
    "#);
    insta::assert_snapshot!(refusal(&with_remote(r#"{ kind: s3, bucket: "${vault:x}" }"#)), @r#"
    error: a reference is of an unknown kind; `${env:NAME}` and `${file:PATH}` are known (targets.notes.remote.bucket)
      --> syncline.yaml:6:33
       |
     6 |     remote: { kind: s3, bucket: "${vault:x}" }
       |                                 ^^^^^^^^^^^^
      = help: write `$${` for a literal `${`
    "#);
    insta::assert_snapshot!(refusal(&with_remote(r#"{ kind: s3, bucket: "${env:X" }"#)), @r#"
    error: a reference (`${…`) is not closed with `}` (targets.notes.remote.bucket)
      --> syncline.yaml:6:33
       |
     6 |     remote: { kind: s3, bucket: "${env:X" }
       |                                 ^^^^^^^^^
      = help: write `$${` for a literal `${`
    "#);
    insta::assert_snapshot!(refusal(&with_remote(r#"{ kind: s3, bucket: "${env:}" }"#)), @r#"
    error: the reference `${env:}` names nothing (targets.notes.remote.bucket)
      --> syncline.yaml:6:33
       |
     6 |     remote: { kind: s3, bucket: "${env:}" }
       |                                 ^^^^^^^^^
      = help: write `$${` for a literal `${`
    "#);
}

#[test]
fn a_secret_that_was_written_out_is_a_warning() {
    let text = with_remote(&format!("{{ kind: s3, bucket: b, token: {SECRET} }}"));
    let workspace = load(&text).unwrap();
    insta::assert_snapshot!(workspace.warnings[0], @"
    warning: targets.notes.remote.token looks like a secret that was written out
      --> syncline.yaml:6:43
      = help: refer to it: `${env:NAME}` or `${file:PATH}`
    ");
    let text =
        with_remote(&format!(r#"{{ kind: s3, bucket: b, endpoint: "https://me:{SECRET}@example.org" }}"#));
    let workspace = load(&text).unwrap();
    assert_eq!(workspace.warnings.len(), 1);
    assert!(!format!("{workspace:?}").contains(SECRET));
}

#[test]
fn references_elsewhere_are_a_warning() {
    let workspace =
        load(&target("remote: disk\ndescription: \"${env:A} is fine here\"\nexclude: [\"${env:B}\"]"))
            .unwrap();
    assert_eq!(workspace.warnings.len(), 1);
    insta::assert_snapshot!(workspace.warnings[0], @"
    warning: `${…}` is taken literally here
      --> syncline.yaml:8:15
      = help: references work in the settings of endpoints; a single value is set by its variable, such as SYNCLINE_NODE__NAME
    ");
}

#[test]
fn no_output_shows_a_secret() {
    let literal = format!("{{ kind: s3, bucket: b, token: {SECRET} }}");
    let by_reference = r#"{ kind: s3, bucket: b, token: "${env:TOKEN}" }"#;
    for remote in [literal.as_str(), by_reference] {
        let workspace = load_in(&with_remote(remote), &[("TOKEN", SECRET)]).unwrap();
        let remote = &workspace.targets[0].remote;
        let resolved = remote.resolved_settings().unwrap();
        assert_eq!(resolved["token"], SECRET);
        for shown in [
            format!("{workspace:?}"),
            format!("{workspace:#?}"),
            remote.public_settings().to_string(),
            format!("{resolved:?} {resolved}"),
        ] {
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
    assert_eq!(format!("{:?} {}", Redacted::new(SECRET), Redacted::new(SECRET)), "[redacted] [redacted]");
}

#[test]
fn no_error_shows_a_secret() {
    let texts = [
        with_remote(&format!("{{ kind: s3, token: {SECRET}, bucet: b }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, token: [{SECRET}] }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, token: {{ {SECRET}: 1 }} }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, \"secret\" : \"{SECRET}\" }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, token: \"{SECRET} }}")),
        with_remote(&format!(
            "\n  kind: s3\n  bucket: b\n  token: |\n    one\n    {SECRET}\n  private_key: >-\n     {SECRET}\n"
        )),
        with_remote(&format!("\n  kind: s3\n  token:\n    {SECRET}: {{\n")),
        with_remote(&format!("\n  kind: s3\n  token:\n\t{SECRET}\n")),
        with_remote(&format!("{{ kind: s3, bucket: b, endpoint: [\"https://me:{SECRET}@example.org\"] }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, token: \"${{{SECRET}}}\" }}")),
        with_remote(&format!("{{ kind: s3, bucket: b, token: \"${{vault:{SECRET}}}\" }}")),
    ];
    texts.into_iter().for_each(|text| assert_silent(&text));
}

#[test]
fn what_a_misspelt_key_holds_is_not_shown() {
    for text in [
        with_remote(&format!("{{ kind: s3, bucket: b, tokne: {SECRET} }}")),
        with_remote(&format!("{{ kind: s3, tokne: {SECRET}, bucet: b }}")),
        with_remote(&format!("{{ kind: s3, tokne: [ {{ x: \"{SECRET}\" }} ], bucet: b }}")),
        with_remote(&format!("{{ kind: s4, bucket: {SECRET} }}")),
        with_remote(&format!("{{ bucket: {SECRET} }}")),
        with_remote(&format!("{{ kind: s3, tokne: \"first\n        {SECRET}\", bucet: b }}")),
        with_remote(&format!("disk\ntoken: {SECRET}")),
        format!("version: \"1.0\"\npassword: {SECRET}\n"),
        format!(
            "version: \"1.0\"\nendpoints: {{ a: {{ kind: s3, bucket: b, lock: {{ secret: {SECRET} }} }} }}\n"
        ),
    ] {
        assert_silent(&text);
    }
    insta::assert_snapshot!(refusal(&with_remote(&format!("{{ kind: s3, tokne: {SECRET}, bucet: b }}"))), @"
    error: unknown key `tokne` in targets.notes.remote
      --> syncline.yaml:6:25
       |
     6 |     remote: { kind: s3, tokne: [redacted], bucet: [redacted] }
       |                         ^^^^^
      = help: did you mean `token`?

    error: unknown key `bucet` in targets.notes.remote
      --> syncline.yaml:6:55
       |
     6 |     remote: { kind: s3, tokne: [redacted], bucet: [redacted] }
       |                                            ^^^^^
      = help: did you mean `bucket`?
    ");
}

#[test]
fn a_target_may_be_named_after_secrets() {
    let text = "version: \"1.0\"\ntargets:\n  secret-notes:\n    remote: { kind: folder, path: /x }\n    drection: pull\n";
    insta::assert_snapshot!(refusal(text), @"
    error: unknown key `drection` in targets.secret-notes
      --> syncline.yaml:5:5
       |
     5 |     drection: pull
       |     ^^^^^^^^
      = help: did you mean `direction`?
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_damage_makes_a_secret_show(at in 0usize..300, insert in r##"[ \n:{}\[\],&*!|>'"#a-]{0,3}"##, remove in 0usize..6, form in 0usize..3) {
        let value = [SECRET.to_owned(), format!("\"{SECRET}\""), format!("|\n        {SECRET}")][form].clone();
        let text = target(&format!("path: x\nremote:\n  kind: s3\n  token: {value}\n  bucket: b\n  parts_max: 4\nexclude: [a, b]\ntriggers: {{ watch: true }}"));
        let key = text.find("token:").unwrap();
        let end = text.find(SECRET).unwrap() + SECRET.len();
        // The key and the value stay as they are: nobody can recognise a secret without its key.
        let at = at.min(text.len());
        prop_assume!(text.is_char_boundary(at) && (at + remove <= key || at >= end));
        let damaged = format!("{}{insert}{}", &text[..at], &text[(at + remove).min(text.len())..]);
        assert_silent(&damaged);
    }
}

/// Fails when what is said of `text` shows the secret.
fn assert_silent(text: &str) {
    let shown = match parse(text, Path::new("syncline.yaml"), &variables(&[]), &kinds()) {
        Ok(workspace) => format!("{workspace:?}"),
        Err(errors) => format!("{errors} {errors:?}"),
    };
    assert!(!shown.contains(SECRET), "{text}\n{shown}");
}
