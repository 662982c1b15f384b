//! A workspace that pulls many repositories into one folder.

use std::fmt::Write as _;
use std::fs;

use crate::git::git;
use crate::support::World;

const COUNT: usize = 30;

/// Thirty repositories beside a workspace, listed in a file of it, with settings that are added.
fn world(settings: &str, target: &str) -> World {
    let world = World::new();
    let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
    world.configure(&format!(
        "version: \"1.0\"\ntargets:\n  oca:\n    path: addons\n    remote: {{ kind: repositories, file: repos.txt{settings} }}\n{lines}"
    ));
    let mut list = "# what is pulled\n".to_owned();
    git(&world.path("."), &["init", "--quiet", "--initial-branch=main", "seed"]);
    for at in 0..COUNT {
        fs::write(world.path("seed/__manifest__.py"), format!("number = {at}\n")).unwrap();
        let identity = ["-c", "user.name=Other", "-c", "user.email=other@example.org"];
        git(&world.path("seed"), &["add", "--all"]);
        git(&world.path("seed"), &[&identity[..], &["commit", "--quiet", "-m", "next"]].concat());
        git(&world.path("."), &["clone", "--quiet", "--bare", "seed", &format!("oca-{at}.git")]);
        let _ = writeln!(list, "m{at} ../oca-{at}.git main");
    }
    world.write_local("repos.txt", &list);
    world
}

const PULL: &str = "direction: pull";

#[test]
fn thirty_repositories_land_as_plain_folders_and_one_that_is_gone_fails_alone() {
    let world = world(", commits: commits.txt", PULL);
    fs::rename(world.path("oca-7.git"), world.path("away.git")).unwrap();
    let report = world.json(1, &["run"]);
    let result = &report["results"][0];
    assert_eq!(result["steps"]["created"], COUNT - 1, "{result}");
    let told = |code: &str| {
        let problems = result["problems"].as_array().unwrap().iter();
        problems
            .filter(|problem| problem["code"] == code)
            .filter_map(|p| p["path"].as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("commit").len(), COUNT - 1, "the commit of each is told: {result}");
    assert_eq!(world.read_local("addons/m3/__manifest__.py").as_deref(), Some("number = 3\n"));
    assert_eq!(world.read_local("addons/m7/__manifest__.py"), None);
    assert!(!world.local("addons/m3/.git").exists() && !world.local("addons/commits.txt").exists());
    fs::rename(world.path("away.git"), world.path("oca-7.git")).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("addons/m7/__manifest__.py").as_deref(), Some("number = 7\n"));
    let tip = git(&world.path("oca-7.git"), &["rev-parse", "main"]);
    let recorded = world.read_local("addons/commits.txt").unwrap();
    assert!(recorded.contains(&format!("m7 ../oca-7.git main # {tip}")), "{recorded}");
    // Gone again: what was pulled stays.
    fs::rename(world.path("oca-7.git"), world.path("away.git")).unwrap();
    world.expect(1, &["run"]);
    assert_eq!(world.read_local("addons/m7/__manifest__.py").as_deref(), Some("number = 7\n"));
}

#[test]
fn what_leaves_the_list_leaves_the_workspace_and_local_work_stays() {
    let world = world("", PULL);
    world.expect(0, &["run"]);
    world.write_local("addons/m4/own.py", "mine\n");
    let list = world.read_local("repos.txt").unwrap();
    let kept = |line: &&str| !line.starts_with("m3 ") && !line.starts_with("m4 ");
    let shorter: Vec<&str> = list.lines().filter(kept).collect();
    world.write_local("repos.txt", &shorter.join("\n"));
    world.expect(0, &["run"]);
    assert!(!world.local("addons/m3").exists(), "the folder goes with its last file");
    assert_eq!(world.read_local("addons/m4/__manifest__.py"), None);
    assert_eq!(world.read_local("addons/m4/own.py").as_deref(), Some("mine\n"));
    // A list cut short halts as any mass removal does.
    world.write_local("repos.txt", shorter[1]);
    world.expect(4, &["run"]);
    assert_eq!(world.read_local("addons/m9/__manifest__.py").as_deref(), Some("number = 9\n"));
    world.write_local("repos.txt", "# nothing\n");
    world.expect(1, &["run"]);
}

#[test]
fn a_direction_that_would_write_is_refused() {
    for target in ["direction: bidirectional", "direction: push"] {
        let world = world("", target);
        let said = world.expect(2, &["run"]).out;
        assert!(said.contains("can only be read") && said.contains("direction: pull"), "{said}");
    }
}
