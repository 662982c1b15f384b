//! The configuration file, from the command line.

use crate::support::World;

#[test]
fn a_typo_is_shown_with_its_place_and_a_suggestion() {
    let world = World::new();
    world.configure("version: \"1.0\"\ntargets:\n  main:\n    remote: { kind: folder, path: ../remote }\n    exlude: [a]\n");
    let ran = world.expect(2, &["run"]);
    assert!(ran.err.contains("syncline.yaml:5:5"), "{}", ran.err);
    assert!(ran.err.contains("exclude"), "{}", ran.err);
    assert_eq!(ran.out, "");
    let error = world.json(2, &["run"]);
    assert_eq!(error["error"]["location"]["line"], 5);
    assert_eq!(error["error"]["location"]["column"], 5);
    assert!(error["error"]["hint"].as_str().unwrap().contains("exclude"), "{error}");
}

#[test]
fn several_errors_are_told_at_once() {
    let world = World::new();
    world.configure("version: \"1.0\"\ntargets:\n  main:\n    remote: nowhere\n    path: ../out\n");
    let error = world.json(2, &["config", "check"]);
    assert_eq!(error["error"]["others"].as_array().unwrap().len(), 1, "{error:#}");
}

#[test]
fn without_a_file_it_says_how_to_make_one() {
    let world = World::new();
    std::fs::remove_file(world.local("syncline.yaml")).unwrap();
    let ran = world.expect(2, &["status"]);
    assert!(ran.err.contains("syncline init"), "{}", ran.err);
}

#[test]
fn the_file_is_found_from_below_and_by_variable() {
    let world = World::new();
    std::fs::create_dir_all(world.local("deep/er")).unwrap();
    let ran = world.command(&["targets"]).current_dir(world.local("deep/er")).output().unwrap();
    assert!(ran.status.success());
    let mut command = world.command(&["targets"]);
    let elsewhere = command.current_dir(world.path("remote"));
    assert_eq!(elsewhere.output().unwrap().status.code(), Some(2));
    let named = elsewhere.env("SYNCLINE_CONFIG", world.local("syncline.yaml"));
    assert!(named.output().unwrap().status.success());
}

#[test]
fn schema_and_reference_need_no_workspace() {
    let world = World::new();
    std::fs::remove_file(world.local("syncline.yaml")).unwrap();
    let schema = world.expect(0, &["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert!(schema["properties"]["targets"].is_object());
    assert!(world.expect(0, &["config", "reference"]).out.contains("deletes_max_percent"));
}

#[test]
fn init_makes_a_workspace_that_runs_and_never_overwrites() {
    let world = World::new();
    std::fs::remove_file(world.local("syncline.yaml")).unwrap();
    world.write_local("a.txt", "a");
    let made = world
        .json(0, &["init", "--remote", "../remote", "--name", "notes", "--direction", "push", "--schema"]);
    assert_eq!(made["files"].as_array().unwrap().len(), 3);
    let targets = world.json(0, &["targets"]);
    assert_eq!(targets["targets"][0]["name"], "notes");
    assert_eq!(targets["targets"][0]["direction"], "push");
    world.expect(0, &["run"]);
    assert_eq!(world.read_remote("a.txt").as_deref(), Some("a"));
    let again = world.expect(2, &["init", "--remote", "../remote"]);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn sides_that_lie_one_inside_the_other_are_refused() {
    let world = World::new();
    for path in [".", "below", ".."] {
        world.configure(&format!(
            "version: \"1.0\"\ntargets:\n  main:\n    remote: {{ kind: folder, path: \"{path}\" }}\n"
        ));
        for arguments in [&["plan"][..], &["run", "--dry-run"], &["status"]] {
            world.expect(2, arguments);
        }
        let report = world.json(2, &["run"]);
        assert_eq!(report["results"][0]["error"]["code"], "nested_sides", "{report:#}");
    }
    world.configure(
        "version: \"1.0\"\ntargets:\n  main:\n    exclude: [below]\n    remote: { kind: folder, path: below }\n",
    );
    world.write_local("a", "a");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("below/a").as_deref(), Some("a"));
    assert!(!world.local("below/below").exists());
}

#[test]
fn init_refuses_addresses_that_would_become_names_of_folders() {
    let world = World::new();
    std::fs::remove_file(world.local("syncline.yaml")).unwrap();
    for remote in ["s3://bucket/x", "user@host:/x", "~/elsewhere"] {
        let ran = world.expect(2, &["init", "--remote", remote]);
        assert!(ran.err.contains("no folder"), "{}", ran.err);
    }
    let git = world.expect(2, &["init", "--remote", "https://example.org/x.git"]);
    assert!(git.err.contains("kind: git"), "{}", git.err);
    assert!(!world.local("syncline.yaml").exists());
}

#[test]
fn init_refuses_a_remote_that_is_no_folder() {
    let world = World::new();
    std::fs::remove_file(world.local("syncline.yaml")).unwrap();
    std::fs::write(world.path("file"), "a file").unwrap();
    std::os::unix::fs::symlink(world.path("remote"), world.path("link")).unwrap();
    for (remote, what) in [("../file", "is a file"), ("../link", "is a symbolic link")] {
        let ran = world.expect(2, &["init", "--remote", remote]);
        assert!(ran.err.contains(what), "{}", ran.err);
    }
    assert!(!world.local("syncline.yaml").exists());
}

#[test]
fn a_folder_that_starts_with_a_tilde_is_refused_and_never_made() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.configure("version: \"1.0\"\ntargets:\n  main:\n    remote: { kind: folder, path: ~/copy }\n");
    let ran = world.run(&["run"]);
    assert_ne!(ran.code, 0, "{}", ran.out);
    let told = format!("{}{}", ran.out, ran.err);
    assert!(told.contains("write the path in full"), "{told}");
    assert!(!world.local("~").exists());
}
