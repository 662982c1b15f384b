//! The examples do what their pages say.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::World;

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The commands of the page's shell blocks from the first one that runs `syncline`, without comments.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).skip_while(|line| !line.starts_with("syncline"));
    lines.map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn quickstart() {
    let world = World::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart");
    let folder = world.path("quickstart");
    copy(&example, &folder);
    let program = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let page = fs::read_to_string(example.join("README.md")).unwrap();
    let mut conflicted = false;
    for command in commands(&page) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(&folder).env("PATH", &path);
        let output = shell.env_remove("SYNCLINE_CONFIG").env_remove("SYNCLINE_STATE").output().unwrap();
        let code = output.status.code();
        conflicted |= code == Some(5);
        let texts = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(matches!(code, Some(0 | 5)), "{command}: {code:?} {texts:?}");
    }
    assert!(conflicted, "the page says that there is a conflict");
    let copy = |path: &str| fs::read_to_string(world.path("quickstart-copy").join(path)).unwrap();
    assert!(copy("notes/ideas.md").contains("from the other side"));
    assert!(fs::read_to_string(folder.join("notes/ideas.md")).unwrap().contains("from the other side"));
    assert!(copy("settings/app.json").contains("theme"));
}

#[test]
fn git_pair() {
    let world = World::new();
    let folder = world.path("pair");
    fs::create_dir(&folder).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/git-pair");
    let page = fs::read_to_string(example.join("README.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    assert!(script.contains("syncline init --preset pair"), "{script}");
    let program = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let identity = world.path("identity");
    fs::write(&identity, "[user]\n\tname = You\n\temail = you@example.org\n").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script]).current_dir(&folder);
    shell.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
    shell.env("GIT_CONFIG_GLOBAL", &identity).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = shell.env_remove("SYNCLINE_CONFIG").env_remove("SYNCLINE_STATE").output().unwrap();
    let texts = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{texts:?}");
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    for node in ["helios", "chad"] {
        let ideas = read(&format!("{node}/notes/ideas.md"));
        assert!(ideas.contains("- coffee") && ideas.contains("- dream"), "{ideas}");
        let settings: Vec<String> = World::names(&folder.join(node))
            .into_iter()
            .filter(|name| name.starts_with("settings"))
            .map(|name| read(&format!("{node}/{name}")))
            .collect();
        let has = |word: &str| settings.iter().any(|text| text.contains(word));
        assert!(settings.len() == 2 && has("red") && has("blue"), "{settings:?}");
    }
    let pushed = Command::new("git")
        .args(["log", "--format=%s", "main"])
        .current_dir(folder.join("hub.git"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&pushed.stdout).contains("More, by hand"), "{texts:?}");
}

#[test]
fn directional() {
    let world = World::new();
    let folder = world.path("directional");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/directional");
    copy(&example, &folder);
    let page = fs::read_to_string(example.join("README.md")).unwrap();
    let script: String =
        page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let home = world.path("home");
    fs::create_dir(&home).unwrap();
    let identity = home.join("identity");
    fs::write(&identity, "[user]\n\tname = You\n\temail = you@example.org\n").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script]).current_dir(&folder).env("HOME", &home);
    shell.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
    shell.env("GIT_CONFIG_GLOBAL", &identity).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = shell.env_remove("SYNCLINE_CONFIG").env_remove("SYNCLINE_STATE").output().unwrap();
    let texts = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{texts:?}");
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    assert!(read("docs/runtime/ENV_VARS.prod.txt").contains("DB_PASSWORD=<redacted>"));
    assert!(read("docs/runtime/apps_truth.json").contains("ERROR"), "{texts:?}");
    let page = fs::read_to_string(home.join(".syncline-example-site/index.html")).unwrap();
    assert!(page.contains("ERROR"), "{page}");
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!((&report["total_targets"], &report["successful"]), (&5.into(), &5.into()), "{report}");
    let log = Command::new("git").args(["log", "--format=%s"]).current_dir(&folder).output().unwrap();
    assert!(String::from_utf8_lossy(&log.stdout).contains("Sync apps_truth: 1 files"), "{texts:?}");
    assert_eq!(read("world/prod/env").matches("correct-horse").count(), 1, "what is outside stays as it is");
}
