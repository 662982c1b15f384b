//! A workspace whose remote is a branch of a Git repository.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::World;

/// A workspace with a bare repository beside it, and the lines of its target below the remote.
fn world(settings: &str, target: &str) -> World {
    let world = World::new();
    git(&world.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
    world.configure(&configuration(settings, target));
    world
}

fn configuration(settings: &str, target: &str) -> String {
    let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    remote: {{ kind: git, url: ../hub.git, \
         author: {{ name: Here, email: here@example.org }}{settings} }}\n{lines}"
    )
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let Output { status, stdout, stderr } = command.output().expect("the tests need the program git");
    assert!(status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

impl World {
    fn hub(&self, arguments: &[&str]) -> String {
        git(&self.path("hub.git"), arguments)
    }

    /// What the branch holds at a path.
    fn at_hub(&self, path: &str) -> String {
        self.hub(&["cat-file", "blob", &format!("main:{path}")])
    }

    fn commits(&self) -> usize {
        self.hub(&["rev-list", "--count", "main"]).trim().parse().unwrap()
    }

    fn listed(&self) -> Vec<String> {
        self.hub(&["ls-tree", "-r", "--name-only", "main"]).lines().map(str::to_owned).collect()
    }

    /// A clone in which another person works.
    fn clone_of_hub(&self) -> Clone<'_> {
        git(&self.path("."), &["clone", "--quiet", "hub.git", "other"]);
        for (name, value) in [("user.name", "Other"), ("user.email", "other@example.org")] {
            git(&self.path("other"), &["config", name, value]);
        }
        Clone(self)
    }
}

struct Clone<'a>(&'a World);

impl Clone<'_> {
    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.path("other").join(path), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        git(&self.0.path("other"), arguments);
    }

    fn commit_and_push(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "by hand"]);
        self.git(&["push", "--quiet", "origin", "HEAD"]);
    }
}

fn steps(report: &Value) -> u64 {
    let steps = report["results"][0]["steps"].as_object().unwrap();
    steps.values().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn edits_travel_both_ways_and_a_second_run_commits_nothing() {
    let world = world("", "");
    world.write_local("notes/a.md", "one\n");
    world.write_local("b", "two\n");
    world.expect(0, &["run"]);
    assert_eq!(world.listed(), ["b", "notes/a.md"]);
    assert_eq!(world.hub(&["log", "--format=%an %s", "main"]), "Here Batch sync: 2 files\n");
    assert_eq!(steps(&world.json(0, &["run"])), 0);
    let other = world.clone_of_hub();
    other.write("b", "two, by hand\n");
    other.write("c", "three\n");
    other.commit_and_push();
    world.write_local("notes/a.md", "one, here\n");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("b").as_deref(), Some("two, by hand\n"));
    assert_eq!(world.read_local("c").as_deref(), Some("three\n"));
    assert_eq!(world.at_hub("notes/a.md"), "one, here\n");
    assert_eq!(world.commits(), 3);
    for _ in 0..2 {
        assert_eq!(steps(&world.json(0, &["run"])), 0);
    }
    assert_eq!(world.commits(), 3, "nothing to do makes no commit");
}

#[test]
fn renames_and_removals_are_one_commit_and_rollback_brings_everything_back() {
    let world = world("", "");
    for name in ["a", "b", "c", "d"] {
        world.write_local(&format!("folder/{name}"), &format!("content of {name}\n"));
    }
    world.expect(0, &["run"]);
    fs::rename(world.local("folder/a"), world.local("folder/renamed")).unwrap();
    fs::remove_file(world.local("folder/b")).unwrap();
    world.write_local("folder/c", "edited\n");
    let report = world.json(0, &["run"]);
    let run = report["results"][0]["run"].as_str().unwrap().to_owned();
    assert_eq!(world.listed(), ["folder/c", "folder/d", "folder/renamed"]);
    assert_eq!(world.commits(), 2);
    let told = world.hub(&["log", "-1", "--find-renames", "--name-status", "--format=", "main"]);
    assert!(told.contains("R100\tfolder/a\tfolder/renamed") && told.contains("D\tfolder/b"), "{told}");
    world.expect(0, &["rollback", &run]);
    assert_eq!(world.listed(), ["folder/a", "folder/b", "folder/c", "folder/d"]);
    assert_eq!(world.at_hub("folder/c"), "content of c\n");
    assert_eq!(world.read_local("folder/b").as_deref(), Some("content of b\n"));
    assert_eq!(world.commits(), 3, "taken back by a commit of its own, not by rewriting");
    assert_eq!(steps(&world.json(0, &["run"])), 0);
}

#[test]
fn an_edit_on_both_sides_keeps_both() {
    let world = world("", "conflicts: [{ match: \"**\", policy: keep-both }]");
    world.write_local("a.bin", "base\n");
    world.expect(0, &["run"]);
    let other = world.clone_of_hub();
    other.write("a.bin", "theirs\n");
    other.commit_and_push();
    world.write_local("a.bin", "mine\n");
    world.expect(5, &["run"]);
    let contents: Vec<String> = world.listed().iter().map(|path| world.at_hub(path)).collect();
    assert_eq!(world.listed().len(), 2, "{:?}", world.listed());
    assert!(contents.contains(&"mine\n".into()) && contents.contains(&"theirs\n".into()), "{contents:?}");
    for path in world.listed() {
        assert_eq!(world.read_local(&path).as_deref(), Some(world.at_hub(&path).as_str()));
    }
}

#[test]
fn a_rewritten_remote_removes_nothing_and_keeps_both() {
    let world = world("", "");
    for name in ["a", "b", "c", "d", "e"] {
        world.write_local(name, &format!("{name}\n"));
    }
    world.expect(0, &["run"]);
    let other = world.clone_of_hub();
    other.git(&["checkout", "--quiet", "--orphan", "afresh"]);
    other.git(&["rm", "--quiet", "--force", "b"]);
    other.write("a", "another\n");
    other.git(&["add", "--all"]);
    other.git(&["commit", "--quiet", "-m", "afresh"]);
    other.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    let ran = world.run(&["run"]);
    assert!(ran.code == 5 || ran.code == 0, "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    for word in ["history was rewritten (a force-push)", "push the old commits again", "nothing is removed"] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(world.read_local("b").as_deref(), Some("b\n"), "nothing is removed");
    let contents: Vec<String> = world.listed().iter().map(|path| world.at_hub(path)).collect();
    for content in ["a\n", "another\n", "b\n", "e\n"] {
        assert!(contents.contains(&content.to_owned()), "{content:?} is lost: {:?}", world.listed());
    }
}

#[test]
fn a_remote_that_is_gone_or_emptied_removes_nothing() {
    let world = world(", branch: main", "");
    for name in ["a", "b", "c", "d", "e"] {
        world.write_local(name, &format!("{name}\n"));
    }
    world.expect(0, &["run"]);
    let tip = world.hub(&["rev-parse", "main"]);
    world.hub(&["update-ref", "-d", "refs/heads/main"]);
    let ran = world.expect(4, &["run"]);
    let said = format!("{}{}", ran.out, ran.err);
    for word in ["the branch is gone", "git push <remote> <branch>", "5 items were agreed on"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!said.contains("mount"), "{said}");
    world.hub(&["update-ref", "refs/heads/main", tip.trim()]);
    fs::rename(world.path("hub.git"), world.path("away.git")).unwrap();
    world.expect(1, &["run"]);
    fs::rename(world.path("away.git"), world.path("hub.git")).unwrap();
    let other = world.clone_of_hub();
    other.git(&["rm", "--quiet", "a", "b", "c", "d", "e"]);
    other.commit_and_push();
    world.expect(4, &["run"]);
    for name in ["a", "b", "c", "d", "e"] {
        assert!(world.local(name).exists(), "{name} was removed");
    }
}

#[test]
fn nothing_that_git_is_configured_with_runs_a_hook_or_another_transport() {
    let world = world("", "");
    let (canary, hooks) = (world.path("canary"), world.path("hooks"));
    fs::create_dir(&hooks).unwrap();
    for name in ["pre-push", "reference-transaction", "post-checkout", "fsmonitor", "ssh"] {
        let file = hooks.join(name);
        // The repository outside is a host of its own: what is configured there runs there.
        let script =
            format!("case \"$(pwd)\" in *hub.git) ;; *) echo {name} >> '{}';; esac", canary.display());
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let global = world.path("gitconfig");
    let shown = hooks.display();
    let text = format!(
        "[core]\nhooksPath = {shown}\nfsmonitor = {shown}/fsmonitor\nsshCommand = {shown}/ssh\n[init]\ntemplateDir = \
         {shown}\n[submodule]\nrecurse = true\n[protocol]\nallow = always\n"
    );
    fs::write(&global, &text).unwrap();
    world.write_local("a", "one\n");
    let run = |code: i32| {
        let output = world.command(&["run"]).env("GIT_CONFIG_GLOBAL", &global).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    run(0);
    assert_eq!(world.listed(), ["a"]);
    world.write_local("a", "two\n");
    run(0);
    let hub = world.local("../hub.git");
    let insteads = format!("[url \"ext::touch {} %S\"]\ninsteadOf = {}\n", canary.display(), hub.display());
    fs::write(&global, text + &insteads).unwrap();
    let said = run(1);
    assert!(said.contains("refused"), "{said}");
    assert!(!canary.exists(), "{:?} ran", fs::read_to_string(&canary));
}

#[test]
fn commits_are_signed_where_asked() {
    let world = world(", sign: true", "");
    let key = world.path("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("the tests need the program ssh-keygen").success());
    let global = world.path("gitconfig");
    fs::write(&global, format!("[gpg]\nformat = ssh\n[user]\nsigningKey = {}\n", key.display())).unwrap();
    world.write_local("a", "one\n");
    let output = world.command(&["run"]).env("GIT_CONFIG_GLOBAL", &global).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let commit = world.hub(&["cat-file", "commit", "main"]);
    assert!(commit.contains("BEGIN SSH SIGNATURE") && commit.contains("Batch sync: 1 files"), "{commit}");
    let signers = world.path("signers");
    let public = fs::read_to_string(world.path("key.pub")).unwrap();
    fs::write(&signers, format!("here@example.org {public}")).unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    world.hub(&["-c", "gpg.format=ssh", "-c", &allowed, "verify-commit", "main"]);
    // A key that is not there refuses the commit; an unsigned one is never pushed instead.
    fs::remove_file(&key).unwrap();
    fs::remove_file(world.path("key.pub")).unwrap();
    world.write_local("a", "two\n");
    let output = world.command(&["run"]).env("GIT_CONFIG_GLOBAL", &global).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(world.commits(), 1);
}

#[test]
fn a_token_is_in_no_argument_no_file_and_no_output() {
    let world = world("", "");
    // Stands before the real one, writes down what it is told, and refuses as a host does.
    let (programs, log) = (world.path("programs"), world.path("arguments"));
    fs::create_dir(&programs).unwrap();
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\necho \"remote: no $SYNCLINE_GIT_TOKEN here\" >&2\n\
         echo 'fatal: Authentication failed for x' >&2\nexit 128\n",
        log.display()
    );
    fs::write(programs.join("git"), script).unwrap();
    fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(
        "version: \"1.0\"\ntargets:\n  main:\n    remote: { kind: git, url: \"https://host.invalid/x\", token: \
         \"${env:THE_TOKEN}\" }\n",
    );
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for arguments in [&["run", "-vv"][..], &["run", "--format", "json"], &["doctor"]] {
        let mut command = world.command(arguments);
        command.env("PATH", &path).env("THE_TOKEN", "hunter2-secret").env("SYNCLINE_LOG", "trace");
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains("refused the token"), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
    }
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("https://host.invalid/x") && !told.contains("hunter2"), "{told}");
    let found = Command::new("grep").args(["-rl", "hunter2"]).arg(world.path("local")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn a_dry_run_pushes_nothing() {
    let world = world("", "");
    world.write_local("a", "one\n");
    world.expect(0, &["run", "--dry-run"]);
    assert_eq!(world.hub(&["for-each-ref"]), "");
    world.expect(0, &["run"]);
    let tip = world.hub(&["rev-parse", "main"]);
    world.write_local("b", "two\n");
    world.expect(0, &["run", "--dry-run"]);
    world.expect(0, &["plan"]);
    assert_eq!(world.hub(&["rev-parse", "main"]), tip);
}

#[test]
fn a_pull_never_pushes() {
    let world = world("", "direction: pull");
    let other = world.clone_of_hub();
    other.write("a", "one\n");
    other.commit_and_push();
    let tip = world.hub(&["rev-parse", "main"]);
    world.write_local("b", "two\n");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("a").as_deref(), Some("one\n"));
    assert_eq!(world.hub(&["rev-parse", "main"]), tip);
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let world = World::new();
    for (remote, expected) in [
        ("{ kind: git, url: \"ext::sh -c true\" }", "refused"),
        ("{ kind: git, url: \"https://me:hunter2@host/x\" }", "password"),
        ("{ kind: git, url: ../hub.git, branch: \"--upload-pack=x\" }", "branch"),
        ("{ kind: git, url: ../hub.git, path: ../.. }", "path"),
    ] {
        world.configure(&format!("version: \"1.0\"\ntargets:\n  main:\n    remote: {remote}\n"));
        let ran = world.run(&["run"]);
        let said = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.code, 2, "{remote}: {said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{remote}: {said}");
    }
}

#[test]
fn two_workspaces_that_run_at_once_end_equal() {
    let world = world("", "");
    let second = world.path("second");
    fs::create_dir(&second).unwrap();
    fs::write(second.join("syncline.yaml"), configuration("", "")).unwrap();
    for round in 0..4 {
        world.write_local(&format!("here-{round}"), "here\n");
        fs::write(second.join(format!("there-{round}")), "there\n").unwrap();
        let one = world.command(&["run"]).spawn().unwrap();
        let other = world.command(&["run"]).current_dir(&second).spawn().unwrap();
        for child in [one, other] {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
        }
    }
    for folder in [world.path("local"), second.clone()] {
        let output = world.command(&["run"]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let names = |folder: &Path| -> Vec<String> {
        World::names(folder).into_iter().filter(|name| name.contains('-')).collect()
    };
    assert_eq!(names(&world.path("local")), names(&second));
    assert_eq!(names(&second), world.listed());
    assert_eq!(world.listed().len(), 8);
    assert_eq!(world.commits(), 8, "each run is one commit, and none is lost");
}

/// Everything that takes its time.
mod slow {
    use super::*;

    #[test]
    fn killed_at_every_call_of_git_equals_not_killed() {
        let places = std::env::var_os("PATH").unwrap();
        let mut real = std::env::split_paths(&places).map(|place| place.join("git"));
        let real = real.find(|path| path.is_file()).expect("the tests need the program git");
        let mut killed = 0;
        for when in ["before", "after"] {
            for at in 1.. {
                let world = world("", "");
                for name in ["a", "b", "c", "d"] {
                    world.write_local(name, &format!("{name}\n"));
                }
                world.expect(0, &["run"]);
                let other = world.clone_of_hub();
                other.write("theirs", "theirs\n");
                other.commit_and_push();
                world.write_local("a", "edited\n");
                world.write_local("new", "new\n");
                fs::remove_file(world.local("b")).unwrap();
                fs::rename(world.local("c"), world.local("moved")).unwrap();
                let programs = killer(&world, &real, when, at);
                let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
                let ended = world.command(&["run"]).env("PATH", path).output().unwrap();
                let last = ended.status.success();
                killed += usize::from(!last);
                world.expect(0, &["run"]);
                assert_eq!(world.listed(), ["a", "d", "moved", "new", "theirs"], "{when} call {at}");
                for (name, text) in
                    [("a", "edited\n"), ("moved", "c\n"), ("new", "new\n"), ("theirs", "theirs\n")]
                {
                    assert_eq!(world.at_hub(name), text, "{when} call {at}");
                    assert_eq!(world.read_local(name).as_deref(), Some(text), "{when} call {at}");
                }
                assert!(!world.local("b").exists(), "{when} call {at}");
                assert_eq!(world.commits(), 3, "{when} call {at}: nothing is committed twice");
                if last {
                    break;
                }
            }
        }
        assert!(killed > 10, "only {killed} calls were killed");
    }

    /// Stands before the real Git, and at the call of this number kills the program that called it.
    fn killer(world: &World, real: &Path, when: &str, at: usize) -> std::path::PathBuf {
        let programs = world.path("programs");
        fs::create_dir(&programs).unwrap();
        let (count, real) = (programs.join("count"), real.display());
        let script = format!(
            "#!/bin/sh\necho >> '{count}'\nnow=$(wc -l < '{count}')\nif [ $now = {at} ] && [ {when} = before ]; then\n  \
             kill -9 $PPID\n  exit 1\nfi\n'{real}' \"$@\"\ncode=$?\nif [ $now = {at} ]; then kill -9 $PPID; fi\nexit $code\n",
            count = count.display(),
        );
        fs::write(programs.join("git"), script).unwrap();
        fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
        programs
    }
}
